/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. Each length is the longest of which some number fits a segment, so a segment has less
 * than one bucket per run to spare; the next length is the one of these nearest to an eighth more:
 *
 *     segments of 64 KiB   1 2 3 ... 16 18 20 ... 102 113 128 146 170 204 256 341 512 1024
 *     runs in each         1024 512 341 ...        10   9   8   7   6   5   4   3   2    1
 *
 * Beyond a tenth of a segment the steps get coarser than an eighth: a length between two of these
 * would waste in its segment what it saves in the run. Tables have enough groups to stay below.
 *
 * Each segment has a record on the heap with the owners of its runs. It comes and goes with the
 * segment: one array of owners per class was rejected, as growing it would copy it, a pause.
 *
 *     class.segments  [ * ][ * ][ * ]
 *                       |    |    '-> span, owners of 2k .. 3k - 1
 *                       |    '------> span, owners of k .. 2k - 1
 *                       '-----------> span, owners of runs 0 .. k - 1
 *
 * Invariant: segment_count is the least that holds the runs in use.
 */
#include "table/runs.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

#define FIRST_CAPACITY 4u
#define POINTER_BYTES  sizeof(void *) /* in the array of segments */

struct skv_run_segment {
    struct skv_span span;
    uint32_t owners[]; /* per_segment of them */
};

static uint32_t next_length(uint32_t length, uint32_t segment_buckets)
{
    const uint32_t want = length + length / 8 + (length < 8);
    if (want >= segment_buckets) {
        return segment_buckets;
    }
    const uint32_t fit = segment_buckets / want;
    const uint32_t longer = segment_buckets / fit;
    const uint32_t shorter = segment_buckets / (fit + 1);
    const uint32_t least = length + length / 16 + (length < 16);
    return shorter >= least && want - shorter < longer - want ? shorter : longer;
}

static uint32_t count_classes(uint32_t segment_buckets)
{
    uint32_t count = 1;
    for (uint32_t n = 1; n < segment_buckets; n = next_length(n, segment_buckets)) {
        count++;
    }
    return count;
}

spillkv_status skv_runs_init(struct skv_runs *runs, struct skv_budget *budget)
{
    const size_t segment_bytes = budget->segment_bytes;
    SKV_CHECK(segment_bytes >= SKV_RUNS_SEGMENT_MIN && segment_bytes <= SKV_RUNS_SEGMENT_MAX);
    const uint32_t segment_buckets = (uint32_t)(segment_bytes / SKV_BUCKET_BYTES);

    memset(runs, 0, sizeof(*runs));
    const uint32_t count = count_classes(segment_buckets);
    const size_t bytes = count * sizeof(*runs->classes);
    if (!skv_budget_charge(budget, SKV_MEMORY_TABLE, bytes)) {
        return SPILLKV_EFULL;
    }
    runs->classes = skv_alloc_zeroed(bytes);
    if (runs->classes == NULL) {
        skv_budget_discharge(budget, SKV_MEMORY_TABLE, bytes);
        return SPILLKV_ENOMEM;
    }
    runs->budget = budget;
    runs->class_count = count;
    runs->bytes = bytes;
    uint32_t length = 1;
    for (uint32_t i = 0; i < count; i++) {
        runs->classes[i].length = length;
        runs->classes[i].per_segment = segment_buckets / length;
        length = next_length(length, segment_buckets);
    }
    return SPILLKV_OK;
}

static size_t record_bytes(const struct skv_run_class *class)
{
    return sizeof(struct skv_run_segment) + class->per_segment * sizeof(uint32_t);
}

static void free_array(struct skv_runs *runs, struct skv_run_class *class)
{
    const size_t bytes = class->segment_capacity * POINTER_BYTES;
    skv_free(class->segments);
    class->segments = NULL;
    class->segment_capacity = 0;
    skv_budget_discharge(runs->budget, SKV_MEMORY_TABLE, bytes);
    runs->bytes -= bytes;
}

static void drop_last_segment(struct skv_runs *runs, struct skv_run_class *class)
{
    struct skv_run_segment *const record = class->segments[--class->segment_count];
    const size_t bytes = record_bytes(class);
    skv_budget_give_segment(runs->budget, SKV_MEMORY_TABLE, record->span);
    skv_free(record);
    skv_budget_discharge(runs->budget, SKV_MEMORY_TABLE, bytes);
    runs->bytes -= runs->budget->segment_bytes + bytes;
    if (class->segment_count == 0) {
        free_array(runs, class);
    }
}

void skv_runs_clear(struct skv_runs *runs)
{
    for (uint32_t i = 0; i < runs->class_count; i++) {
        struct skv_run_class *const class = &runs->classes[i];
        while (class->segment_count > 0) {
            drop_last_segment(runs, class);
        }
        class->used = 0;
    }
}

void skv_runs_fini(struct skv_runs *runs)
{
    if (runs->classes == NULL) {
        return;
    }
    skv_runs_clear(runs);
    skv_free(runs->classes);
    skv_budget_discharge(runs->budget, SKV_MEMORY_TABLE, runs->bytes);
    memset(runs, 0, sizeof(*runs));
}

uint32_t skv_runs_class_for(const struct skv_runs *runs, uint32_t buckets)
{
    uint32_t low = 0;
    uint32_t high = runs->class_count;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (runs->classes[middle].length < buckets) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Room for one more record. */
static spillkv_status reserve(struct skv_runs *runs, struct skv_run_class *class)
{
    if (class->segment_count < class->segment_capacity) {
        return SPILLKV_OK;
    }
    const uint32_t more = class->segment_capacity != 0 ? class->segment_capacity : FIRST_CAPACITY;
    const uint32_t capacity = class->segment_capacity + more;
    const size_t more_bytes = more * POINTER_BYTES;
    if (!skv_budget_charge(runs->budget, SKV_MEMORY_TABLE, more_bytes)) {
        return SPILLKV_EFULL;
    }
    struct skv_run_segment **const segments =
        skv_realloc(class->segments, capacity * POINTER_BYTES);
    if (segments == NULL) {
        skv_budget_discharge(runs->budget, SKV_MEMORY_TABLE, more_bytes);
        return SPILLKV_ENOMEM;
    }
    class->segments = segments;
    class->segment_capacity = capacity;
    runs->bytes += more_bytes;
    return SPILLKV_OK;
}

static spillkv_status add_segment(struct skv_runs *runs, struct skv_run_class *class)
{
    struct skv_budget *const budget = runs->budget;
    const size_t bytes = record_bytes(class);
    if (!skv_budget_charge(budget, SKV_MEMORY_TABLE, bytes)) {
        return SPILLKV_EFULL;
    }
    spillkv_status status = SPILLKV_ENOMEM;
    struct skv_span span = {NULL, 0};
    struct skv_run_segment *const record = skv_alloc(bytes);
    if (record == NULL) {
        goto fail;
    }
    status = SPILLKV_EFULL;
    if (!skv_budget_take_segment(budget, SKV_MEMORY_TABLE, &span)) {
        goto fail;
    }
    /* Last, because an array that has grown stays so. */
    status = reserve(runs, class);
    if (status != SPILLKV_OK) {
        goto fail;
    }
    record->span = span;
    class->segments[class->segment_count++] = record;
    runs->bytes += budget->segment_bytes + bytes;
    return SPILLKV_OK;

fail:
    if (span.base != NULL) {
        skv_budget_give_segment(budget, SKV_MEMORY_TABLE, span);
    }
    skv_free(record);
    skv_budget_discharge(budget, SKV_MEMORY_TABLE, bytes);
    return status;
}

static uint64_t *run_at(const struct skv_run_class *class, uint32_t index)
{
    const struct skv_run_segment *const segment = class->segments[index / class->per_segment];
    const size_t bucket = (size_t)(index % class->per_segment) * class->length;
    return (uint64_t *)(void *)(segment->span.base + bucket * SKV_BUCKET_BYTES);
}

static uint32_t *owner_at(const struct skv_run_class *class, uint32_t index)
{
    return &class->segments[index / class->per_segment]->owners[index % class->per_segment];
}

spillkv_status skv_runs_take(struct skv_runs *runs, uint32_t class_index, uint32_t owner,
                             uint32_t *index_out, uint64_t **run_out)
{
    struct skv_run_class *const class = &runs->classes[class_index];
    *index_out = 0;
    *run_out = NULL;
    if (class->used == class->segment_count * class->per_segment) {
        const spillkv_status status = add_segment(runs, class);
        if (status != SPILLKV_OK) {
            return status;
        }
    }
    const uint32_t index = class->used++;
    *owner_at(class, index) = owner;
    *index_out = index;
    *run_out = run_at(class, index);
    return SPILLKV_OK;
}

uint32_t skv_runs_give(struct skv_runs *runs, uint32_t class_index, uint32_t index)
{
    struct skv_run_class *const class = &runs->classes[class_index];
    SKV_CHECK_CHEAP(index < class->used);
    const uint32_t last = --class->used;
    uint32_t moved = SKV_RUNS_NOBODY;
    if (index != last) {
        memcpy(run_at(class, index), run_at(class, last),
               (size_t) class->length * SKV_BUCKET_BYTES);
        moved = *owner_at(class, last);
        *owner_at(class, index) = moved;
    }
    if (last % class->per_segment == 0) {
        drop_last_segment(runs, class);
    }
    return moved;
}

uint64_t *skv_runs_at(const struct skv_runs *runs, uint32_t class_index, uint32_t index)
{
    return run_at(&runs->classes[class_index], index);
}

uint32_t skv_runs_owner(const struct skv_runs *runs, uint32_t class_index, uint32_t index)
{
    return *owner_at(&runs->classes[class_index], index);
}

bool skv_runs_check(const struct skv_runs *runs)
{
    const size_t segment_bytes = runs->budget->segment_bytes;
    uint64_t bytes = runs->class_count * sizeof(*runs->classes);
    for (uint32_t i = 0; i < runs->class_count; i++) {
        const struct skv_run_class *const class = &runs->classes[i];
        SKV_CHECK(i == 0 || class->length > runs->classes[i - 1].length);
        SKV_CHECK((size_t) class->per_segment * class->length * SKV_BUCKET_BYTES <= segment_bytes);
        SKV_CHECK(class->segment_count ==
                  (class->used + class->per_segment - 1) / class->per_segment);
        SKV_CHECK(class->segment_count <= class->segment_capacity);
        SKV_CHECK((class->segments == NULL) == (class->segment_count == 0));
        bytes += class->segment_capacity * POINTER_BYTES;
        bytes += class->segment_count * (segment_bytes + record_bytes(class));
    }
    SKV_CHECK(bytes == runs->bytes);
    return true;
}
