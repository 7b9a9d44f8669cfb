/* SPDX-License-Identifier: MIT */
#include "micro_kv.h"

#include <error.h>

#include "scratch.h"
#include "workload.h"

#define VALUE_MOST 4096

static bool check(spillkv_status status, const char *what)
{
    if (status != SPILLKV_OK) {
        error(0, 0, "%s: %s", what, spillkv_strerror(status));
    }
    return status == SPILLKV_OK;
}

bool micro_kv_open(struct micro_kv *kv, const struct micro *micro, uint64_t max_mem)
{
    spillkv_options options;
    *kv = (struct micro_kv){.folder = scratch_make(micro->folder)};
    if (kv->folder == NULL) {
        return false;
    }
    spillkv_options_init(&options);
    options.path = kv->folder;
    options.max_mem = max_mem;
    options.shards = micro->shards;
    if (!check(spillkv_open(&options, &kv->kv), "open")) {
        scratch_remove(kv->folder);
        return false;
    }
    return true;
}

bool micro_kv_close(struct micro_kv *kv)
{
    const bool closed = check(spillkv_close(kv->kv), "close");
    scratch_remove(kv->folder);
    return closed;
}

bool micro_kv_fill(struct micro_kv *kv, const struct micro *micro, uint64_t entries,
                   size_t value_size)
{
    uint8_t key[MICRO_KEY_SIZE];
    uint8_t value[VALUE_MOST];
    for (uint64_t i = 0; i < entries; i++) {
        workload_key(micro->seed, i, key, sizeof key);
        workload_value(key, value, value_size);
        const spillkv_status status = spillkv_set(kv->kv, key, sizeof key, value, value_size);
        if (status != SPILLKV_OK) {
            return check(status, "set");
        }
    }
    return true;
}

bool micro_kv_read(struct micro_kv *kv, const struct micro *micro, uint64_t entries,
                   size_t value_size, uint64_t reads, uint64_t *random)
{
    uint8_t key[MICRO_KEY_SIZE];
    uint8_t value[VALUE_MOST];
    for (uint64_t i = 0; i < reads; i++) {
        size_t size;
        workload_key(micro->seed, workload_below(random, entries), key, sizeof key);
        const spillkv_status status =
            spillkv_get(kv->kv, key, sizeof key, value, sizeof value, &size);
        if (status != SPILLKV_OK) {
            return check(status, "get");
        }
        if (size != value_size || !workload_value_is(key, value, size)) {
            error(0, 0, "get: a wrong value");
            return false;
        }
    }
    return true;
}

bool micro_kv_stats(struct micro_kv *kv, spillkv_stats_data *stats)
{
    return check(spillkv_stats(kv->kv, stats), "stats");
}
