/* SPDX-License-Identifier: MIT */
/**
 * The account of max_mem, and the pool of segments that all shards of a store lease from.
 *
 * Memory comes from the system in pieces (pieces.h) and is handed out in segments of one size.
 * Everything else a store uses is charged here by kind. What is in use plus what the pool keeps
 * unused never exceeds the limit: when a charge needs it, unused segments go back to the system.
 *
 * It knows nothing of shards: who gives way when it is used up is the engine's decision.
 *
 * Threads: every function is safe from any thread; it takes the budget's own lock, a leaf.
 */
#ifndef SKV_BUDGET_BUDGET_H
#define SKV_BUDGET_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/mutex.h"
#include "budget/pieces.h"

/** What memory is used for. */
enum skv_memory_kind {
    SKV_MEMORY_ENTRIES, /* RAM segments and large entries */
    SKV_MEMORY_TABLE,   /* buckets and directories of the tables */
    SKV_MEMORY_SQLITE,  /* connections and their page caches */
    SKV_MEMORY_SCRATCH, /* buffers of the spillers */
    SKV_MEMORY_FIXED,   /* the store and its shards, their arrays, stacks of threads */
    SKV_MEMORY_KINDS
};

struct skv_budget {
    struct skv_mutex lock;
    size_t segment_bytes; /* constant after init */
    /* Atomic: how often the system refused memory that the limit allowed; only ever compared. */
    _Atomic uint64_t refusals;
    /* Guarded by lock for writing; atomic so that the hot path reads without it. */
    _Atomic uint64_t limit;                  /* bytes; UINT64_MAX: unbounded */
    _Atomic uint64_t goal;                   /* what the limit is being lowered to, or the limit */
    _Atomic uint64_t table_most;             /* bytes that used[SKV_MEMORY_TABLE] may reach */
    _Atomic uint64_t used_total;             /* sum of used[]; unused segments not included */
    _Atomic uint64_t used[SKV_MEMORY_KINDS]; /* bytes by kind */
    struct skv_pieces pieces;                /* guarded by lock; its arrays are in FIXED */
};

/**
 * @param limit          bytes; 0: unbounded
 * @param segment_bytes  a power of two, 4 KiB to 1 MiB
 * @return false when the system refuses a lock
 */
SKV_MUST_CHECK bool skv_budget_init(struct skv_budget *budget, uint64_t limit,
                                    size_t segment_bytes);
/** Frees all pieces at once, whether their segments were given back or not. */
void skv_budget_fini(struct skv_budget *budget);

/**
 * Leases one segment.
 *
 * @param span_out  receives the segment, aligned to its size or to 64 KiB, contents undefined
 * @return false when it would exceed the limit or the system has no memory; span_out->base is NULL
 */
SKV_MUST_CHECK bool skv_budget_take_segment(struct skv_budget *budget, enum skv_memory_kind kind,
                                            struct skv_span *span_out);
/** Gives a leased segment back. */
void skv_budget_give_segment(struct skv_budget *budget, enum skv_memory_kind kind,
                             struct skv_span span);

/** As take_segment, for an entry that needs more than one segment: bytes rounded up to pages come
 *  straight from the system and are charged as such. */
SKV_MUST_CHECK void *skv_budget_take_pages(struct skv_budget *budget, enum skv_memory_kind kind,
                                           size_t bytes);
void skv_budget_give_pages(struct skv_budget *budget, enum skv_memory_kind kind, void *memory,
                           size_t bytes);

/** Charges memory that the caller has from elsewhere; false when it would exceed the limit. */
SKV_MUST_CHECK bool skv_budget_charge(struct skv_budget *budget, enum skv_memory_kind kind,
                                      uint64_t bytes);
/** Charges memory that is in use whatever the limit says (what SQLite holds right now). */
void skv_budget_charge_forced(struct skv_budget *budget, enum skv_memory_kind kind, uint64_t bytes);
void skv_budget_discharge(struct skv_budget *budget, enum skv_memory_kind kind, uint64_t bytes);

/** Changes the goal of the limit (0: unbounded). A higher limit holds at once; a lower one is
 *  reached by steps. */
void skv_budget_set_goal(struct skv_budget *budget, uint64_t goal);
/**
 * Lowers the limit by a step: to the goal, or to `step` bytes below what is in use. Unused segments
 * that no longer fit go back to the system at once.
 *
 * @return whether the goal is further down
 */
bool skv_budget_lower(struct skv_budget *budget, uint64_t step);
/** Keeps the tables from taking more, so that there is memory for entries to come back to. */
void skv_budget_set_table_most(struct skv_budget *budget, uint64_t bytes);
/** Gives up lowering: the goal is what is in use, or the goal if that is more. */
void skv_budget_stop_lowering(struct skv_budget *budget);

/** Changes when the system refuses memory that the limit allowed: tells ENOMEM from EFULL. */
static inline uint64_t skv_budget_refusals(const struct skv_budget *budget)
{
    return atomic_load_explicit(&budget->refusals, memory_order_relaxed);
}

/** Bytes between what is in use and the limit; may be read at any time without a lock. */
static inline uint64_t skv_budget_room(const struct skv_budget *budget)
{
    const uint64_t limit = atomic_load_explicit(&budget->limit, memory_order_relaxed);
    const uint64_t used = atomic_load_explicit(&budget->used_total, memory_order_relaxed);
    return used < limit ? limit - used : 0;
}

static inline uint64_t skv_budget_goal(const struct skv_budget *budget)
{
    return atomic_load_explicit(&budget->goal, memory_order_relaxed);
}

/** Whether the tables may not take another segment. */
static inline bool skv_budget_table_is_full(const struct skv_budget *budget)
{
    return atomic_load_explicit(&budget->used[SKV_MEMORY_TABLE], memory_order_relaxed) +
               budget->segment_bytes >
           atomic_load_explicit(&budget->table_most, memory_order_relaxed);
}

/** Whether more is in use than the limit allows. */
static inline bool skv_budget_is_over(const struct skv_budget *budget)
{
    return atomic_load_explicit(&budget->used_total, memory_order_relaxed) >
           atomic_load_explicit(&budget->limit, memory_order_relaxed);
}

/** Bytes of segments that the pool holds from the system but nobody leases. */
uint64_t skv_budget_unused(struct skv_budget *budget);
/** All kinds and the unused bytes as they are at one moment. */
void skv_budget_read(struct skv_budget *budget, uint64_t used[SKV_MEMORY_KINDS],
                     uint64_t *unused_out);

/** For tests and debug builds: aborts unless kinds, segments and pieces add up; returns true. */
bool skv_budget_check(struct skv_budget *budget);

#endif
