/* SPDX-License-Identifier: MIT */
/**
 * The best that is possible: of the residents the one goes whose next use is farthest away. They
 * are in a heap by that, and know their places in it, as a use changes it.
 */
#include <stdlib.h>

#include "hitrate_policy.h"

#define NOWHERE UINT32_MAX

struct heap {
    uint64_t *uses;   /* by key: its next use */
    uint32_t *keys;   /* the heap: the farthest first */
    uint32_t *places; /* by key: in the heap, or NOWHERE */
    uint32_t count;
};

static void put(struct heap *heap, uint32_t at, uint32_t key)
{
    heap->keys[at] = key;
    heap->places[key] = at;
}

/* Nearer uses than its parent's are fine. */
static void move_up(struct heap *heap, uint32_t at)
{
    const uint32_t key = heap->keys[at];
    while (at > 0 && heap->uses[heap->keys[(at - 1) / 2]] < heap->uses[key]) {
        put(heap, at, heap->keys[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(heap, at, key);
}

static void remove_first(struct heap *heap)
{
    heap->places[heap->keys[0]] = NOWHERE;
    const uint32_t key = heap->keys[--heap->count];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count &&
            heap->uses[heap->keys[child + 1]] > heap->uses[heap->keys[child]]) {
            child++;
        }
        if (heap->uses[heap->keys[child]] <= heap->uses[key]) {
            break;
        }
        put(heap, at, heap->keys[child]);
        at = child;
    }
    if (heap->count != 0) {
        put(heap, at, key);
    }
}

/* For each request when its key is asked for again. */
static void find_next_uses(const struct trace *trace, uint64_t *last, uint64_t *next)
{
    for (uint32_t key = 0; key < trace->unique; key++) {
        last[key] = UINT64_MAX;
    }
    for (uint64_t i = trace->count; i-- > 0;) {
        next[i] = last[trace->keys[i]];
        last[trace->keys[i]] = i;
    }
}

static uint64_t simulate(struct heap *heap, const struct trace *trace, const uint64_t *next,
                         uint32_t capacity)
{
    uint64_t hits = 0;
    for (uint32_t key = 0; key < trace->unique; key++) {
        heap->places[key] = NOWHERE;
    }
    for (uint64_t i = 0; i < trace->count; i++) {
        const uint32_t key = trace->keys[i];
        heap->uses[key] = next[i];
        if (heap->places[key] != NOWHERE) {
            hits++;
        } else {
            if (heap->count == capacity) {
                remove_first(heap);
            }
            put(heap, heap->count++, key);
        }
        move_up(heap, heap->places[key]);
    }
    return hits;
}

bool hitrate_run_belady(const struct hitrate_policy *policy, const struct trace *trace,
                        const struct hitrate_cache *cache, struct hitrate_result *result_out)
{
    (void)policy;
    *result_out = (struct hitrate_result){0};
    struct heap heap = {
        .uses = malloc(trace->unique * sizeof(*heap.uses)),
        .keys = malloc(trace->unique * sizeof(*heap.keys)),
        .places = malloc(trace->unique * sizeof(*heap.places)),
    };
    uint64_t *const next = malloc(trace->count * sizeof(*next));
    const bool valid =
        heap.uses != NULL && heap.keys != NULL && heap.places != NULL && next != NULL;
    if (valid) {
        find_next_uses(trace, heap.uses, next);
        result_out->hits = simulate(&heap, trace, next, cache->capacity);
    }
    free(heap.uses);
    free(heap.keys);
    free(heap.places);
    free(next);
    return valid;
}
