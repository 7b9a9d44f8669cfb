/* SPDX-License-Identifier: MIT */
#include "run.h"

#include "child.h"
#include "progress.h"
#include "scratch.h"
#include "workload.h"

/* Of the time of a run the load may take so much. */
#define LOAD_SHARE 0.75

/* What a child and its parent share. */
struct run {
    const struct engine *engine;
    const struct run_options *options;
    const char *path;
    void *db;
    uint64_t loaded;
    struct crew crew;
    struct run_result result;
};

static void set_one(struct crew_worker *worker, uint64_t index)
{
    const struct run *const run = worker->context;
    const struct run_options *const options = run->options;
    workload_key(options->seed, index, worker->key, options->key_size);
    workload_value(worker->key, worker->value, options->value_size);
    worker->findings.failed += !run->engine->set(run->db, worker->key, options->key_size,
                                                 worker->value, options->value_size);
}

static void get_one(struct crew_worker *worker, uint64_t index)
{
    (void)index;
    const struct run *const run = worker->context;
    const struct run_options *const options = run->options;
    size_t size = 0;
    workload_key(options->seed, workload_below(&worker->random, run->loaded), worker->key,
                 options->key_size);
    const enum engine_answer answer = run->engine->get(run->db, worker->key, options->key_size,
                                                       worker->value, options->value_size, &size);
    if (answer == ENGINE_FOUND) {
        worker->findings.wrong +=
            size != options->value_size || !workload_value_is(worker->key, worker->value, size);
    } else {
        worker->findings.missing += answer == ENGINE_MISSING;
        worker->findings.failed += answer == ENGINE_FAILED;
    }
}

static bool flush(void *context)
{
    const struct run *const run = context;
    return run->engine->flush(run->db);
}

/* The phases of an engine that is open. */
static bool load_and_read(struct run *run)
{
    const struct run_options *const options = run->options;
    struct crew_work work = {.name = "load",
                             .total = options->entries,
                             .seconds = options->seconds * LOAD_SHARE,
                             .operate = set_one,
                             .finish = flush,
                             .context = run};
    if (!crew_run(&run->crew, &work, &run->result.load)) {
        return false;
    }
    run->result.file_bytes = scratch_bytes(run->path);
    run->loaded = run->result.load.operations;
    work.name = "get";
    work.total = options->reads;
    work.seconds = options->seconds * (1 - LOAD_SHARE);
    work.operate = get_one;
    return crew_run(&run->crew, &work, &run->result.get);
}

static uint64_t above(uint64_t value, uint64_t base)
{
    return value > base ? value - base : 0;
}

/* In the child. */
static bool run_here(void *context)
{
    struct run *const run = context;
    const struct run_options *const options = run->options;
    bool done = crew_init(&run->crew, options->threads, options->key_size, options->value_size,
                          options->seed);
    const uint64_t baseline = progress_anonymous_memory();
    done = done && progress_start(options->quiet, baseline);
    if (done) {
        const struct engine_options own = {.path = run->path, .max_mem = options->max_mem};
        run->db = run->engine->open(&own);
        done = run->db != NULL && load_and_read(run);
        run->result.memory_end = above(progress_anonymous_memory(), baseline);
        run->result.memory_peak = above(progress_stop(), baseline);
        if (run->db != NULL) {
            done = run->engine->close(run->db) && done;
        }
    }
    run->result.findings = crew_findings(&run->crew);
    crew_fini(&run->crew);
    return done;
}

bool run_engine(const struct engine *engine, const struct run_options *options,
                struct run_result *result_out)
{
    *result_out = (struct run_result){0};
    struct run *const run = child_share(sizeof *run);
    char *const path = run != NULL ? scratch_make(options->folder) : NULL;
    bool done = false;
    if (path != NULL) {
        run->engine = engine;
        run->options = options;
        run->path = path;
        done = child_run(run_here, run);
        *result_out = run->result;
    }
    scratch_remove(path);
    child_unshare(run, sizeof *run);
    return done;
}
