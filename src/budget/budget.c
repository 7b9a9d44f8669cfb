/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. One account under one lock. Segments are large (64 KiB hold some 500 entries), so a lock
 * for each is cheap; a cache of segments per shard was rejected, as memory that one shard hoards
 * is missing in another. The lock covers the calls that purge unused segments too: another charge
 * must not see room that is not there yet.
 *
 *     0 ........ used_total ........ + unused ........ limit
 *                what users hold      idle segments of the pieces
 *
 * Invariant: used_total + unused <= limit, or nothing is unused (a forced charge or a lowered limit
 * may leave used_total above the limit, never unused memory with it).
 */
#include "budget/budget.h"

#include "base/alloc.h"
#include "base/check.h"

/* So much unused memory is kept in any store. */
#define UNUSED_LEAST ((uint64_t)4 << 20)

static uint64_t load(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void store(_Atomic uint64_t *value, uint64_t to)
{
    /* Readers without the lock want a recent number, not an order. */
    atomic_store_explicit(value, to, memory_order_relaxed);
}

static void add_used_locked(struct skv_budget *budget, enum skv_memory_kind kind, uint64_t bytes)
    SKV_REQUIRES(budget->lock);
static void drop_used_locked(struct skv_budget *budget, enum skv_memory_kind kind, uint64_t bytes)
    SKV_REQUIRES(budget->lock);
static uint64_t held_locked(const struct skv_budget *budget) SKV_REQUIRES(budget->lock);
static void make_room_locked(struct skv_budget *budget, uint64_t bytes) SKV_REQUIRES(budget->lock);
static bool check_locked(const struct skv_budget *budget) SKV_REQUIRES(budget->lock);

static void add_used_locked(struct skv_budget *budget, enum skv_memory_kind kind, uint64_t bytes)
{
    store(&budget->used[kind], load(&budget->used[kind]) + bytes);
    store(&budget->used_total, load(&budget->used_total) + bytes);
}

static void drop_used_locked(struct skv_budget *budget, enum skv_memory_kind kind, uint64_t bytes)
{
    SKV_CHECK(load(&budget->used[kind]) >= bytes);
    store(&budget->used[kind], load(&budget->used[kind]) - bytes);
    store(&budget->used_total, load(&budget->used_total) - bytes);
}

/* Bytes in use and unused together. */
static uint64_t held_locked(const struct skv_budget *budget)
{
    return load(&budget->used_total) + skv_pieces_unused_bytes(&budget->pieces);
}

/* Gives unused memory back to the system until the bytes fit under the limit, or none is left. */
static void make_room_locked(struct skv_budget *budget, uint64_t bytes)
{
    const uint64_t limit = load(&budget->limit);
    const uint64_t held = held_locked(budget);
    if (held > limit || bytes > limit - held) {
        const uint64_t fitting = bytes < limit ? limit - bytes : 0;
        (void)skv_pieces_purge(&budget->pieces, held - fitting);
    }
}

/* Memory that nobody leases may wait for its next use up to a sixteenth of the limit. */
static void trim_locked(struct skv_budget *budget) SKV_REQUIRES(budget->lock);

static void trim_locked(struct skv_budget *budget)
{
    const uint64_t limit = load(&budget->limit);
    const uint64_t share = (limit != UINT64_MAX ? limit : load(&budget->used_total)) / 16;
    const uint64_t most = share > UNUSED_LEAST ? share : UNUSED_LEAST;
    const uint64_t unused = skv_pieces_unused_bytes(&budget->pieces);
    if (unused > most) {
        /* By steps, so that not every segment costs a system call. */
        (void)skv_pieces_purge(&budget->pieces, unused - most + UNUSED_LEAST / 4);
    }
}

static bool check_locked(const struct skv_budget *budget)
{
    uint64_t total = 0;
    for (unsigned kind = 0; kind < SKV_MEMORY_KINDS; kind++) {
        total += load(&budget->used[kind]);
    }
    const uint64_t leased = budget->pieces.leased * budget->segment_bytes;
    const uint64_t overhead = skv_pieces_overhead_bytes(&budget->pieces);
    SKV_CHECK(total == load(&budget->used_total));
    SKV_CHECK(load(&budget->used[SKV_MEMORY_FIXED]) >= overhead);
    SKV_CHECK(leased + overhead <= total);
    SKV_CHECK(held_locked(budget) <= load(&budget->limit) ||
              skv_pieces_unused_bytes(&budget->pieces) == 0);
    return skv_pieces_check(&budget->pieces);
}

/* A sixty-fourth of the limit: what the spillers keep free, and the logs take again at once. */
static uint32_t empty_pieces_most(uint64_t limit)
{
    if (limit == UINT64_MAX) {
        return 1;
    }
    const uint64_t pieces = 3 + limit / 64 / ((uint64_t)2 << 20);
    return pieces < 33 ? (uint32_t)pieces : 33;
}

bool skv_budget_init(struct skv_budget *budget, uint64_t limit, size_t segment_bytes)
{
    budget->segment_bytes = segment_bytes;
    atomic_init(&budget->limit, limit != 0 ? limit : UINT64_MAX);
    atomic_init(&budget->goal, limit != 0 ? limit : UINT64_MAX);
    atomic_init(&budget->table_most, UINT64_MAX);
    atomic_init(&budget->used_total, 0);
    atomic_init(&budget->refusals, 0);
    for (unsigned kind = 0; kind < SKV_MEMORY_KINDS; kind++) {
        atomic_init(&budget->used[kind], 0);
    }
    skv_pieces_init(&budget->pieces, segment_bytes, empty_pieces_most(load(&budget->limit)));
    return skv_mutex_init(&budget->lock, SKV_RANK_BUDGET);
}

void skv_budget_fini(struct skv_budget *budget)
{
    skv_pieces_fini(&budget->pieces);
    skv_mutex_fini(&budget->lock);
}

static void note_refusal(struct skv_budget *budget)
{
    atomic_fetch_add_explicit(&budget->refusals, 1, memory_order_relaxed);
}

bool skv_budget_take_segment(struct skv_budget *budget, enum skv_memory_kind kind,
                             struct skv_span *span_out)
{
    skv_mutex_lock(&budget->lock);
    const uint64_t limit = load(&budget->limit);
    const uint64_t held = held_locked(budget);
    const uint64_t room = held < limit ? limit - held : 0;
    const uint64_t overhead = skv_pieces_overhead_bytes(&budget->pieces);
    const bool allowed = kind != SKV_MEMORY_TABLE || !skv_budget_table_is_full(budget);
    /* An idle segment needs no room, so above the limit (then there is none) this fails. */
    const bool taken = allowed && skv_pieces_take(&budget->pieces, room, span_out);
    if (taken) {
        add_used_locked(budget, kind, budget->segment_bytes);
    } else if (!allowed) {
        *span_out = (struct skv_span){NULL, SKV_PIECE_NONE};
    } else if (room >= budget->segment_bytes) {
        note_refusal(budget);
    }
    add_used_locked(budget, SKV_MEMORY_FIXED,
                    skv_pieces_overhead_bytes(&budget->pieces) - overhead);
    SKV_CHECK_FULL(check_locked(budget));
    skv_mutex_unlock(&budget->lock);
    return taken;
}

void skv_budget_give_segment(struct skv_budget *budget, enum skv_memory_kind kind,
                             struct skv_span span)
{
    skv_mutex_lock(&budget->lock);
    drop_used_locked(budget, kind, budget->segment_bytes);
    skv_pieces_give(&budget->pieces, span);
    /* Above the limit nothing may stay unused. */
    make_room_locked(budget, 0);
    trim_locked(budget);
    SKV_CHECK_FULL(check_locked(budget));
    skv_mutex_unlock(&budget->lock);
}

void *skv_budget_take_pages(struct skv_budget *budget, enum skv_memory_kind kind, size_t bytes)
{
    const size_t whole = skv_pages_round(bytes);
    /* Charged first and mapped without the lock: the account is never behind the system. */
    if (whole < bytes || !skv_budget_charge(budget, kind, whole)) {
        return NULL;
    }
    void *const memory = skv_pages_alloc(whole, skv_pages_round(1), false);
    if (memory == NULL) {
        note_refusal(budget);
        skv_budget_discharge(budget, kind, whole);
    }
    return memory;
}

void skv_budget_give_pages(struct skv_budget *budget, enum skv_memory_kind kind, void *memory,
                           size_t bytes)
{
    if (memory != NULL) {
        skv_pages_free(memory, bytes);
        skv_budget_discharge(budget, kind, skv_pages_round(bytes));
    }
}

bool skv_budget_charge(struct skv_budget *budget, enum skv_memory_kind kind, uint64_t bytes)
{
    skv_mutex_lock(&budget->lock);
    const uint64_t limit = load(&budget->limit);
    const uint64_t used = load(&budget->used_total);
    const bool fits = used <= limit && bytes <= limit - used;
    if (fits) {
        make_room_locked(budget, bytes);
        add_used_locked(budget, kind, bytes);
    }
    SKV_CHECK_FULL(check_locked(budget));
    skv_mutex_unlock(&budget->lock);
    return fits;
}

void skv_budget_charge_forced(struct skv_budget *budget, enum skv_memory_kind kind, uint64_t bytes)
{
    skv_mutex_lock(&budget->lock);
    make_room_locked(budget, bytes);
    add_used_locked(budget, kind, bytes);
    SKV_CHECK_FULL(check_locked(budget));
    skv_mutex_unlock(&budget->lock);
}

void skv_budget_discharge(struct skv_budget *budget, enum skv_memory_kind kind, uint64_t bytes)
{
    skv_mutex_lock(&budget->lock);
    drop_used_locked(budget, kind, bytes);
    SKV_CHECK_FULL(check_locked(budget));
    skv_mutex_unlock(&budget->lock);
}

static void set_limit_locked(struct skv_budget *budget, uint64_t limit) SKV_REQUIRES(budget->lock)
{
    store(&budget->limit, limit);
    skv_pieces_set_empty_most(&budget->pieces, empty_pieces_most(limit));
    make_room_locked(budget, 0);
}

void skv_budget_set_goal(struct skv_budget *budget, uint64_t goal)
{
    skv_mutex_lock(&budget->lock);
    store(&budget->goal, goal != 0 ? goal : UINT64_MAX);
    if (load(&budget->goal) > load(&budget->limit)) {
        set_limit_locked(budget, load(&budget->goal));
    }
    SKV_CHECK_FULL(check_locked(budget));
    skv_mutex_unlock(&budget->lock);
}

bool skv_budget_lower(struct skv_budget *budget, uint64_t step)
{
    skv_mutex_lock(&budget->lock);
    const uint64_t goal = load(&budget->goal);
    const uint64_t used = load(&budget->used_total);
    const uint64_t below = used > step ? used - step : 0;
    set_limit_locked(budget, below > goal ? below : goal);
    SKV_CHECK_FULL(check_locked(budget));
    skv_mutex_unlock(&budget->lock);
    return below > goal;
}

void skv_budget_set_table_most(struct skv_budget *budget, uint64_t bytes)
{
    store(&budget->table_most, bytes);
}

void skv_budget_stop_lowering(struct skv_budget *budget)
{
    skv_mutex_lock(&budget->lock);
    const uint64_t used = load(&budget->used_total);
    if (used > load(&budget->goal)) {
        store(&budget->goal, used);
        set_limit_locked(budget, used);
    }
    SKV_CHECK_FULL(check_locked(budget));
    skv_mutex_unlock(&budget->lock);
}

uint64_t skv_budget_unused(struct skv_budget *budget)
{
    skv_mutex_lock(&budget->lock);
    const uint64_t unused = skv_pieces_unused_bytes(&budget->pieces);
    skv_mutex_unlock(&budget->lock);
    return unused;
}

void skv_budget_read(struct skv_budget *budget, uint64_t used[SKV_MEMORY_KINDS],
                     uint64_t *unused_out)
{
    skv_mutex_lock(&budget->lock);
    for (unsigned kind = 0; kind < SKV_MEMORY_KINDS; kind++) {
        used[kind] = load(&budget->used[kind]);
    }
    *unused_out = skv_pieces_unused_bytes(&budget->pieces);
    skv_mutex_unlock(&budget->lock);
}

bool skv_budget_check(struct skv_budget *budget)
{
    skv_mutex_lock(&budget->lock);
    const bool ok = check_locked(budget);
    skv_mutex_unlock(&budget->lock);
    return ok;
}
