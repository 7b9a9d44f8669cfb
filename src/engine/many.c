/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. A batch goes through the steps of shard.h with all its shards at a time: when the last
 * shard has asked for something, what the first one asked for is there. Keys are put together by
 * shard first, those of one shard in the order in which they came.
 *
 * What the steps leave is done key by key, with the calls for one key.
 */
#include "engine/engine.h"

/** The jobs of one shard. */
struct run {
    struct skv_shard *shard;
    struct skv_job *jobs;
    uint32_t count;
};

/** Puts the jobs together by shard, into `sorted`; returns the number of runs. */
static uint32_t group(const spillkv *kv, const struct skv_job *jobs, uint32_t count,
                      struct skv_job *sorted, struct run *runs)
{
    uint8_t counts[SPILLKV_SHARDS_MAX];
    uint8_t run_of[SPILLKV_SHARDS_MAX];
    uint32_t run_count = 0;
    uint32_t begun = 0;
    memset(counts, 0, kv->shard_count);
    for (uint32_t i = 0; i < count; i++) {
        counts[jobs[i].key.hash >> 1 >> kv->shard_shift]++;
    }
    for (uint32_t i = 0; i < kv->shard_count; i++) {
        if (counts[i] != 0) {
            run_of[i] = (uint8_t)run_count;
            runs[run_count++] = (struct run){.shard = kv->shards[i], .jobs = sorted + begun};
            begun += counts[i];
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        struct run *const run = &runs[run_of[jobs[i].key.hash >> 1 >> kv->shard_shift]];
        run->jobs[run->count++] = jobs[i];
    }
    return run_count;
}

/** Asks the disk for all that is left, then reads and does it. */
static void do_spilled(enum skv_many many, struct run *runs, uint32_t run_count)
{
    for (uint32_t i = 0; i < run_count; i++) {
        skv_shard_announce(runs[i].shard, runs[i].jobs, runs[i].count);
    }
    for (uint32_t i = 0; i < run_count; i++) {
        runs[i].count = skv_shard_do_spilled(runs[i].shard, many, runs[i].jobs, runs[i].count);
    }
}

static void do_get(struct skv_shard *shard, const struct skv_job *job)
{
    spillkv_item *const item = job->item;
    struct skv_sink sink = {.buffer = item->buffer, .capacity = item->capacity};
    item->status = skv_shard_get(shard, &job->key, &sink);
    item->value = item->status == SPILLKV_OK ? item->buffer : NULL;
    item->value_size = item->status >= SPILLKV_OK ? sink.value_size : 0;
}

/** The calls for one key. */
static void do_one(spillkv *kv, struct skv_shard *shard, enum skv_many many,
                   const struct skv_job *job)
{
    if (many == SKV_MANY_GET) {
        do_get(shard, job);
    } else if (many == SKV_MANY_SET) {
        job->item->status = skv_engine_set(kv, &job->key, job->item->value, job->item->value_size);
    } else {
        job->item->status = skv_shard_del(shard, &job->key);
    }
}

void skv_engine_many(spillkv *kv, enum skv_many many, const struct skv_job *jobs, uint32_t count)
{
    struct skv_job sorted[SKV_JOBS_MOST];
    struct run runs[SKV_JOBS_MOST];
    const uint32_t run_count = group(kv, jobs, count, sorted, runs);
    uint32_t left = 0;
    for (uint32_t i = 0; i < run_count; i++) {
        skv_shard_fetch_groups(runs[i].shard, runs[i].jobs, runs[i].count);
    }
    for (uint32_t i = 0; i < run_count; i++) {
        skv_shard_fetch_buckets(runs[i].shard, runs[i].jobs, runs[i].count);
    }
    for (uint32_t i = 0; i < run_count; i++) {
        skv_shard_fetch_entries(runs[i].shard, many, runs[i].jobs, runs[i].count);
    }
    for (uint32_t i = 0; i < run_count; i++) {
        runs[i].count = skv_shard_do_resident(runs[i].shard, many, runs[i].jobs, runs[i].count);
        left += runs[i].count;
    }
    if (left > 1 && kv->mode == SKV_SHARD_SPILL) {
        do_spilled(many, runs, run_count);
    }
    for (uint32_t i = 0; i < run_count; i++) {
        for (uint32_t j = 0; j < runs[i].count; j++) {
            do_one(kv, runs[i].shard, many, &runs[i].jobs[j]);
        }
    }
    skv_spillers_nudge(&kv->spillers);
    for (uint32_t i = 0; i < run_count && many != SKV_MANY_GET; i++) {
        skv_spillers_nudge_compaction(&kv->spillers, runs[i].shard);
    }
}
