/* SPDX-License-Identifier: MIT */
/*
 * Every call of the system that the library makes fails once, at every place where it is made, and
 * some of them fail from there on: whatever is told, nothing that was set is lost.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/kv.h"
#include "support/system_faults.h"

#define MEMORY ((uint64_t)1 << 20)
/* Half of them fit. */
#define KEYS 2400u

static struct kv_test test;
static bool was_set[KEYS];

static void prepare(void)
{
    kv_options(&test);
    test.options.max_mem = MEMORY;
    test.options.hash_seed = 0;
}

static void clean_up(void)
{
    tempdir_remove(&test.dir);
}

TestSuite(system_calls, .init = prepare, .fini = clean_up, .timeout = 300);

static void fill(void)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        const spillkv_status status = kv_set(test.kv, i, 0, KV_VALUE);
        cr_assert_leq(status, 0, "key %u: %d", i, status);
        was_set[i] = status == SPILLKV_OK;
    }
    cr_assert_leq(spillkv_flush(test.kv), 0);
}

/* What was set is there or cannot be read now, what was refused is not there. */
static void expect_kept(bool must_be_read)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        const int status = kv_get(test.kv, i, 0, KV_VALUE);
        const bool right = status == (was_set[i] ? SPILLKV_OK : SPILLKV_NOT_FOUND);
        const bool unread = !must_be_read && status < 0 && status != KV_WRONG;
        cr_assert(right || unread, "key %u: %d", i, status);
    }
}

/* So that files are compacted and get shorter. */
static void delete_most(void)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        if (i % 8 != 0) {
            const spillkv_status status = kv_del(test.kv, i);
            cr_assert(status < 0 || status == (was_set[i] ? SPILLKV_OK : SPILLKV_NOT_FOUND));
            was_set[i] = was_set[i] && status != SPILLKV_OK;
        }
    }
    cr_assert_leq(spillkv_flush(test.kv), 0);
}

/* One run; false when it came to its end without any call failing. */
static bool survive(enum system_call call, int n, int error, bool ever)
{
    spillkv *const garbage = (spillkv *)&test;
    test.kv = garbage;
    system_fail(call, n, error, ever);
    spillkv_status status = spillkv_open(&test.options, &test.kv);
    cr_assert_leq(status, 0);
    cr_assert_eq(status == SPILLKV_OK, test.kv != NULL);
    if (status == SPILLKV_OK) {
        fill();
        expect_kept(false);
        delete_most();
        spillkv_stats_data stats;
        KV_OK(spillkv_stats(test.kv, &stats));
    }
    int failures = system_recover();
    if (test.kv != NULL) {
        expect_kept(true);
        KV_OK(spillkv_clear(test.kv));
        kv_fill(test.kv, 0, KEYS);
        kv_expect_filled(test.kv, 0, KEYS);
        system_fail(call, n, error, ever);
        status = spillkv_close(test.kv);
        failures += system_recover();
        cr_assert(status == SPILLKV_OK || status == SPILLKV_EIO, "%d", status);
    } else if (call != SYSTEM_UNLINK && call != SYSTEM_UNLINKAT && call != SYSTEM_FLOCK && !ever) {
        /* A lock file that cannot be locked or looked at may be another's by now. */
        cr_assert_not(tempdir_has(&test.dir, "store"));
    }
    /* Nothing that stays keeps the next one from working. */
    KV_OK(spillkv_open(&test.options, &test.kv));
    kv_fill(test.kv, 0, 100);
    KV_OK(spillkv_close(test.kv));
    (void)rmdir(test.path);
    cr_assert_not(tempdir_has(&test.dir, "store"));
    return failures != 0;
}

static void survive_everywhere(enum system_call call, int error, bool ever)
{
    int runs = 0;
    int n = 1;
    while (survive(call, n, error, ever)) {
        runs++;
        n += n < 12 ? 1 : n / (TEST_SANITIZED ? 2 : 4);
    }
    cr_expect_gt(runs, 0, "call %d is not made", (int)call);
}

Test(system_calls, files_and_directories_that_fail_to_open_lose_nothing)
{
    survive_everywhere(SYSTEM_MKDIR, EACCES, false);
    survive_everywhere(SYSTEM_MKDIR, ENOSPC, false);
    survive_everywhere(SYSTEM_OPEN, EMFILE, false);
    survive_everywhere(SYSTEM_OPEN, ENOSPC, false);
    survive_everywhere(SYSTEM_OPEN, ENOMEM, false);
    survive_everywhere(SYSTEM_OPEN, EDQUOT, false);
    survive_everywhere(SYSTEM_OPEN, ENOENT, false);
    survive_everywhere(SYSTEM_OPEN, EINTR, false);
    survive_everywhere(SYSTEM_OPENAT, EMFILE, false);
    survive_everywhere(SYSTEM_OPENAT, ENOSPC, false);
    survive_everywhere(SYSTEM_OPENAT, ENOMEM, false);
    survive_everywhere(SYSTEM_OPENAT, ENOENT, false);
    survive_everywhere(SYSTEM_OPENAT, EEXIST, false);
    survive_everywhere(SYSTEM_FDOPENDIR, ENOMEM, false);
    survive_everywhere(SYSTEM_READDIR, EIO, false);
    survive_everywhere(SYSTEM_REALPATH, EACCES, false);
    survive_everywhere(SYSTEM_REALPATH, ENOENT, false);
}

Test(system_calls, files_that_cannot_be_looked_at_or_locked_lose_nothing)
{
    survive_everywhere(SYSTEM_FSTAT, EIO, false);
    survive_everywhere(SYSTEM_FSTAT, EIO, true);
    survive_everywhere(SYSTEM_STAT, EIO, false);
    survive_everywhere(SYSTEM_STAT, ENOENT, false);
    survive_everywhere(SYSTEM_FSTATAT, EIO, false);
    survive_everywhere(SYSTEM_FLOCK, ENOLCK, false);
    survive_everywhere(SYSTEM_FLOCK, EWOULDBLOCK, false);
}

Test(system_calls, reading_that_fails_loses_nothing)
{
    survive_everywhere(SYSTEM_PREAD, EIO, false);
    survive_everywhere(SYSTEM_PREAD, EIO, true);
    survive_everywhere(SYSTEM_PREAD, EINTR, false);
    survive_everywhere(SYSTEM_PREAD, SYSTEM_PART, true);
    survive_everywhere(SYSTEM_PREAD, SYSTEM_NOTHING, false);
    survive_everywhere(SYSTEM_READ, EIO, false);
}

Test(system_calls, writing_that_fails_loses_nothing)
{
    survive_everywhere(SYSTEM_PWRITE, EIO, false);
    survive_everywhere(SYSTEM_PWRITE, EIO, true);
    survive_everywhere(SYSTEM_PWRITE, EDQUOT, true);
    survive_everywhere(SYSTEM_PWRITE, EFBIG, true);
    survive_everywhere(SYSTEM_PWRITE, EINTR, false);
    survive_everywhere(SYSTEM_PWRITE, SYSTEM_PART, true);
    survive_everywhere(SYSTEM_PWRITE, SYSTEM_NOTHING, false);
}

Test(system_calls, files_that_cannot_be_closed_or_removed_lose_nothing)
{
    survive_everywhere(SYSTEM_CLOSE, EIO, false);
    survive_everywhere(SYSTEM_CLOSE, EIO, true);
    survive_everywhere(SYSTEM_UNLINK, EPERM, true);
    survive_everywhere(SYSTEM_UNLINK, ENOENT, false);
    survive_everywhere(SYSTEM_UNLINKAT, EPERM, true);
    survive_everywhere(SYSTEM_UNLINKAT, ENOENT, false);
}

Test(system_calls, locks_threads_and_random_numbers_that_cannot_be_had_lose_nothing)
{
    survive_everywhere(SYSTEM_GETRANDOM, ENOSYS, false);
    survive_everywhere(SYSTEM_GETRANDOM, EINTR, false);
    survive_everywhere(SYSTEM_MUTEXATTR_INIT, ENOMEM, false);
    survive_everywhere(SYSTEM_MUTEXATTR_SETTYPE, EINVAL, false);
    survive_everywhere(SYSTEM_MUTEX_INIT, ENOMEM, false);
    survive_everywhere(SYSTEM_CONDATTR_INIT, ENOMEM, false);
    survive_everywhere(SYSTEM_CONDATTR_SETCLOCK, EINVAL, false);
    survive_everywhere(SYSTEM_COND_INIT, ENOMEM, false);
    survive_everywhere(SYSTEM_SIGMASK, EINVAL, false);
    survive_everywhere(SYSTEM_CREATE, EAGAIN, false);
}

/* Once for a process, so each has a process of its own. */

Test(system_calls, handlers_of_fork_that_cannot_be_had_fail_the_open)
{
    spillkv *kv;
    system_fail(SYSTEM_ATFORK, 1, ENOMEM, true);
    cr_expect_eq(spillkv_open(&test.options, &kv), SPILLKV_ESYSTEM);
    cr_expect_eq(system_recover(), 1);
    cr_expect_null(kv);
}

/* Which one of jemalloc's controls fails. */
ParameterizedTestParameters(system_calls, a_store_without_arenas_works)
{
    static int calls[] = {1, 2, 3, 4, 5, 6, 7};
    return cr_make_param_array(int, calls, sizeof(calls) / sizeof(calls[0]));
}

ParameterizedTest(int *n, system_calls, a_store_without_arenas_works)
{
    system_fail(SYSTEM_MALLCTL, *n, EINVAL, true);
    kv_open(&test);
    kv_fill(test.kv, 0, KEYS);
    kv_expect_filled(test.kv, 0, KEYS);
    KV_OK(spillkv_close(test.kv));
    system_recover();
    /* Neither is there memory from elsewhere. */
    for (int mapping = 1; mapping < 4; mapping++) {
        system_fail(SYSTEM_MMAP, mapping, ENOMEM, false);
        const spillkv_status status = spillkv_open(&test.options, &test.kv);
        cr_expect(status == SPILLKV_OK || status == SPILLKV_ENOMEM, "%d", status);
        if (status == SPILLKV_OK) {
            fill();
            system_recover();
            expect_kept(true);
            KV_OK(spillkv_close(test.kv));
        }
        system_recover();
    }
    system_fail(SYSTEM_MUNMAP, 1, ENOMEM, true);
    kv_open(&test);
    kv_fill(test.kv, 0, KEYS);
    kv_expect_filled(test.kv, 0, KEYS);
    KV_OK(spillkv_close(test.kv));
    system_recover();
}

Test(system_calls, a_system_that_does_not_tell_its_processors_has_one)
{
    test.options.shards = 0;
    test.options.spillers = 0;
    test.options.max_mem = (uint64_t)1 << 30;
    system_fail(SYSTEM_SYSCONF, 1, EINVAL, true);
    kv_open(&test);
    cr_expect_gt(system_recover(), 0);
    cr_expect_eq(kv_stats(test.kv).shards, 4);
    cr_expect_eq(kv_stats(test.kv).spillers, 1);
    KV_OK(spillkv_close(test.kv));
}

Test(system_calls, a_limit_that_needs_a_thread_is_refused_without_one)
{
    test.options.max_mem = 0;
    kv_open(&test);
    kv_fill(test.kv, 0, KEYS);
    system_fail(SYSTEM_CREATE, 1, EAGAIN, true);
    cr_expect_eq(spillkv_set_max_mem(test.kv, 8 << 20), SPILLKV_ESYSTEM);
    cr_expect_eq(system_recover(), 1);
    cr_expect_eq(kv_stats(test.kv).max_mem, 0);
    kv_expect_filled(test.kv, 0, KEYS);
    KV_OK(spillkv_set_max_mem(test.kv, 8 << 20));
    KV_OK(spillkv_close(test.kv));
}

/* Opens and closes over a shard file that a killed process left. */
static void expect_leftover(int error, spillkv_status wanted)
{
    char command[4 * PATH_MAX];
    kv_open(&test);
    kv_fill(test.kv, 0, KEYS);
    snprintf(command, sizeof(command), "cp '%s/shard-000.db' '%s/shard-007.db'", test.path,
             test.path);
    cr_assert_eq(system(command), 0);
    KV_OK(spillkv_close(test.kv));
    cr_assert(tempdir_has(&test.dir, "store/shard-007.db"));
    system_fail(SYSTEM_UNLINKAT, 1, error, false);
    const spillkv_status status = spillkv_open(&test.options, &test.kv);
    cr_expect_eq(system_recover(), 1);
    cr_expect_eq(status, wanted, "%d", status);
    KV_OK(spillkv_close(test.kv));
}

Test(system_calls, what_was_left_and_cannot_be_removed_keeps_a_store_from_opening)
{
    expect_leftover(EPERM, SPILLKV_EIO);
}

Test(system_calls, what_was_left_and_removed_by_another_is_no_hindrance)
{
    expect_leftover(ENOENT, SPILLKV_OK);
}
