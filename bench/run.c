/* SPDX-License-Identifier: MIT */
#include "run.h"

#include "child.h"
#include "entries.h"
#include "progress.h"
#include "scratch.h"

/* Of the time of a run the load may take so much. */
#define LOAD_SHARE 0.75

/* What a child and its parent share. */
struct run {
    const struct run_options *options;
    const char *path;
    struct entries entries;
    struct crew crew;
    struct run_result result;
};

/* The phases of an engine that is open. */
static bool load_and_read(struct run *run)
{
    const struct run_options *const options = run->options;
    struct crew_work work = {.name = "load",
                             .total = options->entries,
                             .seconds = options->seconds * LOAD_SHARE,
                             .begin = entries_begin,
                             .end = entries_end,
                             .operate = entries_set,
                             .finish = entries_flush,
                             .context = &run->entries};
    if (!crew_run(&run->crew, &work, &run->result.load)) {
        return false;
    }
    run->result.file_bytes = scratch_bytes(run->path);
    run->entries.count = run->result.load.operations;
    work.name = "get";
    work.total = options->reads;
    work.seconds = options->seconds * (1 - LOAD_SHARE);
    work.operate = entries_get;
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
        const struct engine_options own = {
            .path = run->path, .max_mem = options->max_mem, .entries = options->entries};
        run->entries.db = run->entries.engine->open(&own);
        done = run->entries.db != NULL && load_and_read(run);
        run->result.memory_end = above(progress_anonymous_memory(), baseline);
        run->result.memory_peak = above(progress_stop(), baseline);
        if (run->entries.db != NULL) {
            done = run->entries.engine->close(run->entries.db) && done;
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
        run->options = options;
        run->path = path;
        run->entries = (struct entries){.engine = engine,
                                        .seed = options->seed,
                                        .key_size = options->key_size,
                                        .value_size = options->value_size};
        done = child_run(run_here, run);
        *result_out = run->result;
    }
    scratch_remove(path);
    child_unshare(run, sizeof *run);
    return done;
}
