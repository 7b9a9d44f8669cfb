/* SPDX-License-Identifier: MIT */
/**
 * Which disk segments exist and how many live bytes each holds: two bytes of RAM a segment, and two
 * for its generation.
 *
 * A segment id is free, holds packed entries (live bytes > 0), is a lone row, or is doomed: a lone
 * row whose entry is gone and which the next transaction must delete. A packed segment whose last
 * live byte goes is free at once: its row is overwritten when the id is taken again. Ids are reused
 * once more than a tenth of them are free; otherwise new ones are appended, which is what SQLite's
 * B-tree likes best.
 *
 * Knows no SQLite and no files. The caller serialises (the shard's table lock).
 */
#ifndef SKV_DISK_SPACE_H
#define SKV_DISK_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "disk/segment.h"

struct skv_space {
    uint16_t *state;       /* by id, 1 .. count: see space.c */
    uint16_t *generation;  /* by id: how often it was taken, never reset */
    uint32_t capacity;     /* ids that these have room for, +1 */
    uint32_t count;        /* highest id in use since the last clear */
    uint32_t free_count;   /* ids <= count that are free */
    uint32_t gone_count;   /* of those, ids of which the file holds no row */
    uint32_t packed_count; /* ids with packed live entries */
    uint32_t lone_count;
    bool append_only;       /* set by the owner: no id may be reused now */
    uint32_t cursor;        /* where the search for a free id goes on */
    uint32_t sparse_cursor; /* where the search for sparse segments goes on */
    uint32_t free_cursor;   /* where the search for rows of free ids goes on */
    uint32_t *doomed;       /* lone rows to delete */
    uint32_t doomed_count;
    uint32_t doomed_capacity;
    uint32_t deleting_count;    /* doomed ids that skv_space_doomed() handed out */
    uint32_t highest;           /* highest id that was ever taken */
    uint64_t packed_live_bytes; /* of packed segments */
    uint64_t lone_live_bytes;   /* of lone rows */
    uint64_t reuses;            /* how often an id that had been used was taken again */
};

void skv_space_init(struct skv_space *space);
void skv_space_fini(struct skv_space *space);

/** Bytes of RAM that the arrays hold (to be charged by the owner). */
uint64_t skv_space_overhead_bytes(const struct skv_space *space);

/**
 * Makes sure that the next `ids` calls of skv_space_take() and skv_space_take_lone() succeed
 * without memory, and that every lone row, those to come too, can be dropped without memory. The
 * only place where this module allocates.
 */
SKV_MUST_CHECK spillkv_status skv_space_reserve(struct skv_space *space, uint32_t ids);

/** Takes an id for packed entries; its live bytes are 0 until the first skv_space_add(), and it
 *  stays taken until live bytes were added and all dropped, or skv_space_cancel(). 0 when no id was
 *  reserved or SKV_SEGMENT_ID_MAX is reached. */
uint32_t skv_space_take(struct skv_space *space);
/** Takes an id for a lone row of `bytes`, which are live at once; 0 as above. */
uint32_t skv_space_take_lone(struct skv_space *space, uint64_t bytes);

/** The address of what is at a place now, or will be when the id was just taken. */
static inline uint64_t skv_space_address(const struct skv_space *space, uint64_t place)
{
    return skv_address_make(place, space->generation[skv_place_id(place)]);
}

/** Gives back an id to which nothing was added: it is free at once, whether its row was written or
 *  not. */
void skv_space_cancel(struct skv_space *space, uint32_t id);
/** Gives back an id of a lone row that was not written; `bytes` as taken. */
void skv_space_cancel_lone(struct skv_space *space, uint32_t id, uint64_t bytes);

/** Live bytes are added or dropped for an entry at a place; `bytes` as skv_disk_bytes(). Dropping
 * the last of a packed segment frees it; dropping a lone row's entry dooms the row. */
void skv_space_add(struct skv_space *space, uint32_t id, size_t bytes);
void skv_space_drop(struct skv_space *space, uint32_t id, size_t bytes);

/** Moves up to `max` doomed ids to ids_out; they become free when skv_space_undoomed() says that
 *  their rows were deleted, and doomed again when skv_space_redoom() says that they were not. */
uint32_t skv_space_doomed(struct skv_space *space, uint32_t *ids_out, uint32_t max);
void skv_space_undoomed(struct skv_space *space, const uint32_t *ids, uint32_t count);
void skv_space_redoom(struct skv_space *space, const uint32_t *ids, uint32_t count);

/** Live bytes of a packed segment; 0 for any other id. */
size_t skv_space_live(const struct skv_space *space, uint32_t id);

/** Whether packed segments together take more room than 4/3 of their live bytes and 4 segments. */
bool skv_space_is_sparse(const struct skv_space *space);
/** Chooses up to `max` packed segments to be emptied, those with less live bytes than the average,
 *  going around. Returns how many. */
uint32_t skv_space_choose_sparse(struct skv_space *space, uint32_t *ids_out, uint32_t max);

/** Whether more than a quarter of the rows are of free ids: then some should be deleted. */
bool skv_space_is_hollow(const struct skv_space *space);
/** Moves up to `max` free ids whose rows may be in the file to ids_out, as skv_space_doomed() does:
 *  once they are undoomed the file holds no row of them. */
uint32_t skv_space_doom_free(struct skv_space *space, uint32_t *ids_out, uint32_t max);
/** Makes all ids free whose rows are still in the file. */
void skv_space_abandon(struct skv_space *space);
/** Forgets everything: all ids are free. The file's rows must be deleted before ids are taken. */
void skv_space_clear(struct skv_space *space);

/** Aborts unless counts and states agree; returns true. Walks over all ids. */
bool skv_space_check(const struct skv_space *space);

#endif
