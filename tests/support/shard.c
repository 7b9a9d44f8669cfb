/* SPDX-License-Identifier: MIT */
#include "support/shard.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "support/model.h"

#define BUFFER_BYTES ((size_t)1 << 20)
/* As often as a set looks for memory in vain. */
#define PUT_VAIN_MOST 16

static void remember_message(void *context, spillkv_log_level level, const char *message)
{
    struct one_shard *const one = context;
    (void)level;
    snprintf(one->logged, sizeof(one->logged), "%s", message);
    one->log_count++;
}

void one_shard_open(struct one_shard *one, const struct one_shard_options *options)
{
    memset(one, 0, sizeof(*one));
    tempdir_make(&one->dir);
    snprintf(one->file, sizeof(one->file), "%s/shard.db", one->dir.path);
    cr_assert(skv_secret_init(&one->secret, ONE_SHARD_SEED));
    cr_assert(skv_budget_init(&one->budget, options->limit != 0 ? options->limit : 2 << 20,
                              options->segment_bytes != 0 ? options->segment_bytes : 16 << 10));
    one->log = (struct skv_log){.write = remember_message, .context = one};
    const struct skv_shard_options shard = {
        .budget = &one->budget,
        .secret = &one->secret,
        .log = &one->log,
        .clock = &one->clock,
        .file = options->mode == SKV_SHARD_SPILL ? one->file : NULL,
        .vfs = options->vfs,
        .mode = options->mode,
        .group_count = options->group_count != 0 ? options->group_count : 64,
        .shard_bits = options->shard_bits,
        .batch_segments = options->mode != SKV_SHARD_SPILL ? 0
                          : options->batch_segments != 0   ? options->batch_segments
                                                           : 8,
        .cache_bytes = 128 << 10,
        .seed = ONE_SHARD_SEED,
    };
    cr_assert_eq(skv_shard_open(&shard, &one->shard), SPILLKV_OK);
}

void one_shard_close(struct one_shard *one)
{
    cr_expect_eq(skv_shard_close(&one->shard), SPILLKV_OK);
    cr_expect_null(one->shard);
    cr_expect(skv_budget_check(&one->budget));
    /* What is left is the pool's own arrays. */
    cr_expect_eq(atomic_load(&one->budget.used_total),
                 skv_pieces_overhead_bytes(&one->budget.pieces));
    skv_budget_fini(&one->budget);
    cr_expect_not(tempdir_has(&one->dir, "shard.db"));
    tempdir_remove(&one->dir);
}

struct skv_key one_shard_key(const struct one_shard *one, const void *key, size_t size)
{
    return (struct skv_key){.bytes = key, .size = size, .hash = skv_hash(&one->secret, key, size)};
}

static struct skv_key key_of(const struct one_shard *one, uint32_t number)
{
    static _Thread_local uint8_t bytes[MODEL_KEY_MAX];
    return one_shard_key(one, bytes, model_key(number, bytes));
}

static uint8_t *value_buffer(void)
{
    static _Thread_local uint8_t *buffer;
    if (buffer == NULL) {
        static _Thread_local uint8_t bytes[BUFFER_BYTES];
        buffer = bytes;
    }
    return buffer;
}

spillkv_status one_shard_accept(struct one_shard *one, uint32_t number, uint64_t version,
                                size_t size)
{
    const struct skv_key key = key_of(one, number);
    cr_assert_leq(size, BUFFER_BYTES);
    model_value(number, version, value_buffer(), size);
    return skv_shard_set(one->shard, &key, value_buffer(), size);
}

spillkv_status one_shard_set(struct one_shard *one, uint32_t number, uint64_t version, size_t size)
{
    const spillkv_status status = one_shard_accept(one, number, version, size);
    return status == SPILLKV_OK ? skv_shard_resolve_inbox(one->shard) : status;
}

spillkv_status one_shard_del(struct one_shard *one, uint32_t number)
{
    const struct skv_key key = key_of(one, number);
    return skv_shard_del(one->shard, &key);
}

static spillkv_status get(struct one_shard *one, uint32_t number, uint64_t version, size_t size,
                          bool peek)
{
    const struct skv_key key = key_of(one, number);
    struct skv_sink sink = {.buffer = value_buffer(), .capacity = BUFFER_BYTES, .peek = peek};
    const spillkv_status status = skv_shard_get(one->shard, &key, &sink);
    if (status == SPILLKV_OK &&
        (sink.value_size != size || !model_value_is(number, version, value_buffer(), size))) {
        return SPILLKV_ECORRUPT;
    }
    return status;
}

spillkv_status one_shard_get(struct one_shard *one, uint32_t number, uint64_t version, size_t size)
{
    return get(one, number, version, size, false);
}

spillkv_status one_shard_peek(struct one_shard *one, uint32_t number, uint64_t version, size_t size)
{
    return get(one, number, version, size, true);
}

spillkv_status one_shard_put(struct one_shard *one, uint32_t number, uint64_t version, size_t size)
{
    for (unsigned vain = 0;;) {
        bool worked;
        spillkv_status status = one_shard_accept(one, number, version, size);
        if (status != SPILLKV_EFULL) {
            return status;
        }
        status = skv_shard_spill(one->shard, 16 << 10, &worked);
        vain = worked ? 0 : vain + 1;
        if (!worked && (status != SPILLKV_OK || vain == PUT_VAIN_MOST)) {
            status = status != SPILLKV_OK ? status : skv_shard_last_write(one->shard);
            return status != SPILLKV_OK ? status : SPILLKV_EFULL;
        }
    }
}

spillkv_status one_shard_spill_all(struct one_shard *one)
{
    for (;;) {
        bool worked = false;
        spillkv_status status = skv_shard_resolve_inbox(one->shard);
        if (status == SPILLKV_OK) {
            status = skv_shard_spill(one->shard, SIZE_MAX, &worked);
        }
        if (status != SPILLKV_OK || !worked) {
            return status;
        }
    }
}

unsigned one_shard_compact_all(struct one_shard *one, unsigned most)
{
    unsigned steps = 0;
    while (steps < most && skv_shard_wants_compaction(one->shard)) {
        cr_assert_eq(skv_shard_compact(one->shard), SPILLKV_OK);
        steps++;
    }
    return steps;
}

/* The slot of a key; the shard is quiet. */
static uint64_t slot_of(struct one_shard *one, uint32_t number)
{
    const struct skv_key key = key_of(one, number);
    struct skv_cold cold;
    struct skv_found found;
    cold.sink = NULL;
    skv_mutex_lock(&one->shard->lock);
    skv_shard_apply_inbox_locked(one->shard);
    const spillkv_status status = skv_shard_find(one->shard, &key, &cold, &found);
    const uint64_t slot = found.slot != NULL ? *found.slot : 0;
    skv_mutex_unlock(&one->shard->lock);
    cr_assert_eq(status, SPILLKV_OK);
    return slot;
}

bool one_shard_in_ram(struct one_shard *one, uint32_t number)
{
    const uint64_t slot = slot_of(one, number);
    return slot != 0 && !skv_slot_on_disk(slot);
}

bool one_shard_on_disk(struct one_shard *one, uint32_t number)
{
    const uint64_t slot = slot_of(one, number);
    return slot != 0 && skv_slot_on_disk(slot);
}

uint64_t one_shard_place(struct one_shard *one, uint32_t number)
{
    const uint64_t slot = slot_of(one, number);
    if (slot == 0 || skv_slot_on_disk(slot)) {
        return slot == 0 ? 0 : skv_slot_locator(slot);
    }
    const uint8_t *const entry = skv_ram_at(&one->shard->ram, skv_slot_locator(slot));
    return skv_entry_copy(entry, skv_entry_header(entry));
}

spillkv_counters one_shard_counters(struct one_shard *one)
{
    spillkv_counters counters = {0};
    skv_shard_add_counters(one->shard, &counters);
    return counters;
}

struct deep_sums {
    uint64_t disk_bytes;    /* live, clean copies too */
    uint64_t spilled_bytes; /* keys and values of spilled entries */
};

/* Reads an entry's key and header; the hash must be of the slot's group and tag. */
static void check_place(struct skv_shard *shard, uint32_t group, uint64_t slot, uint64_t place,
                        struct deep_sums *sums)
{
    static uint8_t bytes[SKV_SEGMENT_BYTES];
    uint8_t *key;
    size_t key_size;
    size_t got;
    uint64_t header;
    cr_assert_eq(skv_shard_read_key(shard, place, bytes, &key, &key_size), SPILLKV_OK);
    const uint64_t hash = skv_hash(shard->secret, key, key_size);
    cr_assert_eq(hash & SKV_TAG_MASK, skv_slot_tag(slot));
    cr_assert_eq(skv_table_group_of(&shard->table, hash), group);
    skv_free(key);
    cr_assert_eq(skv_store_read(shard->store, skv_place_id(place), skv_place_offset(place), &header,
                                sizeof(header), &got),
                 SPILLKV_OK);
    sums->disk_bytes += skv_disk_bytes(key_size, skv_header_value_size(header));
    if (skv_slot_on_disk(slot)) {
        sums->spilled_bytes += key_size + skv_header_value_size(header);
    }
}

static uint64_t place_of_slot(const struct skv_shard *shard, uint64_t slot)
{
    if (slot == 0 || skv_slot_on_disk(slot)) {
        return slot == 0 ? 0 : skv_slot_locator(slot);
    }
    const uint8_t *const entry = skv_ram_at(&shard->ram, skv_slot_locator(slot));
    return skv_entry_copy(entry, skv_entry_header(entry));
}

void shard_check_deeply(struct skv_shard *shard)
{
    struct deep_sums sums = {0};
    /* Nothing moves between the tiers, and no place changes, while this is held. */
    skv_mutex_lock(&shard->spill);
    cr_assert(skv_shard_check(shard));
    for (uint32_t group = 0; group < shard->table.group_count; group++) {
        size_t count;
        const uint64_t *const slots = skv_table_group_slots(&shard->table, group, &count);
        for (size_t i = 0; i < count; i++) {
            const uint64_t place = place_of_slot(shard, slots[i]);
            if (place != 0) {
                check_place(shard, group, slots[i], place, &sums);
            }
        }
    }
    cr_assert_eq(sums.disk_bytes, shard->space.packed_live_bytes + shard->space.lone_live_bytes);
    cr_assert_eq(sums.spilled_bytes, shard->counters.bytes_spilled);
    skv_mutex_unlock(&shard->spill);
}

static void *run_spill(void *argument)
{
    struct spill_thread *const spill = argument;
    spill->status = spill->compacts ? skv_shard_compact(spill->shard)
                                    : skv_shard_spill(spill->shard, SIZE_MAX, &spill->worked);
    return NULL;
}

void spill_thread_start(struct spill_thread *spill, struct skv_shard *shard, bool compacts)
{
    *spill = (struct spill_thread){.shard = shard, .compacts = compacts};
    cr_assert_eq(pthread_create(&spill->thread, NULL, run_spill, spill), 0);
}

spillkv_status spill_thread_join(struct spill_thread *spill)
{
    cr_assert_eq(pthread_join(spill->thread, NULL), 0);
    return spill->status;
}
