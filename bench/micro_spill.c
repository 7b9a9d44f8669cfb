/* SPDX-License-Identifier: MIT */
/**
 * The whole way of an entry to disk: examining it, packing it, the transaction, settling its slot,
 * freeing its memory. One shard is filled, then the calls that spill are timed.
 *
 * Twice: entries that were never used all leave at once, as in a load; of entries that were used
 * some 15 % of what is examined leave and the rest is appended again.
 */
#include <error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disk/segment.h"
#include "disk/store.h"
#include "micro.h"
#include "micro_shard.h"
#include "scratch.h"
#include "workload.h"

#define SECTION    "spill"
#define CHECK_STEP 97

static bool use_all(struct micro_shard *one, const struct micro *micro)
{
    uint8_t key[MICRO_KEY_SIZE];
    for (uint64_t i = 0; i < micro->cold_entries; i++) {
        workload_key(micro->seed, i, key, sizeof key);
        if (!micro_shard_check(one, key, false)) {
            return false;
        }
    }
    return true;
}

static bool check_some(struct micro_shard *one, const struct micro *micro)
{
    uint8_t key[MICRO_KEY_SIZE];
    for (uint64_t i = 0; i < micro->cold_entries; i += CHECK_STEP) {
        workload_key(micro->seed, i, key, sizeof key);
        if (!micro_shard_check(one, key, true)) {
            return false;
        }
    }
    return true;
}

/* Nanoseconds of this thread for each entry spilled. */
static bool spill(struct micro_shard *one, const struct micro *micro, bool used, double *ns_out)
{
    const uint64_t most = used ? micro->cold_entries / 2 : 0;
    if (!micro_shard_fill(one, micro, micro->cold_entries) || (used && !use_all(one, micro))) {
        return false;
    }
    const uint64_t began = micro_thread_ns();
    if (!micro_shard_spill(one, most)) {
        return false;
    }
    const uint64_t ended = micro_thread_ns();
    const spillkv_counters counters = micro_shard_counters(one);
    if (counters.spills == 0 || counters.entries_ram > most) {
        error(0, 0, "spill: %llu entries stay", (unsigned long long)counters.entries_ram);
        return false;
    }
    *ns_out = (double)(ended - began) / (double)counters.spills;
    return check_some(one, micro);
}

static bool spill_shard(struct micro *micro, bool used, double *ns_out)
{
    struct micro_shard one;
    if (!micro_shard_open(&one, micro, micro->cold_entries)) {
        return false;
    }
    const bool done = spill(&one, micro, used, ns_out);
    micro_shard_close(&one);
    return done;
}

/* The transactions alone: the same segments, in batches of the same size. */
static bool write_segments(struct skv_store *store, uint64_t count, double *ns_out)
{
    static uint8_t bytes[MICRO_BATCH_SEGMENTS * SKV_SEGMENT_BYTES];
    struct skv_store_segment segments[MICRO_BATCH_SEGMENTS];
    memset(bytes, 1, sizeof bytes);
    const uint64_t began = micro_thread_ns();
    for (uint32_t id = 1; id <= count;) {
        struct skv_store_batch batch = {.segments = segments};
        while (batch.segment_count < MICRO_BATCH_SEGMENTS && id <= count) {
            segments[batch.segment_count] = (struct skv_store_segment){
                .id = id++, .bytes = bytes + batch.segment_count * SKV_SEGMENT_BYTES};
            batch.segment_count++;
        }
        const spillkv_status status = skv_store_write(store, &batch);
        if (status != SPILLKV_OK) {
            error(0, 0, "write: %s", spillkv_strerror(status));
            return false;
        }
    }
    *ns_out = (double)(micro_thread_ns() - began) / (double)count;
    return true;
}

static bool write_store(const struct micro *micro, uint64_t count, double *ns_out)
{
    char message[256] = "";
    char *file = NULL;
    struct skv_store *store = NULL;
    bool done = false;
    char *const folder = scratch_make(micro->folder);
    if (folder != NULL && asprintf(&file, "%s/shard", folder) >= 0) {
        const struct skv_store_options options = {.file = file, .cache_bytes = (uint64_t)1 << 20};
        done = skv_store_open(&options, &store, message, sizeof message) == SPILLKV_OK &&
               write_segments(store, count, ns_out);
        done = skv_store_close(&store) == SPILLKV_OK && done;
        free(file);
    }
    if (!done) {
        error(0, 0, "cannot write a store: %s", message);
    }
    scratch_remove(folder);
    return done;
}

bool micro_spill(struct micro *micro)
{
    struct figures *const figures = &micro->figures;
    const size_t packed = skv_packed_bytes(MICRO_KEY_SIZE, MICRO_VALUE_SIZE);
    const double per_segment = (double)(SKV_SEGMENT_BYTES / packed);
    const uint64_t segments = (uint64_t)((double)micro->cold_entries / per_segment) + 1;
    double unused;
    double used;
    double write;
    if (!spill_shard(micro, false, &unused) || !spill_shard(micro, true, &used) ||
        !write_store(micro, segments, &write)) {
        return false;
    }
    write /= per_segment;
    figures_add_wanted(figures, SECTION, "CPU per entry spilled, never used", "ns", 250, unused);
    figures_add(figures, SECTION, "of it transactions", "ns", write);
    figures_add(figures, SECTION, "of it examining, packing, settling, freeing", "ns",
                unused - write);
    figures_add(figures, SECTION, "CPU per entry spilled, all used once", "ns", used);
    return true;
}
