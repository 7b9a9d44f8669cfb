/* SPDX-License-Identifier: MIT */
/*
 * Full disks and I/O errors: work goes on while there is memory, calls then say clearly why it does
 * not, nothing is lost, and everything resumes when the fault has gone.
 */
#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>

#include "support/fault_vfs.h"
#include "support/kv.h"

static struct kv_test test;

static void open_faulty(void)
{
    fault_vfs_register();
    kv_options(&test);
    test.options.sqlite_vfs = FAULT_VFS_NAME;
    kv_open(&test);
}

static void close_test(void)
{
    fault_vfs_clear();
    KV_CHECK(spillkv_flush(test.kv) == SPILLKV_OK);
    kv_expect_consistent(test.kv);
    kv_close(&test);
}

TestSuite(disk_faults, .init = open_faulty, .fini = close_test, .timeout = 60);

/** Sets keys from `first` on until one fails; returns the first that did. */
static uint32_t fill_until_failure(uint32_t first, spillkv_status wanted)
{
    uint32_t number = first;
    spillkv_status status = SPILLKV_OK;
    while (status == SPILLKV_OK && number < first + 10 * KV_MANY) {
        status = kv_set(test.kv, number, 0, KV_VALUE);
        number += status == SPILLKV_OK;
    }
    cr_expect_eq(status, wanted, "%s", spillkv_strerror(status));
    return number;
}

/** A store that spills meets a fault of writing, and overcomes it. */
static void meet_write_fault(int rc, spillkv_status wanted)
{
    kv_fill(test.kv, 0, 8000);
    fault_vfs_set(FAULT_WRITE, 1, rc, true);
    const uint32_t end = fill_until_failure(8000, wanted);
    /* The refused key is not there, all the others are. */
    cr_expect_eq(kv_has(test.kv, end), SPILLKV_NOT_FOUND);
    cr_expect_eq(kv_count(test.kv), end);
    /* Before entries are read: those that came back from disk can leave without it. */
    cr_expect_eq(spillkv_flush(test.kv), wanted);
    const spillkv_stats_data stats = kv_stats(test.kv);
    cr_expect_eq(stats.last_error, wanted);
    cr_expect_eq(stats.failing, 1);
    cr_expect_leq(stats.memory.total, stats.max_mem);
    kv_expect_filled(test.kv, 0, end);

    fault_vfs_clear();
    cr_expect_eq(spillkv_flush(test.kv), SPILLKV_OK);
    kv_fill(test.kv, end, end + KV_MANY);
    cr_expect_eq(kv_stats(test.kv).failing, 0);
    kv_expect_filled(test.kv, 0, end + KV_MANY);
    cr_expect_eq(kv_count(test.kv), end + KV_MANY);
}

Test(disk_faults, a_full_disk_is_reported_and_overcome)
{
    meet_write_fault(SQLITE_FULL, SPILLKV_ENOSPC);
}

Test(disk_faults, an_error_of_writing_is_reported_and_overcome)
{
    meet_write_fault(SQLITE_IOERR_WRITE, SPILLKV_EIO);
}

Test(disk_faults, a_disk_full_from_the_beginning_leaves_the_memory)
{
    fault_vfs_set(FAULT_WRITE, 1, SQLITE_FULL, true);
    const uint32_t end = fill_until_failure(0, SPILLKV_ENOSPC);
    cr_expect_gt(end, KV_TINY * 6 / 10 / KV_VALUE);
    kv_expect_filled(test.kv, 0, end);
    cr_expect_eq(kv_stats(test.kv).total.entries_spilled, 0);
    fault_vfs_clear();
    kv_fill(test.kv, end, KV_MANY);
    kv_expect_filled(test.kv, 0, KV_MANY);
}

Test(disk_faults, a_refused_overwrite_leaves_the_old_value)
{
    fault_vfs_set(FAULT_WRITE, 1, SQLITE_FULL, true);
    const uint32_t end = fill_until_failure(0, SPILLKV_ENOSPC);
    cr_expect_eq(kv_set(test.kv, 3, 1, KV_TINY / 10), SPILLKV_ENOSPC);
    cr_expect_eq(kv_get(test.kv, 3, 0, KV_VALUE), SPILLKV_OK);
    /* The same size needs no memory. */
    cr_expect_eq(kv_set(test.kv, end - 1, 1, KV_VALUE), SPILLKV_OK);
    cr_expect_eq(kv_get(test.kv, end - 1, 1, KV_VALUE), SPILLKV_OK);
    cr_expect_eq(kv_set(test.kv, end - 1, 0, KV_VALUE), SPILLKV_OK);
    kv_expect_filled(test.kv, 0, end);
}

Test(disk_faults, a_value_that_must_go_to_disk_is_refused)
{
    fault_vfs_set(FAULT_WRITE, 1, SQLITE_FULL, true);
    cr_expect_eq(kv_set(test.kv, 1, 0, KV_TINY), SPILLKV_ENOSPC);
    cr_expect_eq(kv_has(test.kv, 1), SPILLKV_NOT_FOUND);
    cr_expect_eq(kv_count(test.kv), 0);
    fault_vfs_clear();
    cr_expect_eq(kv_set(test.kv, 1, 0, KV_TINY), SPILLKV_OK);
    cr_expect_eq(kv_get(test.kv, 1, 0, KV_TINY), SPILLKV_OK);
}

Test(disk_faults, deleting_helps_when_the_disk_is_full)
{
    fault_vfs_set(FAULT_WRITE, 1, SQLITE_FULL, true);
    const uint32_t end = fill_until_failure(0, SPILLKV_ENOSPC);
    for (uint32_t i = 0; i < end / 2; i++) {
        cr_assert_eq(kv_del(test.kv, i), SPILLKV_OK);
    }
    cr_expect_eq(kv_count(test.kv), end - end / 2);
    /* Room comes back by examining what is in RAM; the disk is not needed for it. */
    const uint32_t more = fill_until_failure(end, SPILLKV_ENOSPC);
    cr_expect_gt(more - end, end / 4, "%u after %u were deleted", more - end, end / 2);
    kv_expect_filled(test.kv, end / 2, more);
}

Test(disk_faults, clearing_helps_when_the_disk_is_full)
{
    fault_vfs_set(FAULT_WRITE, 1, SQLITE_FULL, true);
    const uint32_t end = fill_until_failure(0, SPILLKV_ENOSPC);
    KV_OK(spillkv_clear(test.kv));
    kv_fill(test.kv, 0, end / 2);
    kv_expect_filled(test.kv, 0, end / 2);
}

Test(disk_faults, after_a_clear_nothing_of_an_earlier_failure_is_told)
{
    kv_fill(test.kv, 0, 8000);
    fault_vfs_set(FAULT_WRITE, 1, SQLITE_FULL, true);
    (void)fill_until_failure(8000, SPILLKV_ENOSPC);
    cr_expect_eq(kv_stats(test.kv).failing, 1);
    fault_vfs_clear();
    KV_OK(spillkv_clear(test.kv));
    const spillkv_stats_data stats = kv_stats(test.kv);
    cr_expect_eq(stats.failing, 0);
    cr_expect_eq(stats.last_error, SPILLKV_OK);
}

Test(disk_faults, a_flush_with_nothing_left_to_write_succeeds)
{
    fault_vfs_set(FAULT_WRITE, 1, SQLITE_FULL, true);
    (void)fill_until_failure(0, SPILLKV_ENOSPC);
    cr_expect_eq(spillkv_flush(test.kv), SPILLKV_ENOSPC);
    fault_vfs_clear();
    KV_OK(spillkv_clear(test.kv));
    cr_expect_eq(spillkv_flush(test.kv), SPILLKV_OK);
}

Test(disk_faults, spilled_keys_are_read_overwritten_and_deleted_while_the_disk_is_full)
{
    kv_fill(test.kv, 0, KV_MANY);
    fault_vfs_set(FAULT_WRITE, 1, SQLITE_FULL, true);
    kv_expect_filled(test.kv, 0, KV_MANY);
    for (uint32_t i = 0; i < 1000; i++) {
        cr_assert_eq(kv_del(test.kv, i), SPILLKV_OK);
    }
    const uint64_t count = kv_count(test.kv);
    cr_expect_eq(count, KV_MANY - 1000);
    fault_vfs_clear();
    kv_fill(test.kv, KV_MANY, KV_MANY + 6000);
    for (uint32_t i = 0; i < 1000; i++) {
        cr_expect_eq(kv_has(test.kv, i), SPILLKV_NOT_FOUND);
    }
    kv_expect_filled(test.kv, 1000, KV_MANY + 6000);
}

Test(disk_faults, a_single_failed_write_at_any_point_loses_nothing)
{
    for (int n = 1; n <= 60; n += 1 + n / 8) {
        KV_OK(spillkv_clear(test.kv));
        kv_fill(test.kv, 0, 5000);
        fault_vfs_set(FAULT_WRITE, n, n % 2 != 0 ? SQLITE_FULL : SQLITE_IOERR_WRITE, false);
        for (uint32_t i = 5000; i < 10000; i++) {
            spillkv_status status = kv_set(test.kv, i, 0, KV_VALUE);
            cr_assert(status == SPILLKV_OK || status == SPILLKV_ENOSPC || status == SPILLKV_EIO);
            /* A failure says that this attempt failed; the next one has to work. */
            if (status != SPILLKV_OK) {
                cr_assert_eq(kv_set(test.kv, i, 0, KV_VALUE), SPILLKV_OK, "write %d", n);
            }
        }
        fault_vfs_clear();
        kv_expect_filled(test.kv, 0, 10000);
        cr_expect_eq(kv_count(test.kv), 10000);
    }
}

Test(disk_faults, an_error_of_reading_is_reported_and_others_go_on)
{
    kv_fill(test.kv, 0, KV_MANY);
    KV_OK(spillkv_flush(test.kv));
    fault_vfs_set(FAULT_READ, 1, SQLITE_IOERR_READ, true);
    uint32_t failures = 0;
    for (uint32_t i = 0; i < KV_MANY; i++) {
        const int status = kv_get(test.kv, i, 0, KV_VALUE);
        cr_expect(status == SPILLKV_OK || status == SPILLKV_EIO, "key %u: %d", i, status);
        failures += status == SPILLKV_EIO;
    }
    cr_expect_gt(failures, KV_MANY / 2);
    cr_expect_lt(failures, KV_MANY);
    fault_vfs_clear();
    kv_expect_filled(test.kv, 0, KV_MANY);
}

Test(disk_faults, a_spilled_key_that_cannot_be_read_is_not_changed)
{
    kv_fill(test.kv, 0, KV_MANY);
    KV_OK(spillkv_flush(test.kv));
    fault_vfs_set(FAULT_READ, 1, SQLITE_IOERR_READ, true);
    uint32_t failures = 0;
    for (uint32_t i = 0; i < 500; i++) {
        const spillkv_status has = kv_has(test.kv, i);
        const spillkv_status deleted = kv_del(test.kv, i);
        cr_expect(deleted == SPILLKV_OK || deleted == SPILLKV_EIO);
        cr_expect(has == SPILLKV_OK || has == SPILLKV_EIO);
        if (deleted == SPILLKV_OK) {
            KV_OK(kv_set(test.kv, i, 0, KV_VALUE));
        }
        failures += deleted == SPILLKV_EIO;
    }
    cr_expect_gt(failures, 100);
    cr_expect_eq(kv_count(test.kv), KV_MANY);
    fault_vfs_clear();
    kv_expect_filled(test.kv, 0, KV_MANY);
}

static int count_visit(void *context, const void *key, size_t key_size, const void *value,
                       size_t value_size)
{
    (void)key, (void)value;
    cr_expect_eq(key_size, 12);
    cr_expect_eq(value_size, KV_VALUE);
    ++*(uint32_t *)context;
    return 0;
}

Test(disk_faults, each_visits_what_can_be_read_and_reports_the_rest)
{
    uint32_t visited = 0;
    kv_fill(test.kv, 0, KV_MANY);
    KV_OK(spillkv_flush(test.kv));
    const spillkv_counters total = kv_stats(test.kv).total;
    fault_vfs_set(FAULT_READ, 1, SQLITE_IOERR_READ, true);
    cr_expect_eq(spillkv_each(test.kv, count_visit, &visited), SPILLKV_EIO);
    fault_vfs_clear();
    cr_expect_geq(visited, total.entries_ram);
    cr_expect_lt(visited, KV_MANY);
    visited = 0;
    cr_expect_eq(spillkv_each(test.kv, count_visit, &visited), SPILLKV_OK);
    cr_expect_eq(visited, KV_MANY);
}

static atomic_uint errors_logged;
static atomic_uint ends_logged;

/** Calls the store from within, as it may: with a lock held this would abort or never return. */
static void note_message(void *context, spillkv_log_level level, const char *message)
{
    uint64_t count;
    (void)context, (void)message;
    (void)!spillkv_count(test.kv, &count);
    (void)!spillkv_flush(test.kv);
    atomic_fetch_add(level == SPILLKV_LOG_ERROR ? &errors_logged : &ends_logged, 1);
}

Test(disk_faults, failures_and_their_end_are_logged_once_each)
{
    KV_OK(spillkv_close(test.kv));
    test.options.log = note_message;
    kv_open(&test);
    kv_fill(test.kv, 0, 8000);
    cr_expect_eq(atomic_load(&errors_logged), 0);
    fault_vfs_set(FAULT_WRITE, 1, SQLITE_FULL, true);
    uint32_t end = fill_until_failure(8000, SPILLKV_ENOSPC);
    /* Keeping entries may close gaps, into which a few more go. */
    end = fill_until_failure(end, SPILLKV_ENOSPC);
    cr_expect_eq(atomic_load(&errors_logged), 1);
    cr_expect_eq(atomic_load(&ends_logged), 0);
    fault_vfs_clear();
    kv_fill(test.kv, end, end + 8000);
    KV_OK(spillkv_flush(test.kv));
    cr_expect_eq(atomic_load(&errors_logged), 1);
    kv_expect_filled(test.kv, 0, end + 8000);
    /* Another thread may have ended it, and be about to say so: close waits for that. */
    KV_OK(spillkv_close(test.kv));
    cr_expect_eq(atomic_load(&ends_logged), 1);
    test.options.log = NULL;
    kv_open(&test);
}

static spillkv_status open_fails(enum fault_kind kind, int rc)
{
    spillkv *kv = (spillkv *)&test;
    spillkv_options options = test.options;
    char path[PATH_MAX + 16];
    snprintf(path, sizeof(path), "%s-other", test.path);
    options.path = path;
    fault_vfs_set(kind, 1, rc, true);
    const spillkv_status status = spillkv_open(&options, &kv);
    fault_vfs_clear();
    cr_expect_null(kv);
    cr_expect_not(tempdir_has(&test.dir, "store-other"));
    return status;
}

Test(disk_faults, open_reports_them_and_leaves_nothing)
{
    cr_expect_eq(open_fails(FAULT_WRITE, SQLITE_FULL), SPILLKV_ENOSPC);
    cr_expect_eq(open_fails(FAULT_WRITE, SQLITE_IOERR_WRITE), SPILLKV_EIO);
    cr_expect_eq(open_fails(FAULT_OPEN, SQLITE_CANTOPEN), SPILLKV_EIO);
}
