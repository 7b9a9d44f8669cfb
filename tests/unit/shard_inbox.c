/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include "support/model.h"
#include "support/shard.h"

static struct one_shard one;

static void set_up(void)
{
    /* One group, so that the table has room once it has a key. */
    one_shard_open(&one, &(struct one_shard_options){.group_count = 1});
}

static void tear_down(void)
{
    shard_check_deeply(one.shard);
    one_shard_close(&one);
}

TestSuite(shard_inbox, .init = set_up, .fini = tear_down, .timeout = 30);

static struct skv_inbox *inbox(void)
{
    return &one.shard->inbox;
}

/* Key 1, spilled at version 1, is set to version 2, which waits for the disk; key 9 is in RAM. */
static void make_one_wait(void)
{
    cr_assert_eq(one_shard_put(&one, 1, 1, 100), SPILLKV_OK);
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    cr_assert_eq(one_shard_set(&one, 9, 1, 100), SPILLKV_OK);
    cr_assert_eq(one_shard_accept(&one, 1, 2, 100), SPILLKV_OK);
    cr_assert_eq(one_shard_peek(&one, 9, 1, 100), SPILLKV_OK);
    cr_assert_eq(inbox()->waiting, 1);
}

static bool has(uint32_t number)
{
    uint8_t bytes[MODEL_KEY_MAX];
    const struct skv_key key = one_shard_key(&one, bytes, model_key(number, bytes));
    return skv_shard_has(one.shard, &key) == SPILLKV_OK;
}

Test(shard_inbox, accepted_set_is_seen_by_every_call_at_once)
{
    cr_assert_eq(one_shard_set(&one, 1, 1, 100), SPILLKV_OK);
    cr_assert_eq(one_shard_accept(&one, 2, 1, 100), SPILLKV_OK);
    cr_expect_eq(inbox()->count, 1);
    cr_expect_eq(one_shard_get(&one, 2, 1, 100), SPILLKV_OK);
    cr_expect_eq(inbox()->count, 0);
    cr_assert_eq(one_shard_accept(&one, 3, 1, 100), SPILLKV_OK);
    cr_expect(has(3));
    cr_assert_eq(one_shard_accept(&one, 4, 1, 100), SPILLKV_OK);
    cr_expect_eq(skv_shard_count(one.shard), 4);
    cr_assert_eq(one_shard_accept(&one, 5, 1, 100), SPILLKV_OK);
    cr_expect_eq(one_shard_counters(&one).entries_ram, 5);
    cr_assert_eq(one_shard_accept(&one, 6, 1, 100), SPILLKV_OK);
    cr_expect_eq(one_shard_del(&one, 6), SPILLKV_OK);
    cr_expect_eq(one_shard_del(&one, 6), SPILLKV_NOT_FOUND);
    cr_assert_eq(one_shard_accept(&one, 7, 1, 100), SPILLKV_OK);
    skv_shard_clear(one.shard);
    cr_expect_not(has(7));
    cr_expect_eq(one_shard_counters(&one).sets, 7);
}

Test(shard_inbox, sets_of_one_key_are_applied_in_their_order)
{
    cr_assert_eq(one_shard_set(&one, 1, 1, 100), SPILLKV_OK);
    for (uint64_t version = 2; version < 200; version++) {
        cr_assert_eq(one_shard_accept(&one, 1, version, version % 3 == 0 ? 50 : 100), SPILLKV_OK);
        if (version % 7 == 0) {
            cr_expect_eq(one_shard_peek(&one, 1, version, version % 3 == 0 ? 50 : 100), SPILLKV_OK);
        }
    }
    cr_expect_eq(one_shard_peek(&one, 1, 199, 100), SPILLKV_OK);
    cr_expect_eq(skv_shard_count(one.shard), 1);
}

Test(shard_inbox, set_of_a_spilled_key_is_read_while_it_waits)
{
    make_one_wait();
    cr_expect_eq(one_shard_get(&one, 1, 2, 100), SPILLKV_OK);
    cr_expect(has(1));
    cr_expect_eq(one_shard_counters(&one).spilled_reads, 0);
    cr_expect_eq(skv_shard_count(one.shard), 2);
    uint8_t small[10];
    uint8_t bytes[MODEL_KEY_MAX];
    const struct skv_key key = one_shard_key(&one, bytes, model_key(1, bytes));
    struct skv_sink sink = {.buffer = small, .capacity = sizeof(small)};
    cr_expect_eq(skv_shard_get(one.shard, &key, &sink), SPILLKV_TOO_SMALL);
    cr_expect_eq(sink.value_size, 100);
    cr_assert_eq(inbox()->waiting, 1);
    cr_expect_eq(skv_shard_resolve_inbox(one.shard), SPILLKV_OK);
    cr_expect_eq(inbox()->count, 0);
    cr_expect_eq(one_shard_get(&one, 1, 2, 100), SPILLKV_OK);
    cr_expect_eq(skv_shard_count(one.shard), 2);
    cr_expect_eq(one_shard_counters(&one).live_bytes, 0, "the old copy is dropped");
}

Test(shard_inbox, next_set_does_what_one_waits_for)
{
    make_one_wait();
    cr_assert_eq(one_shard_accept(&one, 5, 1, 100), SPILLKV_OK);
    cr_expect_eq(inbox()->waiting, 0);
    cr_expect_eq(one_shard_get(&one, 1, 2, 100), SPILLKV_OK);
    cr_expect_eq(skv_shard_count(one.shard), 3);
}

Test(shard_inbox, waiting_set_is_deleted_for_good)
{
    make_one_wait();
    cr_expect_eq(one_shard_del(&one, 1), SPILLKV_OK);
    cr_expect_eq(inbox()->count, 0);
    cr_expect_eq(one_shard_get(&one, 1, 2, 100), SPILLKV_NOT_FOUND);
    cr_expect_eq(one_shard_del(&one, 1), SPILLKV_NOT_FOUND);
    cr_expect_eq(skv_shard_count(one.shard), 1);
}

Test(shard_inbox, later_sets_of_any_size_win_over_a_waiting_one)
{
    static const size_t sizes[] = {100, 20, 1000, 30000};
    for (int i = 0; i < 4; i++) {
        make_one_wait();
        cr_assert_eq(one_shard_accept(&one, 1, 3, sizes[i]), SPILLKV_OK);
        cr_expect_eq(one_shard_peek(&one, 1, 3, sizes[i]), SPILLKV_OK);
        cr_expect_eq(skv_shard_resolve_inbox(one.shard), SPILLKV_OK);
        cr_expect_eq(one_shard_peek(&one, 1, 3, sizes[i]), SPILLKV_OK);
        cr_assert_eq(one_shard_del(&one, 1), SPILLKV_OK);
        cr_assert_eq(one_shard_del(&one, 9), SPILLKV_OK);
        cr_expect_eq(skv_shard_count(one.shard), 0);
    }
}

Test(shard_inbox, value_written_past_memory_wins_over_a_waiting_one)
{
    static uint8_t value[70000];
    uint8_t bytes[MODEL_KEY_MAX];
    const struct skv_key key = one_shard_key(&one, bytes, model_key(1, bytes));
    make_one_wait();
    model_value(1, 3, value, sizeof(value));
    cr_assert_eq(skv_shard_set_on_disk(one.shard, &key, value, sizeof(value)), SPILLKV_OK);
    cr_expect_eq(inbox()->count, 0);
    cr_expect_eq(one_shard_peek(&one, 1, 3, sizeof(value)), SPILLKV_OK);
}

/* The first number above one whose key has the tag of its key; there is one group. */
static uint32_t find_twin(uint32_t number)
{
    uint8_t bytes[MODEL_KEY_MAX];
    const uint64_t tag = one_shard_key(&one, bytes, model_key(number, bytes)).hash & SKV_TAG_MASK;
    do {
        number++;
    } while ((one_shard_key(&one, bytes, model_key(number, bytes)).hash & SKV_TAG_MASK) != tag);
    return number;
}

Test(shard_inbox, set_waits_behind_an_older_one_of_its_key)
{
    const uint32_t twin = find_twin(1);
    make_one_wait();
    cr_assert_eq(skv_shard_resolve_inbox(one.shard), SPILLKV_OK);
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    cr_assert_eq(one_shard_set(&one, 9, 2, 100), SPILLKV_OK);
    /* For the entry of another key, which is gone before the second set. */
    cr_assert_eq(one_shard_accept(&one, twin, 1, 100), SPILLKV_OK);
    cr_assert_eq(one_shard_del(&one, 1), SPILLKV_OK);
    cr_assert_eq(inbox()->waiting, 1);
    uint8_t bytes[MODEL_KEY_MAX];
    static uint8_t value[100];
    const struct skv_key key = one_shard_key(&one, bytes, model_key(twin, bytes));
    const struct skv_entry_parts parts = {
        .key = key.bytes, .key_size = key.size, .value = value, .value_size = sizeof(value)};
    bool others_wait;
    model_value(twin, 2, value, sizeof(value));
    cr_assert(skv_shard_accept(one.shard, &key, &parts, &others_wait));
    cr_expect(others_wait);
    cr_expect_eq(one_shard_get(&one, twin, 2, 100), SPILLKV_OK);
    cr_expect_eq(skv_shard_resolve_inbox(one.shard), SPILLKV_OK);
    cr_expect_eq(one_shard_get(&one, twin, 2, 100), SPILLKV_OK);
}

Test(shard_inbox, waiting_sets_get_no_more_than_the_inbox_holds)
{
    for (uint32_t i = 0; i < 200; i++) {
        cr_assert_eq(one_shard_put(&one, i, 1, 100), SPILLKV_OK);
    }
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    for (uint32_t i = 0; i < 200; i++) {
        cr_assert_eq(one_shard_accept(&one, i, 2, 100), SPILLKV_OK);
        cr_assert_leq(inbox()->count, SKV_INBOX_SETS);
        cr_assert_eq(one_shard_peek(&one, i / 2, 2, 100), SPILLKV_OK, "%u", i);
    }
    cr_expect_eq(skv_shard_resolve_inbox(one.shard), SPILLKV_OK);
    cr_expect_eq(skv_shard_count(one.shard), 200);
    for (uint32_t i = 0; i < 200; i++) {
        cr_expect_eq(one_shard_peek(&one, i, 2, 100), SPILLKV_OK);
    }
}
