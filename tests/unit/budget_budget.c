/* SPDX-License-Identifier: MIT */
#include "budget/budget.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/rng.h"
#include "support/memory.h"

#define KIB     ((size_t)1 << 10)
#define MIB     ((size_t)1 << 20)
#define SEGMENT (64 * KIB)
#define ENTRIES SKV_MEMORY_ENTRIES
#define TABLE   SKV_MEMORY_TABLE

static struct skv_budget budget;

static void start(uint64_t limit, size_t segment_bytes)
{
    cr_assert(skv_budget_init(&budget, limit, segment_bytes));
}

static void finish(void)
{
    cr_expect(skv_budget_check(&budget));
    skv_budget_fini(&budget);
}

/* Takes segments until none is left or there are `most`; returns how many. */
static unsigned take_all(struct skv_span *spans, unsigned most)
{
    unsigned count = 0;
    while (count < most && skv_budget_take_segment(&budget, ENTRIES, &spans[count])) {
        memset(spans[count].base, 1, budget.segment_bytes);
        count++;
    }
    return count;
}

static uint64_t used(enum skv_memory_kind kind)
{
    return atomic_load(&budget.used[kind]);
}

Test(budget, segments_fill_the_limit_to_the_last_one)
{
    static struct skv_span spans[1000];
    for (size_t segment = 4 * KIB; segment <= MIB; segment *= 2) {
        start(45 * segment + 100, segment);
        cr_expect_eq(take_all(spans, 1000), 45);
        cr_expect_null(spans[45].base);
        cr_expect_eq(used(ENTRIES), 45 * segment);
        cr_expect_eq(skv_budget_room(&budget), 100);
        finish();
    }
}

Test(budget, without_a_limit_there_is_always_room)
{
    static struct skv_span spans[2000];
    start(0, SEGMENT);
    cr_expect_eq(take_all(spans, 2000), 2000);
    cr_expect(skv_budget_charge(&budget, TABLE, UINT64_C(1) << 50));
    cr_expect_gt(skv_budget_room(&budget), UINT64_C(1) << 60);
    finish();
}

Test(budget, a_segment_given_back_can_be_taken_again)
{
    static struct skv_span spans[100];
    start(10 * SEGMENT, SEGMENT);
    cr_expect_eq(take_all(spans, 100), 10);
    skv_budget_give_segment(&budget, ENTRIES, spans[7]);
    cr_expect_eq(used(ENTRIES), 9 * SEGMENT);
    cr_expect_eq(skv_budget_unused(&budget), SEGMENT);
    cr_expect_eq(take_all(spans, 100), 1);
    finish();
}

Test(budget, memory_is_accounted_by_kind)
{
    struct skv_span span;
    start(MIB, SEGMENT);
    cr_assert(skv_budget_take_segment(&budget, ENTRIES, &span));
    cr_assert(skv_budget_charge(&budget, TABLE, 1000));
    skv_budget_charge_forced(&budget, SKV_MEMORY_SQLITE, 300);
    cr_expect_eq(used(ENTRIES), SEGMENT);
    cr_expect_eq(used(TABLE), 1000);
    cr_expect_eq(used(SKV_MEMORY_SQLITE), 300);
    cr_expect_eq(atomic_load(&budget.used_total), SEGMENT + 1300);
    cr_expect_eq(skv_budget_room(&budget), MIB - SEGMENT - 1300);
    skv_budget_discharge(&budget, TABLE, 400);
    cr_expect_eq(used(TABLE), 600);
    finish();
}

Test(budget, a_charge_fails_only_when_what_is_used_leaves_no_room)
{
    start(1000, SEGMENT);
    cr_expect(!skv_budget_charge(&budget, TABLE, 1001));
    cr_expect(!skv_budget_charge(&budget, TABLE, UINT64_MAX));
    cr_expect(skv_budget_charge(&budget, TABLE, 600));
    cr_expect(!skv_budget_charge(&budget, TABLE, 401));
    cr_expect(skv_budget_charge(&budget, TABLE, 400));
    cr_expect(skv_budget_charge(&budget, TABLE, 0));
    cr_expect(!skv_budget_charge(&budget, TABLE, 1));
    finish();
}

Test(budget, a_charge_makes_unused_segments_give_way)
{
    static struct skv_span spans[1000];
    start(40 * MIB, SEGMENT);
    const uint64_t before = resident_bytes();
    const unsigned count = take_all(spans, 1000);
    cr_assert_eq(count, 640);
    for (unsigned i = 0; i < count; i++) {
        if (i % 8 != 0) {
            skv_budget_give_segment(&budget, ENTRIES, spans[i]);
        }
    }
    const uint64_t unused = skv_budget_unused(&budget);
    cr_expect(unused > 0 && unused <= 4 * MIB, "most of it went back at once");
    cr_expect(resident_at_most(before + 12 * MIB));
    cr_expect(skv_budget_charge(&budget, TABLE, 20 * MIB));
    cr_expect(!skv_budget_charge(&budget, TABLE, 15 * MIB + 1));
    cr_expect(skv_budget_charge(&budget, TABLE, 15 * MIB));
    cr_expect_eq(skv_budget_unused(&budget), 0);
    cr_expect(resident_at_most(before + 9 * MIB));
    finish();
}

Test(budget, a_forced_charge_may_exceed_the_limit_but_leaves_nothing_unused)
{
    static struct skv_span spans[200];
    start(4 * MIB, SEGMENT);
    cr_assert_eq(take_all(spans, 200), 64);
    skv_budget_give_segment(&budget, ENTRIES, spans[10]);
    skv_budget_charge_forced(&budget, SKV_MEMORY_SQLITE, 8 * MIB);
    cr_expect_eq(skv_budget_unused(&budget), 0);
    cr_expect_eq(skv_budget_room(&budget), 0);
    cr_expect_eq(take_all(spans, 1), 0);
    cr_expect(!skv_budget_charge(&budget, TABLE, 1));
    skv_budget_give_segment(&budget, ENTRIES, spans[20]);
    cr_expect_eq(skv_budget_unused(&budget), 0);
    skv_budget_discharge(&budget, SKV_MEMORY_SQLITE, 8 * MIB);
    cr_expect_eq(take_all(spans, 200), 2);
    finish();
}

Test(budget, a_limit_is_lowered_by_steps_below_what_is_in_use)
{
    static struct skv_span spans[200];
    start(8 * MIB, SEGMENT);
    cr_assert_eq(take_all(spans, 200), 128);
    for (unsigned i = 1; i < 128; i += 2) {
        skv_budget_give_segment(&budget, ENTRIES, spans[i]);
    }
    skv_budget_set_goal(&budget, 5 * MIB);
    cr_expect_not(skv_budget_lower(&budget, MIB));
    cr_expect_leq(skv_budget_unused(&budget), MIB);
    cr_expect_not(skv_budget_is_over(&budget));
    skv_budget_set_goal(&budget, 2 * MIB);
    cr_expect(skv_budget_lower(&budget, MIB), "a step is not enough");
    cr_expect_eq(atomic_load(&budget.limit), 3 * MIB);
    cr_expect(skv_budget_is_over(&budget));
    cr_expect_eq(skv_budget_unused(&budget), 0);
    cr_expect_eq(skv_budget_room(&budget), 0);
    skv_budget_stop_lowering(&budget);
    cr_expect_eq(skv_budget_goal(&budget), 4 * MIB);
    cr_expect_not(skv_budget_is_over(&budget));
    skv_budget_set_goal(&budget, 0);
    cr_expect_eq(take_all(spans, 200), 200);
    finish();
}

Test(budget, pages_are_charged_rounded_and_go_back_at_once)
{
    start(20 * MIB, SEGMENT);
    const uint64_t before = resident_bytes();
    uint8_t *const memory = skv_budget_take_pages(&budget, ENTRIES, 16 * MIB - 5);
    cr_assert_not_null(memory);
    memset(memory, 1, 16 * MIB - 5);
    cr_expect_eq(used(ENTRIES), 16 * MIB);
    cr_expect_null(skv_budget_take_pages(&budget, ENTRIES, 4 * MIB + 1));
    cr_expect_null(skv_budget_take_pages(&budget, ENTRIES, SIZE_MAX));
    cr_expect_eq(used(ENTRIES), 16 * MIB);
    skv_budget_give_pages(&budget, ENTRIES, memory, 16 * MIB - 5);
    cr_expect_eq(used(ENTRIES), 0);
    cr_expect(resident_at_most(before + 4 * MIB));
    skv_budget_give_pages(&budget, ENTRIES, NULL, 10);
    finish();
}

Test(budget, a_refused_allocation_changes_no_account)
{
    struct skv_span span;
    struct failing_alloc failing;
    start(0, SEGMENT);
    failing_alloc_start(&failing, 1);
    cr_expect(!skv_budget_take_segment(&budget, ENTRIES, &span));
    cr_expect_null(span.base);
    failing_alloc_start(&failing, 1);
    cr_expect_null(skv_budget_take_pages(&budget, ENTRIES, MIB));
    failing_alloc_stop();
    cr_expect_eq(atomic_load(&budget.used_total), 0);
    cr_expect(skv_budget_take_segment(&budget, ENTRIES, &span));
    finish();
}

Test(budget, the_arrays_of_many_pieces_are_charged)
{
    enum {
        PIECES = 200
    };
    static struct skv_span spans[32 * PIECES];
    start(0, 4 * KIB);
    cr_assert_eq(take_all(spans, 32 * 64), 32 * 64);
    cr_expect_eq(used(SKV_MEMORY_FIXED), 0);
    cr_assert_eq(take_all(spans, 32 * (PIECES - 64)), 32 * (PIECES - 64));
    cr_expect_gt(used(SKV_MEMORY_FIXED), 0);
    cr_expect_eq(used(SKV_MEMORY_FIXED), skv_pieces_overhead_bytes(&budget.pieces));
    finish();
}

Test(budget, aborts_when_more_is_discharged_than_was_charged, .signal = SIGABRT)
{
    start(1000, SEGMENT);
    cr_assert(skv_budget_charge(&budget, TABLE, 100));
    skv_budget_discharge(&budget, TABLE, 101);
}

/* Many threads take and give; each counts what it holds, the sum must stay under the limit. */

#define THREADS 8
#define MOST    40
#define LIMIT   (12 * MIB)

static _Atomic uint64_t held_by_all;
static _Atomic unsigned overruns;

static void hold(uint64_t bytes)
{
    /* Counted after the charge and uncounted before the discharge: never more than the truth. */
    if (atomic_fetch_add(&held_by_all, bytes) + bytes > LIMIT) {
        atomic_fetch_add(&overruns, 1);
    }
}

static void give_one(struct skv_span span)
{
    if (span.base[0] != span.base[SEGMENT - 1]) {
        atomic_fetch_add(&overruns, 1);
    }
    atomic_fetch_sub(&held_by_all, SEGMENT);
    skv_budget_give_segment(&budget, ENTRIES, span);
}

static void charge_once(struct skv_rng *rng)
{
    const uint64_t bytes = skv_rng_next(rng) % MIB;
    if (skv_budget_charge(&budget, TABLE, bytes)) {
        hold(bytes);
        atomic_fetch_sub(&held_by_all, bytes);
        skv_budget_discharge(&budget, TABLE, bytes);
    }
    void *const pages = skv_budget_take_pages(&budget, ENTRIES, 100 * KIB);
    if (pages != NULL) {
        hold(100 * KIB);
        memset(pages, 1, 100 * KIB);
        atomic_fetch_sub(&held_by_all, 100 * KIB);
        skv_budget_give_pages(&budget, ENTRIES, pages, 100 * KIB);
    }
}

static void *take_and_give(void *context)
{
    struct skv_span spans[MOST];
    unsigned count = 0;
    struct skv_rng rng;
    const uint8_t mark = *(const uint8_t *)context;
    skv_rng_init(&rng, mark);
    for (unsigned round = 0; round < 3000; round++) {
        const uint64_t die = skv_rng_next(&rng) >> 32;
        if (die % 20 == 0) {
            charge_once(&rng);
        } else if (die % 20 < 12 && count < MOST &&
                   skv_budget_take_segment(&budget, ENTRIES, &spans[count])) {
            hold(SEGMENT);
            spans[count].base[0] = mark;
            spans[count].base[SEGMENT - 1] = mark;
            count++;
        } else if (count > 0) {
            const unsigned victim = (unsigned)(die / 32 % count);
            give_one(spans[victim]);
            spans[victim] = spans[--count];
        }
    }
    while (count > 0) {
        give_one(spans[--count]);
    }
    return NULL;
}

Test(budget, many_threads_never_hold_more_than_the_limit, .timeout = 60)
{
    pthread_t threads[THREADS];
    uint8_t marks[THREADS];
    start(LIMIT, SEGMENT);
    for (unsigned i = 0; i < THREADS; i++) {
        marks[i] = (uint8_t)(i + 1);
        cr_assert_eq(pthread_create(&threads[i], NULL, take_and_give, &marks[i]), 0);
    }
    for (unsigned i = 0; i < 200; i++) {
        cr_expect(skv_budget_check(&budget));
    }
    for (unsigned i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    cr_expect_eq(overruns, 0);
    cr_expect_eq(atomic_load(&budget.used_total), 0);
    finish();
}
