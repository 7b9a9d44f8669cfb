/* SPDX-License-Identifier: MIT */
/**
 * What the benchmark itself needs (draws, marks) is shared memory, made before the page cache is
 * limited: it counts neither as the engine's memory nor against the limit.
 */
#include "ycsb_run.h"

#include <error.h>
#include <stdatomic.h>

#include "child.h"
#include "memory_group.h"
#include "progress.h"
#include "scratch.h"
#include "workload.h"

/* Of a limit, for the program itself. */
#define PROGRAM_BYTES ((uint64_t)16 << 20)

/* What a child and its parent share. */
struct run {
    const struct ycsb_options *options;
    const struct ycsb_draws *draws;
    const char *path;
    const char *group; /* NULL: memory is not limited */
    struct ycsb_state state;
    struct marks marks;
    struct crew crew;
    struct ycsb_result result;
};

static bool draws_make(uint32_t **draws_out, const struct ycsb_options *options, bool ranks)
{
    uint64_t random = workload_mix(options->seed + ranks);
    struct zipf zipf;
    uint32_t *const draws = child_share(YCSB_DRAWS * sizeof *draws);
    *draws_out = draws;
    zipf_init(&zipf, options->records, options->exponent);
    for (size_t i = 0; i < YCSB_DRAWS && draws != NULL; i++) {
        draws[i] = (uint32_t)(ranks ? zipf_rank(&zipf, &random) - 1 : zipf_index(&zipf, &random));
    }
    return draws != NULL;
}

static bool needs(const struct ycsb_options *options, enum ycsb_keys keys)
{
    for (unsigned i = 0; i < options->mix_count; i++) {
        if (options->mixes[i]->keys == keys) {
            return true;
        }
    }
    return false;
}

bool ycsb_draws_init(struct ycsb_draws *draws, const struct ycsb_options *options)
{
    *draws = (struct ycsb_draws){0};
    return (!needs(options, YCSB_ZIPF) || draws_make(&draws->keys, options, false)) &&
           (!needs(options, YCSB_LATEST) || draws_make(&draws->ranks, options, true));
}

void ycsb_draws_fini(struct ycsb_draws *draws)
{
    child_unshare(draws->keys, YCSB_DRAWS * sizeof *draws->keys);
    child_unshare(draws->ranks, YCSB_DRAWS * sizeof *draws->ranks);
    *draws = (struct ycsb_draws){0};
}

static uint64_t count_of(const struct ycsb_options *options)
{
    return options->count != NULL ? options->count() : 0;
}

/* Lets so many threads do work that has all but what is the same each time. */
static bool run_phase(struct run *run, struct crew_work work, unsigned threads,
                      struct ycsb_phase *phase)
{
    const struct ycsb_options *const options = run->options;
    const uint64_t seed = options->seed * YCSB_PHASES_MAX + run->result.phase_count;
    work.begin = ycsb_begin;
    work.end = ycsb_end;
    work.context = &run->state;
    phase->threads = threads;
    bool done = crew_init(&run->crew, threads, ycsb_key_room(&run->state),
                          ycsb_value_room(&run->state), seed);
    const uint64_t before = count_of(options);
    done = done && crew_run(&run->crew, &work, &phase->times);
    phase->counted = count_of(options) - before;
    phase->findings = crew_findings(&run->crew);
    crew_fini(&run->crew);
    run->crew = (struct crew){0};
    return done && phase->findings.failed == 0;
}

static bool end_load(void *context)
{
    const struct ycsb_state *const state = context;
    return state->engine->flush(state->db);
}

static bool run_load(struct run *run)
{
    const struct ycsb_options *const options = run->options;
    struct ycsb_phase *const phase = &run->result.phases[run->result.phase_count++];
    const struct crew_work work = {.name = "load",
                                   .total = options->records,
                                   .seconds = options->load_seconds,
                                   .operate = ycsb_load,
                                   .finish = end_load};
    run->state.batch = 1;
    if (!run_phase(run, work, options->load_threads, phase)) {
        return false;
    }
    const uint64_t from = progress_now_ns();
    if (run->state.engine->settle != NULL) {
        run->state.engine->settle(run->state.db);
    }
    run->result.settle_seconds = (double)(progress_now_ns() - from) / 1e9;
    return true;
}

static bool only_reads(const struct ycsb_mix *mix)
{
    return mix->update == 0 && mix->insert == 0 && mix->modify == 0 && mix->toggle == 0;
}

/* The phases of a mix, one for each number of threads. */
static bool run_mix(struct run *run, const struct ycsb_mix *mix)
{
    const struct ycsb_options *const options = run->options;
    struct ycsb_state *const state = &run->state;
    const bool batched = options->batch > 1 && state->engine->get_many != NULL && only_reads(mix);
    struct crew_work work = {.name = mix->name,
                             .total = UINT64_MAX / 2,
                             .seconds = options->warm_seconds,
                             .operate = ycsb_operate};
    state->mix = mix;
    state->batch = batched ? options->batch : 1;
    state->draws = mix->keys == YCSB_LATEST ? run->draws->ranks : run->draws->keys;
    run->marks.deletes = mix->toggle != 0;
    struct ycsb_phase warm = {0};
    if (options->warm_seconds > 0 &&
        !run_phase(run, work, options->threads[options->thread_count - 1], &warm)) {
        return false;
    }
    work.seconds = options->seconds;
    work.rate = options->rate;
    for (unsigned i = 0; i < options->thread_count; i++) {
        if (run->result.phase_count == YCSB_PHASES_MAX) {
            error(0, 0, "more than %u phases", YCSB_PHASES_MAX);
            return false;
        }
        struct ycsb_phase *const phase = &run->result.phases[run->result.phase_count++];
        phase->mix = mix;
        phase->batched = batched;
        if (!run_phase(run, work, options->threads[i], phase)) {
            return false;
        }
        phase->findings.missing += warm.findings.missing;
        phase->findings.wrong += warm.findings.wrong;
        warm = (struct ycsb_phase){0};
    }
    return true;
}

static bool run_phases(struct run *run)
{
    bool done = run_load(run);
    const struct ycsb_phase *const load = &run->result.phases[0];
    run->state.records = load->times.operations;
    atomic_store(&run->state.next, run->state.records);
    for (unsigned i = 0; i < run->options->mix_count && done && !load->times.stopped; i++) {
        done = run_mix(run, run->options->mixes[i]);
    }
    return done;
}

/* In the child. */
static bool run_here(void *context)
{
    struct run *const run = context;
    const struct ycsb_options *const options = run->options;
    const struct engine *const engine = run->state.engine;
    const struct engine_options own = {.path = run->path,
                                       .max_mem = options->max_mem,
                                       .shards = options->shards,
                                       .entries = options->records};
    const uint64_t baseline = progress_anonymous_memory();
    if ((run->group != NULL && !memory_group_join(run->group)) ||
        !progress_start(options->quiet, baseline)) {
        return false;
    }
    run->state.db = engine->open(&own);
    bool done = run->state.db != NULL && run_phases(run);
    const uint64_t peak = progress_stop();
    run->result.memory_peak = peak > baseline ? peak - baseline : 0;
    run->result.file_bytes = scratch_bytes(run->path);
    if (run->state.db != NULL) {
        done = engine->close(run->state.db) && done;
    }
    return done;
}

/* Prepares and starts the child. */
static bool run_child(struct run *run)
{
    const struct ycsb_options *const options = run->options;
    char *const path = scratch_make(options->folder);
    char *const group =
        path != NULL && options->page_cache != 0
            ? memory_group_make(options->max_mem + options->page_cache + PROGRAM_BYTES)
            : NULL;
    run->path = path;
    run->group = group;
    const bool done = path != NULL && (group != NULL || options->page_cache == 0) &&
                      marks_init(&run->marks, options->records + options->room) &&
                      child_run(run_here, run);
    marks_fini(&run->marks);
    scratch_remove(path);
    memory_group_remove(group);
    return done;
}

bool ycsb_run(const struct engine *engine, const struct ycsb_options *options,
              const struct ycsb_draws *draws, struct ycsb_result *result_out)
{
    *result_out = (struct ycsb_result){0};
    struct run *const run = child_share(sizeof *run);
    if (run == NULL) {
        return false;
    }
    run->options = options;
    run->draws = draws;
    run->state = (struct ycsb_state){.engine = engine,
                                     .seed = options->seed,
                                     .key_size = options->key_size,
                                     .value_size = options->value_size,
                                     .marks = &run->marks};
    const bool done = run_child(run);
    *result_out = run->result;
    result_out->done = done;
    child_unshare(run, sizeof *run);
    if (!done) {
        error(0, 0, "%s did not get to the end", engine->name);
    }
    return done;
}

bool ycsb_verified(const struct ycsb_result *result)
{
    bool right = result->done;
    for (unsigned i = 0; i < result->phase_count; i++) {
        const struct crew_findings *const found = &result->phases[i].findings;
        right = right && found->missing == 0 && found->wrong == 0 && found->failed == 0;
    }
    return right;
}
