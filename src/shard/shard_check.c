/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. The invariants of a shard, all in one place. Those of the table, the logs and the space
 * each check themselves; here stands what holds between them: every slot in RAM points at an entry
 * with the slot's own hash, sums over the slots are the counters, every place is in a segment that
 * is in use, and nothing live is left that no slot points at.
 */
#include "shard/shard_private.h"

struct sums {
    uint64_t entries_ram;
    uint64_t entries_spilled;
    uint64_t bytes_ram;
    uint64_t live; /* bytes of the entries in RAM */
};

static void check_slot(const struct skv_shard *shard, uint32_t group, uint64_t slot,
                       struct sums *sums)
{
    const uint64_t locator = skv_slot_locator(slot);
    if (skv_slot_on_disk(slot)) {
        SKV_CHECK(shard->store != NULL && skv_place_id(locator) <= shard->space.count);
        sums->entries_spilled++;
        return;
    }
    const uint32_t number = skv_ram_segment_of(locator);
    SKV_CHECK(number != 0 && number <= shard->ram.count);
    const struct skv_ram_segment *const segment = &shard->ram.segments[number];
    SKV_CHECK(segment->state == SKV_RAM_OPEN || segment->state == SKV_RAM_SEALED ||
              segment->state == SKV_RAM_EXAMINED);
    const uint8_t *const entry = skv_ram_at(&shard->ram, locator);
    const uint64_t header = skv_entry_header(entry);
    const uint64_t hash =
        skv_hash(shard->secret, skv_entry_key(entry, header), skv_header_key_size(header));
    SKV_CHECK((hash & SKV_TAG_MASK) == skv_slot_tag(slot));
    SKV_CHECK(skv_table_group_of(&shard->table, hash) == group);
    const uint64_t copy = skv_entry_copy(entry, header);
    SKV_CHECK(copy == SKV_NO_COPY || skv_place_id(copy) <= shard->space.count);
    sums->entries_ram++;
    sums->bytes_ram += skv_header_key_size(header) + skv_header_value_size(header);
    sums->live += skv_entry_bytes(header);
}

bool skv_shard_check_locked(struct skv_shard *shard)
{
    struct sums sums = {0};
    for (uint32_t group = 0; group < shard->table.group_count; group++) {
        size_t count;
        const uint64_t *const slots = skv_table_group_slots(&shard->table, group, &count);
        for (size_t i = 0; i < count; i++) {
            if (slots[i] != 0) {
                check_slot(shard, group, slots[i], &sums);
            }
        }
    }
    SKV_CHECK(sums.entries_ram == shard->counters.entries_ram);
    SKV_CHECK(sums.entries_spilled == shard->counters.entries_spilled);
    SKV_CHECK(sums.bytes_ram == shard->counters.bytes_ram);
    SKV_CHECK(sums.entries_ram + sums.entries_spilled == shard->table.used);
    SKV_CHECK(sums.live == shard->ram.live);
    SKV_CHECK(sums.entries_spilled != 0 || shard->counters.bytes_spilled == 0);
    return skv_table_check(&shard->table) && skv_ram_check(&shard->ram) &&
           skv_inbox_check(&shard->inbox) && skv_space_check(&shard->space) &&
           skv_advise_check(&shard->advise);
}

bool skv_shard_check(struct skv_shard *shard)
{
    skv_mutex_lock(&shard->lock);
    const bool holds = skv_shard_check_locked(shard);
    skv_mutex_unlock(&shard->lock);
    return holds;
}
