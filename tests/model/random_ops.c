/* SPDX-License-Identifier: MIT */
/*
 * Random operations on a store whose memory holds but a part of the entries, beside a plain array
 * that holds them all. SPILLKV_SEED chooses another run.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/run.h"
#include "support/shard.h"

static void open_run(struct run *run, const struct setting *setting)
{
    spillkv_options options;
    memset(run, 0, sizeof(*run));
    run->setting = setting;
    run->random = model_seed("random_ops", 20 + setting->shards + setting->steps);
    run->drops = !setting->spills && setting->on_full == SPILLKV_FULL_DROP;
    run->key = malloc(MODEL_KEY_MAX);
    run->value = malloc(VALUE_MOST);
    run->visited = malloc(setting->numbers);
    model_init(&run->model, setting->numbers);
    tempdir_make(&run->dir);
    spillkv_options_init(&options);
    options.path = setting->spills ? tempdir_file(&run->dir, "store") : NULL;
    options.max_mem = setting->max_mem;
    options.shards = setting->shards;
    options.on_full = setting->on_full;
    options.hash_seed = 7;
    cr_assert_eq(spillkv_open(&options, &run->kv), SPILLKV_OK);
}

static void close_run(struct run *run)
{
    for (uint32_t i = 0; i < HELD; i++) {
        run_let_go(run, &run->held[i]);
    }
    cr_expect_eq(spillkv_close(run->kv), SPILLKV_OK);
    model_fini(&run->model);
    free(run->key);
    free(run->value);
    free(run->visited);
    cr_expect_not(tempdir_has(&run->dir, "store/shard-0.db"));
    tempdir_remove(&run->dir);
}

static int visit(void *context, const void *key, size_t key_size, const void *value, size_t size)
{
    struct run *const run = context;
    const uint32_t number = model_number(key, key_size);
    cr_assert_lt(number, run->setting->numbers);
    cr_assert(run->model.entries[number].present);
    cr_assert(!run->visited[number], "step %u: key %u is visited again", run->step, number);
    run->visited[number] = true;
    run_expect_value(run, number, value, size);
    return 0;
}

static void do_each(struct run *run)
{
    memset(run->visited, 0, run->setting->numbers);
    cr_assert_eq(spillkv_each(run->kv, visit, run), SPILLKV_OK);
    for (uint32_t i = 0; i < run->setting->numbers; i++) {
        if (run->model.entries[i].present && !run->visited[i]) {
            cr_assert(run->drops, "step %u: key %u is not visited", run->step, i);
            model_del(&run->model, i);
        }
    }
}

static void check_stats(struct run *run)
{
    spillkv_stats_data stats;
    uint64_t count;
    cr_assert_eq(spillkv_count(run->kv, &count), SPILLKV_OK);
    cr_assert_eq(spillkv_stats(run->kv, &stats), SPILLKV_OK);
    cr_assert_leq(count, run->model.count);
    cr_assert_eq(stats.last_error, SPILLKV_OK);
    if (!run->drops) {
        cr_assert_eq(count, run->model.count);
        cr_assert_eq(stats.total.entries_ram + stats.total.entries_spilled, count);
        cr_assert_eq(stats.total.bytes_ram + stats.total.bytes_spilled, run->model.bytes);
    }
    if (run->setting->max_mem != 0) {
        /* SQLite's memory is charged after it was taken. */
        cr_assert_leq(stats.memory.total,
                      run->setting->max_mem + run->setting->shards * (uint64_t)(128 << 10),
                      "step %u: %llu bytes", run->step, (unsigned long long)stats.memory.total);
    }
}

static void check_all(struct run *run)
{
    check_stats(run);
    for (uint32_t i = 0; i < run->kv->shard_count && run->setting->spills; i++) {
        shard_check_deeply(run->kv->shards[i]);
    }
}

static void do_step(struct run *run)
{
    const uint32_t kind = run_dice(run, 100000);
    if (kind < 45000) {
        run_set(run);
    } else if (kind < 49000) {
        run_many(run, spillkv_set_many);
    } else if (kind < 50000) {
        run_many(run, spillkv_del_many);
    } else if (kind < 65000) {
        run_get(run);
    } else if (kind < 69000) {
        run_many(run, spillkv_get_many);
    } else if (kind < 75000) {
        run_get_copy(run);
    } else if (kind < 80000) {
        run_pin(run);
    } else if (kind < 85000) {
        run_try(run);
    } else if (kind < 92000) {
        run_del(run);
    } else if (kind < 99000) {
        run_has(run);
    } else if (kind < 99900) {
        check_stats(run);
    } else if (kind < 99960) {
        cr_assert_eq(spillkv_flush(run->kv), SPILLKV_OK);
    } else if (kind < 99998) {
        do_each(run);
    } else {
        cr_assert_eq(spillkv_clear(run->kv), SPILLKV_OK);
        model_clear(&run->model);
    }
}

/* Deletes most, so that the tables and the files get small again. */
static void delete_most(struct run *run)
{
    for (uint32_t i = 0; i < run->setting->numbers; i++) {
        if (run_dice(run, 10) != 0) {
            const size_t key_size = model_key(i, run->key);
            (void)run_is_there(run, i, spillkv_del(run->kv, run->key, key_size));
            model_del(&run->model, i);
        }
    }
}

/* A run that keeps everything in memory would prove little. */
static void expect_crossings(struct run *run)
{
    spillkv_stats_data stats;
    cr_assert_eq(spillkv_stats(run->kv, &stats), SPILLKV_OK);
    if (run->setting->spills) {
        cr_expect_gt(stats.total.spills, 500);
        cr_expect_gt(stats.total.promotions, 200);
        cr_expect_gt(stats.total.clean_evictions, 10);
        cr_expect_gt(stats.total.compactions, 0);
    }
    if (run->drops) {
        cr_expect_gt(stats.total.drops, 100);
    }
}

static void play(const struct setting *setting)
{
    struct run run;
    /* Sanitizers make everything some ten times slower. */
    const uint32_t steps = TEST_SANITIZED ? setting->steps / 6 : setting->steps;
    open_run(&run, setting);
    for (run.step = 0; run.step < steps; run.step++) {
        do_step(&run);
        if (run.step % setting->check_every == 0) {
            cr_assert(skv_engine_check(run.kv));
        }
        if (run.step % 4000 == 3999) {
            check_all(&run);
        }
        if (run.step == steps * 3 / 4) {
            delete_most(&run);
        }
    }
    do_each(&run);
    check_all(&run);
    if (!TEST_SANITIZED) {
        expect_crossings(&run);
    }
    close_run(&run);
}

Test(random_ops, spilling_store_is_a_map_at_every_step, .timeout = 100)
{
    play(&(struct setting){.spills = true,
                           .shards = 1,
                           .max_mem = 768 << 10,
                           .numbers = 5000,
                           .steps = 12000,
                           .check_every = 1,
                           .large_one_in = 2000});
}

Test(random_ops, spilling_store_of_one_shard_is_a_map, .timeout = 100)
{
    play(&(struct setting){.spills = true,
                           .shards = 1,
                           .max_mem = 1 << 20,
                           .numbers = 20000,
                           .steps = 150000,
                           .check_every = 100,
                           .large_one_in = 3000});
}

Test(random_ops, spilling_store_of_four_shards_is_a_map, .timeout = 100)
{
    play(&(struct setting){.spills = true,
                           .shards = 4,
                           .max_mem = 3 << 20,
                           .numbers = 50000,
                           .steps = 200000,
                           .check_every = 100,
                           .large_one_in = 3000});
}

Test(random_ops, store_that_fails_when_full_loses_nothing_at_every_step, .timeout = 100)
{
    play(&(struct setting){.shards = 1,
                           .max_mem = 512 << 10,
                           .numbers = 3000,
                           .steps = 20000,
                           .check_every = 1,
                           .large_one_in = 1000});
}

Test(random_ops, store_that_fails_when_full_loses_nothing, .timeout = 100)
{
    play(&(struct setting){.shards = 2,
                           .max_mem = 2 << 20,
                           .numbers = 20000,
                           .steps = 150000,
                           .check_every = 100,
                           .large_one_in = 1000});
}

Test(random_ops, store_that_drops_never_serves_an_old_value, .timeout = 100)
{
    play(&(struct setting){.on_full = SPILLKV_FULL_DROP,
                           .shards = 2,
                           .max_mem = 2 << 20,
                           .numbers = 20000,
                           .steps = 150000,
                           .check_every = 100,
                           .large_one_in = 1000});
}

Test(random_ops, store_that_drops_is_sound_at_every_step, .timeout = 100)
{
    play(&(struct setting){.on_full = SPILLKV_FULL_DROP,
                           .shards = 1,
                           .max_mem = 512 << 10,
                           .numbers = 3000,
                           .steps = 20000,
                           .check_every = 1,
                           .large_one_in = 1000});
}

Test(random_ops, unbounded_store_is_a_map, .timeout = 100)
{
    play(&(struct setting){
        .shards = 2, .numbers = 5000, .steps = 100000, .check_every = 1000, .large_one_in = 1000});
}
