/* SPDX-License-Identifier: MIT */
/* Batches: every item is answered as the call for its key alone would be. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/kv.h"

#define LONG_BATCH 10000u
#define LARGE      ((size_t)100 << 10)

static struct kv_test test;

/* Items with keys as of kv_set(), and room for values of `size` bytes each. */
struct batch {
    size_t count;
    size_t size;
    spillkv_item *items;
    char (*keys)[16];
    uint8_t *values;
};

static void make_batch(struct batch *batch, size_t count, size_t size)
{
    *batch = (struct batch){.count = count,
                            .size = size,
                            .items = calloc(count, sizeof(spillkv_item)),
                            .keys = calloc(count, sizeof(*batch->keys)),
                            .values = calloc(count, size + 1)};
}

static void free_batch(struct batch *batch)
{
    free(batch->items);
    free(batch->keys);
    free(batch->values);
}

static uint8_t *value_at(const struct batch *batch, size_t at)
{
    return batch->values + at * (batch->size + 1);
}

/** Makes an item that asks for a key. */
static spillkv_item *ask(struct batch *batch, size_t at, uint32_t number)
{
    const int size = snprintf(batch->keys[at], sizeof(batch->keys[at]), "key-%08u", number);
    batch->items[at] = (spillkv_item){.key = batch->keys[at],
                                      .key_size = (size_t)size,
                                      .buffer = value_at(batch, at),
                                      .capacity = batch->size,
                                      .status = SPILLKV_ESYSTEM};
    return &batch->items[at];
}

/** Makes an item that sets a key. */
static spillkv_item *give(struct batch *batch, size_t at, uint32_t number, uint32_t version,
                          size_t size)
{
    spillkv_item *const item = ask(batch, at, number);
    kv_make_value(value_at(batch, at), size, number, version);
    item->value = value_at(batch, at);
    item->value_size = size;
    return item;
}

/** Whether an item was answered with this value. */
static bool is_answered(const struct batch *batch, size_t at, uint32_t number, uint32_t version,
                        size_t size)
{
    const spillkv_item *const item = &batch->items[at];
    uint8_t *const wanted = malloc(size + 1);
    kv_make_value(wanted, size, number, version);
    const bool same = item->status == SPILLKV_OK && item->value == item->buffer &&
                      item->value_size == size && memcmp(item->value, wanted, size) == 0;
    free(wanted);
    return same;
}

static bool is_not_found(const struct batch *batch, size_t at)
{
    const spillkv_item *const item = &batch->items[at];
    return item->status == SPILLKV_NOT_FOUND && item->value == NULL && item->value_size == 0;
}

static void open_filled_shards(uint32_t shards)
{
    kv_options(&test);
    test.options.shards = shards;
    test.options.max_mem = KV_TINY + (shards - 1) * (UINT64_C(1) << 20);
    kv_open(&test);
    kv_fill(test.kv, 0, KV_MANY);
    KV_OK(spillkv_flush(test.kv));
    cr_assert_gt(kv_stats(test.kv).total.entries_spilled, KV_MANY / 4);
}

static void open_filled(void)
{
    open_filled_shards(1);
}

static void open_four_shards(void)
{
    open_filled_shards(4);
}

static void close_test(void)
{
    KV_CHECK(spillkv_flush(test.kv) == SPILLKV_OK);
    kv_expect_consistent(test.kv);
    kv_close(&test);
}

TestSuite(many, .init = open_filled, .fini = close_test, .timeout = 60);
TestSuite(many_shards, .init = open_four_shards, .fini = close_test, .timeout = 60);

/** Numbers in no order, some of them twice, a tenth of them of no key. */
static uint32_t mixed_number(size_t at)
{
    return (uint32_t)(at * 7919 % (KV_MANY + KV_MANY / 10));
}

static void get_mixture(size_t count)
{
    struct batch batch;
    make_batch(&batch, count, KV_VALUE);
    const spillkv_counters before = kv_stats(test.kv).total;
    for (size_t i = 0; i < count; i++) {
        (void)ask(&batch, i, mixed_number(i));
    }
    KV_OK(spillkv_get_many(test.kv, batch.items, count));
    uint64_t absent = 0;
    for (size_t i = 0; i < count; i++) {
        const uint32_t number = mixed_number(i);
        absent += number >= KV_MANY;
        cr_assert(number < KV_MANY ? is_answered(&batch, i, number, 0, KV_VALUE)
                                   : is_not_found(&batch, i),
                  "item %zu: %d", i, batch.items[i].status);
    }
    const spillkv_counters after = kv_stats(test.kv).total;
    cr_expect_eq(after.misses - before.misses, absent);
    cr_expect_eq(after.hits + after.spilled_reads - before.hits - before.spilled_reads,
                 count - absent);
    cr_expect_gt(after.spilled_reads, before.spilled_reads);
    cr_expect_gt(after.promotions, before.promotions);
    free_batch(&batch);
}

Test(many, results_are_in_the_callers_order)
{
    get_mixture(200);
}

Test(many, a_batch_may_be_long)
{
    get_mixture(LONG_BATCH);
}

Test(many_shards, a_batch_may_be_long)
{
    get_mixture(LONG_BATCH);
}

Test(many, what_was_spilled_comes_back_to_memory)
{
    struct batch batch;
    make_batch(&batch, 32, KV_VALUE);
    for (uint32_t i = 0; i < 32; i++) {
        (void)ask(&batch, i, i);
    }
    const spillkv_counters before = kv_stats(test.kv).total;
    KV_OK(spillkv_get_many(test.kv, batch.items, 32));
    const spillkv_counters first = kv_stats(test.kv).total;
    KV_OK(spillkv_get_many(test.kv, batch.items, 32));
    const spillkv_counters second = kv_stats(test.kv).total;
    cr_expect_eq(first.spilled_reads - before.spilled_reads, 32);
    /* Where there is no room at the moment it is read again. */
    cr_expect_gt(first.promotions - before.promotions, 16);
    cr_expect_geq(second.hits - first.hits, first.promotions - before.promotions);
    free_batch(&batch);
}

Test(many, no_items_are_fine)
{
    KV_OK(spillkv_get_many(test.kv, NULL, 0));
    KV_OK(spillkv_set_many(test.kv, NULL, 0));
    KV_OK(spillkv_del_many(test.kv, NULL, 0));
    cr_expect_eq(kv_count(test.kv), KV_MANY);
}

Test(many, without_store_or_items_everything_is_refused)
{
    struct batch batch;
    make_batch(&batch, 2, 8);
    for (uint32_t i = 0; i < 2; i++) {
        give(&batch, i, i, 1, 8)->status = SPILLKV_OK;
    }
    cr_expect_eq(spillkv_get_many(test.kv, NULL, 2), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_set_many(test.kv, NULL, 2), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_del_many(test.kv, NULL, 2), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_get_many(NULL, batch.items, 2), SPILLKV_EINVAL);
    for (uint32_t i = 0; i < 2; i++) {
        cr_expect_eq(batch.items[i].status, SPILLKV_EINVAL);
        cr_expect_null(batch.items[i].value);
        cr_expect_eq(batch.items[i].value_size, 0);
    }
    free_batch(&batch);
}

/** Spoils three of 100 items in three ways. */
static void spoil_keys(struct batch *batch)
{
    batch->items[10].key = NULL;
    batch->items[20].key_size = 0;
    batch->items[30].key_size = SPILLKV_KEY_MAX + 1;
}

static bool is_spoilt(size_t at)
{
    return at == 10 || at == 20 || at == 30 || at == 40;
}

Test(many, bad_items_do_not_disturb_the_others)
{
    struct batch batch;
    make_batch(&batch, 100, KV_VALUE);
    for (uint32_t i = 0; i < 100; i++) {
        (void)give(&batch, i, i, 1, 100);
    }
    spoil_keys(&batch);
    batch.items[40].value = NULL;
    cr_expect_eq(spillkv_set_many(test.kv, batch.items, 100), SPILLKV_EINVAL);
    for (uint32_t i = 0; i < 100; i++) {
        cr_expect_eq(batch.items[i].status, is_spoilt(i) ? SPILLKV_EINVAL : SPILLKV_OK);
        (void)ask(&batch, i, i);
    }
    spoil_keys(&batch);
    batch.items[40].buffer = NULL;
    cr_expect_eq(spillkv_get_many(test.kv, batch.items, 100), SPILLKV_EINVAL);
    for (uint32_t i = 0; i < 100; i++) {
        cr_expect(is_spoilt(i) ? batch.items[i].status == SPILLKV_EINVAL
                               : is_answered(&batch, i, i, 1, 100),
                  "item %u: %d", i, batch.items[i].status);
    }
    spoil_keys(&batch);
    cr_expect_eq(spillkv_del_many(test.kv, batch.items, 100), SPILLKV_EINVAL);
    cr_expect_eq(kv_count(test.kv), KV_MANY - 97);
    free_batch(&batch);
}

Test(many, a_value_too_large_for_its_buffer_is_reported_with_its_size)
{
    struct batch batch;
    make_batch(&batch, 64, KV_VALUE);
    /* The first time they are on disk, then in memory. */
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 64; i++) {
            ask(&batch, i, i)->capacity = i % 2 == 0 ? KV_VALUE : KV_VALUE - 1;
        }
        ask(&batch, 1, 1)->buffer = NULL;
        batch.items[1].capacity = 0;
        KV_OK(spillkv_get_many(test.kv, batch.items, 64));
        for (uint32_t i = 0; i < 64; i++) {
            cr_expect(i % 2 == 0 ? is_answered(&batch, i, i, 0, KV_VALUE)
                                 : batch.items[i].status == SPILLKV_TOO_SMALL &&
                                       batch.items[i].value_size == KV_VALUE &&
                                       batch.items[i].value == NULL);
        }
    }
    free_batch(&batch);
}

Test(many, sets_and_deletes_of_spilled_keys_are_final)
{
    struct batch batch;
    make_batch(&batch, 6000, 900);
    for (uint32_t i = 0; i < 6000; i++) {
        (void)give(&batch, i, i, 1, i % 900);
    }
    const uint64_t sets = kv_stats(test.kv).total.sets;
    KV_OK(spillkv_set_many(test.kv, batch.items, 6000));
    cr_expect_eq(kv_stats(test.kv).total.sets, sets + 6000);
    cr_expect_eq(kv_count(test.kv), KV_MANY);
    for (uint32_t i = 0; i < 6000; i++) {
        cr_assert_eq(kv_get(test.kv, i, 1, i % 900), SPILLKV_OK, "key %u", i);
    }
    KV_OK(spillkv_flush(test.kv));
    const uint64_t dels = kv_stats(test.kv).total.dels;
    KV_OK(spillkv_del_many(test.kv, batch.items, 6000));
    cr_expect_eq(kv_stats(test.kv).total.dels, dels + 6000);
    cr_expect_eq(kv_count(test.kv), KV_MANY - 6000);
    KV_OK(spillkv_del_many(test.kv, batch.items, 6000));
    for (uint32_t i = 0; i < 6000; i++) {
        cr_assert_eq(batch.items[i].status, SPILLKV_NOT_FOUND);
        cr_assert_eq(kv_has(test.kv, i), SPILLKV_NOT_FOUND);
    }
    kv_expect_filled(test.kv, 6000, KV_MANY);
    free_batch(&batch);
}

Test(many, the_last_of_several_sets_of_a_key_stays)
{
    static const size_t sizes[] = {40, LARGE, 3000, 40, 20000, 700, LARGE, 9000};
    struct batch batch;
    make_batch(&batch, 64, LARGE);
    /* Key 7 is set by every item; that of the odd rounds ends with a small value. */
    for (uint32_t round = 0; round < 8; round++) {
        for (uint32_t i = 0; i < 64; i++) {
            (void)give(&batch, i, 7, round * 64 + i, sizes[(i + round) % 8]);
        }
        KV_OK(spillkv_set_many(test.kv, batch.items, 64));
        cr_expect_eq(kv_get(test.kv, 7, round * 64 + 63, sizes[(63 + round) % 8]), SPILLKV_OK);
    }
    cr_expect_eq(kv_count(test.kv), KV_MANY);
    free_batch(&batch);
}

Test(many, of_several_deletes_of_a_key_the_first_finds_it)
{
    struct batch batch;
    make_batch(&batch, 60, 8);
    for (uint32_t i = 0; i < 60; i++) {
        (void)ask(&batch, i, i % 20);
    }
    KV_OK(spillkv_del_many(test.kv, batch.items, 60));
    for (uint32_t i = 0; i < 60; i++) {
        cr_expect_eq(batch.items[i].status, i < 20 ? SPILLKV_OK : SPILLKV_NOT_FOUND);
    }
    cr_expect_eq(kv_count(test.kv), KV_MANY - 20);
    free_batch(&batch);
}

Test(many, sees_the_sets_before_it)
{
    struct batch batch;
    make_batch(&batch, 48, KV_VALUE);
    /* A small set of a spilled key is not in the table yet when the next call comes. */
    for (uint32_t i = 0; i < 48; i += 3) {
        for (uint32_t j = i; j < i + 3; j++) {
            KV_OK(kv_set(test.kv, j, 1, 50));
        }
        (void)ask(&batch, 0, i);
        KV_OK(spillkv_get_many(test.kv, batch.items, 1));
        cr_expect(is_answered(&batch, 0, i, 1, 50));
        (void)ask(&batch, 0, i + 1);
        KV_OK(spillkv_del_many(test.kv, batch.items, 1));
        cr_expect_eq(batch.items[0].status, SPILLKV_OK);
        cr_expect_eq(kv_has(test.kv, i + 1), SPILLKV_NOT_FOUND);
        (void)give(&batch, 0, i + 2, 2, 60);
        KV_OK(spillkv_set_many(test.kv, batch.items, 1));
        cr_expect_eq(kv_get(test.kv, i + 2, 2, 60), SPILLKV_OK);
    }
    cr_expect_eq(kv_count(test.kv), KV_MANY - 16);
    free_batch(&batch);
}

Test(many, large_values_are_served_from_both_tiers)
{
    struct batch batch;
    make_batch(&batch, 80, LARGE);
    for (uint32_t i = 0; i < 80; i++) {
        (void)give(&batch, i, 2 * i, 1, LARGE - i);
    }
    KV_OK(spillkv_set_many(test.kv, batch.items, 80));
    cr_expect_gt(kv_stats(test.kv).total.spills, 80);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 80; i++) {
            (void)ask(&batch, i, i);
        }
        KV_OK(spillkv_get_many(test.kv, batch.items, 80));
        for (uint32_t i = 0; i < 80; i++) {
            cr_expect(i % 2 == 0 ? is_answered(&batch, i, i, 1, LARGE - i / 2)
                                 : is_answered(&batch, i, i, 0, KV_VALUE),
                      "key %u", i);
        }
    }
    free_batch(&batch);
}

/** Overwrites the file of a shard but for its first page. */
static void damage_shard(const char *name)
{
    uint8_t bytes[8192] = {0};
    const int fd = open(tempdir_file(&test.dir, name), O_RDWR | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    const off_t end = lseek(fd, 0, SEEK_END);
    for (off_t at = sizeof(bytes); at < end; at += (off_t)sizeof(bytes)) {
        cr_assert_eq(pwrite(fd, bytes, sizeof(bytes), at), (ssize_t)sizeof(bytes));
    }
    (void)close(fd);
}

Test(many_damage, of_one_shard_spares_the_items_of_the_others)
{
    struct batch batch;
    uint32_t corrupt = 0;
    open_four_shards();
    damage_shard("store/shard-002.db");
    make_batch(&batch, 512, KV_VALUE);
    for (uint32_t i = 0; i < 512; i++) {
        (void)ask(&batch, i, i);
    }
    const spillkv_status status = spillkv_get_many(test.kv, batch.items, 512);
    for (uint32_t i = 0; i < 512; i++) {
        const bool right = is_answered(&batch, i, i, 0, KV_VALUE);
        cr_expect(right || batch.items[i].status == SPILLKV_ECORRUPT, "key %u: %d", i,
                  batch.items[i].status);
        if (!right) {
            corrupt++;
            cr_expect_eq(kv_get(test.kv, i, 0, KV_VALUE), SPILLKV_ECORRUPT);
        }
    }
    cr_expect_eq(status, SPILLKV_ECORRUPT);
    cr_expect_gt(corrupt, 0);
    /* A fourth of the keys, about. */
    cr_expect_lt(corrupt, 200);
    free_batch(&batch);
    (void)!spillkv_close(test.kv);
    kv_remove(&test);
}

Test(many_memory, items_that_do_not_fit_fail_and_the_others_stay, .timeout = 60)
{
    struct batch batch;
    uint32_t stored = 0;
    kv_open_memory(&test, KV_TINY, SPILLKV_FULL_FAIL);
    make_batch(&batch, KV_MANY, KV_VALUE);
    for (uint32_t i = 0; i < KV_MANY; i++) {
        (void)give(&batch, i, i, 0, KV_VALUE);
    }
    cr_expect_eq(spillkv_set_many(test.kv, batch.items, KV_MANY), SPILLKV_EFULL);
    for (uint32_t i = 0; i < KV_MANY; i++) {
        const spillkv_status status = batch.items[i].status;
        cr_assert(status == SPILLKV_OK || status == SPILLKV_EFULL, "item %u: %d", i, status);
        cr_assert_eq(kv_get(test.kv, i, 0, KV_VALUE),
                     status == SPILLKV_OK ? SPILLKV_OK : SPILLKV_NOT_FOUND);
        stored += status == SPILLKV_OK;
    }
    cr_expect_gt(stored, 1000);
    cr_expect_eq(kv_count(test.kv), stored);
    free_batch(&batch);
    kv_close(&test);
}

Test(many_of_few_shards, a_batch_may_concern_some_of_the_shards_and_values_that_fill_half_a_segment)
{
    const size_t size = 5000;
    struct batch batch;
    kv_options(&test);
    test.options.shards = 4;
    test.options.max_mem = 4 * KV_TINY;
    kv_open(&test);
    for (uint32_t i = 0; i < 6000; i++) {
        KV_OK(kv_set(test.kv, i, 0, size));
    }
    make_batch(&batch, 2, size);
    for (uint32_t i = 0; i + 1 < 6000; i += 20) {
        (void)ask(&batch, 0, i);
        (void)ask(&batch, 1, i + 1);
        KV_OK(spillkv_get_many(test.kv, batch.items, 2));
        cr_expect(is_answered(&batch, 0, i, 0, size) && is_answered(&batch, 1, i + 1, 0, size));
    }
    cr_expect_gt(kv_stats(test.kv).total.spilled_reads, 100);
    free_batch(&batch);
    kv_close(&test);
}
