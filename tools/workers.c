/* SPDX-License-Identifier: MIT */
/**
 * Storing is divided beforehand, because the records of one key must stay in one thread; reading
 * back takes batches from a common counter, so that no thread idles while another one waits for the
 * disk. Only the call into the store is timed, not the comparison.
 */
#include "workers.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "progress.h"
#include "threads.h"

#define BATCH        256u
#define MESSAGES_MAX 10u

struct worker {
    /* Constant while threads run. */
    struct workers *crew;
    size_t first;
    size_t last;
    size_t capacity;

    /* Owned by the thread. */
    unsigned char *buffer;
    struct latency latency;
    struct workers_findings findings;
};

struct workers {
    /* Constant while threads run. */
    spillkv *kv;
    const struct records *records;
    unsigned count;

    /* Atomic, relaxed: nothing else depends on their order. */
    atomic_size_t next;
    atomic_uint messages;
    atomic_bool stop;

    struct worker worker[];
};

struct workers *workers_create(unsigned count, const struct records *records)
{
    struct workers *const workers = calloc(1, sizeof *workers + count * sizeof *workers->worker);
    if (workers == NULL) {
        progress_say("out of memory");
        return NULL;
    }
    workers->records = records;
    workers->count = count;
    for (unsigned w = 0; w < count; w++) {
        struct worker *const worker = &workers->worker[w];
        worker->crew = workers;
        worker->capacity = records->largest_value + 1;
        worker->buffer = malloc(worker->capacity);
        if (worker->buffer == NULL || !latency_init(&worker->latency)) {
            progress_say("no memory for the threads");
            workers_destroy(workers);
            return NULL;
        }
        memset(worker->buffer, 1, worker->capacity);
    }
    return workers;
}

void workers_destroy(struct workers *workers)
{
    if (workers == NULL) {
        return;
    }
    for (unsigned w = 0; w < workers->count; w++) {
        latency_fini(&workers->worker[w].latency);
        free(workers->worker[w].buffer);
    }
    free(workers);
}

/* Says what is wrong with a key, for the first few. */
static void complain(struct workers *workers, const struct record_view *view, const char *what)
{
    const unsigned number = atomic_fetch_add(&workers->messages, 1);
    if (number < MESSAGES_MAX) {
        char key[ESCAPE_BRIEF];
        progress_say("%s: key %s", what, escape_brief(view->key, view->key_size, key));
    } else if (number == MESSAGES_MAX) {
        progress_say("more of that is only counted");
    }
}

static bool set_one(struct worker *worker, size_t index)
{
    struct record_view view;
    records_view(worker->crew->records, index, &view);
    const uint64_t began = progress_now_ns();
    const spillkv_status status =
        spillkv_set(worker->crew->kv, view.key, view.key_size, view.value, view.value_size);
    latency_record(&worker->latency, progress_now_ns() - began);
    if (status != SPILLKV_OK) {
        complain(worker->crew, &view, spillkv_strerror(status));
    }
    return status == SPILLKV_OK;
}

static void *set_part(void *context)
{
    struct worker *const worker = context;
    for (size_t i = worker->first;
         i < worker->last && !threads_told_to_stop(&worker->crew->stop);) {
        const size_t rest = worker->last - i;
        const size_t end = i + (rest < BATCH ? rest : BATCH);
        progress_add(end - i);
        for (; i < end; i++) {
            if (!set_one(worker, i)) {
                atomic_store(&worker->crew->stop, true);
                return NULL;
            }
        }
    }
    return NULL;
}

static void verify_one(struct worker *worker, size_t index)
{
    struct record_view view;
    size_t size = 0;
    records_view(worker->crew->records, index, &view);
    const uint64_t began = progress_now_ns();
    const spillkv_status status = spillkv_get(worker->crew->kv, view.key, view.key_size,
                                              worker->buffer, worker->capacity, &size);
    latency_record(&worker->latency, progress_now_ns() - began);
    if (status < 0) {
        worker->findings.failed++;
        complain(worker->crew, &view, spillkv_strerror(status));
    } else if (status == SPILLKV_NOT_FOUND) {
        worker->findings.missing++;
        complain(worker->crew, &view, "missing");
    } else if (status != SPILLKV_OK || size != view.value_size ||
               memcmp(worker->buffer, view.value, size) != 0) {
        worker->findings.wrong++;
        complain(worker->crew, &view, "wrong value");
    }
}

static void *verify_batches(void *context)
{
    struct worker *const worker = context;
    struct workers *const workers = worker->crew;
    const size_t count = workers->records->count;
    while (!threads_told_to_stop(&workers->stop)) {
        const size_t first = atomic_fetch_add_explicit(&workers->next, BATCH, memory_order_relaxed);
        if (first >= count) {
            break;
        }
        const size_t end = count - first < BATCH ? count : first + BATCH;
        for (size_t i = first; i < end; i++) {
            verify_one(worker, i);
        }
        progress_add(end - first);
    }
    return NULL;
}

/* Runs a function in every worker, and gathers their latencies; false if not all was done. */
static bool run_all(struct workers *workers, void *(*function)(void *), struct latency *latency)
{
    const bool done = threads_run(workers->count, function, workers->worker,
                                  sizeof *workers->worker, &workers->stop);
    for (unsigned w = 0; w < workers->count; w++) {
        latency_merge(latency, &workers->worker[w].latency);
        latency_reset(&workers->worker[w].latency);
    }
    return done;
}

bool workers_set_all(struct workers *workers, spillkv *kv, const size_t *starts,
                     struct latency *latency)
{
    workers->kv = kv;
    for (unsigned w = 0; w < workers->count; w++) {
        workers->worker[w].first = starts[w];
        workers->worker[w].last = starts[w + 1];
    }
    return run_all(workers, set_part, latency);
}

bool workers_verify_all(struct workers *workers, spillkv *kv, struct latency *latency,
                        struct workers_findings *findings_out)
{
    *findings_out = (struct workers_findings){0};
    workers->kv = kv;
    atomic_store(&workers->next, 0);
    const bool done = run_all(workers, verify_batches, latency);
    for (unsigned w = 0; w < workers->count; w++) {
        const struct workers_findings *const found = &workers->worker[w].findings;
        findings_out->missing += found->missing;
        findings_out->wrong += found->wrong;
        findings_out->failed += found->failed;
    }
    return done;
}
