/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. Set, del and has find their slot (shard_find.c), which leaves the lock held, and do their
 * work under it. Everything that can fail comes before anything is changed.
 *
 * An overwrite goes in place when the size is the same and nobody examines or has pinned the
 * segment; otherwise the new entry is appended and the old one becomes garbage. Either way the
 * entry's copy on disk, if it had one, is dropped: it is dirty now.
 */
#include "base/alloc.h"
#include "shard/shard_private.h"

static void drop_copy(struct skv_shard *shard, const uint8_t *entry, uint64_t header)
    SKV_REQUIRES(shard->lock)
{
    const uint64_t copy = skv_entry_copy(entry, header);
    if (copy != SKV_NO_COPY) {
        skv_shard_drop_place_locked(shard, copy, skv_header_key_size(header),
                                    skv_header_value_size(header));
    }
}

static spillkv_status place_entry(struct skv_shard *shard, struct skv_put *put,
                                  uint64_t *locator_out) SKV_REQUIRES(shard->lock)
{
    if (put->pages == NULL) {
        return skv_ram_append(&shard->ram, SKV_NEWCOMERS, &put->parts, false, locator_out);
    }
    const spillkv_status status =
        skv_ram_adopt(&shard->ram, SKV_NEWCOMERS, put->pages, put->bytes, locator_out);
    if (status == SPILLKV_OK) {
        put->pages = NULL;
    }
    return status;
}

/** Forgets where a key's entry was, in either tier; the slot is the caller's to change. */
static void forget_old(struct skv_shard *shard, const struct skv_key *key,
                       const struct skv_found *found) SKV_REQUIRES(shard->lock)
{
    const uint64_t locator = skv_slot_locator(*found->slot);
    const size_t bytes = key->size + found->value_size;
    if (found->entry != NULL) {
        drop_copy(shard, found->entry, found->header);
        skv_ram_forget(&shard->ram, locator);
        skv_shard_uncount_ram(shard, bytes);
    } else {
        skv_shard_drop_place_locked(shard, locator, key->size, found->value_size);
        skv_shard_uncount_spilled(shard, bytes);
    }
}

/** Whether what refused a slot is nothing that freed memory could change. A store that drops
 *  entries drops their slots too. */
static bool has_no_slot(struct skv_shard *shard, const struct skv_key *key, spillkv_status status)
    SKV_REQUIRES(shard->lock)
{
    return status == SPILLKV_EFULL &&
           (skv_budget_table_is_full(shard->budget) ||
            (shard->mode != SKV_SHARD_DROP && skv_table_is_crowded(&shard->table, key->hash)));
}

static spillkv_status insert_new(struct skv_shard *shard, const struct skv_key *key,
                                 struct skv_put *put) SKV_REQUIRES(shard->lock)
{
    uint64_t locator;
    spillkv_status status = skv_table_reserve(&shard->table, key->hash);
    if (has_no_slot(shard, key, status)) {
        return SKV_ENOSLOT;
    }
    if (status == SPILLKV_OK) {
        status = place_entry(shard, put, &locator);
    }
    if (status != SPILLKV_OK) {
        return status;
    }
    status =
        skv_table_insert(&shard->table, key->hash,
                         skv_slot_make(key->hash, false, skv_policy_new(&shard->policy), locator));
    SKV_CHECK(status == SPILLKV_OK);
    skv_shard_count_ram(shard, key->size + put->parts.value_size);
    skv_shard_note_miss_locked(shard);
    skv_shard_tell_locked(shard, skv_advise_insert, key, put->parts.value_size,
                          skv_policy_new(&shard->policy));
    return SPILLKV_OK;
}

static spillkv_status replace(struct skv_shard *shard, const struct skv_key *key,
                              const struct skv_found *found, struct skv_put *put)
    SKV_REQUIRES(shard->lock)
{
    const bool was_spilled = found->entry == NULL;
    const size_t value_size = put->parts.value_size;
    const uint32_t bits = skv_slot_policy(*found->slot);
    if (!was_spilled && found->value_size == value_size && put->pages == NULL &&
        skv_ram_may_overwrite(&shard->ram, skv_slot_locator(*found->slot))) {
        drop_copy(shard, found->entry, found->header);
        if (skv_entry_has_copy_word(found->header)) {
            skv_entry_set_copy(found->entry, SKV_NO_COPY);
        }
        if (value_size != 0) {
            memmove(skv_entry_value(found->entry, found->header), put->parts.value, value_size);
        }
        skv_shard_use_slot(shard, found->slot);
        skv_shard_tell_locked(shard, skv_advise_overwrite, key, value_size, bits);
        return SPILLKV_OK;
    }
    uint64_t locator;
    const spillkv_status status = place_entry(shard, put, &locator);
    if (status != SPILLKV_OK) {
        return status;
    }
    forget_old(shard, key, found);
    skv_shard_count_ram(shard, key->size + value_size);
    skv_shard_use_slot(shard, found->slot);
    *found->slot = skv_slot_moved(*found->slot, false, locator);
    if (was_spilled) {
        skv_shard_note_miss_locked(shard);
    }
    skv_shard_tell_locked(shard, skv_advise_overwrite, key, value_size, bits);
    return SPILLKV_OK;
}

spillkv_status skv_shard_put_locked(struct skv_shard *shard, const struct skv_key *key,
                                    const struct skv_found *found, struct skv_put *put)
{
    return found->slot != NULL ? replace(shard, key, found, put) : insert_new(shard, key, put);
}

spillkv_status skv_shard_finish_set_locked(struct skv_shard *shard, const struct skv_key *key,
                                           const struct skv_found *found, struct skv_put *put,
                                           uint64_t number)
{
    struct skv_inbox *const inbox = &shard->inbox;
    if (number != 0 && !skv_inbox_holds(inbox, number)) {
        return SPILLKV_OK;
    }
    const spillkv_status status = skv_shard_put_locked(shard, key, found, put);
    if (status == SPILLKV_OK) {
        const uint64_t last = number != 0 ? number : inbox->numbers;
        (void)skv_inbox_remove(inbox, key->hash, key->bytes, key->size, last);
        shard->counters.sets += number == 0;
    }
    return status;
}

spillkv_status skv_shard_set_past_inbox(struct skv_shard *shard, const struct skv_key *key,
                                        const void *value, size_t value_size, uint64_t number)
{
    struct skv_put put = {
        .parts = {.key = key->bytes,
                  .value = value,
                  .key_size = key->size,
                  .value_size = value_size,
                  .copy = SKV_NO_COPY},
        .bytes = skv_entry_bytes_for(key->size, value_size, false),
    };
    const bool lone = skv_ram_is_lone(&shard->ram, put.bytes);
    if (lone) {
        put.pages = skv_budget_take_pages(shard->budget, SKV_MEMORY_ENTRIES, put.bytes);
        if (put.pages == NULL) {
            return SPILLKV_EFULL;
        }
        skv_entry_write(put.pages, &put.parts);
    }
    struct skv_cold cold;
    struct skv_found found;
    cold.sink = NULL;
    skv_mutex_lock(&shard->lock);
    skv_shard_apply_inbox_locked(shard);
    spillkv_status status = skv_shard_find(shard, key, &cold, &found);
    if (status == SPILLKV_OK) {
        status = skv_shard_finish_set_locked(shard, key, &found, &put, number);
    }
    skv_mutex_unlock(&shard->lock);
    if (put.pages != NULL) {
        skv_budget_give_pages(shard->budget, SKV_MEMORY_ENTRIES, put.pages, put.bytes);
    }
    return status;
}

spillkv_status skv_shard_set(struct skv_shard *shard, const struct skv_key *key, const void *value,
                             size_t value_size)
{
    const struct skv_entry_parts parts = {.key = key->bytes,
                                          .value = value,
                                          .key_size = key->size,
                                          .value_size = value_size,
                                          .copy = SKV_NO_COPY};
    bool others_wait = false;
    const bool small = skv_entry_parts_bytes(&parts) <= SKV_INBOX_ENTRY_MOST;
    const bool accepted = small && skv_shard_accept(shard, key, &parts, &others_wait);
    if (SKV_UNLIKELY(others_wait && !key->nowait)) {
        /* One for one, so that they get no more. If it fails it goes on waiting. */
        bool none;
        const spillkv_status status = skv_shard_resolve_oldest(shard, &none);
        (void)status;
    }
    if (SKV_LIKELY(accepted)) {
        return SPILLKV_OK;
    }
    const spillkv_status status = skv_shard_set_past_inbox(shard, key, value, value_size, 0);
    return status == SPILLKV_WOULD_BLOCK && small && skv_shard_reserve_inbox(shard, key->hash) &&
                   skv_shard_accept(shard, key, &parts, &others_wait)
               ? SPILLKV_OK
               : status;
}

/** Points a key at the row that was written for it. */
static spillkv_status set_place(struct skv_shard *shard, const struct skv_key *key,
                                size_t value_size, uint64_t place) SKV_EXCLUDES(shard->lock)
{
    struct skv_cold cold;
    struct skv_found found;
    cold.sink = NULL;
    skv_mutex_lock(&shard->lock);
    skv_shard_apply_inbox_locked(shard);
    spillkv_status status = skv_shard_find(shard, key, &cold, &found);
    if (status == SPILLKV_OK && found.slot != NULL) {
        forget_old(shard, key, &found);
        skv_shard_use_slot(shard, found.slot);
        *found.slot = skv_slot_moved(*found.slot, true, place);
    } else if (status == SPILLKV_OK) {
        status =
            skv_table_insert(&shard->table, key->hash,
                             skv_slot_make(key->hash, true, skv_policy_new(&shard->policy), place));
        if (has_no_slot(shard, key, status)) {
            status = SKV_ENOSLOT;
        }
    }
    if (status == SPILLKV_OK) {
        (void)skv_inbox_remove(&shard->inbox, key->hash, key->bytes, key->size,
                               shard->inbox.numbers);
        skv_shard_tell_gone_locked(shard, key, false);
        skv_shard_count_spilled(shard, key->size + value_size);
        shard->counters.sets++;
        shard->counters.spills++;
        shard->disk_moves++;
    } else {
        skv_shard_drop_place_locked(shard, place, key->size, value_size);
    }
    skv_mutex_unlock(&shard->lock);
    return status;
}

spillkv_status skv_shard_set_on_disk(struct skv_shard *shard, const struct skv_key *key,
                                     const void *value, size_t value_size)
{
    const struct skv_spilling from = {.hash = key->hash};
    const struct skv_entry_parts parts = {
        .key = key->bytes, .value = value, .key_size = key->size, .value_size = value_size};
    skv_mutex_lock(&shard->spill);
    spillkv_status status = skv_shard_begin_batch(shard);
    if (status == SPILLKV_OK) {
        skv_mutex_lock(&shard->lock);
        const bool batched = skv_shard_batch_lone_locked(shard, &from, &parts);
        skv_mutex_unlock(&shard->lock);
        /* The batch takes with it the row of the value that the last such call replaced. */
        const uint64_t place = batched ? shard->batch.spilling[0].place : 0;
        status = skv_shard_write_batch(shard);
        if (!batched) {
            status = status == SPILLKV_OK ? SPILLKV_ENOSPC : status;
        } else if (status == SPILLKV_OK) {
            status = set_place(shard, key, value_size, place);
        } else {
            skv_mutex_lock(&shard->lock);
            skv_shard_cancel_place_locked(shard, place, key->size, value_size);
            skv_mutex_unlock(&shard->lock);
        }
        skv_batch_reset(&shard->batch);
    }
    skv_shard_end_batch(shard);
    return status;
}

/* Del and has. */

spillkv_status skv_shard_finish_del_locked(struct skv_shard *shard, const struct skv_key *key,
                                           const struct skv_found *found)
{
    const uint32_t waited =
        skv_inbox_remove(&shard->inbox, key->hash, key->bytes, key->size, shard->inbox.numbers);
    if (found->slot != NULL) {
        forget_old(shard, key, found);
        skv_shard_tell_gone_locked(shard, key, true);
        skv_table_remove(&shard->table, key->hash, found->slot);
    } else if (waited == 0) {
        return SPILLKV_NOT_FOUND;
    }
    shard->counters.dels++;
    return SPILLKV_OK;
}

spillkv_status skv_shard_del(struct skv_shard *shard, const struct skv_key *key)
{
    struct skv_cold cold;
    struct skv_found found;
    cold.sink = NULL;
    skv_mutex_lock(&shard->lock);
    skv_shard_apply_inbox_locked(shard);
    spillkv_status status = skv_shard_find(shard, key, &cold, &found);
    if (status == SPILLKV_OK) {
        status = skv_shard_finish_del_locked(shard, key, &found);
    }
    skv_mutex_unlock(&shard->lock);
    return status;
}

spillkv_status skv_shard_has(struct skv_shard *shard, const struct skv_key *key)
{
    struct skv_cold cold;
    struct skv_found found;
    cold.sink = NULL;
    skv_mutex_lock(&shard->lock);
    skv_shard_apply_inbox_locked(shard);
    spillkv_status status = SPILLKV_OK;
    if (SKV_LIKELY(skv_shard_find_waiting_locked(shard, key) == NULL)) {
        status = skv_shard_find(shard, key, &cold, &found);
        if (status == SPILLKV_OK && found.slot == NULL) {
            status = SPILLKV_NOT_FOUND;
        }
    }
    skv_mutex_unlock(&shard->lock);
    return status;
}
