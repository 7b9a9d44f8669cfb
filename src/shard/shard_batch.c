/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. What one transaction writes: packed segments in buffers of the shard's own, lone entries
 * straight from RAM, rows to delete. Spilling and compaction fill it under the lock in quanta,
 * write it without the lock, and settle each entry under the lock again. A place on disk counts as
 * live from the moment an entry is packed for it, so a failed or outdated one is simply dropped
 * again.
 *
 * Rejected: a buffer per spiller thread (a caller that helps would need one too).
 */
#include "base/alloc.h"
#include "shard/shard_private.h"

/** Entries a batch has room for, for each of its segments: of 64 bytes and more. */
#define SPILLING_PER_SEGMENT 128

uint64_t skv_batch_bytes(uint32_t segments)
{
    return segments * (SKV_SEGMENT_BYTES + sizeof(struct skv_store_segment) +
                       SPILLING_PER_SEGMENT * sizeof(struct skv_spilling)) +
           SKV_BATCH_LONE * sizeof(struct skv_store_lone) + SKV_BATCH_DELETED * sizeof(uint32_t);
}

spillkv_status skv_batch_init(struct skv_batch *batch, uint32_t segments)
{
    *batch = (struct skv_batch){
        .bytes = skv_alloc(segments * SKV_SEGMENT_BYTES),
        .segments = skv_alloc(segments * sizeof(*batch->segments)),
        .lone = skv_alloc(SKV_BATCH_LONE * sizeof(*batch->lone)),
        .spilling = skv_alloc((size_t)segments * SPILLING_PER_SEGMENT * sizeof(*batch->spilling)),
        .deleted = skv_alloc(SKV_BATCH_DELETED * sizeof(*batch->deleted)),
        .segment_capacity = segments,
        .spilling_capacity = segments * SPILLING_PER_SEGMENT,
    };
    if (batch->bytes == NULL || batch->segments == NULL || batch->lone == NULL ||
        batch->spilling == NULL || batch->deleted == NULL) {
        skv_batch_fini(batch);
        return SPILLKV_ENOMEM;
    }
    skv_batch_reset(batch);
    return SPILLKV_OK;
}

void skv_batch_fini(struct skv_batch *batch)
{
    skv_free(batch->bytes);
    skv_free(batch->segments);
    skv_free(batch->lone);
    skv_free(batch->spilling);
    skv_free(batch->deleted);
    *batch = (struct skv_batch){0};
}

void skv_batch_reset(struct skv_batch *batch)
{
    batch->fill = SKV_SEGMENT_BYTES;
    batch->lone_bytes = 0;
    batch->segment_count = 0;
    batch->lone_count = 0;
    batch->spilling_count = 0;
    batch->deleted_count = 0;
}

bool skv_batch_has_room(const struct skv_batch *batch, size_t bytes, uint32_t entries)
{
    /* Segments are filled to a half at least; a checksum makes the smallest entries half as large
       again. */
    const uint32_t left = batch->segment_capacity - batch->segment_count;
    return left * (SKV_SEGMENT_BYTES / 2) >= bytes &&
           batch->spilling_count + entries <= batch->spilling_capacity &&
           batch->lone_count < SKV_BATCH_LONE && batch->lone_bytes < SKV_BATCH_LONE_BYTES;
}

/** Fills the unused end of the last segment with zeroes: that is where a walk over it ends. */
static void finish_segment(struct skv_batch *batch)
{
    if (batch->segment_count != 0 && batch->fill < SKV_SEGMENT_BYTES) {
        uint8_t *const bytes = batch->bytes + (batch->segment_count - 1) * SKV_SEGMENT_BYTES;
        memset(bytes + batch->fill, 0, SKV_SEGMENT_BYTES - batch->fill);
    }
}

/** Begins a new segment of the batch; false when ids or room are missing. */
static bool begin_segment(struct skv_shard *shard)
{
    struct skv_batch *const batch = &shard->batch;
    if (batch->segment_count == batch->segment_capacity) {
        return false;
    }
    const uint32_t id = skv_space_take(&shard->space);
    if (id == 0) {
        return false;
    }
    finish_segment(batch);
    uint8_t *const bytes = batch->bytes + batch->segment_count * SKV_SEGMENT_BYTES;
    batch->segments[batch->segment_count++] = (struct skv_store_segment){.id = id, .bytes = bytes};
    batch->fill = 0;
    return true;
}

bool skv_shard_pack_locked(struct skv_shard *shard, const struct skv_spilling *from,
                           const struct skv_entry_parts *parts)
{
    struct skv_batch *const batch = &shard->batch;
    const size_t packed_bytes = skv_packed_bytes(parts->key_size, parts->value_size);
    if (batch->spilling_count == batch->spilling_capacity ||
        (batch->fill + packed_bytes > SKV_SEGMENT_BYTES && !begin_segment(shard))) {
        return false;
    }
    const uint32_t last = batch->segment_count - 1;
    const uint32_t id = batch->segments[last].id;
    const uint64_t place = skv_place_make(id, batch->fill);
    skv_segment_pack(batch->bytes + last * SKV_SEGMENT_BYTES + batch->fill,
                     skv_store_seed(shard->store), skv_space_address(&shard->space, place),
                     parts->key, parts->key_size, parts->value, parts->value_size);
    batch->fill += packed_bytes;
    skv_space_add(&shard->space, id, packed_bytes);
    batch->spilling[batch->spilling_count] = *from;
    batch->spilling[batch->spilling_count++].place = place;
    return true;
}

bool skv_shard_batch_lone_locked(struct skv_shard *shard, const struct skv_spilling *from,
                                 const struct skv_entry_parts *parts)
{
    struct skv_batch *const batch = &shard->batch;
    const size_t bytes = skv_lone_bytes(parts->key_size, parts->value_size);
    if (batch->spilling_count == batch->spilling_capacity || batch->lone_count == SKV_BATCH_LONE) {
        return false;
    }
    const uint32_t id = skv_space_take_lone(&shard->space, bytes);
    if (id == 0) {
        return false;
    }
    const uint64_t place = skv_place_make(id, 0);
    batch->lone[batch->lone_count++] = (struct skv_store_lone){
        .address = skv_space_address(&shard->space, place),
        .key = parts->key,
        .value = parts->value,
        .key_size = parts->key_size,
        .value_size = parts->value_size,
    };
    batch->lone_bytes += bytes;
    batch->spilling[batch->spilling_count] = *from;
    batch->spilling[batch->spilling_count++].place = place;
    return true;
}

spillkv_status skv_shard_begin_batch(struct skv_shard *shard)
{
    struct skv_batch *const batch = &shard->batch;
    skv_mutex_lock(&shard->lock);
    skv_batch_reset(batch);
    shard->space.append_only = shard->scans != 0;
    const spillkv_status status =
        skv_space_reserve(&shard->space, batch->segment_capacity + SKV_BATCH_LONE);
    /* A scan may still want to read what these rows hold. */
    if (status == SPILLKV_OK && shard->scans == 0) {
        batch->deleted_count = skv_space_doomed(&shard->space, batch->deleted, SKV_BATCH_DELETED);
    }
    skv_mutex_unlock(&shard->lock);
    return status;
}

void skv_shard_charge_sqlite(struct skv_shard *shard, bool less)
{
    const uint64_t taken = skv_store_memory_bytes(shard->store) + shard->journal_bytes;
    const uint64_t bytes = taken > shard->sqlite_least ? taken : shard->sqlite_least;
    if (bytes > shard->sqlite_charge) {
        skv_budget_charge_forced(shard->budget, SKV_MEMORY_SQLITE, bytes - shard->sqlite_charge);
    } else if (less) {
        skv_budget_discharge(shard->budget, SKV_MEMORY_SQLITE, shard->sqlite_charge - bytes);
    } else {
        return;
    }
    shard->sqlite_charge = bytes;
}

void skv_shard_end_batch(struct skv_shard *shard)
{
    char message[sizeof(shard->message)];
    const spillkv_status status = skv_shard_last_write(shard);
    const bool changed = (status == SPILLKV_OK) != (shard->logged == SPILLKV_OK);
    shard->logged = status;
    memcpy(message, shard->message, sizeof(message));
    skv_mutex_unlock(&shard->spill);
    if (changed && status != SPILLKV_OK) {
        skv_log_write(shard->log, SPILLKV_LOG_ERROR,
                      "shard %u cannot spill (%s): %s; entries stay in memory", shard->number,
                      spillkv_strerror(status), message);
    } else if (changed) {
        skv_log_write(shard->log, SPILLKV_LOG_INFO, "shard %u spills again", shard->number);
    }
}

spillkv_status skv_shard_write_batch(struct skv_shard *shard)
{
    struct skv_batch *const batch = &shard->batch;
    finish_segment(batch);
    const struct skv_store_batch rows = {
        .segments = batch->segments,
        .segment_count = batch->segment_count,
        .lone = batch->lone,
        .lone_count = batch->lone_count,
        .deleted = batch->deleted,
        .deleted_count = batch->deleted_count,
    };
    skv_mutex_lock(&shard->io);
    const spillkv_status status = skv_store_write(shard->store, &rows);
    if (status != SPILLKV_OK) {
        shard->message[0] = '\0';
        strncat(shard->message, skv_store_message(shard->store), sizeof(shard->message) - 1);
    }
    skv_shard_charge_sqlite(shard, false);
    skv_mutex_unlock(&shard->io);

    skv_mutex_lock(&shard->lock);
    if (status == SPILLKV_OK) {
        skv_space_undoomed(&shard->space, batch->deleted, batch->deleted_count);
    } else {
        skv_space_redoom(&shard->space, batch->deleted, batch->deleted_count);
    }
    skv_shard_charge_arrays_locked(shard);
    skv_mutex_unlock(&shard->lock);
    atomic_store_explicit(&shard->last_write, (int)status, memory_order_relaxed);
    return status;
}

/** What an entry at a place takes there, to be dropped again. */
void skv_shard_cancel_place_locked(struct skv_shard *shard, uint64_t place, size_t key_size,
                                   size_t value_size)
{
    const uint32_t id = skv_place_id(place);
    if (skv_packs(key_size, value_size)) {
        skv_space_drop(&shard->space, id, skv_packed_bytes(key_size, value_size));
    } else {
        skv_space_cancel_lone(&shard->space, id, skv_lone_bytes(key_size, value_size));
    }
}

void skv_shard_charge_arrays_locked(struct skv_shard *shard)
{
    const uint64_t bytes =
        skv_ram_overhead_bytes(&shard->ram) + skv_space_overhead_bytes(&shard->space);
    if (bytes > shard->array_charge) {
        skv_budget_charge_forced(shard->budget, SKV_MEMORY_FIXED, bytes - shard->array_charge);
    } else {
        skv_budget_discharge(shard->budget, SKV_MEMORY_FIXED, shard->array_charge - bytes);
    }
    shard->array_charge = bytes;
}
