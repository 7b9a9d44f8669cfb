/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. Memory is freed from the old ends of the two logs. A quantum of entries is examined under
 * the lock: garbage is skipped, the least valuable part of the bytes is chosen, everything else is
 * appended to a log again. Of the chosen ones those with a valid copy on disk leave at once; the
 * others are packed into a batch, which shard_spill.c writes and settles.
 *
 *       newcomers  -----.                     .--> batch -> transaction -> settle -> disk
 *                        >-- a quantum -- chosen
 *       survivors  -----'                \---> kept: newcomers (never used), survivors
 *
 * Which are chosen says table/victims.h; all of them when there is no room left to keep anything.
 * While much of the memory is garbage, segments with much of it come first and all their entries
 * are kept.
 *
 * A part of a hot shard may be worth more than all of a cold one. So a shard whose part has been
 * worth more than the average of the store gives up less of what is examined, one whose part has
 * been worth less gives up more, and memory moves to where it saves most reads. Scores count ages
 * in ticks of their shard; with the length of a tick on the store's clock they can be compared.
 */
#include "shard/shard_private.h"
#include "table/victims.h"

/** Where a shard's entries are worth more or less than those of others it gives up, instead of
 *  SKV_VICTIMS_PERCENT, so much at least and at most. */
#define CHOSEN_LEAST 4
#define CHOSEN_MOST  60
/** More than such a part of a shard's bytes should not be garbage. Then segments of which such a
 *  part is garbage are emptied first, the worst of some at a time; nothing else leaves RAM. */
#define GARBAGE_PART  16
#define WASTEFUL_PART 6
#define WASTEFUL_OF   64
/** Over how many quanta, about, averages of worth are taken: of a shard, and of the store. */
#define OWN_QUANTA   64
#define STORE_QUANTA 256
_Static_assert(SKV_QUANTUM_ENTRIES <= SKV_VICTIMS_MAX, "a quantum is a batch");

struct item {
    uint64_t hash;
    uint64_t locator;
    uint64_t header;
    uint8_t *entry;
    uint64_t *slot; /* NULL: garbage */
    uint32_t bytes; /* saturated: only for weighing */
    uint32_t score;
};

struct quantum {
    struct item items[SKV_QUANTUM_ENTRIES];
    uint32_t count;
    size_t bytes;      /* of all items */
    bool keep_none;    /* there is no room to keep anything */
    bool only_garbage; /* everything else is kept */
    struct skv_victims victims;
};

/* Collecting. */

static uint32_t detach_next(struct skv_shard *shard, enum skv_walk walk)
    SKV_REQUIRES(shard->spill, shard->lock)
{
    struct skv_ram *const ram = &shard->ram;
    if (walk != SKV_WALK_WASTEFUL) {
        return skv_ram_detach_oldest(ram, (enum skv_ram_log_name)walk);
    }
    return shard->mode == SKV_SHARD_KEEP
               ? skv_ram_detach_wasteful(ram, ram->count, ram->segment_bytes / 8 + 1)
               : skv_ram_detach_wasteful(ram, WASTEFUL_OF, ram->segment_bytes / WASTEFUL_PART);
}

/** The segment that is being walked over, the next one if that is done; 0 when there is none or the
 * list of walked ones is full. */
static uint32_t current_segment(struct skv_shard *shard, enum skv_walk walk)
    SKV_REQUIRES(shard->spill, shard->lock)
{
    struct skv_examination *const ex = &shard->examination;
    const uint32_t segment = ex->segment[walk];
    if (segment != 0 && ex->cursor[walk] < shard->ram.segments[segment].used) {
        return segment;
    }
    if (ex->walked_count == SKV_BATCH_WALKED) {
        return 0;
    }
    if (segment != 0) {
        ex->walked[ex->walked_count++] = segment;
    }
    ex->cursor[walk] = 0;
    ex->segment[walk] = 0;
    if (ex->walked_count < SKV_BATCH_WALKED) {
        ex->segment[walk] = detach_next(shard, walk);
    }
    return ex->segment[walk];
}

/** Whether there is room for a quantum of which everything is kept; a segment may end early, and a
 * quantum go on, by as much as the largest entry that shares a segment. */
static bool has_room_to_keep(struct skv_shard *shard) SKV_REQUIRES(shard->spill, shard->lock)
{
    struct skv_ram *const ram = &shard->ram;
    return skv_ram_refill(ram) || skv_ram_room(ram, SKV_NEWCOMERS) +
                                          skv_ram_room(ram, SKV_SURVIVORS) +
                                          ram->spare_count * ram->segment_bytes >=
                                      shard->quantum_bytes + ram->segment_bytes / 2;
}

static void collect(struct skv_shard *shard, enum skv_walk walk, uint32_t entries, size_t bytes,
                    struct quantum *quantum) SKV_REQUIRES(shard->spill, shard->lock)
{
    struct skv_examination *const ex = &shard->examination;
    size_t taken = 0;
    for (uint32_t i = 0; i < entries && taken < bytes; i++) {
        const uint32_t segment = current_segment(shard, walk);
        if (segment == 0) {
            return;
        }
        struct item *const item = &quantum->items[quantum->count++];
        item->locator = (uint64_t)segment << SKV_RAM_OFFSET_BITS | ex->cursor[walk] >> 3;
        item->entry = shard->ram.segments[segment].span.base + ex->cursor[walk];
        item->header = skv_entry_header(item->entry);
        const size_t size = skv_entry_bytes(item->header);
        item->bytes = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
        item->hash = skv_hash(shard->secret, skv_entry_key(item->entry, item->header),
                              skv_header_key_size(item->header));
        skv_table_prefetch_group(&shard->table, item->hash);
        ex->cursor[walk] += size;
        taken += size;
    }
    quantum->bytes += taken;
}

/** Takes the oldest entries of both logs, in proportion to what is in them. */
static void collect_both(struct skv_shard *shard, struct quantum *quantum)
    SKV_REQUIRES(shard->spill, shard->lock)
{
    const struct skv_ram *const ram = &shard->ram;
    uint64_t weight[SKV_RAM_LOGS];
    for (int log = 0; log < SKV_RAM_LOGS; log++) {
        const uint32_t segment = shard->examination.segment[log];
        weight[log] =
            ram->logs[log].used +
            (segment != 0 ? ram->segments[segment].used - shard->examination.cursor[log] : 0);
    }
    uint32_t entries = (uint32_t)skv_victims_survivors(SKV_QUANTUM_ENTRIES, weight[SKV_NEWCOMERS],
                                                       weight[SKV_SURVIVORS]);
    const size_t bytes =
        skv_victims_survivors(shard->quantum_bytes, weight[SKV_NEWCOMERS], weight[SKV_SURVIVORS]);
    collect(shard, SKV_WALK_SURVIVORS, entries, bytes, quantum);
    entries = SKV_QUANTUM_ENTRIES - quantum->count;
    if (quantum->bytes < shard->quantum_bytes) {
        collect(shard, SKV_WALK_NEWCOMERS, entries, shard->quantum_bytes - quantum->bytes, quantum);
    }
}

/** Takes entries of segments with much garbage, if there is so much of it that only this should be
 *  freed. Kept entries need room. */
static void collect_wasteful(struct skv_shard *shard, struct quantum *quantum)
    SKV_REQUIRES(shard->spill, shard->lock)
{
    const struct skv_ram *const ram = &shard->ram;
    if (shard->mode == SKV_SHARD_KEEP ||
        (!quantum->keep_none && ram->garbage > (ram->live + ram->garbage) / GARBAGE_PART)) {
        collect(shard, SKV_WALK_WASTEFUL, SKV_QUANTUM_ENTRIES, shard->quantum_bytes, quantum);
    }
    quantum->only_garbage = quantum->count != 0;
}

/* Choosing. */

/** Loads the buckets of the next items. */
static void touch_some(const struct skv_shard *shard, const struct quantum *quantum, uint32_t from)
    SKV_REQUIRES(shard->lock)
{
    for (uint32_t i = from; i < from + SKV_TABLE_TOUCHES && i < quantum->count; i++) {
        skv_table_touch(&shard->table, quantum->items[i].hash);
    }
}

static void look_up(struct skv_shard *shard, struct quantum *quantum)
    SKV_REQUIRES(shard->spill, shard->lock)
{
    skv_victims_init(&quantum->victims);
    for (uint32_t i = 0; i < quantum->count; i++) {
        struct item *const item = &quantum->items[i];
        if (i % SKV_TABLE_TOUCHES == 0) {
            touch_some(shard, quantum, i);
        }
        item->slot = skv_shard_slot_at(&shard->table, item->hash, false, item->locator);
        if (item->slot == NULL) {
            continue;
        }
        const uint32_t bits = skv_slot_policy(*item->slot);
        item->score = skv_policy_score(&shard->policy, bits);
        skv_victims_add(&quantum->victims, item->score, item->bytes, skv_policy_is_unused(bits));
        shard->counters.examined++;
    }
}

/** What the entries between leaving and staying are worth, comparable in all shards. */
static int32_t comparable_worth(const struct skv_shard *shard, const struct quantum *quantum)
{
    const uint64_t now = atomic_load_explicit(shard->ram.clock, memory_order_relaxed);
    const uint64_t since = 16 * (now - shard->tick_began);
    /* A shard that comes to a stop has no tick to tell of it. */
    const uint64_t tick = 1 + (since > 2 * shard->tick_length ? since : shard->tick_length);
    const int32_t score = (int32_t)quantum->victims.below;
    return score - skv_policy_log(&shard->policy, tick < UINT32_MAX ? (uint32_t)tick : UINT32_MAX);
}

/** The percentage to choose here so that all shards give up what is worth the same. The quantum
 *  says what the usual part would be worth. */
static uint32_t fair_percent(struct skv_shard *shard, const struct quantum *quantum)
{
    const int32_t usual = SKV_VICTIMS_PERCENT;
    const int32_t worth = comparable_worth(shard, quantum);
    const int32_t others = atomic_load_explicit(shard->store_worth, memory_order_relaxed);
    shard->worth = shard->worth == 0 ? worth : shard->worth + (worth - shard->worth) / OWN_QUANTA;
    atomic_store_explicit(shard->store_worth,
                          others == 0 ? worth : others + (shard->worth - others) / STORE_QUANTA,
                          memory_order_relaxed);
    const int32_t less = others == 0 ? 0 : others - shard->worth;
    const int32_t percent = usual + 2 * usual * less / (int32_t)shard->policy.octave;
    return (uint32_t)(percent < CHOSEN_LEAST  ? CHOSEN_LEAST
                      : percent > CHOSEN_MOST ? CHOSEN_MOST
                                              : percent);
}

static void choose(struct skv_shard *shard, struct quantum *quantum)
{
    const enum skv_victims_wish wish = quantum->only_garbage ? SKV_VICTIMS_NONE
                                       : quantum->keep_none  ? SKV_VICTIMS_ALL
                                                             : SKV_VICTIMS_SOME;
    const bool is_part = skv_victims_choose(&quantum->victims, wish, SKV_VICTIMS_PERCENT);
    if (is_part && shard->store_worth != NULL && shard->policy.octave != 0) {
        const uint32_t percent = fair_percent(shard, quantum);
        (void)skv_victims_choose(&quantum->victims, wish, percent);
    }
}

/* Applying. */

static bool is_lone_segment(const struct skv_shard *shard, const struct item *item)
{
    return shard->ram.segments[skv_ram_segment_of(item->locator)].lone;
}

static size_t key_and_value_bytes(uint64_t header)
{
    return skv_header_key_size(header) + skv_header_value_size(header);
}

void skv_shard_move_to_disk_locked(struct skv_shard *shard, uint64_t *slot, uint64_t locator,
                                   uint64_t header, uint64_t place)
{
    *slot = skv_slot_moved(*slot, true, place);
    skv_shard_uncount_ram(shard, key_and_value_bytes(header));
    skv_shard_count_spilled(shard, key_and_value_bytes(header));
    skv_ram_forget(&shard->ram, locator);
}

static void drop_entry(struct skv_shard *shard, struct item *item)
{
    skv_table_remove(&shard->table, item->hash, item->slot);
    skv_shard_uncount_ram(shard, key_and_value_bytes(item->header));
    skv_ram_forget(&shard->ram, item->locator);
    shard->counters.drops++;
    shard->examination.worked = true;
}

/** Takes the segment of a lone entry out of the examination. */
static void leave_examination(struct skv_shard *shard, uint32_t segment)
    SKV_REQUIRES(shard->spill, shard->lock)
{
    struct skv_examination *const ex = &shard->examination;
    for (int walk = 0; walk < SKV_WALKS; walk++) {
        if (ex->segment[walk] == segment) {
            ex->segment[walk] = 0;
            return;
        }
    }
    for (uint32_t i = 0; i < ex->walked_count; i++) {
        if (ex->walked[i] == segment) {
            ex->walked[i] = ex->walked[--ex->walked_count];
            return;
        }
    }
    SKV_CHECK(false && "the segment is under examination");
}

/** Appends an entry to a log again. False when there is no room: it stays where it is. */
static bool keep(struct skv_shard *shard, struct item *item) SKV_REQUIRES(shard->spill, shard->lock)
{
    const bool unused = skv_policy_is_unused(skv_slot_policy(*item->slot));
    const enum skv_ram_log_name log = unused ? SKV_NEWCOMERS : SKV_SURVIVORS;
    const enum skv_ram_log_name other = unused ? SKV_SURVIVORS : SKV_NEWCOMERS;
    if (is_lone_segment(shard, item)) {
        const uint32_t segment = skv_ram_segment_of(item->locator);
        leave_examination(shard, segment);
        skv_ram_relog(&shard->ram, segment, log);
        return true;
    }
    uint64_t locator;
    const size_t bytes = skv_entry_bytes(item->header);
    if (skv_ram_append_bytes(&shard->ram, log, item->entry, bytes, true, &locator) != SPILLKV_OK &&
        skv_ram_append_bytes(&shard->ram, other, item->entry, bytes, true, &locator) !=
            SPILLKV_OK) {
        return false;
    }
    skv_ram_forget(&shard->ram, item->locator);
    *item->slot = skv_slot_moved(*item->slot, false, locator);
    return true;
}

/** Lets an entry leave RAM. False when the batch has no room: it stays where it is. */
static bool let_go(struct skv_shard *shard, struct item *item)
    SKV_REQUIRES(shard->spill, shard->lock)
{
    if (shard->mode == SKV_SHARD_DROP) {
        drop_entry(shard, item);
        return true;
    }
    const uint64_t copy = skv_entry_copy(item->entry, item->header);
    if (copy != SKV_NO_COPY) {
        skv_shard_move_to_disk_locked(shard, item->slot, item->locator, item->header, copy);
        shard->counters.clean_evictions++;
        shard->disk_moves++;
        shard->examination.worked = true;
        return true;
    }
    const struct skv_spilling from = {.hash = item->hash, .locator = item->locator};
    const struct skv_entry_parts parts = {
        .key = skv_entry_key(item->entry, item->header),
        .value = skv_entry_value(item->entry, item->header),
        .key_size = skv_header_key_size(item->header),
        .value_size = skv_header_value_size(item->header),
    };
    return skv_packs(parts.key_size, parts.value_size)
               ? skv_shard_pack_locked(shard, &from, &parts)
               : skv_shard_batch_lone_locked(shard, &from, &parts);
}

/** Keeps or lets go each item; returns false when one could do neither: the walk has to stop. */
static bool apply(struct skv_shard *shard, struct quantum *quantum, size_t *freed)
    SKV_REQUIRES(shard->spill, shard->lock)
{
    *freed += quantum->bytes - quantum->victims.size;
    for (uint32_t i = 0; i < quantum->count; i++) {
        struct item *const item = &quantum->items[i];
        if (item->slot == NULL) {
            continue;
        }
        if (shard->mode == SKV_SHARD_DROP) {
            /* Removals move slots about. */
            item->slot = skv_shard_slot_at(&shard->table, item->hash, false, item->locator);
        }
        if (skv_victims_take(&quantum->victims, item->score, item->bytes)) {
            if (let_go(shard, item)) {
                *freed += item->bytes;
                continue;
            }
            shard->examination.refused = shard->batch.spilling_count == 0;
        }
        if (!keep(shard, item)) {
            return false;
        }
    }
    return true;
}

void skv_shard_release_walked_locked(struct skv_shard *shard)
{
    struct skv_examination *const ex = &shard->examination;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < ex->walked_count; i++) {
        if (shard->ram.segments[ex->walked[i]].live == 0 && shard->batch.spilling_count == 0) {
            skv_ram_release(&shard->ram, ex->walked[i]);
            ex->worked = true;
        } else {
            ex->walked[kept++] = ex->walked[i];
        }
    }
    ex->walked_count = kept;
}

void skv_shard_stop_examining_locked(struct skv_shard *shard)
{
    struct skv_examination *const ex = &shard->examination;
    for (int walk = 0; walk < SKV_WALKS; walk++) {
        if (ex->segment[walk] != 0) {
            skv_ram_reattach(&shard->ram, ex->segment[walk]);
        }
        ex->segment[walk] = 0;
        ex->cursor[walk] = 0;
    }
    while (ex->walked_count > 0) {
        skv_ram_reattach(&shard->ram, ex->walked[--ex->walked_count]);
    }
}

enum skv_progress skv_shard_examine_locked(struct skv_shard *shard, size_t *freed)
{
    struct quantum quantum;
    skv_shard_apply_inbox_locked(shard);
    quantum.count = 0;
    quantum.bytes = 0;
    quantum.keep_none = !has_room_to_keep(shard);
    if (quantum.keep_none && shard->batch.spilling_count != 0) {
        return SKV_PROGRESS_FULL;
    }
    collect_wasteful(shard, &quantum);
    if (quantum.count == 0 && shard->mode != SKV_SHARD_KEEP) {
        collect_both(shard, &quantum);
    }
    enum skv_progress progress = SKV_PROGRESS_STUCK;
    if (quantum.count != 0) {
        look_up(shard, &quantum);
        choose(shard, &quantum);
        shard->examination.refused = false;
        const bool applied = apply(shard, &quantum, freed);
        progress = applied && !shard->examination.refused ? SKV_PROGRESS_MORE : SKV_PROGRESS_STUCK;
    }
    skv_shard_release_walked_locked(shard);
    return progress;
}
