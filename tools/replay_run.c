/* SPDX-License-Identifier: MIT */
/**
 * Requests are taken in small batches from a common counter, so that threads stay close to the
 * order of the trace. A key is noted as set after its set returned: who saw the note and does not
 * find the key has found a fault. Two threads may both miss a key and set it, to the same value.
 */
#include "replay_run.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "progress.h"
#include "threads.h"
#include "workload.h"

#define BATCH        16u
#define MESSAGES_MAX 10u
/* How often it is looked how many entries are in RAM. */
#define SAMPLES 256u

struct worker {
    /* Constant while threads run. */
    struct replay *crew;

    /* Owned by the thread. */
    unsigned char *buffer;
    struct replay_outcome outcome;
    uint64_t entries_sum;
    uint64_t samples;
};

struct replay {
    /* Constant while threads run. */
    spillkv *kv;
    const struct trace *trace;
    size_t value_size;
    uint64_t sample_every;
    unsigned count;

    /* Atomic, relaxed: nothing else depends on their order. */
    atomic_uint_fast64_t next;
    atomic_uint messages;
    atomic_bool stop;
    /* By key; written with release, read with acquire. */
    atomic_bool *was_set;

    struct worker worker[];
};

static bool init_worker(struct replay *replay, struct worker *worker)
{
    worker->crew = replay;
    worker->buffer = malloc(replay->value_size + 1);
    if (worker->buffer == NULL || !latency_init(&worker->outcome.get) ||
        !latency_init(&worker->outcome.set)) {
        return false;
    }
    memset(worker->buffer, 1, replay->value_size + 1);
    return true;
}

struct replay *replay_create(unsigned threads, const struct trace *trace, size_t value_size)
{
    struct replay *const replay = calloc(1, sizeof *replay + threads * sizeof *replay->worker);
    bool valid = replay != NULL;
    if (valid) {
        replay->trace = trace;
        replay->value_size = value_size;
        replay->sample_every = trace->count / SAMPLES / BATCH * BATCH + BATCH;
        replay->count = threads;
        replay->was_set = calloc(trace->unique, sizeof *replay->was_set);
        valid = replay->was_set != NULL;
    }
    for (unsigned w = 0; valid && w < threads; w++) {
        valid = init_worker(replay, &replay->worker[w]);
    }
    if (!valid) {
        progress_say("no memory for the threads");
        replay_destroy(replay);
        return NULL;
    }
    return replay;
}

void replay_destroy(struct replay *replay)
{
    if (replay == NULL) {
        return;
    }
    for (unsigned w = 0; w < replay->count; w++) {
        latency_fini(&replay->worker[w].outcome.get);
        latency_fini(&replay->worker[w].outcome.set);
        free(replay->worker[w].buffer);
    }
    free(replay->was_set);
    free(replay);
}

/* Says what is wrong with a key, for the first few. */
static void complain(struct replay *replay, uint32_t number, const char *what)
{
    const unsigned messages = atomic_fetch_add(&replay->messages, 1);
    if (messages < MESSAGES_MAX) {
        progress_say("%s: key number %u", what, (unsigned)number);
    } else if (messages == MESSAGES_MAX) {
        progress_say("more of that is only counted");
    }
}

static bool set_one(struct worker *worker, uint32_t number, const uint8_t *key)
{
    struct replay *const replay = worker->crew;
    workload_value(key, worker->buffer, replay->value_size);
    const uint64_t began = progress_now_ns();
    const spillkv_status status =
        spillkv_set(replay->kv, key, WORKLOAD_KEY_MIN, worker->buffer, replay->value_size);
    latency_record(&worker->outcome.set, progress_now_ns() - began);
    if (status != SPILLKV_OK) {
        complain(replay, number, spillkv_strerror(status));
        return false;
    }
    atomic_store_explicit(&replay->was_set[number], true, memory_order_release);
    return true;
}

/* Returns false when the run has to end. */
static bool request(struct worker *worker, uint32_t number)
{
    struct replay *const replay = worker->crew;
    struct workers_findings *const findings = &worker->outcome.findings;
    uint8_t key[WORKLOAD_KEY_MIN];
    size_t size = 0;
    workload_key(0, number, key, sizeof key);
    const bool was_set = atomic_load_explicit(&replay->was_set[number], memory_order_acquire);
    const uint64_t began = progress_now_ns();
    const spillkv_status status =
        spillkv_get(replay->kv, key, sizeof key, worker->buffer, replay->value_size + 1, &size);
    latency_record(&worker->outcome.get, progress_now_ns() - began);
    if (status == SPILLKV_NOT_FOUND) {
        if (was_set) {
            findings->missing++;
            complain(replay, number, "missing");
        }
        return set_one(worker, number, key);
    }
    if (status < 0) {
        findings->failed++;
        complain(replay, number, spillkv_strerror(status));
    } else if (status != SPILLKV_OK || size != replay->value_size ||
               !workload_value_is(key, worker->buffer, size)) {
        findings->wrong++;
        complain(replay, number, "wrong value");
    }
    return true;
}

/* Looks how many entries are in RAM, if some are not. */
static void sample(struct worker *worker)
{
    spillkv_stats_data stats;
    if (spillkv_stats(worker->crew->kv, &stats) == SPILLKV_OK && stats.total.entries_spilled != 0) {
        worker->entries_sum += stats.total.entries_ram;
        worker->samples++;
    }
}

static void *run_batches(void *context)
{
    struct worker *const worker = context;
    struct replay *const replay = worker->crew;
    const uint64_t count = replay->trace->count;
    while (!threads_told_to_stop(&replay->stop)) {
        const uint64_t first =
            atomic_fetch_add_explicit(&replay->next, BATCH, memory_order_relaxed);
        if (first >= count) {
            break;
        }
        const uint64_t end = count - first < BATCH ? count : first + BATCH;
        for (uint64_t i = first; i < end; i++) {
            if (!request(worker, replay->trace->keys[i])) {
                atomic_store(&replay->stop, true);
                return NULL;
            }
        }
        if (first % replay->sample_every == 0) {
            sample(worker);
        }
        progress_add(end - first);
    }
    return NULL;
}

bool replay_run(struct replay *replay, spillkv *kv, struct replay_outcome *outcome)
{
    uint64_t entries_sum = 0;
    uint64_t samples = 0;
    replay->kv = kv;
    const bool done = threads_run(replay->count, run_batches, replay->worker,
                                  sizeof *replay->worker, &replay->stop);
    for (unsigned w = 0; w < replay->count; w++) {
        const struct worker *const worker = &replay->worker[w];
        latency_merge(&outcome->get, &worker->outcome.get);
        latency_merge(&outcome->set, &worker->outcome.set);
        outcome->findings.missing += worker->outcome.findings.missing;
        outcome->findings.wrong += worker->outcome.findings.wrong;
        outcome->findings.failed += worker->outcome.findings.failed;
        entries_sum += worker->entries_sum;
        samples += worker->samples;
    }
    outcome->entries_ram = samples != 0 ? (double)entries_sum / (double)samples : 0;
    return done;
}
