/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. A disk segment whose entries have mostly gone is read, what is still pointed at is packed
 * into a batch, and after the transaction the slots (or the copy words of entries in RAM) are
 * turned from the old places to the new ones, each only if it still says the old one. The old
 * segment is then free and its row will be overwritten. When more than a quarter of the rows are
 * free, some are deleted, and when more than a quarter of the file's pages hold nothing, some are
 * given back: SQLite moves pages from the file's end into them. So the file stays within about 1.5
 * times the live bytes. All of it goes in bounded steps, so that nobody waits for long.
 *
 * A segment that cannot be read is left as it is: its entries answer ECORRUPT when they are asked
 * for.
 */
#include "shard/shard_private.h"

/** Disk segments emptied in one step. */
#define STEP_SEGMENTS 16
/** Entries settled in one go under the lock. */
#define SETTLE_ENTRIES 128

bool skv_shard_wants_compaction(const struct skv_shard *shard)
{
    return atomic_load_explicit(&shard->wants_compaction, memory_order_relaxed);
}

/** The copy word that says `place` of an entry in RAM, or NULL. */
static uint8_t *entry_with_copy(struct skv_shard *shard, uint64_t hash, uint64_t place)
{
    struct skv_probe probe;
    for (uint64_t *slot = skv_table_first(&shard->table, hash, &probe); slot != NULL;
         slot = skv_table_next(&probe)) {
        if (!skv_slot_on_disk(*slot)) {
            uint8_t *const entry = skv_ram_at(&shard->ram, skv_slot_locator(*slot));
            if (skv_entry_copy(entry, skv_entry_header(entry)) == place) {
                return entry;
            }
        }
    }
    return NULL;
}

static bool is_live(struct skv_shard *shard, uint64_t hash, uint64_t place)
{
    return skv_shard_slot_at(&shard->table, hash, true, place) != NULL ||
           entry_with_copy(shard, hash, place) != NULL;
}

/** Packs what is live of a segment into the batch. */
static void repack(struct skv_shard *shard, uint32_t id, const uint8_t *bytes)
    SKV_REQUIRES(shard->spill) SKV_EXCLUDES(shard->lock)
{
    const uint64_t seed = skv_store_seed(shard->store);
    size_t offset = 0;
    skv_mutex_lock(&shard->lock);
    for (;;) {
        const size_t left = SKV_SEGMENT_BYTES - offset;
        const size_t size = skv_segment_entry_bytes(bytes + offset, left);
        if (size == 0) {
            break;
        }
        const uint64_t place = skv_place_make(id, offset);
        struct skv_packed packed;
        if (skv_segment_unpack(bytes + offset, left, seed, skv_space_address(&shard->space, place),
                               &packed) != SPILLKV_OK) {
            break;
        }
        const struct skv_spilling from = {
            .hash = skv_hash(shard->secret, packed.key, packed.key_size),
            .locator = place,
        };
        const struct skv_entry_parts parts = {
            .key = packed.key,
            .value = packed.value,
            .key_size = packed.key_size,
            .value_size = packed.value_size,
        };
        if (is_live(shard, from.hash, place) && !skv_shard_pack_locked(shard, &from, &parts)) {
            break;
        }
        offset += size;
    }
    skv_mutex_unlock(&shard->lock);
}

/** Bytes of the entry that was packed at a place of the batch. */
static size_t batch_entry_bytes(const struct skv_batch *batch, uint64_t place)
{
    const uint32_t id = skv_place_id(place);
    for (uint32_t i = 0; i < batch->segment_count; i++) {
        if (batch->segments[i].id == id) {
            const size_t offset = skv_place_offset(place);
            return skv_segment_entry_bytes(batch->segments[i].bytes + offset,
                                           SKV_SEGMENT_BYTES - offset);
        }
    }
    SKV_CHECK(false && "the place is in the batch");
    return 0;
}

/** Turns what points at the old place to the new one, and drops the place that is needed no more.
 */
static void settle_one(struct skv_shard *shard, const struct skv_spilling *moved, bool written)
    SKV_REQUIRES(shard->spill, shard->lock)
{
    const size_t bytes = batch_entry_bytes(&shard->batch, moved->place);
    uint64_t needless = moved->place;
    if (written) {
        uint64_t *const slot = skv_shard_slot_at(&shard->table, moved->hash, true, moved->locator);
        uint8_t *const entry =
            slot == NULL ? entry_with_copy(shard, moved->hash, moved->locator) : NULL;
        if (slot != NULL) {
            *slot = skv_slot_moved(*slot, true, moved->place);
            needless = moved->locator;
        } else if (entry != NULL) {
            skv_entry_set_copy(entry, moved->place);
            needless = moved->locator;
        }
    }
    skv_space_drop(&shard->space, skv_place_id(needless), bytes);
}

static void settle(struct skv_shard *shard, bool written) SKV_REQUIRES(shard->spill)
    SKV_EXCLUDES(shard->lock)
{
    const struct skv_batch *const batch = &shard->batch;
    for (uint32_t i = 0; i < batch->spilling_count;) {
        skv_mutex_lock(&shard->lock);
        for (uint32_t k = 0; k < SETTLE_ENTRIES && i < batch->spilling_count; k++) {
            settle_one(shard, &batch->spilling[i++], written);
        }
        shard->disk_moves++;
        skv_mutex_unlock(&shard->lock);
    }
}

/** Empties the given segments into others. */
static spillkv_status empty_segments(struct skv_shard *shard, const uint32_t *ids, uint32_t count)
    SKV_REQUIRES(shard->spill) SKV_EXCLUDES(shard->lock)
{
    uint8_t bytes[SKV_SEGMENT_BYTES];
    struct skv_batch *const batch = &shard->batch;
    for (uint32_t i = 0; i < count; i++) {
        size_t size;
        skv_mutex_lock(&shard->io);
        const spillkv_status status =
            skv_store_read(shard->store, ids[i], 0, bytes, sizeof(bytes), &size);
        skv_mutex_unlock(&shard->io);
        if (status == SPILLKV_OK && size == sizeof(bytes)) {
            repack(shard, ids[i], bytes);
        }
    }
    spillkv_status status = SPILLKV_OK;
    if (batch->spilling_count != 0 || batch->deleted_count != 0) {
        status = skv_shard_write_batch(shard);
    }
    settle(shard, status == SPILLKV_OK);
    skv_mutex_lock(&shard->lock);
    shard->counters.compactions += status == SPILLKV_OK ? count : 0;
    skv_batch_reset(batch);
    SKV_CHECK_FULL(skv_shard_check_locked(shard));
    skv_mutex_unlock(&shard->lock);
    return status;
}

bool skv_shard_is_wasteful_locked(const struct skv_shard *shard)
{
    const struct skv_space *const space = &shard->space;
    const uint64_t live = space->packed_live_bytes;
    const uint64_t change =
        live > shard->dense_live ? live - shard->dense_live : shard->dense_live - live;
    return space->doomed_count >= SKV_BATCH_DELETED || skv_space_is_hollow(space) ||
           skv_store_is_hollow(shard->store) ||
           (skv_space_is_sparse(space) && change > shard->dense_live / 16);
}

/** Chooses what one step empties, and rows of free ids to delete; returns how many to empty. */
static uint32_t choose(struct skv_shard *shard, uint32_t *ids)
    SKV_REQUIRES(shard->spill, shard->lock)
{
    struct skv_batch *const batch = &shard->batch;
    /* While a scan runs no id is reused and no row deleted. */
    if (shard->scans != 0) {
        return 0;
    }
    if (skv_space_is_hollow(&shard->space)) {
        batch->deleted_count +=
            skv_space_doom_free(&shard->space, batch->deleted + batch->deleted_count,
                                SKV_BATCH_DELETED - batch->deleted_count);
    }
    const uint32_t most =
        batch->segment_capacity < STEP_SEGMENTS ? batch->segment_capacity : STEP_SEGMENTS;
    return skv_space_is_sparse(&shard->space) ? skv_space_choose_sparse(&shard->space, ids, most)
                                              : 0;
}

/** Learns from a step that emptied `count` segments whether there is any use in going on: entries
 *  that fill a little more than a half or a third of a segment cannot be packed any better, and
 *  what cannot be read cannot be emptied. */
static void learn(struct skv_shard *shard, uint32_t count, uint32_t before)
    SKV_REQUIRES(shard->spill, shard->lock)
{
    shard->vain_segments = shard->space.packed_count < before ? 0 : shard->vain_segments + count;
    if (count == 0 || shard->vain_segments >= shard->space.packed_count) {
        shard->vain_segments = 0;
        shard->dense_live = shard->space.packed_live_bytes;
    }
}

static spillkv_status compact_step(struct skv_shard *shard) SKV_REQUIRES(shard->spill)
    SKV_EXCLUDES(shard->lock)
{
    uint32_t ids[STEP_SEGMENTS];
    spillkv_status status = skv_shard_begin_batch(shard);
    if (status != SPILLKV_OK) {
        return status;
    }
    skv_mutex_lock(&shard->lock);
    const uint32_t before = shard->space.packed_count;
    const bool sparse = skv_space_is_sparse(&shard->space) && shard->scans == 0;
    const uint32_t count = choose(shard, ids);
    skv_mutex_unlock(&shard->lock);
    status = empty_segments(shard, ids, count);
    if (status == SPILLKV_OK && skv_store_is_hollow(shard->store)) {
        skv_mutex_lock(&shard->io);
        status = skv_store_shrink(shard->store);
        skv_mutex_unlock(&shard->io);
    }
    skv_mutex_lock(&shard->lock);
    if (status == SPILLKV_OK && sparse) {
        learn(shard, count, before);
    }
    atomic_store_explicit(&shard->wants_compaction,
                          shard->scans == 0 && skv_shard_is_wasteful_locked(shard),
                          memory_order_relaxed);
    skv_mutex_unlock(&shard->lock);
    return status;
}

spillkv_status skv_shard_compact(struct skv_shard *shard)
{
    if (shard->mode != SKV_SHARD_SPILL) {
        return SPILLKV_OK;
    }
    skv_mutex_lock(&shard->spill);
    const spillkv_status status = compact_step(shard);
    skv_shard_end_batch(shard);
    return status;
}
