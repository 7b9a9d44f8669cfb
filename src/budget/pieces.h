/* SPDX-License-Identifier: MIT */
/**
 * Large aligned pieces of memory from the system, cut into segments of one size.
 *
 * A piece is 2 MiB, aligned to that, on huge pages where the system gives them; with segments of
 * less than 32 KiB it is 64 segments. A free segment is either idle (its pages are resident: unused
 * memory) or purged (its pages went back to the system). Segments are taken from the lowest pieces,
 * so that the highest get empty; an empty piece goes back to the system whole, but for a few that
 * the owner wants kept, because it will take them again at once.
 *
 * The caller serialises.
 */
#ifndef SKV_BUDGET_PIECES_H
#define SKV_BUDGET_PIECES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

/** A leased segment. */
struct skv_span {
    uint8_t *base;
    uint32_t piece; /* which piece it belongs to */
};

struct skv_piece {
    uint8_t *base;   /* NULL: an absent piece, its number is reusable */
    uint64_t idle;   /* bit i: segment i is free and resident */
    uint64_t purged; /* bit i: segment i is free and not resident */
    bool huge;       /* huge pages are asked for now */
};

#define SKV_PIECE_GROUP 64u

/** 64 pieces, and which of them are worth a look. */
struct skv_piece_group {
    uint64_t idle;   /* bit i: piece i has idle segments */
    uint64_t purged; /* bit i: piece i has purged segments */
    uint64_t absent; /* bit i: piece i is absent */
    uint64_t empty;  /* bit i: piece i has no leased segment */
    uint64_t split;  /* bit i: piece i is on small pages */
    struct skv_piece pieces[SKV_PIECE_GROUP];
};

struct skv_pieces {
    /* Constant after init. */
    size_t segment_bytes;
    uint32_t segments_per_piece; /* at most 64 */
    /* Guarded by the caller. */
    uint32_t empty_most;          /* empty pieces that are kept */
    uint32_t groups;              /* of pieces, the first included */
    uint32_t empty_count;         /* pieces without a leased segment */
    uint32_t idle_hint;           /* no group below has idle segments */
    uint32_t purged_hint;         /* no group below has purged segments */
    uint64_t leased;              /* segments handed out */
    uint64_t resident;            /* idle segments */
    struct skv_piece_group *more; /* groups 1 and up; NULL in a small store */
    struct skv_piece_group first;
};

#define SKV_PIECE_NONE UINT32_MAX

/**
 * @param segment_bytes  a power of two, 4 KiB to 1 MiB
 * @param empty_most     empty pieces that are kept
 */
void skv_pieces_init(struct skv_pieces *pieces, size_t segment_bytes, uint32_t empty_most);
/** Changes how many empty pieces are kept; more than that go back to the system. */
void skv_pieces_set_empty_most(struct skv_pieces *pieces, uint32_t empty_most);
/** Frees all pieces, leased segments or not. */
void skv_pieces_fini(struct skv_pieces *pieces);

/**
 * Takes a free segment; a new piece comes from the system if there is none.
 *
 * @param room      bytes that resident memory and our own arrays may still grow by. A piece on huge
 *                  pages is resident whole at once, so it is taken only if it fits; else a piece on
 *                  small pages is taken. An idle segment needs no room.
 * @param span_out  receives the segment, contents undefined; base is NULL on failure
 * @return false when room does not allow it or the system refuses; our arrays may have grown
 */
SKV_MUST_CHECK bool skv_pieces_take(struct skv_pieces *pieces, uint64_t room,
                                    struct skv_span *span_out);
/** Gives a segment back; it becomes idle, or its piece goes back to the system. */
void skv_pieces_give(struct skv_pieces *pieces, struct skv_span span);
/** Gives the pages of free segments back to the system until `bytes` are gone or none is left;
 *  returns the bytes given back. Less than a piece comes from pieces on small pages, so that huge
 *  ones stay whole. */
uint64_t skv_pieces_purge(struct skv_pieces *pieces, uint64_t bytes);
/** Bytes of free segments that are resident. */
uint64_t skv_pieces_unused_bytes(const struct skv_pieces *pieces);
/** Bytes of our own arrays outside of the struct; they only grow. */
uint64_t skv_pieces_overhead_bytes(const struct skv_pieces *pieces);
/** For tests and debug builds: aborts unless all the counts and bitmaps agree; returns true. */
bool skv_pieces_check(const struct skv_pieces *pieces);

#endif
