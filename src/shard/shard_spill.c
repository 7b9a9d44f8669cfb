/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. Spilling is examining (shard_examine.c) until the batch is full or enough is on its way
 * out, writing the batch without the lock, and settling it under the lock again: each slot that
 * still points at the very same bytes in RAM becomes a place on disk. Until then every entry stays
 * readable where it was, so a failed write changes nothing.
 *
 * What makes "the very same bytes" true: a segment under examination is never overwritten in place,
 * and its number is not reused before it is settled. So the slot's locator says it all.
 */
#include "shard/shard_private.h"

/** Slots settled in one go under the lock. */
#define SETTLE_ENTRIES SKV_TABLE_TOUCHES
/** Quanta examined at most only to fill the last segment of a batch. */
#define EXTRA_QUANTA 4

/** The slot that points at the bytes that were written; NULL if there is none any more. */
static uint64_t *slot_of_written(struct skv_shard *shard, const struct skv_spilling *spilled)
    SKV_REQUIRES(shard->lock)
{
#ifdef SKV_MUTANT_SETTLE /* planted for tests/linear: wherever the key's entry is by now */
    const uint8_t *const written = skv_ram_at(&shard->ram, spilled->locator);
    const uint64_t header = skv_entry_header(written);
    const struct skv_key key = {.bytes = skv_entry_key(written, header),
                                .size = skv_header_key_size(header),
                                .hash = spilled->hash};
    struct skv_found found;
    (void)skv_shard_search_locked(shard, &key, 0, &found);
    return found.value_size == skv_header_value_size(header) ? found.slot : NULL;
#else
    return skv_shard_slot_at(&shard->table, spilled->hash, false, spilled->locator);
#endif
}

/** After the write: each entry whose slot still points at the bytes that were written. */
static void settle_one(struct skv_shard *shard, const struct skv_spilling *spilled)
    SKV_REQUIRES(shard->lock)
{
    const uint64_t header = skv_entry_header(skv_ram_at(&shard->ram, spilled->locator));
    uint64_t *const slot = slot_of_written(shard, spilled);
    if (slot != NULL) {
        skv_shard_move_to_disk_locked(shard, slot, skv_slot_locator(*slot), header, spilled->place);
        shard->counters.spills++;
    } else {
        /* It was overwritten or deleted meanwhile: what was written is garbage. */
        skv_shard_drop_place_locked(shard, spilled->place, skv_header_key_size(header),
                                    skv_header_value_size(header));
    }
}

static void settle(struct skv_shard *shard) SKV_REQUIRES(shard->spill) SKV_EXCLUDES(shard->lock)
{
    const struct skv_batch *const batch = &shard->batch;
    for (uint32_t i = 0; i < batch->spilling_count;) {
        const uint32_t end =
            i + SETTLE_ENTRIES < batch->spilling_count ? i + SETTLE_ENTRIES : batch->spilling_count;
        skv_mutex_lock(&shard->lock);
        while (i < end) {
            const uint32_t some = end - i < SKV_TABLE_TOUCHES ? end - i : SKV_TABLE_TOUCHES;
            for (uint32_t k = 0; k < some; k++) {
                skv_table_touch(&shard->table, batch->spilling[i + k].hash);
            }
            for (uint32_t k = 0; k < some; k++) {
                settle_one(shard, &batch->spilling[i++]);
            }
        }
        shard->disk_moves++;
        skv_mutex_unlock(&shard->lock);
    }
}

/** After a write that failed: the places are given back, the entries stay. */
static void cancel(struct skv_shard *shard) SKV_REQUIRES(shard->spill, shard->lock)
{
    for (uint32_t i = 0; i < shard->batch.spilling_count; i++) {
        const struct skv_spilling *const spilled = &shard->batch.spilling[i];
        const uint64_t header = skv_entry_header(skv_ram_at(&shard->ram, spilled->locator));
        skv_shard_cancel_place_locked(shard, spilled->place, skv_header_key_size(header),
                                      skv_header_value_size(header));
    }
}

/** Whether another quantum should follow: the goal is not reached, or the last segment of the batch
 * is not nearly full yet. */
static bool goes_on(const struct skv_shard *shard, size_t freed, size_t goal, uint32_t *extra)
    SKV_REQUIRES(shard->spill)
{
    const struct skv_batch *const batch = &shard->batch;
    if (shard->mode != SKV_SHARD_SPILL) {
        return freed < goal;
    }
    if (freed < goal && skv_batch_has_room(batch, shard->quantum_bytes, SKV_QUANTUM_ENTRIES)) {
        return true;
    }
    return *extra != 0 && (*extra)-- != 0 && batch->segment_count != 0 &&
           batch->segment_count < batch->segment_capacity &&
           batch->fill < SKV_SEGMENT_BYTES / 4 * 3;
}

/** Fills a batch, writes and settles it. */
static spillkv_status spill_batch(struct skv_shard *shard, size_t goal) SKV_REQUIRES(shard->spill)
    SKV_EXCLUDES(shard->lock)
{
    struct skv_batch *const batch = &shard->batch;
    spillkv_status status = SPILLKV_OK;
    if (shard->mode == SKV_SHARD_SPILL) {
        status = skv_shard_begin_batch(shard);
        if (status != SPILLKV_OK) {
            return status;
        }
    }
    enum skv_progress progress = SKV_PROGRESS_MORE;
    size_t freed = 0;
    uint32_t extra = EXTRA_QUANTA;
    skv_mutex_lock(&shard->lock);
    const uint64_t evictions = shard->counters.clean_evictions;
    const uint32_t in_use = shard->ram.in_use;
    skv_mutex_unlock(&shard->lock);
    while (progress == SKV_PROGRESS_MORE && goes_on(shard, freed, goal, &extra)) {
        skv_mutex_lock(&shard->lock);
        progress = skv_shard_examine_locked(shard, &freed);
        skv_mutex_unlock(&shard->lock);
    }
    if (batch->spilling_count != 0 || batch->deleted_count != 0) {
        status = skv_shard_write_batch(shard);
        if (status == SPILLKV_OK) {
            shard->examination.worked = shard->examination.worked || batch->spilling_count != 0;
            settle(shard);
        }
    }
    skv_mutex_lock(&shard->lock);
    if (status != SPILLKV_OK) {
        cancel(shard);
    }
    skv_batch_reset(batch);
    skv_shard_release_walked_locked(shard);
    if (status == SPILLKV_OK && progress == SKV_PROGRESS_STUCK && shard->examination.refused) {
        /* An empty batch took nothing: no id for another segment is left. */
        status = SPILLKV_ENOSPC;
        shard->examination.worked = false;
    }
    if (status != SPILLKV_OK || progress == SKV_PROGRESS_STUCK) {
        /* What was walked over will be walked over again: no reason to call it progress. */
        skv_shard_stop_examining_locked(shard);
    } else if (freed != 0) {
        shard->examination.worked = true;
    }
    if (skv_shard_last_write(shard) != SPILLKV_OK) {
        /* Entries that are kept leave garbage where they were. To free that is no progress: on a
           disk that stays full one attempt would make some and the next one find it. */
        shard->examination.worked =
            shard->counters.clean_evictions != evictions || shard->ram.in_use < in_use;
    }
    (void)skv_ram_refill(&shard->ram);
    atomic_store_explicit(&shard->oldest, skv_ram_oldest_born(&shard->ram), memory_order_relaxed);
    SKV_CHECK_FULL(skv_shard_check_locked(shard));
    skv_mutex_unlock(&shard->lock);
    return status;
}

static spillkv_status spill(struct skv_shard *shard, size_t goal, uint64_t enough, bool *worked_out)
    SKV_RELEASE(shard->spill)
{
    spillkv_status status = SPILLKV_OK;
    *worked_out = true;
    if (skv_budget_room(shard->budget) < enough) {
        shard->examination.worked = false;
        status = spill_batch(shard, goal);
        *worked_out = shard->examination.worked;
    }
    skv_shard_end_batch(shard);
    return status;
}

spillkv_status skv_shard_spill(struct skv_shard *shard, size_t goal, bool *worked_out)
{
    return skv_shard_spill_until(shard, goal, UINT64_MAX, worked_out);
}

spillkv_status skv_shard_spill_until(struct skv_shard *shard, size_t goal, uint64_t enough,
                                     bool *worked_out)
{
    skv_mutex_lock(&shard->spill);
    return spill(shard, goal, enough, worked_out);
}

spillkv_status skv_shard_try_spill_until(struct skv_shard *shard, size_t goal, uint64_t enough,
                                         bool *worked_out)
{
    *worked_out = false;
    if (!skv_mutex_trylock(&shard->spill)) {
        return SPILLKV_OK;
    }
    return spill(shard, goal, enough, worked_out);
}
