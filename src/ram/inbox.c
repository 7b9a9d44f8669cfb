/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. A dozen sets are searched one by one. Removing closes the gap, so that the bytes stay in
 * the order of the sets; nearly always everything is removed at once, which costs nothing.
 */
#include "ram/inbox.h"

#include "base/check.h"

void skv_inbox_add(struct skv_inbox *inbox, uint64_t hash, const struct skv_entry_parts *parts)
{
    const size_t size = skv_entry_parts_bytes(parts);
    SKV_CHECK_CHEAP(skv_inbox_has_room(inbox, size));
    inbox->sets[inbox->count++] = (struct skv_inbox_set){
        .hash = hash,
        .number = ++inbox->numbers,
        .offset = inbox->used,
        .size = (uint32_t)size,
    };
    skv_entry_write(inbox->bytes + inbox->used, parts);
    inbox->used += (uint32_t)size;
}

static bool is_key(const struct skv_inbox *inbox, uint32_t i, uint64_t hash, const void *key,
                   size_t key_size)
{
    if (inbox->sets[i].hash != hash) {
        return false;
    }
    const uint8_t *const entry = inbox->bytes + inbox->sets[i].offset;
    return skv_entry_key_is(entry, skv_entry_header(entry), key, key_size);
}

const uint8_t *skv_inbox_find(const struct skv_inbox *inbox, uint64_t hash, const void *key,
                              size_t key_size)
{
    for (uint32_t i = inbox->count; i > 0; i--) {
        if (is_key(inbox, i - 1, hash, key, key_size)) {
            return inbox->bytes + inbox->sets[i - 1].offset;
        }
    }
    return NULL;
}

bool skv_inbox_holds(const struct skv_inbox *inbox, uint64_t number)
{
    for (uint32_t i = 0; i < inbox->count; i++) {
        if (inbox->sets[i].number == number) {
            return true;
        }
    }
    return false;
}

bool skv_inbox_has_hash(const struct skv_inbox *inbox, uint64_t hash, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (inbox->sets[i].hash == hash) {
            return true;
        }
    }
    return false;
}

/** Closes the gaps between the sets that are kept; the first `waiting` of them wait. */
static void compact(struct skv_inbox *inbox, uint32_t kept, uint32_t waiting)
{
    const uint32_t count = inbox->count;
    inbox->count = 0;
    inbox->used = 0;
    inbox->waiting = waiting;
    for (uint32_t i = 0; i < count && kept >> i != 0; i++) {
        if ((kept >> i & 1) == 0) {
            continue;
        }
        struct skv_inbox_set set = inbox->sets[i];
        if (set.offset != inbox->used) {
            memmove(inbox->bytes + inbox->used, inbox->bytes + set.offset, set.size);
            set.offset = inbox->used;
        }
        inbox->used += set.size;
        inbox->sets[inbox->count++] = set;
    }
}

uint32_t skv_inbox_remove(struct skv_inbox *inbox, uint64_t hash, const void *key, size_t key_size,
                          uint64_t last)
{
    uint32_t kept = 0;
    uint32_t waiting = 0;
    uint32_t removed = 0;
    for (uint32_t i = 0; i < inbox->count; i++) {
        if (inbox->sets[i].number <= last && is_key(inbox, i, hash, key, key_size)) {
            removed++;
        } else {
            kept |= UINT32_C(1) << i;
            waiting += i < inbox->waiting;
        }
    }
    if (removed != 0) {
        compact(inbox, kept, waiting);
    }
    return removed;
}

void skv_inbox_keep(struct skv_inbox *inbox, uint32_t kept)
{
    compact(inbox, kept, (uint32_t)__builtin_popcount(kept));
}

void skv_inbox_clear(struct skv_inbox *inbox)
{
    compact(inbox, 0, 0);
}

bool skv_inbox_check(const struct skv_inbox *inbox)
{
    uint32_t used = 0;
    SKV_CHECK(inbox->waiting <= inbox->count && inbox->count <= SKV_INBOX_SETS);
    for (uint32_t i = 0; i < inbox->count; i++) {
        const struct skv_inbox_set *const set = &inbox->sets[i];
        SKV_CHECK(set->offset == used);
        SKV_CHECK(set->size == skv_entry_bytes(skv_entry_header(inbox->bytes + used)));
        SKV_CHECK(set->number <= inbox->numbers && (i == 0 || set->number > set[-1].number));
        used += set->size;
    }
    SKV_CHECK(used == inbox->used && used <= SKV_INBOX_BYTES);
    return true;
}
