/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "disk/space.h"
#include "support/memory.h"

static struct skv_space space;

static void set_up(void)
{
    skv_space_init(&space);
}

static void tear_down(void)
{
    skv_space_check(&space);
    skv_space_fini(&space);
}

TestSuite(space, .init = set_up, .fini = tear_down);

/* Takes `count` ids and adds `live` bytes to each. */
static void take_packed(uint32_t count, size_t live)
{
    cr_assert_eq(skv_space_reserve(&space, count), SPILLKV_OK);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t id = skv_space_take(&space);
        cr_assert_neq(id, 0);
        skv_space_add(&space, id, live);
    }
}

Test(space, what_comes_to_a_place_again_has_another_address)
{
    const uint64_t place = skv_place_make(1, 64);
    uint64_t before = 0;
    for (int i = 0; i < 300; i++) {
        take_packed(1, 8);
        const uint64_t address = skv_space_address(&space, place);
        cr_expect_neq(address, before);
        cr_expect_eq(skv_address_place(address), place);
        cr_expect_eq(skv_address_id(address), 1);
        before = address;
        if (i % 2 == 0) {
            skv_space_drop(&space, 1, 8);
        } else {
            skv_space_clear(&space);
        }
    }
}

Test(space, ids_are_taken_in_order)
{
    cr_assert_eq(skv_space_reserve(&space, 3), SPILLKV_OK);
    for (uint32_t id = 1; id <= 3; id++) {
        cr_expect_eq(skv_space_take(&space), id);
        skv_space_add(&space, id, 128);
    }
    cr_expect_eq(space.reuses, 0);
    cr_expect_eq(space.packed_live_bytes, 3 * 128);
}

Test(space, nothing_is_taken_without_reservation)
{
    cr_expect_eq(skv_space_take(&space), 0);
    cr_expect_eq(skv_space_take_lone(&space, 9000), 0);
}

Test(space, last_drop_frees_a_packed_segment)
{
    take_packed(1, 800);
    skv_space_add(&space, 1, 104);
    skv_space_drop(&space, 1, 800);
    cr_expect_eq(skv_space_live(&space, 1), 104);
    cr_expect_eq(space.free_count, 0);
    skv_space_drop(&space, 1, 104);
    cr_expect_eq(skv_space_live(&space, 1), 0);
    cr_expect_eq(space.free_count, 1);
    cr_expect_eq(space.packed_count, 0);
}

Test(space, whole_segment_may_be_live)
{
    take_packed(1, SKV_SEGMENT_BYTES);
    cr_expect_eq(skv_space_live(&space, 1), SKV_SEGMENT_BYTES);
    skv_space_drop(&space, 1, SKV_SEGMENT_BYTES);
}

Test(space, reuse_waits_until_a_tenth_is_free)
{
    take_packed(100, 8);
    for (uint32_t id = 1; id <= 10; id++) {
        skv_space_drop(&space, id * 3, 8);
    }
    cr_assert_eq(skv_space_reserve(&space, 2), SPILLKV_OK);
    cr_expect_eq(skv_space_take(&space), 101);
    cr_expect_eq(space.reuses, 0);
    skv_space_drop(&space, 50, 8);
    uint32_t id = skv_space_take(&space);
    cr_expect_leq(id, 100);
    cr_expect_eq(space.reuses, 1);
    skv_space_cancel(&space, id);
    skv_space_cancel(&space, 101);
}

Test(space, ids_of_before_a_clear_count_as_reuse)
{
    take_packed(5, 8);
    for (uint32_t id = 1; id <= 5; id++) {
        skv_space_drop(&space, id, 8);
    }
    skv_space_clear(&space);
    cr_expect_eq(space.count, 0);
    take_packed(1, 8);
    cr_expect_eq(space.reuses, 1);
    skv_space_clear(&space);
    take_packed(6, 8);
    cr_expect_eq(space.reuses, 6);
}

Test(space, lone_rows_are_doomed_then_deleted)
{
    uint32_t ids[4];
    cr_assert_eq(skv_space_reserve(&space, 3), SPILLKV_OK);
    for (uint32_t id = 1; id <= 3; id++) {
        cr_assert_eq(skv_space_take_lone(&space, 9001), id);
    }
    cr_expect_eq(space.lone_live_bytes, 3 * 9001);
    skv_space_drop(&space, 1, 9001);
    skv_space_drop(&space, 3, 9001);
    cr_expect_eq(space.free_count, 0);
    cr_assert_eq(skv_space_doomed(&space, ids, 4), 2);
    cr_expect_eq(skv_space_doomed(&space, ids + 2, 2), 0);
    skv_space_check(&space);
    skv_space_redoom(&space, ids, 2);
    cr_assert_eq(skv_space_doomed(&space, ids, 4), 2);
    skv_space_undoomed(&space, ids, 2);
    cr_expect_eq(space.free_count, 2);
    cr_expect_eq(space.lone_live_bytes, 9001);
}

Test(space, cancelled_lone_row_is_free)
{
    cr_assert_eq(skv_space_reserve(&space, 1), SPILLKV_OK);
    uint32_t id = skv_space_take_lone(&space, 9001);
    skv_space_cancel_lone(&space, id, 9001);
    cr_expect_eq(space.free_count, 1);
    cr_expect_eq(space.lone_live_bytes, 0);
}

Test(space, dropping_never_needs_memory)
{
    cr_assert_eq(skv_space_reserve(&space, 1000), SPILLKV_OK);
    for (uint32_t i = 0; i < 1000; i++) {
        cr_assert_neq(skv_space_take_lone(&space, 10000), 0);
    }
    struct failing_alloc failing = {.fail_at = 1};
    skv_alloc_set_hook(failing_alloc_hook, &failing);
    for (uint32_t id = 1; id <= 1000; id++) {
        skv_space_drop(&space, id, 10000);
    }
    skv_alloc_set_hook(NULL, NULL);
    cr_expect_eq(failing.seen, 0);
}

Test(space, reserve_without_memory_changes_nothing)
{
    take_packed(10, 8);
    for (unsigned n = 1; n <= 2; n++) {
        struct failing_alloc failing = {.fail_at = n};
        skv_alloc_set_hook(failing_alloc_hook, &failing);
        cr_expect_eq(skv_space_reserve(&space, 100000), SPILLKV_ENOMEM);
        skv_alloc_set_hook(NULL, NULL);
        skv_space_check(&space);
    }
    cr_expect_eq(skv_space_reserve(&space, 100000), SPILLKV_OK);
}

Test(space, sparse_when_a_third_more_is_taken_than_live)
{
    take_packed(100, 6400);
    cr_expect_not(skv_space_is_sparse(&space));
    for (uint32_t id = 1; id <= 100; id++) {
        skv_space_drop(&space, id, 1600);
    }
    cr_expect(skv_space_is_sparse(&space));
}

Test(space, few_segments_are_never_sparse)
{
    take_packed(4, 8);
    cr_expect_not(skv_space_is_sparse(&space));
}

Test(space, sparse_choice_takes_those_below_average_going_around)
{
    uint32_t ids[8];
    take_packed(10, 4000);
    skv_space_drop(&space, 3, 2000);
    skv_space_drop(&space, 7, 3000);
    cr_assert_eq(skv_space_choose_sparse(&space, ids, 1), 1);
    cr_expect_eq(ids[0], 3);
    cr_assert_eq(skv_space_choose_sparse(&space, ids, 1), 1);
    cr_expect_eq(ids[0], 7);
    cr_assert_eq(skv_space_choose_sparse(&space, ids, 8), 2);
}

Test(space, full_segments_are_never_chosen)
{
    uint32_t ids[8];
    take_packed(10, SKV_SEGMENT_BYTES);
    cr_expect_eq(skv_space_choose_sparse(&space, ids, 8), 0);
}

Test(space, scan_of_one_choice_is_bounded)
{
    uint32_t ids[8];
    take_packed(20000, SKV_SEGMENT_BYTES);
    skv_space_drop(&space, 19999, 4000);
    uint32_t calls = 0;
    while (skv_space_choose_sparse(&space, ids, 8) == 0) {
        cr_assert_lt(++calls, 10);
    }
    cr_expect_eq(ids[0], 19999);
    cr_expect_gt(calls, 1);
}

Test(space, rows_of_free_ids_are_deleted_until_it_is_hollow_no_more)
{
    take_packed(3000, 8);
    for (uint32_t id = 1; id <= 3000; id++) {
        if (id % 3 != 0) {
            skv_space_drop(&space, id, 8);
        }
    }
    cr_assert(skv_space_is_hollow(&space));
    uint32_t deleted = 0;
    while (skv_space_is_hollow(&space)) {
        uint32_t ids[64];
        cr_assert_eq(skv_space_reserve(&space, 64), SPILLKV_OK);
        const uint32_t count = skv_space_doom_free(&space, ids, 64);
        cr_assert_neq(count, 0);
        for (uint32_t i = 0; i < count; i++) {
            cr_assert_neq(ids[i] % 3, 0);
        }
        skv_space_undoomed(&space, ids, count);
        deleted += count;
        skv_space_check(&space);
    }
    cr_expect_gt(deleted, 1500);
    cr_expect_leq(deleted, 2000);
    cr_expect_eq(space.packed_count, 1000);
}

Test(space, abandoned_ids_are_free_and_have_rows)
{
    take_packed(100, 8);
    skv_space_abandon(&space);
    cr_expect_eq(space.free_count, 100);
    cr_expect(skv_space_is_hollow(&space));
    skv_space_check(&space);
    take_packed(5, 8);
    cr_expect_eq(space.reuses, 5);
}

Test(space, ids_end_at_the_largest)
{
    cr_assert_eq(skv_space_reserve(&space, SKV_SEGMENT_ID_MAX), SPILLKV_OK);
    for (uint32_t id = 1; id <= SKV_SEGMENT_ID_MAX; id++) {
        cr_assert_eq(skv_space_take(&space), id);
        skv_space_add(&space, id, 8);
    }
    cr_expect_eq(skv_space_reserve(&space, 1), SPILLKV_OK);
    cr_expect_eq(skv_space_take(&space), 0);
    skv_space_drop(&space, 4711, 8);
    cr_expect_eq(skv_space_take(&space), 4711);
    cr_expect_eq(skv_space_take(&space), 0);
    cr_expect_leq(skv_space_overhead_bytes(&space), 8 * (uint64_t)(SKV_SEGMENT_ID_MAX + 1));
}

Test(space, wrong_drop_aborts, .signal = SIGABRT)
{
    take_packed(1, 8);
    skv_space_drop(&space, 1, 16);
}

/* What random_ops believes of an id. */
struct believed {
    uint64_t bytes; /* 0: free */
    bool lone;
    bool doomed;
};

#define IDS 4096

static struct believed believed[IDS];

static void random_take(struct skv_rng *rng)
{
    bool lone = skv_rng_next(rng) % 4 == 0;
    uint64_t bytes = 8 + skv_rng_next(rng) % 1000 * 8;
    cr_assert_eq(skv_space_reserve(&space, 1), SPILLKV_OK);
    uint32_t id = lone ? skv_space_take_lone(&space, bytes + 9000) : skv_space_take(&space);
    cr_assert(id != 0 && id < IDS && believed[id].bytes == 0 && !believed[id].doomed);
    believed[id] = (struct believed){.bytes = lone ? bytes + 9000 : bytes, .lone = lone};
    if (!lone) {
        skv_space_add(&space, id, bytes);
    }
}

static void random_drop(struct skv_rng *rng)
{
    uint32_t id = 1 + (uint32_t)(skv_rng_next(rng) % (IDS - 1));
    if (believed[id].bytes == 0) {
        return;
    }
    uint64_t bytes = believed[id].bytes;
    if (!believed[id].lone && bytes > 8 && skv_rng_next(rng) % 2 == 0) {
        bytes = 8;
    }
    skv_space_drop(&space, id, bytes);
    believed[id].bytes -= bytes;
    believed[id].doomed = believed[id].lone;
}

static void random_delete(struct skv_rng *rng)
{
    uint32_t ids[5];
    uint32_t count = skv_space_doomed(&space, ids, 5);
    if (skv_rng_next(rng) % 3 == 0) {
        skv_space_redoom(&space, ids, count);
        return;
    }
    skv_space_undoomed(&space, ids, count);
    for (uint32_t i = 0; i < count; i++) {
        cr_assert(believed[ids[i]].doomed);
        believed[ids[i]].doomed = false;
    }
}

Test(space, random_operations_keep_the_books)
{
    struct skv_rng rng;
    skv_rng_init(&rng, 42);
    for (int step = 0; step < 20000; step++) {
        uint64_t dice = skv_rng_next(&rng) % 100;
        uint32_t used = space.count - space.free_count;
        if (dice < 45 && used < 2000) {
            random_take(&rng);
        } else if (dice < 90) {
            random_drop(&rng);
        } else if (dice < 97) {
            random_delete(&rng);
        } else {
            uint32_t ids[8];
            cr_assert_eq(skv_space_reserve(&space, 8), SPILLKV_OK);
            const uint32_t count = skv_space_doom_free(&space, ids, 8);
            for (uint32_t i = 0; i < count; i++) {
                cr_assert(believed[ids[i]].bytes == 0 && !believed[ids[i]].doomed);
            }
            skv_space_undoomed(&space, ids, count);
        }
        skv_space_check(&space);
    }
}

Test(space, what_it_does_not_have_holds_nothing)
{
    uint32_t ids[4];
    cr_expect_eq(skv_space_choose_sparse(&space, ids, 4), 0);
    take_packed(2, 104);
    cr_expect_gt(skv_space_live(&space, 1), 0);
    cr_expect_eq(skv_space_live(&space, 0), 0);
    cr_expect_eq(skv_space_live(&space, 3), 0);
}
