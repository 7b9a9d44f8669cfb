/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <sched.h>
#include <string.h>

#include "base/alloc.h"
#include "support/latch_vfs.h"
#include "support/memory.h"
#include "support/model.h"
#include "support/shard.h"

#define NUMBERS 6000u

static struct one_shard one;
static uint8_t visited[NUMBERS];
static uint32_t step;

static void set_up(void)
{
    latch_vfs_register();
    one_shard_open(&one, &(struct one_shard_options){.vfs = LATCH_VFS_NAME});
    memset(visited, 0, sizeof(visited));
    for (uint32_t i = 0; i < NUMBERS; i++) {
        cr_assert_eq(one_shard_put(&one, i, 1, 200), SPILLKV_OK);
    }
    for (uint32_t i = 0; i < NUMBERS; i += 5) {
        cr_assert_eq(one_shard_get(&one, i, 1, 200), SPILLKV_OK);
    }
    cr_assert_gt(one_shard_counters(&one).entries_spilled, 1000);
    cr_assert_gt(one_shard_counters(&one).entries_ram, 1000);
}

static void tear_down(void)
{
    cr_expect_eq(one.shard->scans, 0);
    shard_check_deeply(one.shard);
    one_shard_close(&one);
}

TestSuite(scan, .init = set_up, .fini = tear_down, .timeout = 60);

static void note_visit(const void *key, size_t size)
{
    const uint32_t number = model_number(key, size);
    cr_assert_lt(number, NUMBERS);
    visited[number]++;
}

static bool visit_only(void *context, const void *key, size_t size)
{
    (void)context;
    note_visit(key, size);
    return true;
}

static void scan_all(skv_shard_visit *visit)
{
    for (uint32_t group = 0; group < skv_shard_group_count(one.shard); group++) {
        cr_assert_eq(skv_shard_scan(one.shard, group, visit, NULL), SPILLKV_OK);
    }
}

static void expect_each_once(uint32_t every)
{
    for (uint32_t i = 0; i < NUMBERS; i += every) {
        cr_expect_eq(visited[i], 1, "key %u: %u times", i, visited[i]);
    }
}

Test(scan, visits_each_key_once_in_both_tiers)
{
    const spillkv_counters before = one_shard_counters(&one);
    scan_all(visit_only);
    expect_each_once(1);
    const spillkv_counters after = one_shard_counters(&one);
    cr_expect_eq(memcmp(&before, &after, sizeof(before)), 0, "it moves nothing");
}

static bool visit_and_move(void *context, const void *key, size_t size)
{
    bool worked;
    (void)context;
    note_visit(key, size);
    step++;
    switch (step % 5) {
    case 0:
        cr_assert_eq(skv_shard_spill(one.shard, 4000, &worked), SPILLKV_OK);
        break;
    case 1:
        cr_assert_eq(skv_shard_compact(one.shard), SPILLKV_OK);
        break;
    case 2:
        cr_assert_eq(one_shard_get(&one, step * 17 % NUMBERS, 1, 200), SPILLKV_OK);
        break;
    case 3:
        cr_assert_eq(one_shard_put(&one, step * 13 % NUMBERS, 1, 200), SPILLKV_OK);
        break;
    default:
        break;
    }
    return true;
}

Test(scan, visits_each_key_once_while_all_is_moving)
{
    scan_all(visit_and_move);
    expect_each_once(1);
}

static bool visit_and_delete(void *context, const void *key, size_t size)
{
    (void)context;
    note_visit(key, size);
    for (uint32_t i = 0; i < 3; i++) {
        const uint32_t number = step++ % NUMBERS;
        if (number % 10 != 0) {
            (void)one_shard_del(&one, number);
        }
    }
    if (skv_shard_wants_compaction(one.shard)) {
        cr_assert_eq(skv_shard_compact(one.shard), SPILLKV_OK);
    }
    return true;
}

Test(scan, keys_that_stay_are_visited_while_others_are_deleted)
{
    scan_all(visit_and_delete);
    expect_each_once(10);
    for (uint32_t i = 0; i < NUMBERS; i++) {
        cr_expect_leq(visited[i], 1);
    }
}

static bool stop_at_third(void *context, const void *key, size_t size)
{
    (void)key, (void)size;
    return ++*(int *)context < 3;
}

Test(scan, visit_can_stop_it)
{
    int visits = 0;
    cr_expect_eq(skv_shard_scan(one.shard, 3, stop_at_third, &visits), SPILLKV_OK);
    cr_expect_eq(visits, 3);
}

/* A scan in a thread of its own that waits until it may read its places. */
struct scan_thread {
    pthread_t thread;
    spillkv_status status;
};

static void *run_scan(void *argument)
{
    struct scan_thread *const scan = argument;
    scan->status = SPILLKV_OK;
    for (uint32_t group = 0; group < skv_shard_group_count(one.shard); group++) {
        const spillkv_status status = skv_shard_scan(one.shard, group, visit_only, NULL);
        scan->status = scan->status == SPILLKV_OK ? status : scan->status;
    }
    return NULL;
}

/* The I/O lock is held, so the scan has collected one group and cannot read. */
static void start_scan(struct scan_thread *scan)
{
    skv_mutex_lock(&one.shard->io);
    cr_assert_eq(pthread_create(&scan->thread, NULL, run_scan, scan), 0);
    uint32_t scans = 0;
    while (scans == 0) {
        /* Waiting for the other thread to get there: it needs nothing from this one. */
        (void)sched_yield();
        if (skv_mutex_trylock(&one.shard->lock)) {
            scans = one.shard->scans;
            skv_mutex_unlock(&one.shard->lock);
        }
    }
}

/* What a scan does around its reading. */
static void hold_places(bool hold)
{
    skv_mutex_lock(&one.shard->lock);
    one.shard->scans += hold ? 1 : (uint32_t)-1;
    one.shard->space.append_only = one.shard->scans != 0;
    skv_mutex_unlock(&one.shard->lock);
}

Test(scan, no_id_is_reused_and_no_row_deleted_while_places_are_read)
{
    static uint64_t places[NUMBERS];
    static uint8_t scratch[SKV_SEGMENT_BYTES];
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    /* Much of the file is free, so that ids would be reused at once. */
    for (uint32_t i = 0; i < NUMBERS; i++) {
        if (i % 3 != 0) {
            cr_assert_eq(one_shard_del(&one, i), SPILLKV_OK);
        }
        places[i] = one_shard_place(&one, i);
    }
    hold_places(true);
    const uint64_t reuses = one.shard->space.reuses;
    for (uint32_t i = 0; i < NUMBERS; i += 3) {
        cr_assert_eq(one_shard_put(&one, i, 2, 200), SPILLKV_OK);
    }
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    (void)one_shard_compact_all(&one, 50);
    cr_expect_eq(one.shard->space.reuses, reuses);
    for (uint32_t i = 0; i < NUMBERS; i += 3) {
        uint8_t *key;
        size_t size;
        cr_assert_eq(skv_shard_read_key(one.shard, places[i], scratch, &key, &size), SPILLKV_OK);
        cr_expect_eq(model_number(key, size), i);
        skv_free(key);
    }
    hold_places(false);
}

Test(scan, clear_meanwhile_ends_it_without_an_error)
{
    struct scan_thread scan;
    start_scan(&scan);
    skv_mutex_unlock(&one.shard->io);
    skv_shard_clear(one.shard);
    cr_assert_eq(pthread_join(scan.thread, NULL), 0);
    cr_expect_eq(scan.status, SPILLKV_OK);
    for (uint32_t i = 0; i < NUMBERS; i++) {
        cr_expect_leq(visited[i], 1);
    }
}

Test(scan, failing_reads_are_reported_and_the_others_visited)
{
    static uint8_t bytes[SKV_SEGMENT_BYTES];
    const struct skv_store_segment segment = {.id = 1, .bytes = bytes};
    const struct skv_store_batch batch = {.segments = &segment, .segment_count = 1};
    memset(bytes, 0x11, sizeof(bytes));
    cr_assert_eq(skv_store_write(one.shard->store, &batch), SPILLKV_OK);
    unsigned failed = 0;
    for (uint32_t group = 0; group < skv_shard_group_count(one.shard); group++) {
        const spillkv_status status = skv_shard_scan(one.shard, group, visit_only, NULL);
        cr_expect(status == SPILLKV_OK || status == SPILLKV_ECORRUPT);
        failed += status != SPILLKV_OK;
    }
    cr_expect_gt(failed, 0);
    uint32_t count = 0;
    for (uint32_t i = 0; i < NUMBERS; i++) {
        count += visited[i];
    }
    cr_expect_geq(count, NUMBERS - 60);
    skv_shard_clear(one.shard);
}

Test(scan, without_memory_it_says_so_and_holds_nothing_back)
{
    struct failing_alloc failing;
    for (unsigned n = 1; n < 30; n++) {
        failing_alloc_start(&failing, n);
        const spillkv_status status = skv_shard_scan(one.shard, 0, visit_only, NULL);
        failing_alloc_stop();
        cr_expect(status == SPILLKV_OK || status == SPILLKV_ENOMEM);
        cr_expect_eq(one.shard->scans, 0);
        cr_expect_not(one.shard->space.append_only);
    }
}
