/* SPDX-License-Identifier: MIT */
/**
 * A key belongs to one thread in a phase, so that its mark needs no lock. The marks are shared
 * memory, which is not anonymous: RssAnon is that of the store, the threads and little else.
 */
#include "rss_run.h"

#include <error.h>
#include <stdatomic.h>

#include "child.h"
#include "memory.h"
#include "progress.h"
#include "rss_sampler.h"
#include "scratch.h"
#include "workload.h"

/* One read for so many operations. */
#define READ_EVERY 32u

/* What the threads see of a run. */
struct work {
    struct rss_run *run;
    void *db;
    struct churn_mark *marks;
    uint64_t keys; /* that have marks */
    const struct churn_phase *phase;
    unsigned number;     /* of the phase */
    uint64_t phase_keys; /* that it sets */
    _Atomic uint64_t written;
    _Atomic uint64_t evicted;
};

uint64_t rss_bound(uint64_t max_mem)
{
    return max_mem + max_mem / 20 + ((uint64_t)8 << 20);
}

static void make_key(const struct work *work, uint64_t number, uint8_t *key)
{
    workload_key(work->run->options.seed, number, key, CHURN_KEY_SIZE);
}

/* A random one of the first `keys` that belong to the thread; 0 .. keys - 1. */
static uint64_t own_key(struct crew_worker *worker, uint64_t keys)
{
    const uint64_t threads = worker->crew->threads;
    const uint64_t own = (keys - worker->number + threads - 1) / threads;
    return workload_below(&worker->random, own) * threads + worker->number;
}

static bool begin(struct crew_worker *worker)
{
    const struct work *const work = worker->context;
    worker->handle = engine_attach(work->run->engine, work->db);
    return worker->handle != NULL;
}

static void end(struct crew_worker *worker)
{
    const struct work *const work = worker->context;
    engine_detach(work->run->engine, worker->handle);
    worker->handle = NULL;
}

static void delete_key(struct crew_worker *worker, uint64_t number)
{
    const struct work *const work = worker->context;
    const struct engine *const engine = work->run->engine;
    make_key(work, number, worker->key);
    const enum engine_answer answer = engine->del(worker->handle, worker->key, CHURN_KEY_SIZE);
    worker->findings.failed += answer == ENGINE_FAILED;
    worker->findings.missing += answer == ENGINE_MISSING && !engine->evicts;
    work->marks[number].phase = 0;
}

static void set_key(struct crew_worker *worker, uint64_t number)
{
    struct work *const work = worker->context;
    struct churn_mark *const mark = &work->marks[number];
    make_key(work, number, worker->key);
    mark->phase = (uint8_t)(work->number + 1);
    mark->version++;
    const size_t size = churn_value(work->run->churn, worker->key, *mark, worker->value);
    worker->findings.failed +=
        !work->run->engine->set(worker->handle, worker->key, CHURN_KEY_SIZE, worker->value, size);
    atomic_fetch_add_explicit(&work->written, CHURN_KEY_SIZE + size, memory_order_relaxed);
}

static void read_key(struct crew_worker *worker, uint64_t number)
{
    struct work *const work = worker->context;
    const struct rss_run *const run = work->run;
    const struct churn_mark mark = work->marks[number];
    size_t size = 0;
    make_key(work, number, worker->key);
    const enum engine_answer answer = run->engine->get(worker->handle, worker->key, CHURN_KEY_SIZE,
                                                       worker->value, CHURN_VALUE_MOST, &size);
    if (answer == ENGINE_FOUND) {
        worker->findings.wrong +=
            mark.phase == 0 || !churn_value_is(run->churn, worker->key, mark, worker->value, size);
    } else if (answer == ENGINE_FAILED) {
        worker->findings.failed++;
    } else if (mark.phase != 0 && run->engine->evicts) {
        atomic_fetch_add_explicit(&work->evicted, 1, memory_order_relaxed);
    } else {
        worker->findings.missing += mark.phase != 0;
    }
}

static void churn_one(struct crew_worker *worker, uint64_t index)
{
    const struct work *const work = worker->context;
    const uint64_t number = own_key(worker, work->phase_keys);
    if (work->phase->toggles && work->marks[number].phase != 0) {
        delete_key(worker, number);
    } else {
        set_key(worker, number);
    }
    if (index % READ_EVERY == 0) {
        read_key(worker, own_key(worker, work->keys));
    }
}

/* Of the keys that are there a share is deleted; each is seen once, hence by one thread. */
static void sweep_one(struct crew_worker *worker, uint64_t index)
{
    const struct work *const work = worker->context;
    const double part = (double)(workload_random(&worker->random) >> 11) * 0x1p-53;
    if (work->marks[index].phase != 0 && part < work->phase->deleted) {
        delete_key(worker, index);
    }
}

static bool end_phase(void *context)
{
    struct work *const work = context;
    const struct engine *const engine = work->run->engine;
    struct rss_phase *const phase = &work->run->phases[work->number];
    return engine->account(work->db, &phase->ended) && engine->flush(work->db) &&
           engine->account(work->db, &phase->flushed);
}

static bool run_phase(struct work *work, struct crew *crew)
{
    struct rss_run *const run = work->run;
    struct rss_phase *const result = &run->phases[work->number];
    struct crew_work churn = {.name = "sweep",
                              .total = work->keys,
                              .begin = begin,
                              .end = end,
                              .operate = sweep_one,
                              .finish = end_phase,
                              .context = work};
    atomic_store(&work->written, 0);
    work->phase_keys = churn_keys(work->phase, run->options.max_mem);
    if (work->phase->deleted > 0 && !crew_run(crew, &churn, &result->times)) {
        return false;
    }
    churn.name = "churn";
    churn.total = churn_operations(work->phase, run->options.max_mem, run->options.factor);
    churn.seconds = run->options.seconds;
    churn.operate = churn_one;
    const bool done = crew_run(crew, &churn, &result->times);
    result->written = atomic_load(&work->written);
    return done;
}

static bool run_phases(struct work *work, struct crew *crew)
{
    struct rss_run *const run = work->run;
    struct sampler *const sampler = sampler_start(run, work->db);
    bool done = sampler != NULL;
    for (unsigned i = 0; i < run->churn->count && done; i++) {
        sampler_phase(sampler, i);
        work->number = i;
        work->phase = &run->churn->phases[i];
        if (!run->options.quiet) {
            progress_say("%s, %s, phase %u of %u: %s", run->churn->name, run->engine->name, i + 1,
                         run->churn->count, work->phase->name);
        }
        done = run_phase(work, crew);
        sampler_take(sampler);
        run->phases_done += done;
    }
    sampler_stop(sampler);
    return done;
}

static bool run_engine(struct work *work, struct crew *crew)
{
    struct rss_run *const run = work->run;
    const struct engine_options own = {
        .path = run->path, .max_mem = run->options.max_mem, .shards = run->options.shards};
    run->rss_before = memory_figure(0, "RssAnon");
    if (!progress_start(run->options.quiet, run->rss_before)) {
        return false;
    }
    work->db = run->engine->open(&own);
    bool done = work->db != NULL;
    if (done && run->engine->process(work->db) != 0) {
        run->rss_before = memory_figure(run->engine->process(work->db), "RssAnon");
    }
    done = done && run_phases(work, crew);
    progress_stop();
    if (work->db != NULL) {
        done = run->engine->close(work->db) && done;
    }
    return done;
}

/* In the child. */
static bool run_here(void *context)
{
    struct rss_run *const run = context;
    static struct crew crew;
    static struct work work;
    work.run = run;
    for (unsigned i = 0; i < run->churn->count; i++) {
        const uint64_t keys = churn_keys(&run->churn->phases[i], run->options.max_mem);
        work.keys = keys > work.keys ? keys : work.keys;
    }
    const size_t mark_bytes = work.keys * sizeof *work.marks;
    work.marks = child_share(mark_bytes);
    run->done = work.marks != NULL &&
                crew_init(&crew, run->options.threads, CHURN_KEY_SIZE, CHURN_VALUE_MOST,
                          run->options.seed) &&
                run_engine(&work, &crew);
    run->findings = crew_findings(&crew);
    run->evicted = atomic_load(&work.evicted);
    crew_fini(&crew);
    child_unshare(work.marks, mark_bytes);
    return run->done;
}

bool rss_run(struct rss_run *run)
{
    char *const path = scratch_make(run->options.folder);
    run->path = path;
    const bool done = path != NULL && child_run(run_here, run);
    scratch_remove(path);
    run->path = NULL;
    if (!done) {
        error(0, 0, "%s with %s did not get to the end", run->churn->name, run->engine->name);
    }
    return done;
}
