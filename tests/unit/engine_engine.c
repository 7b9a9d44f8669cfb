/* SPDX-License-Identifier: MIT */
#include "engine/engine.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "support/model.h"
#include "support/shard.h"
#include "support/tempdir.h"

static struct tempdir dir;
static spillkv_options options;
static spillkv *kv;

static void set_up(void)
{
    tempdir_make(&dir);
    spillkv_options_init(&options);
    options.hash_seed = 9;
    kv = NULL;
}

static void tear_down(void)
{
    if (kv != NULL) {
        cr_expect(skv_engine_check(kv));
        cr_expect_eq(skv_engine_close(kv), SPILLKV_OK);
    }
    cr_expect_not(tempdir_has(&dir, "store/shard-0.db"));
    tempdir_remove(&dir);
}

TestSuite(engine, .init = set_up, .fini = tear_down, .timeout = 60);

static void open_store(bool spills)
{
    options.path = spills ? tempdir_file(&dir, "store") : NULL;
    cr_assert_eq(skv_engine_open(&options, &kv), SPILLKV_OK);
    cr_assert(skv_engine_check(kv));
}

static struct skv_key key_of(uint32_t number)
{
    static uint8_t bytes[MODEL_KEY_MAX];
    return skv_engine_key(kv, bytes, model_key(number, bytes));
}

static spillkv_status set(uint32_t number, uint64_t version, size_t size)
{
    static uint8_t value[1 << 20];
    const struct skv_key key = key_of(number);
    model_value(number, version, value, size);
    return skv_engine_set(kv, &key, value, size);
}

static bool holds(uint32_t number, uint64_t version, size_t size)
{
    static uint8_t value[1 << 20];
    const struct skv_key key = key_of(number);
    struct skv_sink sink = {.buffer = value, .capacity = sizeof(value), .peek = true};
    return skv_shard_get(skv_engine_shard(kv, key.hash), &key, &sink) == SPILLKV_OK &&
           sink.value_size == size && model_value_is(number, version, value, size);
}

Test(engine, shards_are_rounded_up_to_a_power_of_two)
{
    options.shards = 5;
    open_store(false);
    cr_expect_eq(kv->shard_count, 8);
}

Test(engine, every_shard_gets_keys)
{
    options.shards = 16;
    open_store(false);
    for (uint32_t i = 0; i < 1000; i++) {
        cr_assert_eq(set(i, 1, 10), SPILLKV_OK);
    }
    for (uint32_t i = 0; i < 16; i++) {
        cr_expect_gt(skv_shard_count(kv->shards[i]), 20);
    }
}

Test(engine, one_shard_takes_all_hashes)
{
    options.shards = 1;
    open_store(false);
    cr_expect_eq(skv_engine_shard(kv, UINT64_MAX), kv->shards[0]);
    cr_expect_eq(skv_engine_shard(kv, 0), kv->shards[0]);
}

Test(engine, little_memory_makes_few_shards)
{
    options.max_mem = 20 << 20;
    open_store(true);
    cr_expect_leq(kv->shard_count, 2);
}

Test(engine, too_little_memory_is_refused_and_the_least_that_is_not_works)
{
    uint64_t max_mem = 64 << 10;
    options.path = tempdir_file(&dir, "store");
    options.shards = 2;
    options.max_mem = max_mem;
    while (skv_engine_open(&options, &kv) != SPILLKV_OK) {
        cr_assert_null(kv);
        cr_assert_not(tempdir_has(&dir, "store"), "nothing is left behind");
        max_mem += 16 << 10;
        options.max_mem = max_mem;
        cr_assert_lt(max_mem, 4 << 20);
    }
    for (uint32_t i = 0; i < 3000; i++) {
        cr_assert_eq(set(i, 1, i % 10 == 0 ? 20000 : 100), SPILLKV_OK, "key %u", i);
    }
    for (uint32_t i = 0; i < 3000; i++) {
        cr_expect(holds(i, 1, i % 10 == 0 ? 20000 : 100));
    }
}

Test(engine, memory_kinds_add_up_and_stay_within_the_limit)
{
    options.max_mem = 4 << 20;
    open_store(true);
    for (uint32_t i = 0; i < 60000; i++) {
        cr_assert_eq(set(i, 1, 100), SPILLKV_OK);
        if (i % 5000 == 0) {
            spillkv_stats_data stats;
            skv_engine_stats(kv, &stats);
            const spillkv_memory *const memory = &stats.memory;
            cr_expect_eq(memory->total, memory->entries + memory->table + memory->sqlite +
                                            memory->scratch + memory->fixed + memory->unused);
            cr_expect_leq(memory->total, options.max_mem);
            cr_expect_eq(stats.max_mem, options.max_mem);
        }
    }
}

Test(engine, value_too_large_for_memory_goes_to_disk)
{
    options.max_mem = 2 << 20;
    options.shards = 1;
    open_store(true);
    for (uint64_t version = 1; version < 20; version++) {
        cr_assert_eq(set(1, version, 1 << 20), SPILLKV_OK);
        cr_assert_eq(set(2, version, 600 << 10), SPILLKV_OK);
        cr_expect(holds(1, version, 1 << 20));
        cr_expect(holds(2, version, 600 << 10));
    }
    shard_check_deeply(kv->shards[0]);
    spillkv_stats_data stats;
    skv_engine_stats(kv, &stats);
    cr_expect_leq(stats.total.file_bytes, 6 << 20);
}

Test(engine, full_store_in_memory_says_so_and_goes_on_after_deletions)
{
    options.max_mem = 1 << 20;
    options.shards = 1;
    open_store(false);
    uint32_t count = 0;
    while (set(count, 1, 100) == SPILLKV_OK) {
        count++;
    }
    cr_expect_eq(set(count, 1, 100), SPILLKV_EFULL);
    cr_expect_eq(set(count + 1, 1, 500 << 10), SPILLKV_EFULL);
    for (uint32_t i = 0; i < count; i++) {
        cr_assert(holds(i, 1, 100));
    }
    for (uint32_t i = 0; i < count / 2; i++) {
        const struct skv_key key = key_of(i);
        cr_assert_eq(skv_shard_del(kv->shards[0], &key), SPILLKV_OK);
    }
    for (uint32_t i = 0; i < count / 4; i++) {
        cr_assert_eq(set(i, 2, 100), SPILLKV_OK);
    }
}

Test(engine, value_that_can_never_fit_drops_nothing_else)
{
    options.max_mem = 1 << 20;
    options.shards = 1;
    options.on_full = SPILLKV_FULL_DROP;
    open_store(false);
    for (uint32_t i = 0; i < 500; i++) {
        cr_assert_eq(set(i, 1, 100), SPILLKV_OK);
    }
    cr_expect_eq(set(1000, 1, 1 << 20), SPILLKV_EFULL);
    for (uint32_t i = 0; i < 500; i++) {
        cr_expect(holds(i, 1, 100));
    }
}

Test(engine, flush_reaches_the_target)
{
    options.max_mem = 2 << 20;
    open_store(true);
    for (uint32_t i = 0; i < 20000; i++) {
        cr_assert_eq(set(i, 1, 100), SPILLKV_OK);
    }
    cr_expect_eq(skv_engine_flush(kv), SPILLKV_OK);
    cr_expect_geq(skv_budget_room(&kv->budget), kv->spillers.target_room);
}

Test(engine, flush_of_an_empty_store_returns)
{
    options.max_mem = 2 << 20;
    open_store(true);
    cr_expect_eq(skv_engine_flush(kv), SPILLKV_OK);
}

Test(engine, clear_gives_the_memory_back)
{
    options.max_mem = 4 << 20;
    open_store(true);
    spillkv_stats_data before;
    spillkv_stats_data after;
    skv_engine_stats(kv, &before);
    for (uint32_t i = 0; i < 30000; i++) {
        cr_assert_eq(set(i, 1, 100), SPILLKV_OK);
    }
    skv_engine_clear(kv);
    skv_engine_stats(kv, &after);
    cr_expect_eq(after.total.entries_ram + after.total.entries_spilled, 0);
    cr_expect_eq(after.memory.entries, before.memory.entries);
    cr_expect_leq(after.memory.table, before.memory.table);
}

struct counting {
    uint32_t visits;
    uint32_t stop_at;
};

static int count_visit(void *context, const void *key, size_t key_size, const void *value,
                       size_t value_size)
{
    struct counting *const counting = context;
    const uint32_t number = model_number(key, key_size);
    cr_assert_neq(number, UINT32_MAX);
    cr_assert(model_value_is(number, 1, value, value_size));
    return ++counting->visits == counting->stop_at;
}

Test(engine, each_visits_all_shards_and_stops_when_told)
{
    struct counting counting = {0};
    options.max_mem = 4 << 20;
    options.shards = 4;
    open_store(true);
    for (uint32_t i = 0; i < 20000; i++) {
        cr_assert_eq(set(i, 1, i % 500 == 0 ? 9000 : 100), SPILLKV_OK);
    }
    cr_expect_eq(skv_engine_each(kv, count_visit, &counting), SPILLKV_OK);
    cr_expect_eq(counting.visits, 20000);
    counting = (struct counting){.stop_at = 7};
    cr_expect_eq(skv_engine_each(kv, count_visit, &counting), SPILLKV_OK);
    cr_expect_eq(counting.visits, 7);
}
