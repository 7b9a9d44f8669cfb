/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "table/runs.h"

#define KIB   1024u
#define LIMIT (UINT64_C(1) << 30)

static struct skv_budget budget;
static struct skv_runs runs;

static void open_runs(size_t segment_bytes)
{
    cr_assert(skv_budget_init(&budget, LIMIT, segment_bytes));
    cr_assert(eq(int, skv_runs_init(&runs, &budget), SPILLKV_OK));
}

static uint64_t budget_used(void)
{
    return atomic_load(&budget.used_total);
}

static void close_runs(void)
{
    skv_runs_fini(&runs);
    cr_expect(eq(u64, budget_used(), 0));
    skv_budget_fini(&budget);
}

static uint32_t longest(void)
{
    return runs.classes[runs.class_count - 1].length;
}

static uint32_t take(uint32_t class_index, uint32_t owner)
{
    uint32_t index;
    uint64_t *run;
    cr_assert(eq(int, skv_runs_take(&runs, class_index, owner, &index, &run), SPILLKV_OK));
    cr_assert(run == skv_runs_at(&runs, class_index, index));
    cr_assert(eq(u64, (uintptr_t)run % SKV_BUCKET_BYTES, 0));
    /* Marks both ends, so that a run that was overlapped or not moved whole is told from others. */
    run[0] = owner;
    run[(size_t)runs.classes[class_index].length * SKV_BUCKET_SLOTS - 1] = owner;
    return index;
}

static bool is_of(uint32_t class_index, uint32_t index, uint32_t owner)
{
    const size_t slots = (size_t)runs.classes[class_index].length * SKV_BUCKET_SLOTS;
    const uint64_t *const run = skv_runs_at(&runs, class_index, index);
    return run[0] == owner && run[slots - 1] == owner &&
           skv_runs_owner(&runs, class_index, index) == owner;
}

Test(runs, begin_with_one_bucket_and_end_with_a_segment)
{
    for (size_t segment_bytes = 4 * KIB; segment_bytes <= 256 * KIB; segment_bytes *= 2) {
        open_runs(segment_bytes);
        cr_expect(eq(u32, runs.classes[0].length, 1));
        cr_expect(eq(sz, longest() * SKV_BUCKET_BYTES, segment_bytes));
        cr_expect(lt(u32, longest() * SKV_BUCKET_SLOTS, UINT16_MAX));
        close_runs();
    }
}

Test(runs, leave_less_than_a_bucket_for_each_of_a_segment)
{
    for (size_t segment_bytes = 4 * KIB; segment_bytes <= 256 * KIB; segment_bytes *= 2) {
        open_runs(segment_bytes);
        for (uint32_t i = 0; i < runs.class_count; i++) {
            const uint32_t fit = runs.classes[i].per_segment;
            cr_expect(eq(u32, fit, longest() / runs.classes[i].length));
            cr_expect(lt(u32, longest() - fit * runs.classes[i].length, fit));
        }
        close_runs();
    }
}

Test(runs, grow_by_an_eighth_up_to_a_tenth_of_a_segment)
{
    open_runs(64 * KIB);
    for (uint32_t i = 1; i < runs.class_count && runs.classes[i].length <= 102; i++) {
        const uint32_t before = runs.classes[i - 1].length;
        const uint32_t step = runs.classes[i].length - before;
        if (before <= 16) {
            cr_expect(eq(u32, step, before == 16 ? 2 : 1));
        } else {
            cr_expect(ge(u32, step * 16, before));
            cr_expect(le(u32, step * 6, before));
        }
    }
    close_runs();
}

Test(runs, have_a_class_for_any_number_of_buckets)
{
    open_runs(16 * KIB);
    for (uint32_t buckets = 1; buckets <= longest(); buckets++) {
        const uint32_t class_index = skv_runs_class_for(&runs, buckets);
        cr_assert(lt(u32, class_index, runs.class_count));
        cr_assert(ge(u32, runs.classes[class_index].length, buckets));
        cr_assert(class_index == 0 || runs.classes[class_index - 1].length < buckets);
    }
    cr_expect(eq(u32, skv_runs_class_for(&runs, longest() + 1), runs.class_count));
    close_runs();
}

Test(runs, move_the_last_one_into_the_gap)
{
    open_runs(16 * KIB);
    const uint32_t first = take(4, 100);
    const uint32_t second = take(4, 101);
    const uint32_t third = take(4, 102);
    cr_expect(eq(u32, skv_runs_give(&runs, 4, first), 102));
    cr_expect(is_of(4, first, 102));
    cr_expect(is_of(4, second, 101));
    cr_expect(eq(u32, runs.classes[4].used, third));
    cr_expect(eq(u32, skv_runs_give(&runs, 4, second), SKV_RUNS_NOBODY));
    cr_expect(skv_runs_check(&runs));
    close_runs();
}

Test(runs, give_an_empty_segment_back_at_once)
{
    open_runs(16 * KIB);
    const uint64_t empty = budget_used();
    const uint32_t last_class = runs.class_count - 1;
    for (uint32_t i = 0; i < 10; i++) {
        (void)take(last_class, i);
    }
    cr_expect(ge(u64, budget_used(), empty + 10 * 16 * KIB));
    for (uint32_t i = 10; i > 0; i--) {
        cr_assert(lt(u64, budget_used(), empty + i * 16 * KIB + KIB));
        (void)skv_runs_give(&runs, last_class, 0);
        cr_assert(skv_runs_check(&runs));
    }
    cr_expect(eq(u64, budget_used(), empty));
    close_runs();
}

Test(runs, stay_with_their_owners_whatever_comes_and_goes)
{
    enum {
        OWNERS = 500
    };

    open_runs(4 * KIB);

    struct {
        uint32_t class_index;
        uint32_t index;
        bool has;
    } owners[OWNERS] = {0};
    struct skv_rng rng;
    skv_rng_init(&rng, 9);
    for (unsigned step = 0; step < 30000; step++) {
        const uint32_t who = (uint32_t)(skv_rng_next(&rng) >> 33) % OWNERS;
        if (!owners[who].has) {
            owners[who].class_index = (uint32_t)(skv_rng_next(&rng) >> 33) % runs.class_count;
            owners[who].index = take(owners[who].class_index, who);
        } else {
            const uint32_t index = owners[who].index;
            cr_assert(is_of(owners[who].class_index, index, who));
            const uint32_t moved = skv_runs_give(&runs, owners[who].class_index, index);
            cr_assert(ne(u32, moved, who));
            if (moved != SKV_RUNS_NOBODY) {
                cr_assert(eq(u32, owners[moved].class_index, owners[who].class_index));
                owners[moved].index = index;
            }
        }
        owners[who].has = !owners[who].has;
        if (step % 100 == 0) {
            cr_assert(skv_runs_check(&runs));
            cr_assert(eq(u64, runs.bytes, budget_used()));
        }
    }
    for (uint32_t who = 0; who < OWNERS; who++) {
        if (owners[who].has) {
            cr_assert(is_of(owners[who].class_index, owners[who].index, who));
        }
    }
    close_runs();
}

Test(runs, all_go_with_clear)
{
    open_runs(16 * KIB);
    const uint64_t empty = budget_used();
    for (uint32_t i = 0; i < 3000; i++) {
        (void)take(i % runs.class_count, i);
    }
    skv_runs_clear(&runs);
    cr_expect(skv_runs_check(&runs));
    cr_expect(eq(u64, budget_used(), empty));
    cr_expect(is_of(3, take(3, 5), 5));
    close_runs();
}

struct failing {
    unsigned countdown; /* allocations that still succeed */
};

static bool fail_later(void *context, size_t bytes)
{
    struct failing *const failing = context;
    (void)bytes;
    return failing->countdown > 0 && failing->countdown-- > 0;
}

Test(runs, are_unchanged_when_an_allocation_fails)
{
    spillkv_status status = SPILLKV_ENOMEM;
    unsigned nth = 0;
    for (; status != SPILLKV_OK; nth++) {
        open_runs(16 * KIB);
        const uint64_t empty = budget_used();
        struct failing failing = {nth};
        uint32_t index;
        uint64_t *run;
        skv_alloc_set_hook(fail_later, &failing);
        status = skv_runs_take(&runs, 0, 1, &index, &run);
        skv_alloc_set_hook(NULL, NULL);
        cr_assert(eq(int, run != NULL, status == SPILLKV_OK));
        cr_assert(eq(int, budget_used() == empty, status != SPILLKV_OK));
        cr_assert(skv_runs_check(&runs));
        close_runs();
        cr_assert(lt(u32, nth, 20));
    }
    cr_expect(gt(u32, nth, 2));
}

Test(runs, are_unchanged_when_the_budget_is_used_up)
{
    spillkv_status status = SPILLKV_EFULL;
    for (uint64_t room = 0; status != SPILLKV_OK; room += 8) {
        open_runs(16 * KIB);
        const uint64_t empty = budget_used();
        const uint64_t others = skv_budget_room(&budget) - room;
        cr_assert(skv_budget_charge(&budget, SKV_MEMORY_SCRATCH, others));
        uint32_t index;
        uint64_t *run;
        status = skv_runs_take(&runs, 0, 1, &index, &run);
        skv_budget_discharge(&budget, SKV_MEMORY_SCRATCH, others);
        cr_assert(status == SPILLKV_OK || status == SPILLKV_EFULL, "status %d", status);
        cr_assert(eq(int, budget_used() == empty, status != SPILLKV_OK));
        cr_assert(le(u64, budget_used(), empty + room));
        cr_assert(skv_runs_check(&runs));
        close_runs();
        cr_assert(lt(u64, room, 64 * KIB));
    }
}

Test(runs, charge_nothing_when_init_fails)
{
    cr_assert(skv_budget_init(&budget, 100, 16 * KIB));
    cr_expect(eq(int, skv_runs_init(&runs, &budget), SPILLKV_EFULL));
    cr_expect(eq(u64, budget_used(), 0));
    skv_budget_fini(&budget);

    cr_assert(skv_budget_init(&budget, 0, 16 * KIB));
    struct failing failing = {0};
    skv_alloc_set_hook(fail_later, &failing);
    cr_expect(eq(int, skv_runs_init(&runs, &budget), SPILLKV_ENOMEM));
    skv_alloc_set_hook(NULL, NULL);
    cr_expect(eq(u64, budget_used(), 0));
    skv_budget_fini(&budget);
}

Test(runs, that_never_were_can_be_ended)
{
    struct skv_runs none = {0};
    skv_runs_fini(&none);
    skv_runs_clear(&none);
    cr_expect(eq(u64, none.bytes, 0));
}
