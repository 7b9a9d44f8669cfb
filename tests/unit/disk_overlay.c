/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "disk/overlay.h"
#include "support/memory.h"

#define PAGE 16

static struct skv_overlay overlay;
static uint8_t file[8 * PAGE];
static int64_t file_bytes = sizeof(file);
static int refusals; /* truncations and writes that are still refused */

static void set_up(void)
{
    skv_overlay_init(&overlay);
}

static void tear_down(void)
{
    skv_overlay_fini(&overlay);
}

TestSuite(overlay, .init = set_up, .fini = tear_down);

static int do_truncate(void *context, int64_t bytes)
{
    (void)context;
    if (refusals > 0) {
        refusals--;
        return 5;
    }
    file_bytes = bytes;
    return 0;
}

static int do_write(void *context, int64_t offset, const void *bytes, size_t size)
{
    (void)context;
    if (refusals > 0) {
        refusals--;
        return 6;
    }
    memcpy(file + offset, bytes, size);
    file_bytes = file_bytes > offset + (int64_t)size ? file_bytes : offset + (int64_t)size;
    return 0;
}

static int settle(void)
{
    return skv_overlay_settle(&overlay, do_truncate, do_write, NULL);
}

static void put(int page, char letter)
{
    uint8_t bytes[PAGE];
    memset(bytes, letter, PAGE);
    cr_assert(skv_overlay_write(&overlay, page * PAGE, bytes, PAGE));
}

Test(overlay, nothing_is_owed_at_first)
{
    cr_expect(skv_overlay_is_empty(&overlay));
    cr_expect_eq(settle(), 0);
    cr_expect_eq(skv_overlay_file_bytes(&overlay, 5), 5);
}

Test(overlay, reads_see_the_latest_write_of_a_page)
{
    uint8_t seen[PAGE];
    put(2, 'a');
    put(3, 'b');
    put(2, 'c');
    memset(seen, 0, sizeof(seen));
    cr_expect(skv_overlay_patch(&overlay, 2 * PAGE, seen, PAGE));
    cr_expect_eq(seen[0], 'c');
    cr_expect_eq(seen[PAGE - 1], 'c');
}

Test(overlay, reads_of_parts_see_parts)
{
    uint8_t seen[PAGE];
    put(2, 'a');
    memset(seen, '.', sizeof(seen));
    cr_expect_not(skv_overlay_patch(&overlay, 2 * PAGE - 4, seen, 8));
    cr_expect_eq(memcmp(seen, "....aaaa....", 12), 0);
    cr_expect(skv_overlay_patch(&overlay, 2 * PAGE + 5, seen, 2));
    cr_expect_eq(memcmp(seen, "aa..aaaa....", 12), 0);
}

Test(overlay, cut_reads_as_zeroes_and_drops_writes_beyond)
{
    uint8_t seen[PAGE];
    put(1, 'a');
    put(5, 'b');
    skv_overlay_truncate(&overlay, 3 * PAGE);
    cr_expect_eq(skv_overlay_file_bytes(&overlay, 8 * PAGE), 3 * PAGE);
    memset(seen, '.', sizeof(seen));
    cr_expect_not(skv_overlay_patch(&overlay, 3 * PAGE - 4, seen, 8));
    cr_expect_eq(memcmp(seen, "....\0\0\0\0", 8), 0);
    put(4, 'c');
    cr_expect_eq(skv_overlay_file_bytes(&overlay, 8 * PAGE), 5 * PAGE);
}

Test(overlay, settles_in_order_when_it_is_let)
{
    put(1, 'a');
    skv_overlay_truncate(&overlay, 2 * PAGE);
    put(2, 'b');
    refusals = 1;
    cr_expect_eq(settle(), 5);
    cr_expect_not(skv_overlay_is_empty(&overlay));
    refusals = 0;
    cr_expect_eq(settle(), 0);
    cr_expect(skv_overlay_is_empty(&overlay));
    cr_expect_eq(file_bytes, 3 * PAGE);
    cr_expect_eq(file[PAGE], 'a');
    cr_expect_eq(file[2 * PAGE], 'b');
}

Test(overlay, refused_write_stays_owed)
{
    put(1, 'a');
    refusals = 1;
    cr_expect_eq(settle(), 6);
    cr_expect_not(skv_overlay_is_empty(&overlay));
    cr_expect_eq(settle(), 0);
    cr_expect_eq(file[PAGE], 'a');
}

Test(overlay, write_without_memory_says_so)
{
    struct failing_alloc failing = {.fail_at = 1};
    skv_alloc_set_hook(failing_alloc_hook, &failing);
    cr_expect_not(skv_overlay_write(&overlay, 0, "abcd", 4));
    skv_alloc_set_hook(NULL, NULL);
    cr_expect(skv_overlay_is_empty(&overlay));
}

Test(overlay, cut_twice_ends_at_the_lower_one)
{
    skv_overlay_truncate(&overlay, 5 * PAGE);
    skv_overlay_truncate(&overlay, 3 * PAGE);
    skv_overlay_truncate(&overlay, 4 * PAGE);
    cr_expect_eq(skv_overlay_file_bytes(&overlay, 8 * PAGE), 3 * PAGE);
    cr_expect_eq(skv_overlay_file_bytes(&overlay, 2 * PAGE), 2 * PAGE);
}

Test(overlay, writes_of_other_sizes_at_a_place_follow_each_other)
{
    uint8_t seen[PAGE];
    put(1, 'a');
    cr_assert(skv_overlay_write(&overlay, PAGE, "bc", 2));
    memset(seen, '.', PAGE);
    skv_overlay_patch(&overlay, PAGE, seen, PAGE);
    cr_expect_eq(memcmp(seen, "bcaa", 4), 0);
}
