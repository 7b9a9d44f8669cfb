/* SPDX-License-Identifier: MIT */
#include "micro_shard.h"

#include <error.h>
#include <stdio.h>
#include <stdlib.h>

#include "scratch.h"
#include "workload.h"

#define SEGMENT_BYTES  ((size_t)64 << 10)
#define KEYS_PER_GROUP 300
#define CACHE_BYTES    ((uint64_t)1 << 20)

static bool check(spillkv_status status, const char *what)
{
    if (status != SPILLKV_OK) {
        error(0, 0, "%s: %s", what, spillkv_strerror(status));
    }
    return status == SPILLKV_OK;
}

static bool open_shard(struct micro_shard *one, const struct micro *micro, uint64_t entries)
{
    uint32_t groups = 16;
    while ((uint64_t)groups * KEYS_PER_GROUP < entries && groups < 1u << 20) {
        groups *= 2;
    }
    const struct skv_shard_options options = {
        .budget = &one->budget,
        .secret = &one->secret,
        .clock = &one->clock,
        .file = one->file,
        .mode = SKV_SHARD_SPILL,
        .group_count = groups,
        .batch_segments = MICRO_BATCH_SEGMENTS,
        .cache_bytes = CACHE_BYTES,
        .seed = micro->seed,
    };
    return check(skv_shard_open(&options, &one->shard), "open a shard");
}

bool micro_shard_open(struct micro_shard *one, const struct micro *micro, uint64_t entries)
{
    *one = (struct micro_shard){.folder = scratch_make(micro->folder)};
    if (one->folder == NULL || asprintf(&one->file, "%s/shard", one->folder) < 0 ||
        !skv_secret_init(&one->secret, micro->seed + 1) ||
        !skv_budget_init(&one->budget, 0, SEGMENT_BYTES)) {
        error(0, 0, "cannot set up a shard");
        free(one->file);
        scratch_remove(one->folder);
        return false;
    }
    if (!open_shard(one, micro, entries)) {
        micro_shard_close(one);
        return false;
    }
    return true;
}

void micro_shard_close(struct micro_shard *one)
{
    check(skv_shard_close(&one->shard), "close a shard");
    skv_budget_fini(&one->budget);
    free(one->file);
    scratch_remove(one->folder);
}

static struct skv_key key_of(const struct micro_shard *one, const uint8_t *key)
{
    return (struct skv_key){
        .bytes = key,
        .size = MICRO_KEY_SIZE,
        .hash = skv_hash(&one->secret, key, MICRO_KEY_SIZE),
    };
}

bool micro_shard_fill(struct micro_shard *one, const struct micro *micro, uint64_t entries)
{
    uint8_t bytes[MICRO_KEY_SIZE];
    uint8_t value[MICRO_VALUE_SIZE];
    for (uint64_t i = 0; i < entries; i++) {
        workload_key(micro->seed, i, bytes, sizeof bytes);
        workload_value(bytes, value, sizeof value);
        const struct skv_key key = key_of(one, bytes);
        const spillkv_status status = skv_shard_set(one->shard, &key, value, sizeof value);
        if (status != SPILLKV_OK) {
            return check(status, "set");
        }
    }
    return true;
}

bool micro_shard_check(struct micro_shard *one, const uint8_t *key, bool peek)
{
    uint8_t value[MICRO_VALUE_SIZE];
    struct skv_sink sink = {.buffer = value, .capacity = sizeof value, .peek = peek};
    const struct skv_key own = key_of(one, key);
    const spillkv_status status = skv_shard_get(one->shard, &own, &sink);
    if (status != SPILLKV_OK) {
        return check(status, "get");
    }
    if (sink.value_size != sizeof value || !workload_value_is(key, value, sizeof value)) {
        error(0, 0, "get: a wrong value");
        return false;
    }
    return true;
}

bool micro_shard_spill(struct micro_shard *one, uint64_t most)
{
    bool worked = true;
    while (worked && (most == 0 || micro_shard_counters(one).entries_ram > most)) {
        const spillkv_status status = skv_shard_spill(one->shard, SIZE_MAX, &worked);
        if (status != SPILLKV_OK) {
            return check(status, "spill");
        }
    }
    return true;
}

bool micro_shard_free(struct micro_shard *one, uint64_t most)
{
    for (;;) {
        bool worked;
        const uint64_t entries = micro_shard_counters(one).entries_ram;
        if (entries <= most) {
            return true;
        }
        const size_t goal = (entries - most) * (MICRO_KEY_SIZE + MICRO_VALUE_SIZE);
        const spillkv_status status = skv_shard_spill(one->shard, goal, &worked);
        if (status != SPILLKV_OK || !worked) {
            return check(status, "spill");
        }
    }
}

spillkv_counters micro_shard_counters(struct micro_shard *one)
{
    spillkv_counters counters = {0};
    skv_shard_add_counters(one->shard, &counters);
    return counters;
}
