/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. The one lookup path: get, set, del and has all resolve a key here. Under the lock look
 * for a resident match; else for spilled slots with the same tag. For one of those release the
 * lock, read the entry under the I/O lock, come back, and believe it only if the slot still points
 * there and no segment id was reused in between; otherwise start again.
 *
 * Spilled candidates are tried in the order of their places, so one number remembers which were
 * other keys; it is forgotten when any slot of the shard changed its place on disk meanwhile.
 *
 * Rejected: keeping both locks (every hot call would wait for the disk), a longer tag (only lessens
 * the reads in vain, it does not spare the comparison).
 */
#include "base/alloc.h"
#include "shard/shard_private.h"

uint64_t *skv_shard_slot_at(const struct skv_table *table, uint64_t hash, bool on_disk,
                            uint64_t locator)
{
    struct skv_probe probe;
    for (uint64_t *slot = skv_table_first(table, hash, &probe); slot != NULL;
         slot = skv_table_next(&probe)) {
        if (skv_slot_on_disk(*slot) == on_disk && skv_slot_locator(*slot) == locator) {
            return slot;
        }
    }
    return NULL;
}

uint64_t skv_shard_search_locked(const struct skv_shard *shard, const struct skv_key *key,
                                 uint64_t tried, struct skv_found *found)
{
    return skv_shard_search_inline_locked(shard, key, tried, found);
}

/** A candidate being read. */
struct candidate {
    uint64_t place;
    uint64_t address;  /* what is at the place is there under this address only */
    bool is_key;       /* out */
    size_t value_size; /* out, when it is the key */
};

/** Reads exactly `size` bytes; a segment that ends earlier is damaged. */
static spillkv_status read_exactly(struct skv_store *store, uint64_t address, size_t offset,
                                   void *buffer, size_t size)
{
    size_t got;
    const uint64_t place = skv_address_place(address);
    const spillkv_status status = skv_store_read(
        store, skv_place_id(place), skv_place_offset(place) + offset, buffer, size, &got);
    if (status != SPILLKV_OK) {
        return status;
    }
    return got == size ? SPILLKV_OK : SPILLKV_ECORRUPT;
}

/** Has the sink make room for the value of a lone row, and returns where it goes; NULL with
 *  SPILLKV_OK when the caller's buffer is too small. */
static spillkv_status make_room(const struct skv_shard *shard, const struct skv_key *key,
                                uint64_t place, size_t value_size, struct skv_sink *sink,
                                uint8_t **target_out)
{
    *target_out = NULL;
    if (sink->entry) {
        const struct skv_entry_parts parts = {
            .key = key->bytes, .key_size = key->size, .value_size = value_size, .copy = place};
        sink->buffer =
            skv_budget_take_pages(shard->budget, SKV_MEMORY_ENTRIES, skv_entry_parts_bytes(&parts));
        if (sink->buffer == NULL) {
            return SPILLKV_EFULL;
        }
        *target_out = skv_entry_write_head(sink->buffer, &parts);
    } else if (sink->allocate) {
        sink->buffer = skv_alloc(value_size != 0 ? value_size : 1);
        *target_out = sink->buffer;
        return sink->buffer != NULL ? SPILLKV_OK : SPILLKV_ENOMEM;
    } else if (value_size <= sink->capacity) {
        *target_out = sink->buffer;
    }
    return SPILLKV_OK;
}

/** Undoes that. */
static void give_room(const struct skv_shard *shard, struct skv_sink *sink)
{
    if (sink->entry) {
        skv_budget_give_pages(shard->budget, SKV_MEMORY_ENTRIES, sink->buffer,
                              skv_entry_bytes(skv_entry_header(sink->buffer)));
        sink->buffer = NULL;
    } else if (sink->allocate) {
        skv_free(sink->buffer);
        sink->buffer = NULL;
    }
}

/** Reads and verifies the value of a lone row into the sink, where it has room for it. */
static spillkv_status read_lone_value(struct skv_shard *shard, const struct skv_key *key,
                                      uint64_t address, size_t value_size, struct skv_cold *cold)
{
    struct skv_store *const store = shard->store;
    uint8_t *target;
    spillkv_status status =
        make_room(shard, key, skv_address_place(address), value_size, cold->sink, &target);
    if (status != SPILLKV_OK || (target == NULL && value_size != 0)) {
        return status;
    }
    const size_t offset = skv_lone_value_offset(key->size);
    uint32_t checksum;
    status = read_exactly(store, address, offset, target, value_size);
    if (status == SPILLKV_OK) {
        status = read_exactly(store, address, offset + value_size, &checksum, sizeof(checksum));
    }
    if (status == SPILLKV_OK &&
        checksum != skv_lone_value_checksum(skv_store_seed(store), address, target, value_size)) {
        status = SPILLKV_ECORRUPT;
    }
    if (status != SPILLKV_OK) {
        give_room(shard, cold->sink);
        return status;
    }
    cold->delivered = true;
    cold->value = target;
    return SPILLKV_OK;
}

/** Reads the key part of a lone row, all verified, into `buffer` (header, key, checksum). */
static spillkv_status read_lone_key(struct skv_store *store, uint64_t address, uint8_t *buffer,
                                    size_t size)
{
    const spillkv_status status = read_exactly(store, address, 0, buffer, size);
    if (status != SPILLKV_OK) {
        return status;
    }
    const uint64_t header = skv_entry_header(buffer);
    uint32_t checksum;
    if (skv_lone_value_offset(skv_header_key_size(header)) != size) {
        return SPILLKV_ECORRUPT;
    }
    memcpy(&checksum, buffer + size - sizeof(checksum), sizeof(checksum));
    const uint32_t expected = skv_lone_key_checksum(skv_store_seed(store), address, header,
                                                    buffer + SKV_ENTRY_HEADER_BYTES);
    return checksum == expected ? SPILLKV_OK : SPILLKV_ECORRUPT;
}

static spillkv_status read_lone(struct skv_shard *shard, const struct skv_key *key, uint64_t header,
                                struct skv_cold *cold, struct candidate *candidate)
{
    const size_t size = skv_lone_value_offset(skv_header_key_size(header));
    uint8_t *buffer = cold->bytes;
    if (size > sizeof(cold->bytes)) {
        buffer = skv_alloc(size);
        if (buffer == NULL) {
            return SPILLKV_ENOMEM;
        }
    }
    spillkv_status status = read_lone_key(shard->store, candidate->address, buffer, size);
    if (status == SPILLKV_OK) {
        candidate->is_key = skv_header_key_size(header) == key->size &&
                            memcmp(buffer + SKV_ENTRY_HEADER_BYTES, key->bytes, key->size) == 0;
        candidate->value_size = skv_header_value_size(header);
        if (candidate->is_key && cold->sink != NULL) {
            status = read_lone_value(shard, key, candidate->address, candidate->value_size, cold);
        }
    }
    if (buffer != cold->bytes) {
        skv_free(buffer);
    }
    return status;
}

/** Reads a packed entry from where its segment was seen to be written. False unless its checksum,
 *  which is seeded with its address, says that it is there: else SQLite knows better. */
static bool read_seen(struct skv_store *store, uint64_t address, uint8_t *buffer, size_t *size_out)
{
    const uint64_t place = skv_address_place(address);
    const uint32_t id = skv_place_id(place);
    const size_t offset = skv_place_offset(place);
    const uint64_t seed = skv_store_seed(store);
    struct skv_packed packed;
    size_t size = skv_store_read_seen(store, id, offset, buffer, SKV_FIRST_READ);
    spillkv_status status = skv_segment_unpack(buffer, size, seed, address, &packed);
    if (status == SPILLKV_TOO_SMALL) {
        size = skv_store_read_seen(store, id, offset, buffer,
                                   skv_packed_bytes(packed.key_size, packed.value_size));
        status = skv_segment_unpack(buffer, size, seed, address, &packed);
    }
    *size_out = size;
    return status == SPILLKV_OK;
}

spillkv_status skv_shard_read_beginning(struct skv_store *store, uint64_t address, uint8_t *buffer,
                                        size_t *size_out)
{
    const uint64_t place = skv_address_place(address);
    const uint32_t id = skv_place_id(place);
    const size_t offset = skv_place_offset(place);
    if (SKV_LIKELY(read_seen(store, address, buffer, size_out))) {
        return SPILLKV_OK;
    }
    spillkv_status status = skv_store_read(store, id, offset, buffer, SKV_FIRST_READ, size_out);
    if (status != SPILLKV_OK) {
        return status;
    }
    if (*size_out < SKV_ENTRY_HEADER_BYTES) {
        return SPILLKV_ECORRUPT;
    }
    const uint64_t header = skv_entry_header(buffer);
    if (!skv_header_is_sane(header)) {
        return SPILLKV_ECORRUPT;
    }
    if ((header & SKV_ENTRY_FLAG_LONE) != 0) {
        return SPILLKV_OK;
    }
    const size_t bytes =
        skv_packed_bytes(skv_header_key_size(header), skv_header_value_size(header));
    if (bytes > SKV_SEGMENT_BYTES - offset) {
        return SPILLKV_ECORRUPT;
    }
    if (bytes > *size_out) {
        status = skv_store_read(store, id, offset, buffer, bytes, size_out);
    }
    return status;
}

static spillkv_status read_candidate(struct skv_shard *shard, const struct skv_key *key,
                                     struct skv_cold *cold, struct candidate *candidate)
{
    struct skv_store *const store = shard->store;
    size_t size;
    skv_mutex_lock(&shard->io);
    spillkv_status status = skv_shard_read_beginning(store, candidate->address, cold->bytes, &size);
    if (status == SPILLKV_OK) {
        const uint64_t header = skv_entry_header(cold->bytes);
        if ((header & SKV_ENTRY_FLAG_LONE) != 0) {
            status = read_lone(shard, key, header, cold, candidate);
            skv_mutex_unlock(&shard->io);
            return status;
        }
    }
    skv_mutex_unlock(&shard->io);
    if (status != SPILLKV_OK) {
        return status;
    }
    struct skv_packed packed;
    status =
        skv_segment_unpack(cold->bytes, size, skv_store_seed(store), candidate->address, &packed);
    if (status != SPILLKV_OK) {
        return SPILLKV_ECORRUPT;
    }
    candidate->is_key =
        packed.key_size == key->size && memcmp(packed.key, key->bytes, key->size) == 0;
    candidate->value_size = packed.value_size;
    cold->value = packed.value;
    return SPILLKV_OK;
}

/** Forgets a value that was read from a place that is no longer the key's. */
static void discard_value(const struct skv_shard *shard, struct skv_cold *cold)
{
    if (cold->delivered) {
        give_room(shard, cold->sink);
    }
    cold->delivered = false;
    cold->value = NULL;
}

#ifdef SKV_MUTANT_COLD_READ
/** Planted for tests/linear: what a get has read comes into RAM, wherever the key is by now. */
static void promote_blindly(struct skv_shard *shard, const struct skv_key *key,
                            const struct skv_cold *cold, size_t value_size)
    SKV_REQUIRES(shard->lock)
{
    struct skv_found found;
    struct skv_put put = {.parts = {.key = key->bytes,
                                    .value = cold->value,
                                    .key_size = key->size,
                                    .value_size = value_size}};
    put.bytes = skv_entry_parts_bytes(&put.parts);
    if (cold->sink != NULL && cold->value != NULL && !skv_ram_is_lone(&shard->ram, put.bytes) &&
        skv_shard_search_locked(shard, key, 0, &found) == 0) {
        (void)!skv_shard_put_locked(shard, key, &found, &put);
    }
}
#endif

spillkv_status skv_shard_find(struct skv_shard *shard, const struct skv_key *key,
                              struct skv_cold *cold, struct skv_found *found)
{
    uint64_t tried = 0;
    bool damaged = false; /* one of those that were tried */
    cold->delivered = false;
    cold->value = NULL;
    uint64_t moves = shard->disk_moves;
    for (;;) {
        struct candidate candidate = {.place =
                                          skv_shard_search_inline_locked(shard, key, tried, found)};
        if (SKV_LIKELY(candidate.place == 0)) {
            if (SKV_UNLIKELY(damaged)) {
                skv_store_distrust(shard->store);
            }
            return damaged && found->slot == NULL ? SPILLKV_ECORRUPT : SPILLKV_OK;
        }
        if (SKV_UNLIKELY(key->nowait)) {
            return SPILLKV_WOULD_BLOCK;
        }
        const uint64_t reuses = shard->space.reuses;
        candidate.address = skv_space_address(&shard->space, candidate.place);
        skv_mutex_unlock(&shard->lock);

        const spillkv_status status = read_candidate(shard, key, cold, &candidate);

        skv_mutex_lock(&shard->lock);
        skv_shard_apply_inbox_locked(shard);
        const bool other = status == SPILLKV_OK ? !candidate.is_key : status == SPILLKV_ECORRUPT;
        uint64_t *const slot =
            other || shard->space.reuses != reuses
                ? NULL
                : skv_shard_slot_at(&shard->table, key->hash, true, candidate.place);
        if (slot != NULL) {
            found->slot = slot;
            found->value_size = candidate.value_size;
            return status;
        }
#ifdef SKV_MUTANT_COLD_READ
        if (!other) {
            promote_blindly(shard, key, cold, candidate.value_size);
        }
#endif
        discard_value(shard, cold);
        shard->counters.wasted_reads++;
        const bool goes_on = shard->disk_moves == moves && other;
        tried = goes_on ? candidate.place : 0;
        damaged = goes_on && (damaged || (status == SPILLKV_ECORRUPT &&
                                          skv_shard_slot_at(&shard->table, key->hash, true,
                                                            candidate.place) != NULL));
        moves = shard->disk_moves;
    }
}

spillkv_status skv_shard_read_key(struct skv_shard *shard, uint64_t place, uint8_t *bytes,
                                  uint8_t **key_out, size_t *key_size_out)
{
    struct skv_store *const store = shard->store;
    size_t size;
    uint8_t *copy = NULL;
    *key_out = NULL;
    *key_size_out = 0;
    skv_mutex_lock(&shard->lock);
    const uint64_t address = skv_space_address(&shard->space, place);
    skv_mutex_unlock(&shard->lock);
    skv_mutex_lock(&shard->io);
    spillkv_status status = skv_shard_read_beginning(store, address, bytes, &size);
    const uint64_t header = status == SPILLKV_OK ? skv_entry_header(bytes) : 0;
    const size_t key_size = skv_header_key_size(header);
    const bool lone = (header & SKV_ENTRY_FLAG_LONE) != 0;
    if (status == SPILLKV_OK) {
        copy = skv_alloc(skv_lone_value_offset(key_size));
        status = copy == NULL ? SPILLKV_ENOMEM : SPILLKV_OK;
    }
    if (status == SPILLKV_OK && lone) {
        status = read_lone_key(store, address, copy, skv_lone_value_offset(key_size));
        if (status == SPILLKV_OK) {
            memmove(copy, copy + SKV_ENTRY_HEADER_BYTES, key_size);
        }
    }
    skv_mutex_unlock(&shard->io);
    if (status == SPILLKV_OK && !lone) {
        struct skv_packed packed;
        status = skv_segment_unpack(bytes, size, skv_store_seed(store), address, &packed);
        status = status == SPILLKV_OK ? SPILLKV_OK : SPILLKV_ECORRUPT;
        if (status == SPILLKV_OK) {
            memcpy(copy, packed.key, key_size);
        }
    }
    if (status != SPILLKV_OK) {
        skv_free(copy);
        return status;
    }
    *key_out = copy;
    *key_size_out = key_size;
    return SPILLKV_OK;
}
