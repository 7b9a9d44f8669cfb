/* SPDX-License-Identifier: MIT */
/*
 * A file system that is really full: a small tmpfs of the test's own where the system lets it mount
 * one, else a limit on the size of files. Entries stay in RAM, calls say so when that is used up,
 * reads go on, and when there is space again all goes on by itself.
 */
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "support/kv.h"

#define SMALL_BYTES ((uint64_t)4 << 20)
#define LARGE_BYTES ((uint64_t)256 << 20)

static struct kv_test test;
static char place[PATH_MAX + 8]; /* where the file system is mounted */
static char path[PATH_MAX + 16]; /* of the store in it */
static bool mounted;

/** Mounts a tmpfs, or changes how large it is. */
static bool mount_small(uint64_t bytes, unsigned long flags)
{
    char options[64];
    snprintf(options, sizeof(options), "size=%llu", (unsigned long long)bytes);
    return mount("tmpfs", place, "tmpfs", flags, options) == 0;
}

static void limit_files(uint64_t bytes)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/** So much and no more fits from now on. */
static void set_space(uint64_t bytes)
{
    if (mounted) {
        cr_assert(mount_small(bytes, MS_REMOUNT));
    } else {
        limit_files(bytes);
    }
}

static void prepare(void)
{
    kv_options(&test);
    snprintf(place, sizeof(place), "%s/place", test.dir.path);
    cr_assert_eq(mkdir(place, 0700), 0);
    /* In a namespace of its own nobody else sees it, and it ends with the test. */
    mounted = unshare(CLONE_NEWNS) == 0 &&
              mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
              mount_small(SMALL_BYTES, 0);
    if (!mounted) {
        (void)signal(SIGXFSZ, SIG_IGN);
        limit_files(SMALL_BYTES);
    }
    printf("full by %s\n", mounted ? "a tmpfs of 4 MiB" : "RLIMIT_FSIZE, no tmpfs may be mounted");
    (void)fflush(stdout);
    snprintf(path, sizeof(path), "%s/store", place);
    test.options.path = path;
}

static void clean_up(void)
{
    if (mounted) {
        KV_CHECK(umount(place) == 0);
    } else {
        limit_files(RLIM_INFINITY);
    }
    tempdir_remove(&test.dir);
}

TestSuite(full_disk, .init = prepare, .fini = clean_up, .timeout = 120);

/** Sets keys until one is refused; returns which. */
static uint32_t fill_until_full(uint32_t first)
{
    uint32_t number = first;
    spillkv_status status = SPILLKV_OK;
    while (status == SPILLKV_OK && number < first + 10 * KV_MANY) {
        status = kv_set(test.kv, number, 0, KV_VALUE);
        number += status == SPILLKV_OK;
    }
    cr_assert(status == SPILLKV_ENOSPC || status == SPILLKV_EFULL, "%s", spillkv_strerror(status));
    return number;
}

Test(full_disk, loses_nothing_and_goes_on_when_there_is_space_again)
{
    kv_open(&test);
    const uint32_t end = fill_until_full(0);
    /* What the disk took, and about what max_mem holds. */
    cr_expect_gt((uint64_t)end * KV_VALUE, SMALL_BYTES / 2 + KV_TINY / 2, "%u", end);
    cr_expect_eq(kv_has(test.kv, end), SPILLKV_NOT_FOUND);
    cr_expect_eq(kv_count(test.kv), end);
    /* Before entries are read: those that came back from disk can leave without it. */
    cr_expect_eq(spillkv_flush(test.kv), SPILLKV_ENOSPC);
    cr_expect_eq(kv_stats(test.kv).failing, 1);
    kv_expect_filled(test.kv, 0, end);
    kv_expect_consistent(test.kv);

    set_space(LARGE_BYTES);
    kv_fill(test.kv, end, end + KV_MANY);
    cr_expect_eq(spillkv_flush(test.kv), SPILLKV_OK);
    cr_expect_eq(kv_stats(test.kv).failing, 0);
    kv_expect_filled(test.kv, 0, end + KV_MANY);
    cr_expect_eq(kv_count(test.kv), end + KV_MANY);
    kv_expect_consistent(test.kv);
    KV_OK(spillkv_close(test.kv));
}

Test(full_disk, comes_and_goes)
{
    uint32_t end = 0;
    kv_open(&test);
    for (uint64_t space = SMALL_BYTES; space <= 6 * SMALL_BYTES; space += SMALL_BYTES) {
        set_space(space);
        end = fill_until_full(end);
        kv_expect_filled(test.kv, 0, end);
    }
    cr_expect_eq(kv_count(test.kv), end);
    KV_OK(spillkv_close(test.kv));
}

Test(full_disk, takes_new_keys_for_deleted_ones)
{
    kv_open(&test);
    const uint32_t end = fill_until_full(0);
    for (uint32_t i = 0; i < end / 2; i++) {
        cr_assert_eq(kv_del(test.kv, i), SPILLKV_OK);
    }
    const uint32_t more = fill_until_full(end);
    cr_expect_gt(more - end, end / 8, "%u of %u", more - end, end);
    kv_expect_filled(test.kv, end / 2, more);
    cr_expect_eq(kv_count(test.kv), more - end / 2);
    KV_OK(spillkv_close(test.kv));
}

Test(full_disk, refuses_a_value_that_does_not_fit_and_keeps_the_old_one)
{
    kv_open(&test);
    KV_OK(kv_set(test.kv, 1, 0, KV_VALUE));
    cr_expect_eq(kv_set(test.kv, 1, 1, 2 * SMALL_BYTES), SPILLKV_ENOSPC);
    cr_expect_eq(kv_get(test.kv, 1, 0, KV_VALUE), SPILLKV_OK);
    set_space(LARGE_BYTES);
    cr_expect_eq(kv_set(test.kv, 1, 1, 2 * SMALL_BYTES), SPILLKV_OK);
    cr_expect_eq(kv_get(test.kv, 1, 1, 2 * SMALL_BYTES), SPILLKV_OK);
    KV_OK(spillkv_close(test.kv));
}

Test(full_disk, without_room_for_the_files_refuses_to_open_and_leaves_nothing)
{
    set_space(4096);
    cr_expect_eq(spillkv_open(&test.options, &test.kv), SPILLKV_ENOSPC);
    cr_expect_null(test.kv);
    cr_expect_not(tempdir_has(&test.dir, "place/store"));
    set_space(SMALL_BYTES);
    kv_open(&test);
    kv_fill(test.kv, 0, 2000);
    kv_expect_filled(test.kv, 0, 2000);
    KV_OK(spillkv_close(test.kv));
}
