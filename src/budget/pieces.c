/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. A piece is two bitmaps: its idle segments and its purged ones; what is in neither is
 * leased. Pieces stand in groups of 64, whose bitmaps say which pieces have what:
 *
 *     groups   [ idle | purged | absent ]  hints: no group below them has idle (purged) segments
 *     pieces   [ base | idle | purged | huge ] x 64
 *     memory   [ segment 0 | segment 1 | ... ]  2 MiB
 *
 * Always the lowest one is taken, so that in the long run what is leased crowds together and the
 * high pieces run empty. Lists of free segments were rejected: they would live in the free memory,
 * whose pages we want to give back, and they lose the order. The first group is part of the
 * struct, so a store of up to 128 MiB needs no array.
 *
 * A log gives its oldest segments back in the order in which it took them, so whole pieces get
 * empty while the log goes on taking others. A few empty ones are kept for it, as many as the owner
 * says: clearing 2 MiB anew for each was 9 % of the time of a load that spills.
 *
 * Invariant: in each piece idle and purged are disjoint, and at most empty_most pieces have no
 * leased segment.
 */
#include "budget/pieces.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

#define HUGE_PAGE_BYTES ((size_t)2 << 20)
#define SEGMENTS_MOST   64u /* in a piece: the bits of a map */

static size_t piece_bytes(const struct skv_pieces *pieces)
{
    return pieces->segment_bytes * pieces->segments_per_piece;
}

/* The bitmap of a piece all of whose segments are in. */
static uint64_t all_segments(const struct skv_pieces *pieces)
{
    return ~UINT64_C(0) >> (64 - pieces->segments_per_piece);
}

static uint32_t lowest(uint64_t bits)
{
    return (uint32_t)__builtin_ctzll(bits);
}

static uint32_t highest(uint64_t bits)
{
    return 63u - (uint32_t)__builtin_clzll(bits);
}

static uint32_t count_bits(uint64_t bits)
{
    return (uint32_t)__builtin_popcountll(bits);
}

static struct skv_piece_group *group_at(struct skv_pieces *pieces, uint32_t number)
{
    return number == 0 ? &pieces->first : &pieces->more[number - 1];
}

static struct skv_piece *piece_at(struct skv_pieces *pieces, uint32_t number)
{
    return &group_at(pieces, number / SKV_PIECE_GROUP)->pieces[number % SKV_PIECE_GROUP];
}

static bool is_empty(const struct skv_pieces *pieces, const struct skv_piece *piece)
{
    return piece->base != NULL && (piece->idle | piece->purged) == all_segments(pieces);
}

/* Brings the group's bitmaps and the hints up to date after a change of the piece. */
static void note_change(struct skv_pieces *pieces, uint32_t number)
{
    const uint32_t group_number = number / SKV_PIECE_GROUP;
    struct skv_piece_group *const group = group_at(pieces, group_number);
    const struct skv_piece *const piece = &group->pieces[number % SKV_PIECE_GROUP];
    const uint64_t bit = UINT64_C(1) << (number % SKV_PIECE_GROUP);
    group->idle = piece->idle != 0 ? group->idle | bit : group->idle & ~bit;
    group->purged = piece->purged != 0 ? group->purged | bit : group->purged & ~bit;
    group->absent = piece->base == NULL ? group->absent | bit : group->absent & ~bit;
    const bool was_empty = (group->empty & bit) != 0;
    const bool empty = is_empty(pieces, piece);
    group->empty = empty ? group->empty | bit : group->empty & ~bit;
    const bool split = piece->base != NULL && !piece->huge;
    group->split = split ? group->split | bit : group->split & ~bit;
    pieces->empty_count += (uint32_t)empty - (uint32_t)was_empty;
    if (piece->idle != 0 && group_number < pieces->idle_hint) {
        pieces->idle_hint = group_number;
    }
    if (piece->purged != 0 && group_number < pieces->purged_hint) {
        pieces->purged_hint = group_number;
    }
}

static void init_group(struct skv_piece_group *group)
{
    memset(group, 0, sizeof(*group));
    group->absent = ~UINT64_C(0);
}

void skv_pieces_init(struct skv_pieces *pieces, size_t segment_bytes, uint32_t empty_most)
{
    SKV_CHECK((segment_bytes & (segment_bytes - 1)) == 0);
    SKV_CHECK(segment_bytes >= 4096 && segment_bytes <= HUGE_PAGE_BYTES / 2);
    memset(pieces, 0, sizeof(*pieces));
    pieces->segment_bytes = segment_bytes;
    const size_t fit = HUGE_PAGE_BYTES / segment_bytes;
    pieces->segments_per_piece = fit < SEGMENTS_MOST ? (uint32_t)fit : SEGMENTS_MOST;
    pieces->groups = 1;
    pieces->empty_most = empty_most;
    init_group(&pieces->first);
}

void skv_pieces_fini(struct skv_pieces *pieces)
{
    for (uint32_t i = 0; i < pieces->groups * SKV_PIECE_GROUP; i++) {
        skv_pages_free(piece_at(pieces, i)->base, piece_bytes(pieces));
    }
    skv_free(pieces->more);
    pieces->more = NULL;
    pieces->groups = 0;
    pieces->leased = 0;
    pieces->resident = 0;
}

/* Taking --------------------------------------------------------------------------------------- */

static uint32_t find_idle(struct skv_pieces *pieces)
{
    while (pieces->idle_hint < pieces->groups) {
        const uint64_t bits = group_at(pieces, pieces->idle_hint)->idle;
        if (bits != 0) {
            return pieces->idle_hint * SKV_PIECE_GROUP + lowest(bits);
        }
        pieces->idle_hint++;
    }
    return SKV_PIECE_NONE;
}

static uint32_t find_purged(struct skv_pieces *pieces)
{
    while (pieces->purged_hint < pieces->groups) {
        const uint64_t bits = group_at(pieces, pieces->purged_hint)->purged;
        if (bits != 0) {
            return pieces->purged_hint * SKV_PIECE_GROUP + lowest(bits);
        }
        pieces->purged_hint++;
    }
    return SKV_PIECE_NONE;
}

static uint32_t find_absent(struct skv_pieces *pieces)
{
    for (uint32_t i = 0; i < pieces->groups; i++) {
        const uint64_t bits = group_at(pieces, i)->absent;
        if (bits != 0) {
            return i * SKV_PIECE_GROUP + lowest(bits);
        }
    }
    return SKV_PIECE_NONE;
}

/* Makes place for more pieces; the bytes taken come off the room. */
static bool grow(struct skv_pieces *pieces, uint64_t *room)
{
    const uint32_t groups = pieces->groups * 2;
    const uint64_t growth = (uint64_t)pieces->groups * sizeof(*pieces->more);
    /* Growing for nothing would be a waste: what grew stays. */
    if (groups > SKV_PIECE_NONE / SKV_PIECE_GROUP || *room < growth + pieces->segment_bytes) {
        return false;
    }
    struct skv_piece_group *const more =
        skv_realloc(pieces->more, (groups - 1) * sizeof(*pieces->more));
    if (more == NULL) {
        return false;
    }
    for (uint32_t i = pieces->groups; i < groups; i++) {
        init_group(&more[i - 1]);
    }
    pieces->more = more;
    pieces->groups = groups;
    *room -= growth;
    return true;
}

/* Gets a piece from the system; returns its number, or SKV_PIECE_NONE. */
static uint32_t add_piece(struct skv_pieces *pieces, uint64_t room)
{
    if (room < pieces->segment_bytes) {
        return SKV_PIECE_NONE;
    }
    uint32_t number = find_absent(pieces);
    if (number == SKV_PIECE_NONE) {
        number = pieces->groups * SKV_PIECE_GROUP;
        if (!grow(pieces, &room)) {
            return SKV_PIECE_NONE;
        }
    }
    const size_t bytes = piece_bytes(pieces);
    const bool huge = bytes == HUGE_PAGE_BYTES && room >= bytes;
    uint8_t *const base = skv_pages_alloc(bytes, bytes, huge);
    if (base == NULL) {
        return SKV_PIECE_NONE;
    }
    const uint64_t all = all_segments(pieces);
    *piece_at(pieces, number) = (struct skv_piece){
        .base = base,
        .idle = huge ? all : 0,
        .purged = huge ? 0 : all,
        .huge = huge,
    };
    pieces->resident += huge ? pieces->segments_per_piece : 0;
    note_change(pieces, number);
    return number;
}

/* Takes the lowest idle segment of the piece; if it has none, the lowest purged one. */
static struct skv_span lease_from(struct skv_pieces *pieces, uint32_t number)
{
    struct skv_piece *const piece = piece_at(pieces, number);
    uint32_t segment;
    if (piece->idle != 0) {
        segment = lowest(piece->idle);
        piece->idle &= piece->idle - 1;
        pieces->resident--;
    } else {
        segment = lowest(piece->purged);
        piece->purged &= piece->purged - 1;
        if (piece->purged == 0 && !piece->huge && piece_bytes(pieces) == HUGE_PAGE_BYTES) {
            /* All of it is in use now, so that a huge page would hold no byte in vain. */
            skv_pages_advise(piece->base, HUGE_PAGE_BYTES, true);
            piece->huge = true;
        }
    }
    pieces->leased++;
    note_change(pieces, number);
    return (struct skv_span){piece->base + segment * pieces->segment_bytes, number};
}

bool skv_pieces_take(struct skv_pieces *pieces, uint64_t room, struct skv_span *span_out)
{
    *span_out = (struct skv_span){NULL, SKV_PIECE_NONE};
    uint32_t number = find_idle(pieces);
    if (number == SKV_PIECE_NONE && room >= pieces->segment_bytes) {
        number = find_purged(pieces);
    }
    if (number == SKV_PIECE_NONE) {
        number = add_piece(pieces, room);
    }
    if (number == SKV_PIECE_NONE) {
        return false;
    }
    *span_out = lease_from(pieces, number);
    return true;
}

/* Giving back ---------------------------------------------------------------------------------- */

/* Gives an empty piece back to the system; returns the bytes that were resident. */
static uint64_t drop_piece(struct skv_pieces *pieces, uint32_t number)
{
    struct skv_piece *const piece = piece_at(pieces, number);
    const uint32_t idle = count_bits(piece->idle);
    skv_pages_free(piece->base, piece_bytes(pieces));
    *piece = (struct skv_piece){.base = NULL};
    pieces->resident -= idle;
    note_change(pieces, number);
    return (uint64_t)idle * pieces->segment_bytes;
}

/* There must be one. */
static uint32_t find_highest_empty(struct skv_pieces *pieces)
{
    uint32_t i = pieces->groups - 1;
    while (group_at(pieces, i)->empty == 0) {
        i--;
    }
    return i * SKV_PIECE_GROUP + highest(group_at(pieces, i)->empty);
}

void skv_pieces_set_empty_most(struct skv_pieces *pieces, uint32_t empty_most)
{
    pieces->empty_most = empty_most;
    while (pieces->empty_count > empty_most) {
        (void)drop_piece(pieces, find_highest_empty(pieces));
    }
}

void skv_pieces_give(struct skv_pieces *pieces, struct skv_span span)
{
    SKV_CHECK(span.piece < pieces->groups * SKV_PIECE_GROUP);
    struct skv_piece *const piece = piece_at(pieces, span.piece);
    SKV_CHECK(piece->base != NULL && span.base >= piece->base);
    const size_t offset = (size_t)(span.base - piece->base);
    SKV_CHECK(offset < piece_bytes(pieces) && offset % pieces->segment_bytes == 0);
    const uint64_t bit = UINT64_C(1) << (offset / pieces->segment_bytes);
    SKV_CHECK(((piece->idle | piece->purged) & bit) == 0);
    piece->idle |= bit;
    pieces->resident++;
    pieces->leased--;
    note_change(pieces, span.piece);
    if (pieces->empty_count > pieces->empty_most) {
        (void)drop_piece(pieces, find_highest_empty(pieces));
    }
}

/* How willingly the idle segments of a piece are purged: rather of pieces on small pages than
   of empty ones, rather of those than of others, then of those that have many. */
static uint32_t purge_rank(const struct skv_piece_group *group, uint32_t i)
{
    const uint32_t split = (uint32_t)(group->split >> i & 1);
    const uint32_t empty = (uint32_t)(group->empty >> i & 1);
    return split << 8 | empty << 7 | count_bits(group->pieces[i].idle);
}

static uint32_t find_to_purge(struct skv_pieces *pieces)
{
    uint32_t best = SKV_PIECE_NONE;
    uint32_t best_rank = 0;
    for (uint32_t g = pieces->idle_hint; g < pieces->groups; g++) {
        const struct skv_piece_group *const group = group_at(pieces, g);
        for (uint64_t bits = group->idle; bits != 0; bits &= bits - 1) {
            const uint32_t rank = purge_rank(group, lowest(bits));
            if (rank >= best_rank) {
                best = g * SKV_PIECE_GROUP + lowest(bits);
                best_rank = rank;
            }
        }
    }
    return best;
}

/* Purges idle segments of the piece from the highest down, each run with one call. Of one that
   was on huge pages all of them: it is no longer worth more whole, and others stay so. */
static uint64_t purge_piece(struct skv_pieces *pieces, uint32_t number, uint64_t bytes)
{
    struct skv_piece *const piece = piece_at(pieces, number);
    if (piece->huge) {
        /* Else the kernel would fill the holes up again. */
        skv_pages_advise(piece->base, piece_bytes(pieces), false);
        piece->huge = false;
        bytes = UINT64_MAX;
    }
    uint64_t gone = 0;
    while (piece->idle != 0 && gone < bytes) {
        const uint32_t last = highest(piece->idle);
        uint32_t begin = last + 1;
        while (begin > 0 && (piece->idle >> (begin - 1) & 1) != 0 && gone < bytes) {
            begin--;
            piece->idle &= ~(UINT64_C(1) << begin);
            piece->purged |= UINT64_C(1) << begin;
            pieces->resident--;
            gone += pieces->segment_bytes;
        }
        skv_pages_purge(piece->base + begin * pieces->segment_bytes,
                        (last + 1 - begin) * pieces->segment_bytes);
    }
    note_change(pieces, number);
    if (piece->idle == 0 && is_empty(pieces, piece)) {
        (void)drop_piece(pieces, number);
    }
    return gone;
}

uint64_t skv_pieces_purge(struct skv_pieces *pieces, uint64_t bytes)
{
    uint64_t gone = 0;
    while (pieces->empty_count != 0 && gone + piece_bytes(pieces) <= bytes) {
        gone += drop_piece(pieces, find_highest_empty(pieces));
    }
    while (gone < bytes) {
        const uint32_t number = find_to_purge(pieces);
        if (number == SKV_PIECE_NONE) {
            break;
        }
        gone += purge_piece(pieces, number, bytes - gone);
    }
    return gone;
}

/* Counting ------------------------------------------------------------------------------------- */

uint64_t skv_pieces_unused_bytes(const struct skv_pieces *pieces)
{
    return pieces->resident * pieces->segment_bytes;
}

uint64_t skv_pieces_overhead_bytes(const struct skv_pieces *pieces)
{
    return (uint64_t)(pieces->groups - 1) * sizeof(*pieces->more);
}

static void check_piece(const struct skv_pieces *pieces, const struct skv_piece_group *group,
                        uint32_t i, uint32_t number)
{
    const struct skv_piece *const piece = &group->pieces[i];
    SKV_CHECK((group->idle >> i & 1) == (piece->idle != 0));
    SKV_CHECK((group->purged >> i & 1) == (piece->purged != 0));
    SKV_CHECK((group->absent >> i & 1) == (piece->base == NULL));
    SKV_CHECK((piece->idle & piece->purged) == 0);
    SKV_CHECK(((piece->idle | piece->purged) & ~all_segments(pieces)) == 0);
    SKV_CHECK((group->empty >> i & 1) == is_empty(pieces, piece));
    SKV_CHECK((group->split >> i & 1) == (piece->base != NULL && !piece->huge));
    SKV_CHECK(!piece->huge || piece->purged == 0);
    SKV_CHECK(piece->idle == 0 || number / SKV_PIECE_GROUP >= pieces->idle_hint);
    SKV_CHECK(piece->purged == 0 || number / SKV_PIECE_GROUP >= pieces->purged_hint);
}

bool skv_pieces_check(const struct skv_pieces *pieces)
{
    uint64_t leased = 0;
    uint64_t resident = 0;
    for (uint32_t g = 0; g < pieces->groups; g++) {
        const struct skv_piece_group *const group = g == 0 ? &pieces->first : &pieces->more[g - 1];
        for (uint32_t i = 0; i < SKV_PIECE_GROUP; i++) {
            const struct skv_piece *const piece = &group->pieces[i];
            check_piece(pieces, group, i, g * SKV_PIECE_GROUP + i);
            resident += count_bits(piece->idle);
            if (piece->base != NULL) {
                leased += count_bits(all_segments(pieces) & ~(piece->idle | piece->purged));
            }
        }
    }
    SKV_CHECK(pieces->empty_count <= pieces->empty_most);
    SKV_CHECK(leased == pieces->leased);
    SKV_CHECK(resident == pieces->resident);
    return true;
}
