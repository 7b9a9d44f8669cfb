/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. A run is a ring of buckets. A slot lies in its home bucket, or, where that is full, in
 * the first one behind it that is not; and a bucket is filled from its first slot on. So a bucket
 * is full when its last slot is used, and a search ends at the first bucket that is not full:
 *
 *     home of x, y, z -> [a b c d e f g x]  [y z . . . . . .]  [h . . . . . . .]
 *
 * Removing keeps both: the last slot of the bucket moves into the hole, and if the bucket was full,
 * the nearest slot behind it that had to pass it moves up, which leaves a hole there, and so on.
 *
 * A group changes its length by rewriting: take the new run, place all slots, give the old one
 * back. Until the new run is there nothing has changed, so a failure needs no undoing. A group that
 * may not grow fills its run to the last slot.
 *
 * Rejected: tombstones (a table of caches sees as many removals as insertions, and searches for
 * absent keys would get longer with time), chained overflow buckets (a second kind of memory).
 *
 * Invariants: all buckets between a slot's home and the slot are full; buckets are used from the
 * first slot on; the owner of a group's run is the group.
 */
#include "table/table.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

spillkv_status skv_table_init(struct skv_table *table, struct skv_budget *budget,
                              uint32_t shard_bits, uint32_t group_count)
{
    SKV_CHECK(group_count > 0 && (group_count & (group_count - 1)) == 0);
    const uint32_t group_bits = (uint32_t)__builtin_ctz(group_count);
    SKV_CHECK(group_bits <= SKV_GROUP_BITS_MAX && shard_bits + group_bits + SKV_TAG_BITS <= 64);

    memset(table, 0, sizeof(*table));
    const uint64_t bytes = skv_table_directory_bytes(group_count);
    if (!skv_budget_charge(budget, SKV_MEMORY_TABLE, bytes)) {
        return SPILLKV_EFULL;
    }
    spillkv_status status = SPILLKV_ENOMEM;
    struct skv_group *const groups = skv_alloc_zeroed(group_count * sizeof(*groups));
    uint8_t *const room = skv_alloc_zeroed(group_count);
    if (groups == NULL || room == NULL) {
        goto fail;
    }
    status = skv_runs_init(&table->runs, budget);
    if (status != SPILLKV_OK) {
        goto fail;
    }
    table->budget = budget;
    table->groups = groups;
    table->room = room;
    table->group_shift = 63 - group_bits;
    table->shard_bits = shard_bits;
    table->group_count = group_count;
    return SPILLKV_OK;

fail:
    skv_free(room);
    skv_free(groups);
    skv_budget_discharge(budget, SKV_MEMORY_TABLE, bytes);
    return status;
}

uint64_t skv_table_directory_bytes(uint32_t group_count)
{
    return (uint64_t)group_count * (sizeof(struct skv_group) + sizeof(uint8_t));
}

void skv_table_fini(struct skv_table *table)
{
    if (table->groups == NULL) {
        return;
    }
    skv_runs_fini(&table->runs);
    skv_free(table->room);
    skv_free(table->groups);
    skv_budget_discharge(table->budget, SKV_MEMORY_TABLE,
                         skv_table_directory_bytes(table->group_count));
    memset(table, 0, sizeof(*table));
}

/* Gives a group another run, or none. Atomic, for who guesses without the lock where it is. */
static void set_run(struct skv_group *group, uint64_t *run, uint32_t buckets, uint32_t index)
{
    __atomic_store_n(&group->run, run, __ATOMIC_RELAXED);
    __atomic_store_n(&group->buckets, (uint16_t)buckets, __ATOMIC_RELAXED);
    group->index = index;
}

void skv_table_clear(struct skv_table *table)
{
    skv_runs_clear(&table->runs);
    for (uint32_t i = 0; i < table->group_count; i++) {
        set_run(&table->groups[i], NULL, 0, 0);
        table->groups[i].used = 0;
        table->room[i] = 0;
    }
    table->used = 0;
}

/* After each change of a group's length or of the number of its slots. */
static void note_room(struct skv_table *table, uint32_t number)
{
    const struct skv_group *const group = &table->groups[number];
    const uint32_t room = (uint32_t)group->buckets * SKV_BUCKET_SLOTS - group->used;
    table->room[number] = (uint8_t)(room < UINT8_MAX ? room : UINT8_MAX);
}

static uint64_t *next_bucket(uint64_t *run, uint32_t buckets, uint64_t *bucket)
{
    uint64_t *const next = bucket + SKV_BUCKET_SLOTS;
    return next == run + (size_t)buckets * SKV_BUCKET_SLOTS ? run : next;
}

/* Used slots of a bucket that is not full, without a branch to mispredict. */
static size_t bucket_used(const uint64_t *bucket)
{
    size_t used = (size_t)(bucket[3] != 0) * 4;
    used += (size_t)(bucket[used + 1] != 0) * 2;
    used += bucket[used] != 0;
    return used;
}

/* The run must have an empty slot. */
static void place(uint64_t *run, uint32_t buckets, uint64_t slot)
{
    const uint32_t home = skv_bucket_home(skv_slot_tag(slot), buckets);
    uint64_t *bucket = run + (size_t)home * SKV_BUCKET_SLOTS;
    while (skv_bucket_is_full(bucket)) {
        bucket[skv_slot_tag(slot) % SKV_BUCKET_SLOTS] |= SKV_SLOT_PASSED;
        bucket = next_bucket(run, buckets, bucket);
    }
    bucket[bucket_used(bucket)] = slot;
}

/* Gives the run of a group back and tells the group whose run took its place. */
static void release_run(struct skv_table *table, uint32_t number)
{
    const struct skv_group *const group = &table->groups[number];
    const uint32_t class_index = skv_runs_class_for(&table->runs, group->buckets);
    const uint32_t moved = skv_runs_give(&table->runs, class_index, group->index);
    if (moved != SKV_RUNS_NOBODY) {
        SKV_CHECK_CHEAP(moved != number && moved < table->group_count);
        set_run(&table->groups[moved], skv_runs_at(&table->runs, class_index, group->index),
                group->buckets, group->index);
    }
}

/* Puts the slots of a run into an empty one of another length. How full each bucket is stands in an
   array, so that the new run is only written. */
static void spread(uint64_t *run, uint32_t buckets, const uint64_t *from, uint32_t from_buckets)
{
    uint8_t used[SKV_RUNS_SEGMENT_MAX / SKV_BUCKET_BYTES];
    memset(used, 0, buckets);
    for (uint32_t b = 0; b < from_buckets; b++) {
        for (uint32_t i = 0; i < SKV_BUCKET_SLOTS && from[i] != 0; i++) {
            const uint64_t slot = from[i] & ~SKV_SLOT_PASSED;
            uint32_t at = skv_bucket_home(skv_slot_tag(slot), buckets);
            while (used[at] == SKV_BUCKET_SLOTS) {
                run[at * SKV_BUCKET_SLOTS + skv_slot_tag(slot) % SKV_BUCKET_SLOTS] |=
                    SKV_SLOT_PASSED;
                at = at + 1 == buckets ? 0 : at + 1;
            }
            run[at * SKV_BUCKET_SLOTS + used[at]++] = slot;
        }
        from += SKV_BUCKET_SLOTS;
    }
}

/* Moves a group, which may be empty, to a run of another class. */
static spillkv_status rewrite(struct skv_table *table, uint32_t number, uint32_t class_index)
{
    if (class_index == table->runs.class_count) {
        return SPILLKV_EFULL;
    }
    struct skv_group *const group = &table->groups[number];
    uint64_t *run;
    uint32_t index;
    const spillkv_status status = skv_runs_take(&table->runs, class_index, number, &index, &run);
    if (status != SPILLKV_OK) {
        return status;
    }
    const uint32_t buckets = table->runs.classes[class_index].length;
    memset(run, 0, (size_t)buckets * SKV_BUCKET_BYTES);
    spread(run, buckets, group->run, group->buckets);
    if (group->buckets != 0) {
        release_run(table, number);
    }
    set_run(group, run, buckets, index);
    note_room(table, number);
    return SPILLKV_OK;
}

/* Slots that a run may hold before its group grows: 90 %. */
static uint32_t comfortable(uint32_t buckets)
{
    return buckets * (SKV_BUCKET_SLOTS * 9) / 10;
}

spillkv_status skv_table_reserve(struct skv_table *table, uint64_t hash)
{
    const uint32_t number = skv_table_group_of(table, hash);
    const struct skv_group *const group = &table->groups[number];
    if (group->used >= comfortable(group->buckets)) {
        const uint32_t longer = skv_runs_class_for(&table->runs, group->buckets + 1u);
        const spillkv_status status = rewrite(table, number, longer);
        if (status != SPILLKV_OK && group->used == group->buckets * SKV_BUCKET_SLOTS) {
            return status;
        }
    }
    return SPILLKV_OK;
}

spillkv_status skv_table_insert(struct skv_table *table, uint64_t hash, uint64_t slot)
{
    SKV_CHECK_CHEAP(skv_slot_tag(slot) == (hash & SKV_TAG_MASK) && skv_slot_locator(slot) != 0);
    const spillkv_status status = skv_table_reserve(table, hash);
    if (status == SPILLKV_OK) {
        const uint32_t number = skv_table_group_of(table, hash);
        struct skv_group *const group = &table->groups[number];
        place(group->run, group->buckets, slot);
        group->used++;
        table->used++;
        note_room(table, number);
    }
    return status;
}

/* A slot of a bucket that does not belong into any of the `behind` places up to it, or NULL. */
static uint64_t *find_passed_on(uint64_t *bucket, uint32_t at, uint32_t behind, uint32_t buckets)
{
    for (uint32_t i = 0; i < SKV_BUCKET_SLOTS && bucket[i] != 0; i++) {
        const uint32_t home = skv_bucket_home(skv_slot_tag(bucket[i]), buckets);
        const uint32_t passed = at >= home ? at - home : at + buckets - home;
        if (passed >= behind) {
            return &bucket[i];
        }
    }
    return NULL;
}

/*
 * The nearest slot that had to pass a bucket, which was full until now; NULL if none had to.
 *
 * @param at  number of the bucket; becomes that of the slot's
 */
static uint64_t *find_to_pull_up(uint64_t *run, uint32_t buckets, uint32_t *at)
{
    for (uint32_t behind = 1; behind < buckets; behind++) {
        const uint32_t from = *at + behind < buckets ? *at + behind : *at + behind - buckets;
        uint64_t *const bucket = run + (size_t)from * SKV_BUCKET_SLOTS;
        uint64_t *const slot = find_passed_on(bucket, from, behind, buckets);
        if (slot != NULL) {
            *at = from;
            return slot;
        }
        if (!skv_bucket_is_full(bucket)) {
            return NULL;
        }
    }
    return NULL;
}

/* Puts a slot where another was: the passed bit stays with the place. */
static void put(uint64_t *at, uint64_t slot)
{
    *at = (slot & ~SKV_SLOT_PASSED) | (*at & SKV_SLOT_PASSED);
}

/* Ends even in a run without any other empty slot: each slot pulled up comes nearer to its home. */
static void empty_slot(uint64_t *run, uint32_t buckets, uint64_t *hole)
{
    uint32_t at = (uint32_t)((size_t)(hole - run) / SKV_BUCKET_SLOTS);
    for (;;) {
        uint64_t *const bucket = run + (size_t)at * SKV_BUCKET_SLOTS;
        if (!skv_bucket_is_full(bucket)) {
            uint64_t *const last = bucket + bucket_used(bucket) - 1;
            put(hole, *last);
            *last = 0;
            return;
        }
        uint64_t *const last = bucket + SKV_BUCKET_SLOTS - 1;
        const uint64_t passed = *last & SKV_SLOT_PASSED;
        put(hole, *last);
        *last = 0;
        hole = find_to_pull_up(run, buckets, &at);
        if (hole == NULL) {
            return;
        }
        *last = (*hole & ~SKV_SLOT_PASSED) | passed;
    }
}

void skv_table_remove(struct skv_table *table, uint64_t hash, uint64_t *slot)
{
    const uint32_t number = skv_table_group_of(table, hash);
    struct skv_group *const group = &table->groups[number];
    SKV_CHECK_CHEAP(skv_slot_tag(*slot) == (hash & SKV_TAG_MASK) && slot >= group->run &&
                    slot < group->run + (size_t)group->buckets * SKV_BUCKET_SLOTS);
    empty_slot(group->run, group->buckets, slot);
    group->used--;
    table->used--;
    if (group->used == 0) {
        release_run(table, number);
        set_run(group, NULL, 0, 0);
        table->room[number] = 0;
        return;
    }
    note_room(table, number);
    if (group->used < group->buckets * (SKV_BUCKET_SLOTS / 2)) {
        /* To 80 %: far from growing again and from shrinking again. */
        const uint32_t fitting =
            (group->used * 5u + SKV_BUCKET_SLOTS * 4u - 1) / (SKV_BUCKET_SLOTS * 4u);
        const uint32_t shorter = skv_runs_class_for(&table->runs, fitting);
        if (table->runs.classes[shorter].length < group->buckets) {
            (void)rewrite(table, number, shorter);
        }
    }
}

uint64_t *skv_table_group_slots(const struct skv_table *table, uint32_t group, size_t *count_out)
{
    *count_out = (size_t)table->groups[group].buckets * SKV_BUCKET_SLOTS;
    return table->groups[group].run;
}

uint64_t skv_table_bytes(const struct skv_table *table)
{
    return skv_table_directory_bytes(table->group_count) + table->runs.bytes;
}

/* Returns the used slots of the group. */
static uint32_t check_buckets(const struct skv_group *group)
{
    const uint32_t buckets = group->buckets;
    uint32_t used = 0;
    uint32_t full_before = 0; /* full buckets right before this one in the ring */
    while (
        full_before < buckets &&
        skv_bucket_is_full(group->run + (size_t)(buckets - 1 - full_before) * SKV_BUCKET_SLOTS)) {
        full_before++;
    }
    for (uint32_t at = 0; at < buckets; at++) {
        const uint64_t *const bucket = group->run + (size_t)at * SKV_BUCKET_SLOTS;
        uint32_t here = 0;
        while (here < SKV_BUCKET_SLOTS && bucket[here] != 0) {
            const uint32_t home = skv_bucket_home(skv_slot_tag(bucket[here]), buckets);
            SKV_CHECK((at >= home ? at - home : at + buckets - home) <= full_before);
            for (uint32_t b = home; b != at; b = b + 1 == buckets ? 0 : b + 1) {
                SKV_CHECK(skv_bucket_is_passed(group->run + (size_t)b * SKV_BUCKET_SLOTS,
                                               skv_slot_tag(bucket[here])));
            }
            SKV_CHECK(skv_slot_locator(bucket[here]) != 0);
            here++;
        }
        used += here;
        full_before = here == SKV_BUCKET_SLOTS ? full_before + 1 : 0;
        while (here < SKV_BUCKET_SLOTS) {
            SKV_CHECK(bucket[here] == 0);
            here++;
        }
    }
    return used;
}

bool skv_table_check(const struct skv_table *table)
{
    SKV_CHECK(skv_runs_check(&table->runs));
    uint64_t used = 0;
    uint64_t owned = 0;
    for (uint32_t g = 0; g < table->group_count; g++) {
        const struct skv_group *const group = &table->groups[g];
        /* A reserved run may be empty: the insert did not follow. */
        SKV_CHECK(group->buckets != 0 || group->used == 0);
        SKV_CHECK((group->buckets == 0) == (group->run == NULL));
        const uint32_t room = (uint32_t)group->buckets * SKV_BUCKET_SLOTS - group->used;
        SKV_CHECK(table->room[g] == (room < UINT8_MAX ? room : UINT8_MAX));
        if (group->buckets == 0) {
            continue;
        }
        const uint32_t class_index = skv_runs_class_for(&table->runs, group->buckets);
        SKV_CHECK(class_index < table->runs.class_count);
        SKV_CHECK(table->runs.classes[class_index].length == group->buckets);
        SKV_CHECK(group->index < table->runs.classes[class_index].used);
        SKV_CHECK(skv_runs_at(&table->runs, class_index, group->index) == group->run);
        SKV_CHECK(skv_runs_owner(&table->runs, class_index, group->index) == g);
        SKV_CHECK(check_buckets(group) == group->used);
        used += group->used;
        owned++;
    }
    SKV_CHECK(used == table->used);
    for (uint32_t i = 0; i < table->runs.class_count; i++) {
        owned -= table->runs.classes[i].used;
    }
    SKV_CHECK(owned == 0);
    return true;
}
