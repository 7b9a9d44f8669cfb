/* SPDX-License-Identifier: MIT */
/*
 * The n-th call of each kind to the disk fails, for n = 1, 2, ... until the scenario passes without
 * one that does, once and from then on. Whatever fails: nothing is lost, nothing comes back, and
 * when the disk is well again all goes on.
 */
#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "support/fault_vfs.h"
#include "support/latch_vfs.h"
#include "support/model.h"
#include "support/shard.h"

#define NUMBERS 1200u
#define RUNS    4000 /* a scenario has fewer calls */

struct scene {
    struct one_shard one;
    struct model model;
    uint64_t random;
    uint64_t version;
    unsigned failed;     /* calls that failed */
    size_t large_bytes;  /* of one value in forty */
    bool may_be_damaged; /* a read that ends too early is what a damaged file looks like */
};

static void expect_known_failure(struct scene *scene, spillkv_status status)
{
    scene->failed += status < 0;
    cr_assert(status == SPILLKV_OK || status == SPILLKV_EIO || status == SPILLKV_ENOSPC ||
                  (status == SPILLKV_ECORRUPT && scene->may_be_damaged),
              "%s", spillkv_strerror(status));
}

static uint32_t any_number(struct scene *scene)
{
    return (uint32_t)(model_random(&scene->random) % NUMBERS);
}

static void put(struct scene *scene, uint32_t number)
{
    const size_t size = number % 40 == 0 ? scene->large_bytes
                                         : number % 3 * 300 + model_random(&scene->random) % 200;
    const spillkv_status status = one_shard_put(&scene->one, number, ++scene->version, size);
    expect_known_failure(scene, status);
    if (status == SPILLKV_OK) {
        model_set(&scene->model, number, scene->version, size);
    }
}

static void get(struct scene *scene, uint32_t number)
{
    const struct model_entry *const entry = &scene->model.entries[number];
    const spillkv_status status = one_shard_get(&scene->one, number, entry->version, entry->size);
    if (status == SPILLKV_NOT_FOUND) {
        cr_assert(!entry->present, "key %u", number);
        return;
    }
    expect_known_failure(scene, status);
    cr_assert(status != SPILLKV_OK || entry->present, "key %u", number);
}

static void del(struct scene *scene, uint32_t number)
{
    const spillkv_status status = one_shard_del(&scene->one, number);
    if (status == SPILLKV_NOT_FOUND) {
        cr_assert(!scene->model.entries[number].present, "key %u", number);
        return;
    }
    expect_known_failure(scene, status);
    if (status == SPILLKV_OK) {
        cr_assert(scene->model.entries[number].present, "key %u", number);
        model_del(&scene->model, number);
    }
}

static bool visit(void *context, const void *key, size_t size)
{
    const struct scene *const scene = context;
    const uint32_t number = model_number(key, size);
    cr_assert(number < NUMBERS && scene->model.entries[number].present);
    return true;
}

static void step(struct scene *scene, uint32_t i)
{
    bool worked;
    put(scene, any_number(scene));
    get(scene, any_number(scene));
    if (i % 2 == 0) {
        del(scene, any_number(scene));
    }
    if (i % 10 == 0) {
        expect_known_failure(scene, skv_shard_spill(scene->one.shard, 20000, &worked));
    }
    if (i % 20 == 0) {
        expect_known_failure(scene, skv_shard_compact(scene->one.shard));
        expect_known_failure(scene, skv_shard_scan(scene->one.shard, i % 64, visit, scene));
    }
}

/* Leaves so little that the file gets short. */
static void shrink(struct scene *scene)
{
    for (uint32_t i = 0; i < NUMBERS; i++) {
        if (i % 8 != 0) {
            del(scene, i);
        }
    }
    for (int i = 0; i < 60; i++) {
        expect_known_failure(scene, skv_shard_compact(scene->one.shard));
    }
}

/* What waits for the disk may need room that has to be made now. */
static void finish_sets(struct scene *scene)
{
    bool worked = true;
    spillkv_status status = skv_shard_resolve_inbox(scene->one.shard);
    while (status == SPILLKV_EFULL && worked) {
        cr_assert_eq(skv_shard_spill(scene->one.shard, 16 << 10, &worked), SPILLKV_OK);
        status = skv_shard_resolve_inbox(scene->one.shard);
    }
    cr_assert_eq(status, SPILLKV_OK, "%s", spillkv_strerror(status));
}

/* All that was set is there, and nothing else; then it is all spilled, and so again. */
static void expect_all(struct scene *scene)
{
    for (int round = 0; round < 2; round++) {
        finish_sets(scene);
        cr_assert_eq(skv_shard_count(scene->one.shard), scene->model.count);
        for (uint32_t i = 0; i < NUMBERS; i++) {
            const struct model_entry *const entry = &scene->model.entries[i];
            cr_assert_eq(one_shard_peek(&scene->one, i, entry->version, entry->size),
                         entry->present ? SPILLKV_OK : SPILLKV_NOT_FOUND, "key %u", i);
        }
        shard_check_deeply(scene->one.shard);
        cr_assert_eq(one_shard_spill_all(&scene->one), SPILLKV_OK);
    }
    if (skv_shard_wants_compaction(scene->one.shard)) {
        cr_assert_eq(skv_shard_compact(scene->one.shard), SPILLKV_OK);
    }
}

/* One run; returns whether the fault came. */
static bool play(enum fault_kind kind, int n, int rc, bool ever, bool clears)
{
    struct scene scene = {
        .random = 11, .large_bytes = 12000, .may_be_damaged = rc == SQLITE_IOERR_SHORT_READ};
    one_shard_open(&scene.one,
                   &(struct one_shard_options){.limit = 800 << 10, .vfs = FAULT_VFS_NAME});
    model_init(&scene.model, NUMBERS);
    for (uint32_t i = 0; i < NUMBERS; i++) {
        put(&scene, i);
    }
    cr_assert_eq(scene.failed, 0);
    fault_vfs_set(kind, n, rc, ever);
    for (uint32_t i = 0; i < 150; i++) {
        step(&scene, i);
        if (clears && i == 75) {
            skv_shard_clear(scene.one.shard);
            model_clear(&scene.model);
        }
    }
    shrink(&scene);
    const bool came = fault_vfs_failures() != 0;
    fault_vfs_clear();
    expect_all(&scene);
    model_fini(&scene.model);
    one_shard_close(&scene.one);
    return came;
}

static void play_all(enum fault_kind kind, int rc, bool ever, bool clears)
{
    int n = 1;
    fault_vfs_register();
    /* Every one of the first calls, then ever fewer. */
    while (n < RUNS && play(kind, n, rc, ever, clears)) {
        n += 1 + n / (TEST_SANITIZED ? 3 : 20);
    }
    cr_expect_lt(n, RUNS);
    printf("faults up to call %d\n", n);
}

TestSuite(io, .timeout = 160);

Test(io, failing_write_loses_nothing)
{
    play_all(FAULT_WRITE, SQLITE_IOERR_WRITE, false, false);
}

Test(io, disk_that_can_no_longer_be_written_loses_nothing)
{
    play_all(FAULT_WRITE, SQLITE_IOERR_WRITE, true, true);
}

Test(io, disk_that_stays_full_loses_nothing)
{
    play_all(FAULT_WRITE, SQLITE_FULL, true, false);
}

Test(io, torn_write_loses_nothing)
{
    play_all(FAULT_WRITE, SQLITE_FULL, false, true);
}

Test(io, failing_read_loses_nothing)
{
    play_all(FAULT_READ, SQLITE_IOERR_READ, false, false);
}

Test(io, disk_that_can_no_longer_be_read_loses_nothing)
{
    play_all(FAULT_READ, SQLITE_IOERR_READ, true, false);
}

Test(io, short_read_loses_nothing)
{
    play_all(FAULT_READ, SQLITE_IOERR_SHORT_READ, false, false);
}

Test(io, reads_that_end_too_early_lose_nothing)
{
    play_all(FAULT_READ, SQLITE_IOERR_SHORT_READ, true, true);
}

Test(io, failing_truncation_loses_nothing)
{
    play_all(FAULT_TRUNCATE, SQLITE_IOERR_TRUNCATE, true, false);
    play_all(FAULT_TRUNCATE, SQLITE_IOERR_TRUNCATE, false, false);
}

Test(io, unknown_size_of_the_file_loses_nothing)
{
    play_all(FAULT_SIZE, SQLITE_IOERR_FSTAT, false, true);
    play_all(FAULT_SIZE, SQLITE_IOERR_FSTAT, true, false);
}

Test(io, failing_open_of_a_new_file_at_clear_loses_nothing)
{
    play_all(FAULT_OPEN, SQLITE_CANTOPEN, true, true);
    play_all(FAULT_OPEN, SQLITE_CANTOPEN, false, true);
}

Test(io, failing_close_of_the_old_file_at_clear_loses_nothing)
{
    play_all(FAULT_CLOSE, SQLITE_IOERR_CLOSE, true, true);
    play_all(FAULT_CLOSE, SQLITE_IOERR_CLOSE, false, true);
}

Test(io, failing_locks_lose_nothing)
{
    play_all(FAULT_LOCK, SQLITE_IOERR_LOCK, true, true);
    play_all(FAULT_LOCK, SQLITE_IOERR_LOCK, false, true);
}

static bool is_mapped(const char *name)
{
    FILE *const maps = fopen("/proc/self/maps", "r");
    char line[PATH_MAX + 256];
    bool found = false;
    cr_assert_not_null(maps);
    while (!found && fgets(line, sizeof(line), maps) != NULL) {
        found = strstr(line, name) != NULL;
    }
    (void)fclose(maps);
    return found;
}

/* So neither can fail: a disk error is never a SIGBUS. */
Test(io, files_are_never_synced_nor_mapped)
{
    fault_vfs_register();
    cr_expect_not(play(FAULT_SYNC, 1, SQLITE_IOERR_FSYNC, true, true));
    cr_expect_gt(fault_vfs_calls(FAULT_WRITE), 100);
    cr_expect_eq(fault_vfs_calls(FAULT_SYNC), 0);
    cr_expect_eq(fault_vfs_mappings(), 0);
    struct one_shard one;
    one_shard_open(&one, &(struct one_shard_options){.limit = 800 << 10});
    for (uint32_t i = 0; i < NUMBERS; i++) {
        cr_assert_eq(one_shard_put(&one, i, 1, 1000), SPILLKV_OK);
    }
    for (uint32_t i = 0; i < NUMBERS; i++) {
        cr_assert_eq(one_shard_get(&one, i, 1, 1000), SPILLKV_OK);
    }
    cr_expect_not(is_mapped("shard.db"));
    one_shard_close(&one);
}

/* Reads and writes fail and are well again, in any mixture. */
static void play_random(uint64_t seed)
{
    struct scene scene = {.random = seed, .large_bytes = 100000};
    one_shard_open(&scene.one,
                   &(struct one_shard_options){.limit = 800 << 10, .vfs = LATCH_VFS_NAME});
    model_init(&scene.model, NUMBERS);
    for (uint32_t i = 0; i < 3000; i++) {
        if (model_random(&scene.random) % 4 == 0) {
            latch_vfs_break((int)(model_random(&scene.random) % 4));
            latch_vfs_break_some((uint32_t)(model_random(&scene.random) % 20));
        }
        step(&scene, i);
    }
    shrink(&scene);
    latch_vfs_break(0);
    latch_vfs_break_some(0);
    expect_all(&scene);
    model_fini(&scene.model);
    one_shard_close(&scene.one);
}

Test(io, disk_that_fails_now_and_then_loses_nothing_and_is_not_called_damaged)
{
    latch_vfs_register();
    const uint64_t seed = model_seed("io", 1);
    for (uint64_t i = 0; i < (TEST_SANITIZED ? 3 : 20); i++) {
        play_random(seed + i);
    }
}
