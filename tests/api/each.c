/* SPDX-License-Identifier: MIT */
/* Iteration over both tiers, alone and while the visit itself changes the store. */
#include <stdlib.h>
#include <string.h>

#include "support/kv.h"

#define NUMBERS (2 * KV_MANY)

static struct kv_test test;
static uint8_t visits[NUMBERS];

static void open_filled(void)
{
    kv_open_tiny(&test);
    kv_fill(test.kv, 0, KV_MANY);
    KV_OK(spillkv_flush(test.kv));
}

static void close_test(void)
{
    KV_CHECK(spillkv_flush(test.kv) == SPILLKV_OK);
    kv_expect_consistent(test.kv);
    kv_close(&test);
}

TestSuite(each, .init = open_filled, .fini = close_test, .timeout = 60);

/** What a visit is to do besides noting the key. */
struct visiting {
    uint32_t stop_after;
    uint32_t visited;
    void (*act)(uint32_t number);
};

static uint32_t number_of(const void *key, size_t size)
{
    char text[13] = "";
    cr_assert_eq(size, 12);
    memcpy(text, key, 12);
    return (uint32_t)strtoul(text + 4, NULL, 10);
}

static int visit(void *context, const void *key, size_t key_size, const void *value,
                 size_t value_size)
{
    struct visiting *const visiting = context;
    uint8_t wanted[KV_VALUE];
    const uint32_t number = number_of(key, key_size);
    cr_assert_lt(number, NUMBERS);
    cr_assert_not_null(value);
    visits[number]++;
    visiting->visited++;
    if (value_size == KV_VALUE) {
        kv_make_value(wanted, KV_VALUE, number, 0);
        cr_expect_eq(memcmp(value, wanted, KV_VALUE), 0, "key %u", number);
    } else {
        cr_expect_eq(value_size, 0);
    }
    if (visiting->act != NULL) {
        visiting->act(number);
    }
    return visiting->visited == visiting->stop_after;
}

static void expect_visits(uint32_t first, uint32_t end, uint8_t times)
{
    uint32_t wrong = 0;
    for (uint32_t i = first; i < end; i++) {
        wrong += visits[i] != times;
    }
    cr_expect_eq(wrong, 0, "%u keys were not visited %u times", wrong, times);
}

Test(each, visits_every_key_of_both_tiers_exactly_once)
{
    struct visiting visiting = {0};
    cr_expect_eq(spillkv_each(test.kv, visit, &visiting), SPILLKV_OK);
    cr_expect_eq(visiting.visited, KV_MANY);
    expect_visits(0, KV_MANY, 1);
}

Test(each, moves_nothing_and_is_no_use)
{
    struct visiting visiting = {0};
    const spillkv_counters before = kv_stats(test.kv).total;
    KV_OK(spillkv_each(test.kv, visit, &visiting));
    const spillkv_counters after = kv_stats(test.kv).total;
    cr_expect_eq(after.entries_ram, before.entries_ram);
    cr_expect_eq(after.promotions, before.promotions);
    cr_expect_eq(after.hits, before.hits);
    cr_expect_eq(after.spilled_reads, before.spilled_reads);
}

Test(each, stops_when_told)
{
    struct visiting visiting = {.stop_after = 10};
    cr_expect_eq(spillkv_each(test.kv, visit, &visiting), SPILLKV_OK);
    cr_expect_eq(visiting.visited, 10);
}

Test(each, stops_at_the_first_entry)
{
    struct visiting visiting = {.stop_after = 1};
    cr_expect_eq(spillkv_each(test.kv, visit, &visiting), SPILLKV_OK);
    cr_expect_eq(visiting.visited, 1);
}

Test(each, visits_nothing_in_an_empty_store)
{
    struct visiting visiting = {0};
    KV_OK(spillkv_clear(test.kv));
    cr_expect_eq(spillkv_each(test.kv, visit, &visiting), SPILLKV_OK);
    cr_expect_eq(visiting.visited, 0);
}

Test(each, visits_a_store_in_memory)
{
    struct visiting visiting = {0};
    spillkv *const spilled = test.kv;
    KV_OK(spillkv_open(NULL, &test.kv));
    kv_fill(test.kv, 0, 5000);
    cr_expect_eq(spillkv_each(test.kv, visit, &visiting), SPILLKV_OK);
    cr_expect_eq(visiting.visited, 5000);
    expect_visits(0, 5000, 1);
    KV_OK(spillkv_close(test.kv));
    test.kv = spilled;
}

static void set_new(uint32_t number)
{
    if (number < KV_MANY && number % 4 == 0) {
        cr_assert_eq(kv_set(test.kv, KV_MANY + number, 0, KV_VALUE), SPILLKV_OK);
    }
}

Test(each, visits_every_old_key_once_while_new_ones_are_set)
{
    struct visiting visiting = {.act = set_new};
    cr_expect_eq(spillkv_each(test.kv, visit, &visiting), SPILLKV_OK);
    expect_visits(0, KV_MANY, 1);
    for (uint32_t i = KV_MANY; i < NUMBERS; i++) {
        cr_assert_leq(visits[i], 1);
    }
    cr_expect_eq(kv_count(test.kv), KV_MANY + KV_MANY / 4);
}

static void overwrite(uint32_t number)
{
    /* Itself, and one far away: both tiers move under the iteration. */
    cr_assert_eq(kv_set(test.kv, number, 0, 0), SPILLKV_OK);
    cr_assert_eq(kv_set(test.kv, (number + KV_MANY / 2) % KV_MANY, 0, KV_VALUE), SPILLKV_OK);
}

Test(each, visits_every_key_once_while_values_are_overwritten)
{
    struct visiting visiting = {.act = overwrite};
    cr_expect_eq(spillkv_each(test.kv, visit, &visiting), SPILLKV_OK);
    expect_visits(0, KV_MANY, 1);
    cr_expect_eq(kv_count(test.kv), KV_MANY);
}

static void promote(uint32_t number)
{
    for (uint32_t i = 1; i < 4; i++) {
        cr_assert_eq(kv_get(test.kv, (number + i * KV_MANY / 4) % KV_MANY, 0, KV_VALUE),
                     SPILLKV_OK);
    }
}

Test(each, visits_every_key_once_while_keys_move_between_the_tiers)
{
    struct visiting visiting = {.act = promote};
    cr_expect_eq(spillkv_each(test.kv, visit, &visiting), SPILLKV_OK);
    expect_visits(0, KV_MANY, 1);
}

static void delete_itself(uint32_t number)
{
    cr_assert_eq(kv_del(test.kv, number), SPILLKV_OK);
}

Test(each, may_delete_what_it_visits)
{
    struct visiting visiting = {.act = delete_itself};
    cr_expect_eq(spillkv_each(test.kv, visit, &visiting), SPILLKV_OK);
    expect_visits(0, KV_MANY, 1);
    cr_expect_eq(kv_count(test.kv), 0);
}

static uint8_t deleted[NUMBERS];

static void delete_another(uint32_t number)
{
    const uint32_t other = number ^ 1;
    if (!deleted[number] && kv_del(test.kv, other) == SPILLKV_OK) {
        deleted[other] = 1;
    }
}

Test(each, visits_what_stays_while_others_are_deleted)
{
    struct visiting visiting = {.act = delete_another};
    cr_expect_eq(spillkv_each(test.kv, visit, &visiting), SPILLKV_OK);
    uint32_t left = 0;
    for (uint32_t i = 0; i < KV_MANY; i++) {
        cr_expect(visits[i] == 1 || (deleted[i] && visits[i] == 0), "key %u", i);
        left += !deleted[i];
    }
    cr_expect_eq(kv_count(test.kv), left);
}

static void clear_once(uint32_t number)
{
    static bool cleared;
    (void)number;
    if (!cleared) {
        cleared = true;
        KV_OK(spillkv_clear(test.kv));
        kv_fill(test.kv, KV_MANY, KV_MANY + 8000);
    }
}

Test(each, survives_a_clear)
{
    struct visiting visiting = {.act = clear_once};
    cr_expect_eq(spillkv_each(test.kv, visit, &visiting), SPILLKV_OK);
    for (uint32_t i = 0; i < NUMBERS; i++) {
        cr_assert_leq(visits[i], 1);
    }
    kv_expect_filled(test.kv, KV_MANY, KV_MANY + 8000);
}

static int visit_inner(void *context, const void *key, size_t key_size, const void *value,
                       size_t value_size)
{
    (void)key, (void)key_size, (void)value, (void)value_size;
    return ++*(uint32_t *)context == 500;
}

static void iterate_inside(uint32_t number)
{
    uint32_t inner = 0;
    if (number % 2000 == 0) {
        cr_assert_eq(spillkv_each(test.kv, visit_inner, &inner), SPILLKV_OK);
        cr_assert_eq(inner, 500);
    }
}

Test(each, may_be_nested)
{
    struct visiting visiting = {.act = iterate_inside};
    cr_expect_eq(spillkv_each(test.kv, visit, &visiting), SPILLKV_OK);
    expect_visits(0, KV_MANY, 1);
}
