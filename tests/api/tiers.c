/* SPDX-License-Identifier: MIT */
/* Every operation on keys of which most are on disk. */
#include <stdlib.h>
#include <string.h>

#include "support/kv.h"

static struct kv_test test;

static void open_filled(void)
{
    kv_open_tiny(&test);
    kv_fill(test.kv, 0, KV_MANY);
    KV_OK(spillkv_flush(test.kv));
    cr_assert_gt(kv_stats(test.kv).total.entries_spilled, KV_MANY / 2);
}

static void close_test(void)
{
    KV_CHECK(spillkv_flush(test.kv) == SPILLKV_OK);
    kv_expect_consistent(test.kv);
    kv_close(&test);
}

TestSuite(tiers, .init = open_filled, .fini = close_test, .timeout = 60);

/** Reads keys until none of `count` keys from `first` needs the disk, at most a few times. */
static bool become_resident(uint32_t first, uint32_t count)
{
    for (int round = 0; round < 20; round++) {
        bool resident = true;
        for (uint32_t i = first; i < first + count; i++) {
            resident = !kv_get_reads_disk(test.kv, i) && resident;
        }
        if (resident) {
            return true;
        }
    }
    return false;
}

Test(tiers, every_spilled_key_is_found)
{
    kv_expect_filled(test.kv, 0, KV_MANY);
    cr_expect_eq(kv_count(test.kv), KV_MANY);
    cr_expect_gt(kv_stats(test.kv).total.spilled_reads, KV_MANY / 2);
}

Test(tiers, get_promotes)
{
    const uint64_t before = kv_stats(test.kv).total.promotions;
    cr_expect(kv_get_reads_disk(test.kv, 5));
    cr_expect_eq(kv_stats(test.kv).total.promotions, before + 1);
    cr_expect_not(kv_get_reads_disk(test.kv, 5));
    cr_expect_eq(kv_stats(test.kv).total.promotions, before + 1);
}

Test(tiers, a_set_of_keys_in_use_becomes_resident)
{
    cr_expect(become_resident(100, 500));
}

Test(tiers, overwriting_a_spilled_key_is_final)
{
    for (uint32_t i = 0; i < 4000; i++) {
        cr_assert_eq(kv_set(test.kv, i, 1, i % 900), SPILLKV_OK);
    }
    cr_expect_eq(kv_count(test.kv), KV_MANY);
    for (uint32_t i = 0; i < 4000; i++) {
        cr_expect_eq(kv_get(test.kv, i, 1, i % 900), SPILLKV_OK);
    }
    kv_expect_filled(test.kv, 4000, KV_MANY);
    for (uint32_t i = 0; i < 4000; i++) {
        cr_expect_eq(kv_get(test.kv, i, 1, i % 900), SPILLKV_OK);
    }
}

Test(tiers, deleting_a_spilled_key_is_final)
{
    const uint64_t before = kv_stats(test.kv).total.dels;
    for (uint32_t i = 0; i < KV_MANY; i += 3) {
        cr_assert_eq(kv_del(test.kv, i), SPILLKV_OK);
        cr_expect_eq(kv_has(test.kv, i), SPILLKV_NOT_FOUND);
    }
    const uint32_t deleted = (KV_MANY + 2) / 3;
    cr_expect_eq(kv_stats(test.kv).total.dels, before + deleted);
    cr_expect_eq(kv_count(test.kv), KV_MANY - deleted);
    kv_fill(test.kv, KV_MANY, KV_MANY + 4000);
    KV_OK(spillkv_flush(test.kv));
    for (uint32_t i = 0; i < KV_MANY; i++) {
        const int status = kv_get(test.kv, i, 0, KV_VALUE);
        cr_expect_eq(status, i % 3 == 0 ? SPILLKV_NOT_FOUND : SPILLKV_OK, "key %u: %d", i, status);
    }
    cr_expect_eq(kv_del(test.kv, 0), SPILLKV_NOT_FOUND);
}

Test(tiers, a_deleted_key_may_be_set_again)
{
    for (uint32_t i = 0; i < 2000; i++) {
        cr_assert_eq(kv_del(test.kv, i), SPILLKV_OK);
        cr_assert_eq(kv_set(test.kv, i, 2, 50), SPILLKV_OK);
    }
    kv_expect_filled(test.kv, 2000, KV_MANY);
    for (uint32_t i = 0; i < 2000; i++) {
        cr_expect_eq(kv_get(test.kv, i, 2, 50), SPILLKV_OK);
    }
    cr_expect_eq(kv_count(test.kv), KV_MANY);
}

Test(tiers, a_promoted_key_may_be_overwritten_and_deleted)
{
    for (uint32_t i = 0; i < 1000; i++) {
        cr_assert_eq(kv_get(test.kv, i, 0, KV_VALUE), SPILLKV_OK);
        if (i % 2 == 0) {
            cr_assert_eq(kv_set(test.kv, i, 1, KV_VALUE), SPILLKV_OK);
        } else {
            cr_assert_eq(kv_del(test.kv, i), SPILLKV_OK);
        }
    }
    kv_expect_filled(test.kv, 1000, KV_MANY);
    for (uint32_t i = 0; i < 1000; i++) {
        cr_expect_eq(kv_get(test.kv, i, 1, KV_VALUE), i % 2 == 0 ? SPILLKV_OK : SPILLKV_NOT_FOUND);
    }
}

Test(tiers, has_finds_both_tiers_and_moves_nothing)
{
    const spillkv_counters before = kv_stats(test.kv).total;
    for (uint32_t i = 0; i < KV_MANY; i++) {
        cr_assert_eq(kv_has(test.kv, i), SPILLKV_OK);
    }
    cr_expect_eq(kv_has(test.kv, KV_MANY), SPILLKV_NOT_FOUND);
    const spillkv_counters after = kv_stats(test.kv).total;
    cr_expect_eq(after.promotions, before.promotions);
    cr_expect_eq(after.entries_ram, before.entries_ram);
    cr_expect_eq(after.hits, before.hits);
    cr_expect_eq(after.misses, before.misses);
    cr_expect_eq(after.spilled_reads, before.spilled_reads);
}

Test(tiers, has_is_not_a_use)
{
    const uint32_t first = KV_MANY - 1000;
    for (uint32_t i = 0; i < 10000; i++) {
        const uint32_t number = first + i % 1000;
        if (i % 2 == 0) {
            cr_assert_eq(kv_has(test.kv, number), SPILLKV_OK);
        } else {
            cr_assert_eq(kv_get(test.kv, number, 0, KV_VALUE), SPILLKV_OK);
        }
        kv_fill(test.kv, KV_MANY + i, KV_MANY + i + 1);
    }
    KV_OK(spillkv_flush(test.kv));
    uint32_t had = 0;
    uint32_t got = 0;
    for (uint32_t i = first; i < KV_MANY; i++) {
        /* What is promoted on the way drives out little of the rest. */
        const bool resident = !kv_get_reads_disk(test.kv, i);
        had += i % 2 == 0 && resident;
        got += i % 2 == 1 && resident;
    }
    cr_expect_lt(had, 100, "%u", had);
    cr_expect_gt(got, 400, "%u", got);
}

Test(tiers, a_spilled_value_needs_room_in_the_buffer)
{
    char buffer[KV_VALUE];
    size_t size = 0;
    cr_expect_eq(spillkv_get(test.kv, "key-00000003", 12, buffer, KV_VALUE - 1, &size),
                 SPILLKV_TOO_SMALL);
    cr_expect_eq(size, KV_VALUE);
    cr_expect_eq(spillkv_get(test.kv, "key-00000004", 12, NULL, 0, &size), SPILLKV_TOO_SMALL);
    cr_expect_eq(size, KV_VALUE);
    cr_expect_eq(spillkv_get(test.kv, "key-00000003", 12, buffer, KV_VALUE, &size), SPILLKV_OK);
    cr_expect_eq(spillkv_get(test.kv, "key-00000005", 12, buffer, KV_VALUE, NULL), SPILLKV_OK);
}

Test(tiers, empty_values_survive_spilling)
{
    void *copy;
    size_t size;
    for (uint32_t i = 0; i < 3000; i++) {
        cr_assert_eq(kv_set(test.kv, KV_MANY + i, 0, 0), SPILLKV_OK);
    }
    kv_fill(test.kv, 0, KV_MANY);
    KV_OK(spillkv_flush(test.kv));
    for (uint32_t i = 0; i < 3000; i++) {
        cr_expect_eq(kv_get(test.kv, KV_MANY + i, 0, 0), SPILLKV_OK);
    }
    KV_OK(spillkv_set(test.kv, "empty", 5, NULL, 0));
    kv_fill(test.kv, 0, KV_MANY);
    KV_OK(spillkv_get_copy(test.kv, "empty", 5, &copy, &size));
    cr_expect_not_null(copy);
    cr_expect_eq(size, 0);
    spillkv_free(copy);
}

Test(tiers, count_is_exact_at_every_step)
{
    uint64_t count = KV_MANY;
    for (uint32_t i = 0; i < 3000; i++) {
        count += kv_set(test.kv, KV_MANY + i, 0, KV_VALUE) == SPILLKV_OK;
        count -= kv_del(test.kv, i * 5) == SPILLKV_OK;
        KV_OK(kv_set(test.kv, i * 5 + 1, 0, KV_VALUE));
        if (i % 100 == 0) {
            cr_expect_eq(kv_count(test.kv), count);
        }
    }
    cr_expect_eq(count, KV_MANY);
    cr_expect_eq(kv_count(test.kv), count);
}

Test(tiers, an_empty_value_of_a_long_key_comes_back_from_its_own_row)
{
    static char key[20000];
    void *copy = NULL;
    size_t size = 1;
    memset(key, 'k', sizeof(key));
    KV_OK(spillkv_set(test.kv, key, sizeof(key), NULL, 0));
    kv_fill(test.kv, KV_MANY, 2 * KV_MANY);
    const uint64_t reads = kv_stats(test.kv).total.spilled_reads;
    cr_expect_eq(spillkv_get(test.kv, key, sizeof(key), NULL, 0, &size), SPILLKV_OK);
    cr_expect_eq(size, 0);
    KV_OK(spillkv_get_copy(test.kv, key, sizeof(key), &copy, &size));
    cr_expect(copy != NULL && size == 0);
    cr_expect_gt(kv_stats(test.kv).total.spilled_reads, reads);
    spillkv_free(copy);
}

Test(tiers, clear_empties_both_tiers_and_the_store_goes_on)
{
    for (uint32_t round = 0; round < 3; round++) {
        cr_expect_eq(spillkv_clear(test.kv), SPILLKV_OK);
        cr_expect_eq(kv_count(test.kv), 0);
        const spillkv_counters total = kv_stats(test.kv).total;
        cr_expect_eq(total.entries_ram, 0);
        cr_expect_eq(total.entries_spilled, 0);
        cr_expect_eq(total.bytes_ram, 0);
        cr_expect_eq(total.bytes_spilled, 0);
        cr_expect_eq(total.live_bytes, 0);
        for (uint32_t i = 0; i < KV_MANY; i += 7) {
            cr_expect_eq(kv_has(test.kv, i), SPILLKV_NOT_FOUND);
        }
        kv_fill(test.kv, 1000 * round, KV_MANY);
        kv_expect_filled(test.kv, 1000 * round, KV_MANY);
        cr_expect_eq(kv_count(test.kv), KV_MANY - 1000 * round);
    }
}

Test(tiers, deleting_everything_gives_the_disk_back)
{
    const uint64_t before = kv_stats(test.kv).total.file_bytes;
    for (uint32_t i = 0; i < KV_MANY; i++) {
        cr_assert_eq(kv_del(test.kv, i), SPILLKV_OK);
    }
    cr_expect_eq(kv_count(test.kv), 0);
    /* What was being written meanwhile is dropped when it is done. */
    KV_OK(spillkv_flush(test.kv));
    cr_expect_eq(kv_stats(test.kv).total.live_bytes, 0);
    /* Rows that were deleted are used again. */
    kv_fill(test.kv, 0, KV_MANY);
    KV_OK(spillkv_flush(test.kv));
    cr_expect_leq(kv_stats(test.kv).total.file_bytes, before * 3 / 2);
}

Test(tiers, overwriting_for_ever_does_not_fill_the_disk)
{
    const uint64_t live = (uint64_t)KV_MANY * KV_VALUE;
    for (uint32_t version = 1; version < 8; version++) {
        for (uint32_t i = 0; i < KV_MANY; i++) {
            cr_assert_eq(kv_set(test.kv, i, version, KV_VALUE), SPILLKV_OK);
        }
        cr_expect_leq(kv_stats(test.kv).total.file_bytes, 5 * live / 2);
    }
    for (uint32_t i = 0; i < KV_MANY; i += 17) {
        cr_expect_eq(kv_get(test.kv, i, 7, KV_VALUE), SPILLKV_OK);
    }
}

Test(tiers, churn_of_sizes_keeps_every_value)
{
    uint16_t *const versions = calloc(3000, sizeof(*versions));
    uint32_t random = 1;
    for (uint32_t step = 0; step < 40000; step++) {
        random = random * 1664525u + 1013904223u;
        const uint32_t number = (random >> 8) % 3000;
        const size_t size = (number * 37u + versions[number] * 101u) % 3000u;
        if ((random >> 28) < 5) {
            versions[number]++;
            const size_t grown = (number * 37u + versions[number] * 101u) % 3000u;
            cr_assert_eq(kv_set(test.kv, 100000 + number, versions[number], grown), SPILLKV_OK);
        } else if (versions[number] != 0) {
            cr_expect_eq(kv_get(test.kv, 100000 + number, versions[number], size), SPILLKV_OK);
        }
    }
    free(versions);
    kv_expect_filled(test.kv, 0, KV_MANY);
}
