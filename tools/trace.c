/* SPDX-License-Identifier: MIT */
/**
 * Keys of any 64 bits become numbers from 0 by an open hash table, which is at most half full.
 */
#include "trace.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "workload.h"

#define FIRST_ROOM ((uint64_t)1 << 16)

static uint64_t place_of(const struct trace_builder *builder, uint64_t key)
{
    uint64_t at = workload_mix(key) & builder->mask;
    while (builder->numbers[at] != 0 && builder->originals[at] != key) {
        at = (at + 1) & builder->mask;
    }
    return at;
}

static bool grow_table(struct trace_builder *builder)
{
    const struct trace_builder old = *builder;
    const uint64_t size = old.numbers == NULL ? FIRST_ROOM : 2 * (old.mask + 1);
    builder->originals = malloc(size * sizeof(*builder->originals));
    builder->numbers = calloc(size, sizeof(*builder->numbers));
    if (builder->originals == NULL || builder->numbers == NULL) {
        free(builder->originals);
        free(builder->numbers);
        *builder = old;
        return false;
    }
    builder->mask = size - 1;
    for (uint64_t i = 0; old.numbers != NULL && i <= old.mask; i++) {
        if (old.numbers[i] != 0) {
            const uint64_t at = place_of(builder, old.originals[i]);
            builder->originals[at] = old.originals[i];
            builder->numbers[at] = old.numbers[i];
        }
    }
    free(old.originals);
    free(old.numbers);
    return true;
}

static bool grow_keys(struct trace_builder *builder)
{
    const uint64_t room = builder->room == 0 ? FIRST_ROOM : 2 * builder->room;
    uint32_t *const keys = realloc(builder->trace.keys, room * sizeof(*keys));
    if (keys == NULL) {
        return false;
    }
    builder->trace.keys = keys;
    builder->room = room;
    return true;
}

bool trace_add(struct trace_builder *builder, uint64_t key)
{
    struct trace *const trace = &builder->trace;
    if (trace->count == builder->room && !grow_keys(builder)) {
        return false;
    }
    const bool half_full = builder->numbers == NULL || trace->unique > builder->mask / 2;
    if (half_full && !grow_table(builder)) {
        return false;
    }
    const uint64_t at = place_of(builder, key);
    if (builder->numbers[at] == 0) {
        if (trace->unique == UINT32_MAX - 2) {
            return false;
        }
        builder->originals[at] = key;
        builder->numbers[at] = ++trace->unique;
    }
    trace->keys[trace->count++] = builder->numbers[at] - 1;
    return true;
}

bool trace_finish(struct trace_builder *builder, const char *name, bool valid,
                  struct trace *trace_out)
{
    free(builder->originals);
    free(builder->numbers);
    *trace_out = builder->trace;
    trace_out->name = strdup(name);
    *builder = (struct trace_builder){0};
    if (!valid || trace_out->name == NULL) {
        trace_free(trace_out);
        return false;
    }
    return true;
}

void trace_free(struct trace *trace)
{
    free(trace->name);
    free(trace->keys);
    *trace = (struct trace){0};
}
