/* SPDX-License-Identifier: MIT */
/* Values of SPILLKV_VALUE_MAX bytes. They take gigabytes for a moment, and some seconds. */
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "support/kv.h"

#define LARGEST   SPILLKV_VALUE_MAX
#define NEEDED_GB 4

static struct kv_test test;

/* In gigabytes; 0 if the system does not say. */
static uint64_t available_memory(void)
{
    FILE *const file = fopen("/proc/meminfo", "r");
    char line[256];
    unsigned long kib = 0;
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "MemAvailable: %lu", &kib) == 1) {
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return kib >> 20;
}

TestSuite(largest, .timeout = 170);

static void need_room(void)
{
    struct statvfs disk;
    kv_options(&test);
    const bool has_disk = statvfs(test.dir.path, &disk) == 0 &&
                          (uint64_t)disk.f_bavail * disk.f_frsize >> 30 >= NEEDED_GB;
    if (TEST_SANITIZED || available_memory() < NEEDED_GB || !has_disk) {
        tempdir_remove(&test.dir);
    }
    if (TEST_SANITIZED) {
        cr_skip_test("sanitizers need several times as much memory");
    }
    if (available_memory() < NEEDED_GB || !has_disk) {
        cr_skip_test("less than 4 GiB of memory or disk to be had");
    }
}

static void expect_kept_replaced_and_deleted(void)
{
    const uint8_t small[1] = {0};
    kv_open(&test);
    KV_OK(kv_set(test.kv, 1, 0, LARGEST));
    cr_expect_eq(kv_get(test.kv, 1, 0, LARGEST), SPILLKV_OK);
    KV_OK(kv_set(test.kv, 1, 1, LARGEST - 1));
    cr_expect_eq(kv_get(test.kv, 1, 1, LARGEST - 1), SPILLKV_OK);
    /* One byte more is refused unread. */
    cr_expect_eq(spillkv_set(test.kv, "key-00000001", 12, small, LARGEST + 1), SPILLKV_EINVAL);
    cr_expect_eq(kv_get(test.kv, 1, 1, LARGEST - 1), SPILLKV_OK);
    KV_OK(kv_del(test.kv, 1));
    cr_expect_eq(kv_has(test.kv, 1), SPILLKV_NOT_FOUND);
    kv_expect_consistent(test.kv);
    kv_close(&test);
}

Test(largest, value_is_kept_on_disk_under_a_small_limit)
{
    need_room();
    test.options.max_mem = (uint64_t)64 << 20;
    expect_kept_replaced_and_deleted();
}

Test(largest, value_is_kept_in_memory_without_a_limit)
{
    need_room();
    test.options.path = NULL;
    test.options.max_mem = 0;
    expect_kept_replaced_and_deleted();
}
