/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"
#include "support/memory.h"

#define MIB   ((size_t)1 << 20)
#define PIECE (2 * MIB)

static bool is_zero(const uint8_t *bytes, size_t size)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

Test(alloc, zeroed_memory_is_zero_and_fills_cache_lines)
{
    for (size_t bytes = 0; bytes < 300; bytes += 7) {
        uint8_t *const memory = skv_alloc_zeroed(bytes);
        cr_assert_not_null(memory);
        cr_expect_eq((uintptr_t)memory % SKV_CACHE_LINE, 0);
        cr_expect(is_zero(memory, bytes + 1));
        skv_free(memory);
    }
}

Test(alloc, nothing_is_allocated_as_something)
{
    void *memory = skv_alloc(0);
    cr_assert_not_null(memory);
    void *const grown = skv_realloc(memory, 0);
    cr_assert_not_null(grown);
    skv_free(grown);
    skv_free(NULL);
    skv_pages_free(NULL, PIECE);
}

Test(alloc, absurd_sizes_are_refused)
{
    cr_expect_null(skv_alloc_zeroed(SIZE_MAX));
    cr_expect_null(skv_pages_alloc(SIZE_MAX, 4096, false));
    cr_expect_null(skv_pages_alloc(SIZE_MAX / 4, 4096, true));
    cr_expect_null(skv_pages_alloc(0, 4096, false));
}

static bool refuse(void *context, size_t bytes)
{
    *(size_t *)context += bytes;
    return false;
}

Test(alloc, the_hook_fails_every_kind_of_allocation)
{
    void *const old = skv_alloc(10);
    cr_assert_not_null(old);
    memset(old, 7, 10);
    size_t asked = 0;
    skv_alloc_set_hook(refuse, &asked);
    cr_expect_null(skv_alloc(1));
    cr_expect_null(skv_alloc_zeroed(10));
    cr_expect_null(skv_realloc(old, 100));
    cr_expect_null(skv_pages_alloc(4096, 4096, false));
    skv_alloc_set_hook(NULL, NULL);
    cr_expect_eq(asked, 1 + 10 + 100 + 4096);
    cr_expect_eq(((uint8_t *)old)[9], 7);
    skv_free(old);
}

Test(alloc, pages_are_aligned_zeroed_and_apart)
{
    static const size_t sizes[] = {1, 4096, 5000, 8192, 65536, 100000, PIECE, 5 * MIB};

    enum {
        COUNT = sizeof(sizes) / sizeof(sizes[0])
    };

    for (size_t align = 4096; align <= PIECE; align *= 2) {
        uint8_t *ranges[COUNT];
        for (unsigned i = 0; i < COUNT; i++) {
            ranges[i] = skv_pages_alloc(sizes[i], align, i % 2 == 0);
            cr_assert_not_null(ranges[i]);
            cr_expect_eq((uintptr_t)ranges[i] % align, 0);
            cr_expect(is_zero(ranges[i], skv_pages_round(sizes[i])), "%zu bytes", sizes[i]);
            memset(ranges[i], (int)i + 1, skv_pages_round(sizes[i]));
        }
        for (unsigned i = 0; i < COUNT; i++) {
            cr_expect_eq(ranges[i][0], i + 1);
            cr_expect_eq(ranges[i][skv_pages_round(sizes[i]) - 1], i + 1);
            skv_pages_free(ranges[i], sizes[i]);
        }
    }
}

Test(alloc, freed_pages_leave_resident_memory_at_once)
{
    enum {
        COUNT = 32
    };

    for (int huge = 0; huge <= 1; huge++) {
        void *ranges[COUNT];
        const uint64_t before = resident_bytes();
        for (unsigned i = 0; i < COUNT; i++) {
            ranges[i] = skv_pages_alloc(PIECE, PIECE, huge != 0);
            cr_assert_not_null(ranges[i]);
            memset(ranges[i], 1, PIECE);
        }
        cr_expect_geq(resident_bytes() - before, COUNT * PIECE);
        for (unsigned i = 0; i < COUNT; i += 2) {
            skv_pages_free(ranges[i], PIECE);
        }
        cr_expect(resident_at_most(before + COUNT / 2 * PIECE + 4 * MIB));
        for (unsigned i = 1; i < COUNT; i += 2) {
            skv_pages_free(ranges[i], PIECE);
        }
        cr_expect(resident_at_most(before + 4 * MIB));
    }
}

Test(alloc, freed_small_ranges_leave_resident_memory_too)
{
    enum {
        COUNT = 4096
    };

    static void *ranges[COUNT];
    const uint64_t before = resident_bytes();
    for (unsigned i = 0; i < COUNT; i++) {
        ranges[i] = skv_pages_alloc(8192, 4096, false);
        cr_assert_not_null(ranges[i]);
        memset(ranges[i], 1, 8192);
    }
    cr_expect(resident_at_most(before + COUNT * 8192 + 6 * MIB));
    for (unsigned i = 0; i < COUNT; i++) {
        if (i % 8 != 0) {
            skv_pages_free(ranges[i], 8192);
        }
    }
    cr_expect(resident_at_most(before + COUNT / 8 * 8192 + 6 * MIB));
    for (unsigned i = 0; i < COUNT; i += 8) {
        skv_pages_free(ranges[i], 8192);
    }
}

Test(alloc, reserved_addresses_cost_nothing_until_touched)
{
    const size_t reserved = (size_t)8 << 30;
    const uint64_t before = resident_bytes();
    for (unsigned round = 0; round < 3; round++) {
        uint8_t *const memory = skv_pages_alloc(reserved, PIECE, true);
        cr_assert_not_null(memory);
        cr_expect_eq(memory[reserved - 1], 0);
        memset(memory, 1, PIECE);
        cr_expect(resident_at_most(before + 8 * MIB));
        skv_pages_free(memory, reserved);
        cr_expect(resident_at_most(before + 4 * MIB));
    }
}

Test(alloc, purged_pages_leave_resident_memory_and_read_as_zero)
{
    const size_t bytes = 32 * PIECE;
    uint8_t *const memory = skv_pages_alloc(bytes, PIECE, true);
    cr_assert_not_null(memory);
    memset(memory, 1, bytes);
    const uint64_t before = resident_bytes();
    skv_pages_advise(memory, bytes, false);
    for (size_t at = 0; at < bytes; at += 65536 * 2) {
        skv_pages_purge(memory + at, 65536);
    }
    cr_expect(resident_at_most(before - bytes / 2 + 4 * MIB));
    cr_expect(is_zero(memory, 65536));
    cr_expect_eq(memory[65536], 1);
    cr_expect_eq(memory[131071], 1);
    skv_pages_free(memory, bytes);
}

Test(alloc, purging_a_part_of_a_page_keeps_its_bytes)
{
    uint8_t *const memory = skv_pages_alloc(65536, 65536, false);
    cr_assert_not_null(memory);
    memset(memory, 1, 65536);
    skv_pages_purge(memory + 1, skv_pages_round(1) - 1);
    skv_pages_purge(memory + 10, 20);
    cr_expect_eq(memory[1], 1);
    cr_expect_eq(memory[15], 1);
    skv_pages_free(memory, 65536);
}

/* The system allows 65530 mappings a process; a 64 GB store has 32768 pieces. */
Test(alloc, many_pieces_need_few_mappings)
{
    enum {
        COUNT = 2000
    };

    static void *ranges[COUNT];
    const unsigned before = mapping_count();
    for (unsigned i = 0; i < COUNT; i++) {
        ranges[i] = skv_pages_alloc(PIECE, PIECE, true);
        cr_assert_not_null(ranges[i]);
    }
    cr_expect(!MEMORY_IS_OURS || mapping_count() <= before + COUNT / 20);
    for (unsigned i = 0; i < COUNT; i++) {
        skv_pages_free(ranges[i], PIECE);
    }
}
