/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#include "base/rng.h"
#include "budget/pieces.h"
#include "support/memory.h"

#define KIB      ((size_t)1 << 10)
#define MIB      ((size_t)1 << 20)
#define PIECE    (2 * MIB)
#define NO_LIMIT UINT64_MAX

static struct skv_span take(struct skv_pieces *pieces, uint64_t room)
{
    struct skv_span span;
    cr_assert(skv_pieces_take(pieces, room, &span));
    cr_assert_not_null(span.base);
    return span;
}

Test(pieces, segments_are_aligned_writable_and_apart)
{
    static struct skv_span spans[300];
    for (size_t segment = 4 * KIB; segment <= MIB; segment *= 2) {
        struct skv_pieces pieces;
        skv_pieces_init(&pieces, segment, 1);
        const unsigned count = segment > 64 * KIB ? 20 : 300;
        const size_t align = segment < 64 * KIB ? segment : 64 * KIB;
        for (unsigned i = 0; i < count; i++) {
            spans[i] = take(&pieces, NO_LIMIT);
            cr_expect_eq((uintptr_t)spans[i].base % align, 0);
            memset(spans[i].base, (int)(i % 251), segment);
        }
        cr_expect(skv_pieces_check(&pieces));
        for (unsigned i = 0; i < count; i++) {
            cr_expect_eq(spans[i].base[0], i % 251);
            cr_expect_eq(spans[i].base[segment - 1], i % 251);
            skv_pieces_give(&pieces, spans[i]);
        }
        cr_expect(skv_pieces_check(&pieces));
        skv_pieces_fini(&pieces);
    }
}

Test(pieces, a_huge_piece_counts_whole_at_once)
{
    struct skv_pieces pieces;
    skv_pieces_init(&pieces, 64 * KIB, 1);
    (void)take(&pieces, PIECE);
    cr_expect_eq(skv_pieces_unused_bytes(&pieces), PIECE - 64 * KIB);
    skv_pieces_fini(&pieces);
}

Test(pieces, a_small_piece_counts_what_is_taken)
{
    struct skv_pieces pieces;
    skv_pieces_init(&pieces, 64 * KIB, 1);
    (void)take(&pieces, PIECE - 1);
    (void)take(&pieces, 64 * KIB);
    cr_expect_eq(skv_pieces_unused_bytes(&pieces), 0);
    cr_expect_eq(pieces.leased, 2);
    skv_pieces_fini(&pieces);
}

Test(pieces, an_idle_segment_needs_no_room_all_others_do)
{
    struct skv_pieces pieces;
    struct skv_span span;
    skv_pieces_init(&pieces, 64 * KIB, 1);
    cr_expect(!skv_pieces_take(&pieces, 64 * KIB - 1, &span));
    cr_expect_null(span.base);
    const struct skv_span first = take(&pieces, 64 * KIB);
    cr_expect(!skv_pieces_take(&pieces, 64 * KIB - 1, &span));
    (void)take(&pieces, 64 * KIB);
    skv_pieces_give(&pieces, first);
    cr_expect_eq(take(&pieces, 0).base, first.base);
    skv_pieces_fini(&pieces);
}

Test(pieces, the_lowest_idle_segment_is_taken_first)
{
    struct skv_span spans[96];
    struct skv_pieces pieces;
    skv_pieces_init(&pieces, 64 * KIB, 1);
    for (unsigned i = 0; i < 96; i++) {
        spans[i] = take(&pieces, NO_LIMIT);
    }
    skv_pieces_give(&pieces, spans[90]);
    skv_pieces_give(&pieces, spans[40]);
    skv_pieces_give(&pieces, spans[5]);
    cr_expect_eq(take(&pieces, 0).base, spans[5].base);
    cr_expect_eq(take(&pieces, 0).base, spans[40].base);
    cr_expect_eq(take(&pieces, 0).base, spans[90].base);
    skv_pieces_fini(&pieces);
}

Test(pieces, a_resident_segment_is_preferred_to_a_purged_one)
{
    struct skv_span spans[64];
    struct skv_pieces pieces;
    skv_pieces_init(&pieces, 64 * KIB, 1);
    for (unsigned i = 0; i < 64; i++) {
        spans[i] = take(&pieces, NO_LIMIT);
    }
    skv_pieces_give(&pieces, spans[3]);
    cr_expect_eq(skv_pieces_purge(&pieces, 1), 64 * KIB);
    skv_pieces_give(&pieces, spans[60]);
    cr_expect_eq(take(&pieces, NO_LIMIT).base, spans[60].base);
    cr_expect_eq(take(&pieces, NO_LIMIT).base, spans[3].base);
    cr_expect(skv_pieces_check(&pieces));
    skv_pieces_fini(&pieces);
}

Test(pieces, empty_pieces_go_back_but_for_one)
{
    enum {
        COUNT = 40 * 32
    };
    static struct skv_span spans[COUNT];
    struct skv_pieces pieces;
    skv_pieces_init(&pieces, 64 * KIB, 1);
    const uint64_t before = resident_bytes();
    for (unsigned i = 0; i < COUNT; i++) {
        spans[i] = take(&pieces, NO_LIMIT);
        memset(spans[i].base, 1, 64 * KIB);
    }
    cr_expect_geq(resident_bytes(), before + COUNT * 64 * KIB);
    for (unsigned i = 0; i < COUNT; i++) {
        skv_pieces_give(&pieces, spans[i]);
        cr_assert(skv_pieces_check(&pieces));
    }
    cr_expect_eq(skv_pieces_unused_bytes(&pieces), PIECE);
    cr_expect(resident_at_most(before + PIECE + 4 * MIB));
    cr_expect_eq(take(&pieces, 0).base, spans[0].base);
    skv_pieces_fini(&pieces);
}

Test(pieces, purging_gives_whole_empty_pieces_back_or_splits_one)
{
    struct skv_span spans[33];
    struct skv_pieces pieces;
    skv_pieces_init(&pieces, 64 * KIB, 1);
    for (unsigned i = 0; i < 33; i++) {
        spans[i] = take(&pieces, NO_LIMIT);
    }
    for (unsigned i = 0; i < 32; i++) {
        skv_pieces_give(&pieces, spans[i]);
    }
    cr_expect_eq(skv_pieces_purge(&pieces, 0), 0);
    cr_expect_eq(skv_pieces_purge(&pieces, PIECE), PIECE);
    cr_expect_eq(skv_pieces_unused_bytes(&pieces), 31 * 64 * KIB);
    cr_expect_eq(skv_pieces_purge(&pieces, 1), 31 * 64 * KIB, "a split one is not worth keeping");
    cr_expect(skv_pieces_check(&pieces));
    skv_pieces_fini(&pieces);
}

Test(pieces, purged_segments_leave_resident_memory)
{
    enum {
        COUNT = 20 * 32
    };
    static struct skv_span spans[COUNT];
    struct skv_pieces pieces;
    skv_pieces_init(&pieces, 64 * KIB, 1);
    for (unsigned i = 0; i < COUNT; i++) {
        spans[i] = take(&pieces, NO_LIMIT);
        memset(spans[i].base, 1, 64 * KIB);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        if (i % 4 != 0) {
            skv_pieces_give(&pieces, spans[i]);
        }
    }
    const uint64_t before = resident_bytes();
    const uint64_t half = COUNT / 2 * 64 * KIB;
    const uint64_t gone = skv_pieces_purge(&pieces, half);
    cr_expect(gone >= half && gone < half + PIECE);
    cr_expect(resident_at_most(before - half + 4 * MIB));
    cr_expect_eq(gone + skv_pieces_purge(&pieces, NO_LIMIT), half + half / 2);
    cr_expect_eq(skv_pieces_unused_bytes(&pieces), 0);
    for (unsigned i = 0; i < COUNT; i += 4) {
        cr_expect_eq(spans[i].base[0], 1);
        cr_expect_eq(spans[i].base[64 * KIB - 1], 1);
    }
    cr_expect(skv_pieces_check(&pieces));
    skv_pieces_fini(&pieces);
}

Test(pieces, ending_frees_leased_segments_too)
{
    struct skv_pieces pieces;
    skv_pieces_init(&pieces, 64 * KIB, 1);
    const uint64_t before = resident_bytes();
    for (unsigned i = 0; i < 32 * 32; i++) {
        memset(take(&pieces, NO_LIMIT).base, 1, 64 * KIB);
    }
    skv_pieces_fini(&pieces);
    cr_expect(resident_at_most(before + 4 * MIB));
}

Test(pieces, thousands_of_pieces_can_be_had)
{
    enum {
        COUNT = 5000
    };
    static struct skv_span spans[COUNT];
    struct skv_pieces pieces;
    skv_pieces_init(&pieces, MIB, 1);
    for (unsigned i = 0; i < COUNT; i++) {
        spans[i] = take(&pieces, NO_LIMIT);
        spans[i].base[0] = 1;
        skv_pieces_purge(&pieces, NO_LIMIT);
    }
    cr_expect(skv_pieces_check(&pieces));
    cr_expect_gt(skv_pieces_overhead_bytes(&pieces), 0);
    cr_expect_lt(skv_pieces_overhead_bytes(&pieces), 256 * KIB);
    for (unsigned i = COUNT; i > 0; i--) {
        skv_pieces_give(&pieces, spans[i - 1]);
    }
    cr_expect_eq(pieces.leased, 0);
    cr_expect(skv_pieces_check(&pieces));
    skv_pieces_fini(&pieces);
}

Test(pieces, every_refused_allocation_fails_one_take_only)
{
    enum {
        COUNT = 32 * 70
    };
    static struct skv_span spans[COUNT];
    bool failed = true;
    for (unsigned fail_at = 1; failed; fail_at += fail_at < 60 ? 20 : 1) {
        struct skv_pieces pieces;
        struct failing_alloc failing;
        unsigned refused = 0;
        skv_pieces_init(&pieces, 4 * KIB, 1);
        failing_alloc_start(&failing, fail_at);
        for (unsigned i = 0; i < COUNT;) {
            if (skv_pieces_take(&pieces, NO_LIMIT, &spans[i])) {
                i++;
            } else {
                cr_expect_null(spans[i].base);
                cr_assert(skv_pieces_check(&pieces));
                refused++;
            }
        }
        failing_alloc_stop();
        failed = failing.failed;
        cr_expect_eq(refused, failed ? 1 : 0);
        cr_expect_eq(pieces.leased, COUNT);
        skv_pieces_fini(&pieces);
    }
}

static void random_rounds(size_t segment, uint64_t seed)
{
    enum {
        MOST = 2000,
        ROUNDS = 20000
    };
    static struct skv_span spans[MOST];
    unsigned count = 0;
    struct skv_rng rng;
    struct skv_pieces pieces;
    skv_rng_init(&rng, seed);
    skv_pieces_init(&pieces, segment, 1);
    for (unsigned round = 0; round < ROUNDS; round++) {
        const uint64_t die = skv_rng_next(&rng) >> 32;
        const bool filling = round / 2500 % 2 == 0;
        if (die % 100 < (filling ? 70 : 20) && count < MOST) {
            const uint64_t room =
                die % 7 == 0 ? segment + 64 * KIB : 2 * PIECE; /* and our arrays */
            struct skv_span *const span = &spans[count];
            cr_assert(skv_pieces_take(&pieces, room, span));
            const uintptr_t kept = (uintptr_t)span->base;
            memcpy(span->base, &kept, sizeof(kept));
            count++;
        } else if (die % 100 < 99 && count > 0) {
            const unsigned victim = (unsigned)(skv_rng_next(&rng) % count);
            uintptr_t kept;
            memcpy(&kept, spans[victim].base, sizeof(kept));
            cr_assert_eq(kept, (uintptr_t)spans[victim].base);
            skv_pieces_give(&pieces, spans[victim]);
            spans[victim] = spans[--count];
        } else {
            const uint64_t unused = skv_pieces_unused_bytes(&pieces);
            const uint64_t gone = skv_pieces_purge(&pieces, die % (4 * MIB));
            cr_assert_eq(skv_pieces_unused_bytes(&pieces), unused - gone);
        }
        cr_assert_eq(pieces.leased, count);
        cr_assert(round % 16 != 0 || skv_pieces_check(&pieces), "seed %llu round %u",
                  (unsigned long long)seed, round);
    }
    skv_pieces_fini(&pieces);
}

Test(pieces, counts_and_contents_hold_in_any_order, .timeout = 60)
{
    random_rounds(4 * KIB, 1);
    random_rounds(64 * KIB, 2);
    random_rounds(MIB, 3);
}

Test(pieces, aborts_when_a_segment_is_given_back_twice, .signal = SIGABRT)
{
    struct skv_pieces pieces;
    skv_pieces_init(&pieces, 64 * KIB, 1);
    const struct skv_span span = take(&pieces, NO_LIMIT);
    (void)take(&pieces, NO_LIMIT);
    skv_pieces_give(&pieces, span);
    skv_pieces_give(&pieces, span);
}
