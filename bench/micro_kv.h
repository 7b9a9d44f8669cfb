/* SPDX-License-Identifier: MIT */
/**
 * A store for one measurement, through the public functions, in a directory of its own.
 */
#ifndef BENCH_MICRO_KV_H
#define BENCH_MICRO_KV_H

#include <spillkv/spillkv.h>

#include "micro.h"

struct micro_kv {
    spillkv *kv;
    char *folder;
};

/** @return false after a message */
bool micro_kv_open(struct micro_kv *kv, const struct micro *micro, uint64_t max_mem);
/** Closes and removes the directory; false after a message. */
bool micro_kv_close(struct micro_kv *kv);

/** Sets entries 0 .. entries - 1; false after a message. */
bool micro_kv_fill(struct micro_kv *kv, const struct micro *micro, uint64_t entries,
                   size_t value_size);
/** Reads random ones of them back and compares; false after a message. */
bool micro_kv_read(struct micro_kv *kv, const struct micro *micro, uint64_t entries,
                   size_t value_size, uint64_t reads, uint64_t *random);

bool micro_kv_stats(struct micro_kv *kv, spillkv_stats_data *stats);

#endif
