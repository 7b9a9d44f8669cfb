/* SPDX-License-Identifier: MIT */
/**
 * The RAM tier of one shard: two logs of segments, newcomers and survivors.
 *
 * Entries are appended to the open segment of a log; nothing is allocated entry by entry. What is
 * overwritten or deleted stays as garbage until its segment is examined; a segment whose last live
 * byte goes is freed at once. An entry too large to share a segment has one of its own.
 *
 *     oldest                                   newest
 *     [sealed] <-> [sealed] <-> [sealed] <-> [open]      newcomers
 *     [sealed] <-> [open]                                survivors
 *
 * A pin on a segment keeps its memory and the values in it as they are; a segment that is freed
 * while it is pinned goes when the last pin does.
 *
 * Knows no slots, no disk and no threads: the caller serialises (the shard's table lock).
 */
#ifndef SKV_RAM_RAMLOG_H
#define SKV_RAM_RAMLOG_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/attributes.h"
#include "budget/budget.h"
#include "ram/entry.h"

/** A locator in RAM: number of the segment, offset in units of 8 bytes. Numbers start at 1. */
#define SKV_RAM_OFFSET_BITS       13
#define SKV_RAM_SEGMENT_MAX       ((UINT32_C(1) << (32 - SKV_RAM_OFFSET_BITS)) - 1)
#define SKV_RAM_SEGMENT_BYTES_MAX ((size_t)8 << SKV_RAM_OFFSET_BITS)

/** Segments held back so that examining can always begin. */
#define SKV_RAM_SPARES 2
/** Pins that a segment may have at a time, but for those of copies being made. */
#define SKV_RAM_PINS_MOST (UINT32_C(1) << 31)

enum skv_ram_log_name {
    SKV_NEWCOMERS,
    SKV_SURVIVORS,
    SKV_RAM_LOGS
};

enum skv_ram_state {
    SKV_RAM_FREE,     /* the number is unused */
    SKV_RAM_OPEN,     /* entries are appended to it */
    SKV_RAM_SEALED,   /* full */
    SKV_RAM_EXAMINED, /* taken out of its log; its entries are being spilled or kept */
    SKV_RAM_DEAD      /* freed, but pinned; or made for a pin alone */
};

struct skv_ram_segment {
    struct skv_span span; /* base NULL while free */
    uint64_t capacity;    /* bytes */
    uint64_t used;        /* bytes with entries, garbage too */
    uint64_t live;        /* bytes of entries that are not garbage */
    uint64_t born;        /* when it was opened, by the store's clock */
    uint32_t next;        /* towards the newest; free numbers: the next free one */
    uint32_t prev;        /* towards the oldest */
    uint32_t pins;
    uint8_t state; /* enum skv_ram_state */
    uint8_t log;   /* enum skv_ram_log_name */
    bool lone;     /* made of pages, for one entry */
};

struct skv_ram_log {
    uint32_t oldest; /* 0: empty */
    uint32_t newest; /* the open one, if any is open */
    uint64_t used;   /* bytes of its segments' entries, garbage too */
};

struct skv_ram {
    /* Constant after init. */
    struct skv_budget *budget;
    _Atomic uint64_t *clock; /* of the store: counts segments opened */
    size_t segment_bytes;
    /* Changing. */
    uint8_t **bases;                  /* by number: where a segment is; apart for the hot path */
    struct skv_ram_segment *segments; /* by number */
    uint32_t capacity;                /* numbers that the arrays have room for */
    uint32_t count;                   /* highest number ever used */
    uint32_t free_number;             /* list of free numbers */
    uint32_t in_use;                  /* segments that are not free */
    uint32_t hand;                    /* the last number that was asked for garbage */
    struct skv_ram_log logs[SKV_RAM_LOGS];
    uint64_t live;    /* bytes of live entries in all segments */
    uint64_t garbage; /* bytes of garbage in all segments */
    struct skv_span spares[SKV_RAM_SPARES];
    uint32_t spare_count;
};

/**
 * @param clock  counts the segments opened by all shards of the store
 * @return SPILLKV_OK, SPILLKV_ENOMEM, or SPILLKV_EFULL when the budget cannot give the spares
 */
SKV_MUST_CHECK spillkv_status skv_ram_init(struct skv_ram *ram, struct skv_budget *budget,
                                           _Atomic uint64_t *clock);
/** Gives everything back; a zeroed one is fine. */
void skv_ram_fini(struct skv_ram *ram);
/** Frees every segment; pinned ones go with their last pin. */
void skv_ram_clear(struct skv_ram *ram);

static inline uint32_t skv_ram_segment_of(uint64_t locator)
{
    return (uint32_t)(locator >> SKV_RAM_OFFSET_BITS);
}

/** The entry at a locator. Valid while the caller's lock is held, or the segment pinned. */
static SKV_ALWAYS_INLINE uint8_t *skv_ram_at(const struct skv_ram *ram, uint64_t locator)
{
    return ram->bases[skv_ram_segment_of(locator)] +
           ((locator & ((1u << SKV_RAM_OFFSET_BITS) - 1)) << 3);
}

/** Whether an entry of so many bytes has a segment of its own. */
static inline bool skv_ram_is_lone(const struct skv_ram *ram, size_t entry_bytes)
{
    return entry_bytes > ram->segment_bytes / 4;
}

/** Bytes that can be appended to a log without more memory. */
static inline uint64_t skv_ram_room(const struct skv_ram *ram, enum skv_ram_log_name log)
{
    const struct skv_ram_segment *const newest = &ram->segments[ram->logs[log].newest];
    return ram->logs[log].newest != 0 && newest->state == SKV_RAM_OPEN
               ? newest->capacity - newest->used
               : 0;
}

/** Makes sure that so many bytes, of entries that are not lone, can be appended: opens a segment if
 *  need be, where the end of the one before stays unused. Statuses as of skv_ram_append(). */
SKV_MUST_CHECK spillkv_status skv_ram_reserve(struct skv_ram *ram, enum skv_ram_log_name log,
                                              size_t bytes);

/**
 * Appends an entry that is not lone.
 *
 * @param spares       whether the spares may be used up (for examining only)
 * @param locator_out  where the entry is; 0 on failure
 * @return SPILLKV_OK; SPILLKV_EFULL: the budget gives no segment; SPILLKV_ENOMEM
 */
SKV_MUST_CHECK spillkv_status skv_ram_append(struct skv_ram *ram, enum skv_ram_log_name log,
                                             const struct skv_entry_parts *parts, bool spares,
                                             uint64_t *locator_out);
/** The same for bytes that are an entry already; a copy word in it is kept. */
SKV_MUST_CHECK spillkv_status skv_ram_append_bytes(struct skv_ram *ram, enum skv_ram_log_name log,
                                                   const uint8_t *entry, size_t entry_bytes,
                                                   bool spares, uint64_t *locator_out);
/**
 * Makes a segment of memory from skv_budget_take_pages() that holds one entry of `entry_bytes`.
 * On SPILLKV_OK the memory belongs to the log, else still to the caller.
 */
SKV_MUST_CHECK spillkv_status skv_ram_adopt(struct skv_ram *ram, enum skv_ram_log_name log,
                                            void *memory, size_t entry_bytes,
                                            uint64_t *locator_out);

/** The entry at a locator is garbage from now on. */
void skv_ram_forget(struct skv_ram *ram, uint64_t locator);
/** Whether the value of the entry at a locator may be overwritten where it is. */
bool skv_ram_may_overwrite(const struct skv_ram *ram, uint64_t locator);

void skv_ram_pin(struct skv_ram *ram, uint32_t number);
void skv_ram_unpin(struct skv_ram *ram, uint32_t number);

/** Whether a pin that may last can be added. */
static inline bool skv_ram_may_pin(const struct skv_ram *ram, uint32_t number)
{
    return ram->segments[number].pins < SKV_RAM_PINS_MOST;
}

/** Whether a segment is pinned and these bytes are in it. Any arguments at all. */
bool skv_ram_is_pinned(const struct skv_ram *ram, uint32_t number, const void *bytes, size_t size);
/** As skv_ram_adopt(), for an entry that belongs to no key: in no log, pinned once. */
SKV_MUST_CHECK spillkv_status skv_ram_adopt_pinned(struct skv_ram *ram, void *memory,
                                                   size_t entry_bytes, uint32_t *number_out);

/** Takes the oldest segment out of a log to be examined; 0 when the log is empty. */
uint32_t skv_ram_detach_oldest(struct skv_ram *ram, enum skv_ram_log_name log);
/**
 * Takes the segment with the most garbage, of the next `most` ones by number, out of its log. Not a
 * pinned one: to empty it would free nothing yet.
 *
 * @param least  bytes of garbage that it must have
 * @return 0 when none has; the next call goes on where this one ended
 */
uint32_t skv_ram_detach_wasteful(struct skv_ram *ram, uint32_t most, uint64_t least);
/** Puts an examined segment back as the oldest of its log. */
void skv_ram_reattach(struct skv_ram *ram, uint32_t number);
/** Puts an examined segment with a lone entry at the newest end of a log: nothing is copied. */
void skv_ram_relog(struct skv_ram *ram, uint32_t number, enum skv_ram_log_name log);
/** Frees an examined segment in which nothing is live. */
void skv_ram_release(struct skv_ram *ram, uint32_t number);
/** Fills up the spares from the budget; returns whether all are there. */
bool skv_ram_refill(struct skv_ram *ram);

/** When the oldest segment of the newcomers (of the survivors, if there are none) was opened;
 *  UINT64_MAX when both logs are empty. */
uint64_t skv_ram_oldest_born(const struct skv_ram *ram);
/** Bytes of RAM of our own arrays. */
uint64_t skv_ram_overhead_bytes(const struct skv_ram *ram);
/** Aborts unless lists, states and sums agree; returns true. */
bool skv_ram_check(const struct skv_ram *ram);

#endif
