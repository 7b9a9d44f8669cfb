/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. A key costs two misses of the processor's caches one after the other, its bucket and its
 * entry, or a read of the disk. For many keys all buckets are asked for, then all entries, then all
 * reads, so that each kind is waited for once. What is done to a key is what the calls for one key
 * do, with the same functions.
 *
 * Only the common case is done here: an entry in RAM or none, a packed entry on disk that is the
 * key's. Whatever else comes up (memory has to be found, a value is large, a place was reused, a
 * read failed) leaves the job for the call for one key, which starts from the beginning. So nothing
 * is changed before it is certain.
 *
 * Jobs with one key keep their order: behind one that is left the later ones are left too.
 *
 * Rejected: one pass under the lock without skv_shard_fetch_entries(): a batch of 32 has four keys
 * for each of 8 shards, and too few misses under way at a time.
 */
#include "shard/shard_private.h"

/** Values up to this are copied under the lock, and so much of them in one go. */
#define COPY_MOST ((size_t)8 << 10)
#define HOLD_MOST ((size_t)16 << 10)
/** Room for spilled entries read under one taking of the I/O lock; a segment more is behind it. */
#define READ_MOST ((size_t)12 << 10)

void skv_shard_fetch_groups(const struct skv_shard *shard, const struct skv_job *jobs,
                            uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        skv_table_prefetch_group(&shard->table, jobs[i].key.hash);
    }
}

void skv_shard_fetch_buckets(const struct skv_shard *shard, const struct skv_job *jobs,
                             uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        skv_table_prefetch_bucket(&shard->table, jobs[i].key.hash);
    }
}

/** Asks for the first lines of the entry in RAM that is probably the key's, and for what else is
 *  needed to write there. */
static SKV_ALWAYS_INLINE void fetch_entry(const struct skv_shard *shard, uint64_t hash, bool writes)
{
    struct skv_probe probe;
    const uint64_t *const slot = skv_table_first(&shard->table, hash, &probe);
    if (slot == NULL || skv_slot_on_disk(*slot)) {
        return;
    }
    const uint64_t locator = skv_slot_locator(*slot);
    const uint8_t *const entry = skv_ram_at(&shard->ram, locator);
    if (!writes) {
        __builtin_prefetch(entry);
        __builtin_prefetch(entry + SKV_CACHE_LINE);
        __builtin_prefetch(entry + (size_t)2 * SKV_CACHE_LINE);
        return;
    }
    __builtin_prefetch(&shard->ram.segments[skv_ram_segment_of(locator)]);
    __builtin_prefetch(entry, 1);
    __builtin_prefetch(entry + SKV_CACHE_LINE, 1);
    __builtin_prefetch(entry + (size_t)2 * SKV_CACHE_LINE, 1);
}

void skv_shard_fetch_entries(struct skv_shard *shard, enum skv_many many,
                             const struct skv_job *jobs, uint32_t count)
{
    if (!skv_mutex_trylock(&shard->lock)) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        fetch_entry(shard, jobs[i].key.hash, many != SKV_MANY_GET);
    }
    skv_mutex_unlock(&shard->lock);
}

/** Gives a get its value. */
static void deliver(spillkv_item *item, const uint8_t *value, size_t size)
{
    item->value_size = size;
    item->status = size <= item->capacity ? SPILLKV_OK : SPILLKV_TOO_SMALL;
    if (item->status == SPILLKV_OK) {
        item->value = item->buffer;
        if (size != 0) {
            memcpy(item->buffer, value, size);
        }
    }
}

/** Answers a get of a key that is in RAM or nowhere; false when it is left. */
static bool get_locked(struct skv_shard *shard, const struct skv_job *job,
                       const struct skv_found *found) SKV_REQUIRES(shard->lock)
{
    if (found->slot == NULL) {
        skv_shard_count_miss_locked(shard, &job->key);
        job->item->status = SPILLKV_NOT_FOUND;
        return true;
    }
    if (found->value_size > COPY_MOST) {
        return false;
    }
    skv_shard_count_get_locked(shard, &job->key, found->value_size, found->slot);
    deliver(job->item, skv_entry_value(found->entry, found->header), found->value_size);
    return true;
}

/** Answers a get whose set waits in the inbox; false when none does. */
static bool get_waiting_locked(struct skv_shard *shard, const struct skv_job *job)
    SKV_REQUIRES(shard->lock)
{
    const uint8_t *const entry = skv_shard_find_waiting_locked(shard, &job->key);
    if (SKV_LIKELY(entry == NULL)) {
        return false;
    }
    const uint64_t header = skv_entry_header(entry);
    shard->counters.hits++;
    deliver(job->item, skv_entry_key(entry, header) + skv_header_key_size(header),
            skv_header_value_size(header));
    return true;
}

/** Sets what was found for a key; false when it is left. */
static bool set_locked(struct skv_shard *shard, const struct skv_job *job,
                       const struct skv_found *found) SKV_REQUIRES(shard->lock)
{
    struct skv_put put = {
        .parts = {.key = job->key.bytes,
                  .value = job->item->value,
                  .key_size = job->key.size,
                  .value_size = job->item->value_size,
                  .copy = SKV_NO_COPY},
        .bytes = skv_entry_bytes_for(job->key.size, job->item->value_size, false),
    };
    if (job->item->value_size > COPY_MOST || skv_ram_is_lone(&shard->ram, put.bytes) ||
        skv_shard_finish_set_locked(shard, &job->key, found, &put, 0) != SPILLKV_OK) {
        return false;
    }
    job->item->status = SPILLKV_OK;
    return true;
}

/** Does a job whose key was found in RAM or nowhere, or, but for a get, on disk. */
static bool do_locked(struct skv_shard *shard, enum skv_many many, const struct skv_job *job,
                      const struct skv_found *found) SKV_REQUIRES(shard->lock)
{
    if (many == SKV_MANY_GET) {
        return get_locked(shard, job, found);
    }
    if (many == SKV_MANY_SET) {
        return set_locked(shard, job, found);
    }
    job->item->status = skv_shard_finish_del_locked(shard, &job->key, found);
    return true;
}

/** The latest of the jobs that are left with the key of another one, or NULL. */
static const struct skv_job *find_left(const struct skv_job *left, uint32_t count, uint64_t hash)
{
    for (uint32_t i = count; i > 0; i--) {
        if (left[i - 1].key.hash == hash) {
            return &left[i - 1];
        }
    }
    return NULL;
}

/** False when the job is left. */
static bool try_resident_locked(struct skv_shard *shard, enum skv_many many, struct skv_job *job)
    SKV_REQUIRES(shard->lock)
{
    if (many == SKV_MANY_GET && get_waiting_locked(shard, job)) {
        return true;
    }
    struct skv_found found;
    job->place = skv_shard_search_locked(shard, &job->key, 0, &found);
    job->address = job->place != 0 ? skv_space_address(&shard->space, job->place) : 0;
    job->reuses = shard->space.reuses;
    return job->place == 0 && do_locked(shard, many, job, &found);
}

uint32_t skv_shard_do_resident(struct skv_shard *shard, enum skv_many many, struct skv_job *jobs,
                               uint32_t count)
{
    uint32_t left = 0;
    size_t copied = 0;
    skv_mutex_lock(&shard->lock);
    skv_shard_apply_inbox_locked(shard);
    for (uint32_t i = 0; i < count; i++) {
        struct skv_job job = jobs[i];
        const struct skv_job *const before =
            many == SKV_MANY_GET ? NULL : find_left(jobs, left, job.key.hash);
        if (SKV_UNLIKELY(before != NULL)) {
            job.place = before->place;
            job.address = before->address;
            job.reuses = before->reuses;
            jobs[left++] = job;
        } else if (!try_resident_locked(shard, many, &job)) {
            jobs[left++] = job;
        } else if (many != SKV_MANY_DEL) {
            copied += job.item->value_size;
        }
        if (SKV_UNLIKELY(copied > HOLD_MOST)) {
            skv_mutex_unlock(&shard->lock);
            skv_mutex_lock(&shard->lock);
            skv_shard_apply_inbox_locked(shard);
            copied = 0;
        }
    }
    skv_mutex_unlock(&shard->lock);
    return left;
}

/** By place; jobs with one place stay in their order. */
static void sort_by_place(struct skv_job *jobs, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        const struct skv_job job = jobs[i];
        uint32_t at = i;
        while (at > 0 && jobs[at - 1].place > job.place) {
            jobs[at] = jobs[at - 1];
            at--;
        }
        jobs[at] = job;
    }
}

void skv_shard_announce(struct skv_shard *shard, struct skv_job *jobs, uint32_t count)
{
    uint64_t places[SKV_JOBS_MOST];
    uint32_t place_count = 0;
    sort_by_place(jobs, count);
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t place = jobs[i].place;
        if (place != 0 && (place_count == 0 || places[place_count - 1] != place)) {
            places[place_count++] = place;
        }
    }
    if (place_count != 0 && skv_mutex_trylock(&shard->io)) {
        skv_store_announce(shard->store, places, place_count, SKV_FIRST_READ);
        skv_mutex_unlock(&shard->io);
    }
}

/** A spilled entry that was read for a job. */
struct reading {
    const uint8_t *bytes;
    size_t size; /* 0: nothing usable was read */
    struct skv_packed packed;
};

/** Reads for the first of the jobs, as far as there is room; returns for how many. */
static uint32_t read_some(struct skv_shard *shard, const struct skv_job *jobs, uint32_t count,
                          uint8_t *bytes, struct reading *readings) SKV_EXCLUDES(shard->lock)
{
    size_t used = 0;
    uint32_t done = 0;
    skv_mutex_lock(&shard->io);
    for (; done < count && used <= READ_MOST; done++) {
        struct reading *const reading = &readings[done];
        *reading = (struct reading){.bytes = bytes + used};
        if (jobs[done].place == 0 ||
            skv_shard_read_beginning(shard->store, jobs[done].address, bytes + used,
                                     &reading->size) != SPILLKV_OK) {
            reading->size = 0;
            continue;
        }
        const uint64_t header = skv_entry_header(reading->bytes);
        if ((header & SKV_ENTRY_FLAG_LONE) != 0) {
            reading->size = 0;
        } else {
            used += skv_packed_bytes(skv_header_key_size(header), skv_header_value_size(header));
        }
    }
    skv_mutex_unlock(&shard->io);
    return done;
}

/** Whether what was read is whole and the job's key. */
static bool is_key(const struct skv_shard *shard, const struct skv_job *job,
                   struct reading *reading)
{
    return reading->size != 0 &&
           skv_segment_unpack(reading->bytes, reading->size, skv_store_seed(shard->store),
                              job->address, &reading->packed) == SPILLKV_OK &&
           reading->packed.key_size == job->key.size &&
           memcmp(reading->packed.key, job->key.bytes, job->key.size) == 0;
}

/** Answers a get from what was read, and brings the entry back to RAM. */
static void get_spilled_locked(struct skv_shard *shard, const struct skv_job *job,
                               const struct skv_packed *packed, uint64_t *slot)
    SKV_REQUIRES(shard->lock)
{
    const struct skv_entry_parts parts = {
        .key = packed->key,
        .value = packed->value,
        .key_size = packed->key_size,
        .value_size = packed->value_size,
        .copy = job->place,
    };
    skv_shard_count_get_locked(shard, &job->key, packed->value_size, slot);
    skv_shard_promote_locked(shard, &job->key, &parts, slot);
    deliver(job->item, packed->value, packed->value_size);
}

/** Does a job with what was read, if its place is still the key's; false when it is left. */
static bool try_spilled_locked(struct skv_shard *shard, enum skv_many many,
                               const struct skv_job *job, const struct skv_packed *packed)
    SKV_REQUIRES(shard->lock)
{
    uint64_t *const slot = shard->space.reuses == job->reuses
                               ? skv_shard_slot_at(&shard->table, job->key.hash, true, job->place)
                               : NULL;
    if (slot == NULL) {
        return false;
    }
    if (many == SKV_MANY_GET) {
        const size_t bytes = skv_entry_bytes_for(packed->key_size, packed->value_size, true);
        if (skv_ram_is_lone(&shard->ram, bytes)) {
            return false;
        }
        get_spilled_locked(shard, job, packed, slot);
        return true;
    }
    const struct skv_found found = {.slot = slot, .value_size = packed->value_size};
    return do_locked(shard, many, job, &found);
}

/** Does the jobs for which something was read; appends to those that are left, returns how many
 *  these are then. */
static uint32_t finish_read(struct skv_shard *shard, enum skv_many many, const struct skv_job *now,
                            uint32_t count, struct reading *readings, struct skv_job *jobs,
                            uint32_t left) SKV_EXCLUDES(shard->lock)
{
    bool usable[SKV_JOBS_MOST];
    for (uint32_t i = 0; i < count; i++) {
        usable[i] = is_key(shard, &now[i], &readings[i]);
    }
    skv_mutex_lock(&shard->lock);
    skv_shard_apply_inbox_locked(shard);
    for (uint32_t i = 0; i < count; i++) {
        const bool behind = many != SKV_MANY_GET && find_left(jobs, left, now[i].key.hash) != NULL;
        if (!usable[i] || behind ||
            !try_spilled_locked(shard, many, &now[i], &readings[i].packed)) {
            jobs[left++] = now[i];
        }
    }
    skv_mutex_unlock(&shard->lock);
    return left;
}

uint32_t skv_shard_do_spilled(struct skv_shard *shard, enum skv_many many, struct skv_job *jobs,
                              uint32_t count)
{
    uint8_t bytes[READ_MOST + SKV_SEGMENT_BYTES];
    struct reading readings[SKV_JOBS_MOST];
    uint32_t left = 0;
    uint32_t at = 0;
    while (at < count) {
        const uint32_t some = read_some(shard, jobs + at, count - at, bytes, readings);
        left = finish_read(shard, many, jobs + at, some, readings, jobs, left);
        at += some;
    }
    return left;
}
