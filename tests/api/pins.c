/* SPDX-License-Identifier: MIT */
/*
 * A pinned value stays where it is and as it is, and charged, whatever happens to its key, until it
 * is unpinned.
 */
#include "support/kv.h"

#define MIB ((uint64_t)1 << 20)

static struct kv_test test;

static void open_with(uint64_t max_mem)
{
    kv_options(&test);
    test.options.max_mem = max_mem;
    kv_open(&test);
}

TestSuite(pins, .timeout = 120);

/** Keys from `first` on, so many that those set before leave RAM. */
static void push_out(uint32_t first)
{
    kv_fill(test.kv, first, first + KV_MANY);
    KV_OK(spillkv_flush(test.kv));
}

/* The value. */

static const size_t sizes[] = {0, 1, 100, 600, 9000, 64 << 10, 300 << 10, 8 << 20};

#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

/** Sets a key of each size, pins it, does `change` to it, and expects that the pin did not see. */
static void expect_unmoved(void (*change)(uint32_t number, size_t size))
{
    open_with(64 * MIB);
    for (uint32_t i = 0; i < SIZES; i++) {
        spillkv_pinned pinned;
        KV_OK(kv_set(test.kv, i, 1, sizes[i]));
        KV_OK(kv_pin(test.kv, i, &pinned));
        cr_expect(kv_pinned_is(&pinned, i, 1, sizes[i]), "%zu bytes", sizes[i]);
        const void *const at = pinned.value;
        change(i, sizes[i]);
        cr_expect(kv_pinned_is(&pinned, i, 1, sizes[i]), "%zu bytes, after the change", sizes[i]);
        cr_expect_eq(pinned.value, at);
        kv_unpin(test.kv, &pinned);
    }
    kv_expect_consistent(test.kv);
    kv_close(&test);
}

static void set_same_size(uint32_t number, size_t size)
{
    for (uint32_t version = 2; version < 5; version++) {
        KV_OK(kv_set(test.kv, number, version, size));
        cr_expect_eq(kv_get(test.kv, number, version, size), SPILLKV_OK);
    }
}

static void set_other_size(uint32_t number, size_t size)
{
    KV_OK(kv_set(test.kv, number, 2, size / 2 + 7));
    cr_expect_eq(kv_get(test.kv, number, 2, size / 2 + 7), SPILLKV_OK);
}

static void delete_and_set(uint32_t number, size_t size)
{
    KV_OK(kv_del(test.kv, number));
    cr_expect_eq(kv_has(test.kv, number), SPILLKV_NOT_FOUND);
    KV_OK(kv_set(test.kv, number, 2, size));
    KV_OK(kv_del(test.kv, number));
}

static void clear_and_fill(uint32_t number, size_t size)
{
    KV_OK(spillkv_clear(test.kv));
    cr_expect_eq(kv_has(test.kv, number), SPILLKV_NOT_FOUND);
    kv_fill(test.kv, 100, 400);
    KV_OK(kv_set(test.kv, number, 2, size));
}

Test(pins, a_value_of_any_size_outlives_a_set_of_the_same_size)
{
    expect_unmoved(set_same_size);
}

Test(pins, a_value_of_any_size_outlives_a_set_of_another_size)
{
    expect_unmoved(set_other_size);
}

Test(pins, a_value_of_any_size_outlives_a_delete)
{
    expect_unmoved(delete_and_set);
}

Test(pins, a_value_of_any_size_outlives_a_clear)
{
    expect_unmoved(clear_and_fill);
}

Test(pins, values_outlive_the_spilling_of_their_keys)
{
    spillkv_pinned pinned[40];
    kv_options(&test);
    test.options.policy = SPILLKV_POLICY_LRU;
    kv_open(&test);
    kv_fill(test.kv, 0, 2000);
    for (uint32_t i = 0; i < 40; i++) {
        KV_OK(kv_pin(test.kv, i * 50, &pinned[i]));
    }
    push_out(10000);
    push_out(10000 + KV_MANY);
    for (uint32_t i = 0; i < 40; i++) {
        cr_expect(kv_pinned_is(&pinned[i], i * 50, 0, KV_VALUE), "key %u", i * 50);
    }
    /* Many did leave, and are the keys' values all the same. */
    uint32_t from_disk = 0;
    for (uint32_t i = 0; i < 40; i++) {
        from_disk += kv_get_reads_disk(test.kv, i * 50);
        cr_expect_eq(kv_get(test.kv, i * 50, 0, KV_VALUE), SPILLKV_OK);
    }
    cr_expect_geq(from_disk, 10);
    for (uint32_t i = 0; i < 40; i++) {
        cr_expect(kv_pinned_is(&pinned[i], i * 50, 0, KV_VALUE), "key %u", i * 50);
        kv_unpin(test.kv, &pinned[i]);
    }
    kv_expect_filled(test.kv, 0, 2000);
    kv_expect_consistent(test.kv);
    kv_close(&test);
}

Test(pins, a_spilled_value_of_any_size_is_pinned)
{
    open_with(16 * MIB);
    for (uint32_t i = 0; i < SIZES; i++) {
        KV_OK(kv_set(test.kv, i, 1, sizes[i]));
    }
    kv_fill(test.kv, 1000, 1000 + 6 * KV_MANY);
    for (uint32_t i = 0; i < SIZES; i++) {
        spillkv_pinned pinned;
        const uint64_t before = kv_stats(test.kv).total.spilled_reads;
        KV_OK(kv_pin(test.kv, i, &pinned));
        cr_expect_eq(kv_stats(test.kv).total.spilled_reads, before + 1, "%zu bytes", sizes[i]);
        cr_expect(kv_pinned_is(&pinned, i, 1, sizes[i]), "%zu bytes", sizes[i]);
        cr_expect_not(kv_get_reads_disk(test.kv, i), "it is in RAM again");
        KV_OK(kv_set(test.kv, i, 2, sizes[i]));
        cr_expect(kv_pinned_is(&pinned, i, 1, sizes[i]), "%zu bytes", sizes[i]);
        kv_unpin(test.kv, &pinned);
        cr_expect_eq(kv_get(test.kv, i, 2, sizes[i]), SPILLKV_OK);
    }
    kv_expect_consistent(test.kv);
    kv_close(&test);
}

Test(pins, an_empty_value_has_an_address)
{
    spillkv_pinned pinned;
    kv_open_tiny(&test);
    KV_OK(kv_set(test.kv, 1, 0, 0));
    KV_OK(kv_pin(test.kv, 1, &pinned));
    cr_expect_not_null(pinned.value);
    cr_expect_eq(pinned.value_size, 0);
    kv_unpin(test.kv, &pinned);
    kv_close(&test);
}

Test(pins, of_one_value_are_independent)
{
    spillkv_pinned pinned[3];
    kv_open_tiny(&test);
    KV_OK(kv_set(test.kv, 1, 1, 100));
    for (int i = 0; i < 3; i++) {
        KV_OK(kv_pin(test.kv, 1, &pinned[i]));
        cr_expect_eq(pinned[i].value, pinned[0].value, "there is no copy");
    }
    KV_OK(kv_del(test.kv, 1));
    kv_unpin(test.kv, &pinned[1]);
    kv_unpin(test.kv, &pinned[0]);
    kv_fill(test.kv, 0, KV_MANY);
    cr_expect(kv_pinned_is(&pinned[2], 1, 1, 100));
    kv_unpin(test.kv, &pinned[2]);
    kv_close(&test);
}

/* The account. */

Test(pins, memory_is_charged_until_the_last_pin_goes)
{
    spillkv_pinned pinned[2];
    open_with(64 * MIB);
    KV_OK(kv_set(test.kv, 1, 1, 8 * MIB));
    KV_OK(kv_pin(test.kv, 1, &pinned[0]));
    KV_OK(kv_pin(test.kv, 1, &pinned[1]));
    cr_expect_eq(kv_stats(test.kv).total.pinned, 2);
    KV_OK(kv_del(test.kv, 1));
    cr_expect_geq(kv_stats(test.kv).memory.entries, 8 * MIB);
    kv_unpin(test.kv, &pinned[0]);
    cr_expect_geq(kv_stats(test.kv).memory.entries, 8 * MIB);
    cr_expect_eq(kv_stats(test.kv).total.pinned, 1);
    kv_unpin(test.kv, &pinned[1]);
    cr_expect_lt(kv_stats(test.kv).memory.entries, MIB);
    cr_expect_eq(kv_stats(test.kv).total.pinned, 0);
    kv_close(&test);
}

Test(pins, max_mem_holds_while_values_come_back_for_pins)
{
    spillkv_pinned pinned;
    open_with(16 * MIB);
    KV_OK(kv_set(test.kv, 1, 1, 8 * MIB));
    kv_fill(test.kv, 10, 10 + 4 * KV_MANY);
    KV_OK(kv_pin(test.kv, 1, &pinned));
    cr_expect_leq(kv_stats(test.kv).memory.total, 16 * MIB);
    kv_expect_filled(test.kv, 10, 10 + 4 * KV_MANY);
    cr_expect(kv_pinned_is(&pinned, 1, 1, 8 * MIB));
    cr_expect_leq(kv_stats(test.kv).memory.total, 16 * MIB);
    kv_unpin(test.kv, &pinned);
    kv_close(&test);
}

Test(pins, a_value_larger_than_max_mem_is_refused_and_nothing_leaves_for_it)
{
    spillkv_pinned pinned;
    open_with(16 * MIB);
    KV_OK(kv_set(test.kv, 1, 1, 16 * MIB));
    kv_fill(test.kv, 10, 1000);
    cr_expect_eq(kv_pin(test.kv, 1, &pinned), SPILLKV_EFULL);
    cr_expect(kv_pinned_is_none(&pinned));
    cr_expect_eq(kv_stats(test.kv).total.entries_ram, 990);
    cr_expect_eq(kv_get(test.kv, 1, 1, 16 * MIB), SPILLKV_OK);
    kv_close(&test);
}

Test(pins, less_memory_is_reached_beside_them_or_said_to_be_out_of_reach)
{
    enum {
        PINS = 48
    };

    spillkv_pinned pinned[PINS];
    open_with(24 * MIB);
    kv_fill(test.kv, 0, 30000);
    for (uint32_t i = 0; i < PINS; i++) {
        KV_OK(kv_pin(test.kv, i * 600, &pinned[i]));
    }
    cr_expect_eq(spillkv_set_max_mem(test.kv, 8 * MIB), SPILLKV_OK);
    cr_expect_leq(kv_stats(test.kv).memory.total, 8 * MIB);
    const spillkv_status lower = spillkv_set_max_mem(test.kv, 2 * MIB);
    cr_expect_eq(lower, SPILLKV_EFULL);
    for (uint32_t i = 0; i < PINS; i++) {
        cr_expect(kv_pinned_is(&pinned[i], i * 600, 0, KV_VALUE));
        kv_unpin(test.kv, &pinned[i]);
    }
    cr_expect_eq(spillkv_set_max_mem(test.kv, 2 * MIB), SPILLKV_OK);
    cr_expect_leq(kv_stats(test.kv).memory.total, 2 * MIB);
    kv_expect_filled(test.kv, 0, 30000);
    kv_expect_consistent(test.kv);
    kv_close(&test);
}

/* The use of a key. */

Test(pins, count_as_gets)
{
    spillkv_pinned pinned;
    kv_open_tiny(&test);
    kv_fill(test.kv, 0, 1);
    const spillkv_counters before = kv_stats(test.kv).total;
    KV_OK(kv_pin(test.kv, 0, &pinned));
    cr_expect_eq(kv_stats(test.kv).total.hits, before.hits + 1);
    kv_unpin(test.kv, &pinned);
    cr_expect_eq(kv_pin(test.kv, 1, &pinned), SPILLKV_NOT_FOUND);
    cr_expect(kv_pinned_is_none(&pinned));
    cr_expect_eq(kv_stats(test.kv).total.misses, before.misses + 1);
    kv_close(&test);
}

Test(pins, keep_what_is_used_by_them_in_memory)
{
    uint32_t from_disk[2] = {0, 0};
    kv_options(&test);
    test.options.policy = SPILLKV_POLICY_LRU;
    kv_open(&test);
    kv_fill(test.kv, 0, 100);
    for (uint32_t i = 1000; i < 1000 + KV_MANY; i++) {
        spillkv_pinned pinned;
        KV_OK(kv_set(test.kv, i, 0, KV_VALUE));
        KV_OK(kv_pin(test.kv, i % 50, &pinned));
        cr_assert(kv_pinned_is(&pinned, i % 50, 0, KV_VALUE));
        kv_unpin(test.kv, &pinned);
    }
    for (uint32_t i = 0; i < 100; i++) {
        from_disk[i / 50] += kv_get_reads_disk(test.kv, i);
    }
    cr_expect_lt(from_disk[0], 5, "pinned again and again");
    cr_expect_gt(from_disk[1], 45, "never pinned");
    kv_close(&test);
}
