/* SPDX-License-Identifier: MIT */
/* Keys and values of every size, in both tiers, around the boundaries of segments and rows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/kv.h"

static struct kv_test test;

TestSuite(sizes, .timeout = 60);

/** Sizes around which something changes: the lengths of headers, packing into a disk segment of
 *  8144 bytes, what is copied under the lock, a quarter of a RAM segment and a whole one of each
 *  kind, the longest key, an eighth of the budget. */
static const size_t boundaries[] = {
    0,
    8,
    64,
    255,
    256,
    512,
    1024,
    2048,
    4072,
    4096,
    8088,
    8112,
    8144,
    8192,
    16384,
    32768,
    65535,
    65536,
    131072,
    262144,
    (size_t)KV_TINY / 8,
    (size_t)KV_TINY / 4,
};

#define BOUNDARIES (sizeof(boundaries) / sizeof(boundaries[0]))
#define AROUND     40

static bool is_size(size_t boundary, int delta)
{
    return delta >= 0 || boundary >= (size_t)-delta;
}

/** Sets, reads and overwrites values of all sizes around the boundaries; they spill on the way. */
static void sweep(size_t largest, int step)
{
    uint32_t number = 0;
    for (size_t i = 0; i < BOUNDARIES && boundaries[i] <= largest; i++) {
        for (int delta = -AROUND; delta <= AROUND; delta += step) {
            if (is_size(boundaries[i], delta)) {
                const size_t size = boundaries[i] + (size_t)delta;
                cr_assert_eq(kv_set(test.kv, number, 0, size), SPILLKV_OK, "%zu bytes", size);
                cr_expect_eq(kv_get(test.kv, number, 0, size), SPILLKV_OK, "%zu bytes", size);
                number++;
            }
        }
    }
    cr_expect_eq(kv_count(test.kv), number);
    const uint32_t count = number;
    for (int round = 0; round < 2; round++) {
        number = 0;
        for (size_t i = 0; i < BOUNDARIES && boundaries[i] <= largest; i++) {
            for (int delta = -AROUND; delta <= AROUND; delta += step) {
                if (is_size(boundaries[i], delta)) {
                    const size_t size = boundaries[i] + (size_t)delta;
                    cr_expect_eq(kv_get(test.kv, number, 0, size), SPILLKV_OK, "%zu bytes", size);
                    number++;
                }
            }
        }
    }
    cr_expect_eq(kv_count(test.kv), count);
    kv_expect_consistent(test.kv);
}

Test(sizes, every_size_around_every_boundary_survives_spilling)
{
    kv_open_tiny(&test);
    sweep(16384, 1);
    cr_expect_gt(kv_stats(test.kv).total.spills, 0);
    kv_close(&test);
}

Test(sizes, large_sizes_survive_spilling)
{
    kv_open_tiny(&test);
    sweep(SIZE_MAX, 16);
    kv_close(&test);
}

Test(sizes, every_size_around_every_boundary_survives_in_memory)
{
    kv_open_memory(&test, 0, SPILLKV_FULL_FAIL);
    sweep(SIZE_MAX, 8);
    kv_close(&test);
}

Test(sizes, a_value_may_grow_and_shrink_through_all_sizes)
{
    kv_open_tiny(&test);
    uint32_t version = 0;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < BOUNDARIES; i++) {
            const size_t size = boundaries[round == 0 ? i : BOUNDARIES - 1 - i];
            for (uint32_t number = 0; number < 8; number++) {
                cr_assert_eq(kv_set(test.kv, number, version, size), SPILLKV_OK);
            }
            for (uint32_t number = 0; number < 8; number++) {
                cr_expect_eq(kv_get(test.kv, number, version, size), SPILLKV_OK);
            }
            version++;
        }
    }
    cr_expect_eq(kv_count(test.kv), 8);
    kv_expect_consistent(test.kv);
    kv_close(&test);
}

/** Keys of all sizes, each its own key: the size is written at its beginning, as far as it goes. */
static void make_long_key(uint8_t *key, size_t size)
{
    kv_make_value(key, size, (uint32_t)size, 7);
}

Test(sizes, keys_of_every_length_survive_spilling)
{
    static uint8_t key[SPILLKV_KEY_MAX];
    char value[16];
    kv_open_tiny(&test);
    for (size_t size = 1; size <= SPILLKV_KEY_MAX; size += size < 300 ? 1 : size / 40) {
        make_long_key(key, size);
        cr_assert_eq(spillkv_set(test.kv, key, size, &size, sizeof(size)), SPILLKV_OK);
    }
    make_long_key(key, SPILLKV_KEY_MAX);
    KV_OK(spillkv_set(test.kv, key, SPILLKV_KEY_MAX, "longest", 7));
    kv_fill(test.kv, 0, 6000);
    for (size_t size = 1; size < SPILLKV_KEY_MAX; size += size < 300 ? 1 : size / 40) {
        size_t got = 0;
        make_long_key(key, size);
        cr_expect_eq(spillkv_get(test.kv, key, size, value, sizeof(value), &got), SPILLKV_OK);
        cr_expect(got == sizeof(size) && memcmp(value, &size, sizeof(size)) == 0, "%zu", size);
    }
    make_long_key(key, SPILLKV_KEY_MAX);
    KV_OK(spillkv_get(test.kv, key, SPILLKV_KEY_MAX, value, sizeof(value), NULL));
    cr_expect_eq(memcmp(value, "longest", 7), 0);
    cr_expect_eq(spillkv_del(test.kv, key, SPILLKV_KEY_MAX), SPILLKV_OK);
    cr_expect_eq(spillkv_has(test.kv, key, SPILLKV_KEY_MAX), SPILLKV_NOT_FOUND);
    kv_expect_filled(test.kv, 0, 6000);
    kv_close(&test);
}

Test(sizes, long_keys_that_differ_in_their_last_byte_are_two)
{
    static uint8_t key[SPILLKV_KEY_MAX];
    char value[1];
    kv_open_tiny(&test);
    for (int i = 0; i < 64; i++) {
        key[SPILLKV_KEY_MAX - 1] = (uint8_t)i;
        const char byte = (char)('0' + i);
        cr_assert_eq(spillkv_set(test.kv, key, SPILLKV_KEY_MAX, &byte, 1), SPILLKV_OK);
    }
    cr_expect_eq(kv_count(test.kv), 64);
    for (int i = 0; i < 64; i++) {
        key[SPILLKV_KEY_MAX - 1] = (uint8_t)i;
        KV_OK(spillkv_get(test.kv, key, SPILLKV_KEY_MAX, value, 1, NULL));
        cr_expect_eq(value[0], (char)('0' + i));
    }
    kv_close(&test);
}

Test(sizes, a_value_larger_than_the_budget_goes_to_disk)
{
    const size_t size = (size_t)KV_TINY * 2;
    kv_open_tiny(&test);
    cr_assert_eq(kv_set(test.kv, 1, 0, size), SPILLKV_OK);
    cr_expect_eq(kv_get(test.kv, 1, 0, size), SPILLKV_OK);
    cr_expect_eq(kv_set(test.kv, 1, 1, size + 1), SPILLKV_OK);
    cr_expect_eq(kv_get(test.kv, 1, 1, size + 1), SPILLKV_OK);
    kv_expect_consistent(test.kv);
    cr_expect_eq(kv_set(test.kv, 1, 2, 10), SPILLKV_OK);
    cr_expect_eq(kv_get(test.kv, 1, 2, 10), SPILLKV_OK);
    cr_expect_eq(kv_del(test.kv, 1), SPILLKV_OK);
    cr_expect_eq(kv_count(test.kv), 0);
    kv_close(&test);
}

Test(sizes, the_size_of_a_spilled_large_value_is_told)
{
    char key[16] = "large";
    uint8_t *const value = calloc(1, KV_TINY);
    size_t size = 0;
    kv_open_tiny(&test);
    KV_OK(spillkv_set(test.kv, key, 5, value, KV_TINY));
    cr_expect_eq(spillkv_get(test.kv, key, 5, value, KV_TINY - 1, &size), SPILLKV_TOO_SMALL);
    cr_expect_eq(size, KV_TINY);
    cr_expect_eq(spillkv_get(test.kv, key, 5, NULL, 0, &size), SPILLKV_TOO_SMALL);
    cr_expect_eq(size, KV_TINY);
    KV_OK(spillkv_get(test.kv, key, 5, value, KV_TINY, &size));
    free(value);
    kv_close(&test);
}

/** Whether the machine has so much memory to spare. */
static bool has_memory(uint64_t bytes)
{
    unsigned long kib = 0;
    char line[256];
    FILE *const file = fopen("/proc/meminfo", "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "MemAvailable: %lu", &kib) == 1) {
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return (uint64_t)kib * 1024 >= bytes;
}

/** Sets and reads the largest value; only its corners are compared, to be quick. */
static void try_largest(void)
{
    uint8_t *value = calloc(1, SPILLKV_VALUE_MAX);
    void *copy;
    size_t size;
    cr_assert_not_null(value);
    value[0] = 1;
    value[SPILLKV_VALUE_MAX / 2] = 2;
    value[SPILLKV_VALUE_MAX - 1] = 3;
    KV_OK(spillkv_set(test.kv, "largest", 7, value, SPILLKV_VALUE_MAX));
    KV_OK(spillkv_get_copy(test.kv, "largest", 7, &copy, &size));
    cr_assert_eq(size, SPILLKV_VALUE_MAX);
    cr_expect_eq(memcmp(value, copy, SPILLKV_VALUE_MAX), 0);
    spillkv_free(copy);
    free(value);
    cr_expect_eq(kv_count(test.kv), 1);
    KV_OK(spillkv_del(test.kv, "largest", 7));
    cr_expect_eq(spillkv_has(test.kv, "largest", 7), SPILLKV_NOT_FOUND);
}

static void skip_without_room(uint64_t bytes)
{
    if (TEST_SANITIZED) {
        cr_skip_test("too slow with sanitizers");
    }
    if (!has_memory(bytes)) {
        cr_skip_test("the machine is short of memory");
    }
}

Test(sizes, the_largest_value_fits_in_memory)
{
    skip_without_room((uint64_t)SPILLKV_VALUE_MAX * 7 / 2);
    kv_open_memory(&test, 0, SPILLKV_FULL_FAIL);
    try_largest();
    kv_close(&test);
}

Test(sizes, the_largest_value_goes_to_disk_under_a_small_budget)
{
    skip_without_room((uint64_t)SPILLKV_VALUE_MAX * 7 / 2);
    kv_open_tiny(&test);
    try_largest();
    kv_expect_consistent(test.kv);
    kv_close(&test);
}
