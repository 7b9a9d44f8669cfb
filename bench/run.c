/* SPDX-License-Identifier: MIT */
/**
 * Threads take the work in chunks, so that a load which is stopped has stored the entries below one
 * number and no others, and so that all threads end at the same time.
 *
 * The clock is read once an operation: that costs some 25 ns and finds the longest one. The
 * histogram sees every sixteenth.
 */
#include "run.h"

#include <errno.h>
#include <error.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "interrupt.h"
#include "latency.h"
#include "progress.h"
#include "scratch.h"
#include "workload.h"

#define CHUNK ((uint64_t)1024)
#define EVERY 16u
/* Of the time of a run the load may take so much. */
#define LOAD_SHARE 0.75

struct worker {
    struct run *run;
    struct latency latency;
    uint8_t *key;
    uint8_t *value;
    uint64_t random;
    uint64_t last_ns;
    uint64_t max_ns;
    uint64_t count;
    uint64_t missing;
    uint64_t wrong;
    uint64_t failed;
};

struct run {
    const struct engine *engine;
    const struct run_options *options;
    void *db;
    bool loads; /* else reads */
    uint64_t loaded;
    uint64_t total;
    uint64_t deadline_ns; /* 0: none */
    _Atomic uint64_t next;
    _Atomic bool stopped;
    struct worker workers[RUN_THREADS_MAX];
};

static double cpu_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static inline void note_time(struct worker *worker)
{
    const uint64_t now = progress_now_ns();
    const uint64_t took = now - worker->last_ns;
    worker->last_ns = now;
    worker->max_ns = took > worker->max_ns ? took : worker->max_ns;
    if (++worker->count % EVERY == 0) {
        latency_record(&worker->latency, took);
    }
}

static void set_one(struct worker *worker, uint64_t index)
{
    const struct run_options *const options = worker->run->options;
    workload_key(options->seed, index, worker->key, options->key_size);
    workload_value(worker->key, worker->value, options->value_size);
    worker->failed += !worker->run->engine->set(worker->run->db, worker->key, options->key_size,
                                                worker->value, options->value_size);
    note_time(worker);
}

static void get_one(struct worker *worker)
{
    const struct run_options *const options = worker->run->options;
    size_t size = 0;
    workload_key(options->seed, workload_below(&worker->random, worker->run->loaded), worker->key,
                 options->key_size);
    const enum engine_answer answer = worker->run->engine->get(
        worker->run->db, worker->key, options->key_size, worker->value, options->value_size, &size);
    if (answer == ENGINE_FOUND) {
        worker->wrong +=
            size != options->value_size || !workload_value_is(worker->key, worker->value, size);
    } else {
        worker->missing += answer == ENGINE_MISSING;
        worker->failed += answer == ENGINE_FAILED;
    }
    note_time(worker);
}

static bool must_stop(struct run *run)
{
    if (interrupt_seen() || (run->deadline_ns != 0 && progress_now_ns() > run->deadline_ns)) {
        atomic_store(&run->stopped, true);
    }
    return atomic_load(&run->stopped);
}

static void *work(void *context)
{
    struct worker *const worker = context;
    struct run *const run = worker->run;
    worker->last_ns = progress_now_ns();
    while (worker->failed == 0 && !must_stop(run)) {
        const uint64_t first = atomic_fetch_add(&run->next, CHUNK);
        if (first >= run->total) {
            break;
        }
        const uint64_t end = run->total - first < CHUNK ? run->total : first + CHUNK;
        for (uint64_t i = first; i < end; i++) {
            if (run->loads) {
                set_one(worker, i);
            } else {
                get_one(worker);
            }
        }
        progress_add(end - first);
    }
    if (worker->failed != 0) {
        atomic_store(&run->stopped, true);
    }
    return NULL;
}

static void summarize(struct run *run, struct run_phase *phase)
{
    struct worker *const first = &run->workers[0];
    uint64_t max_ns = 0;
    for (unsigned i = 0; i < run->options->threads; i++) {
        struct worker *const worker = &run->workers[i];
        max_ns = worker->max_ns > max_ns ? worker->max_ns : max_ns;
        if (i != 0) {
            latency_merge(&first->latency, &worker->latency);
            latency_reset(&worker->latency);
        }
        phase->operations += worker->count;
        worker->max_ns = 0;
        worker->count = 0;
    }
    phase->p50_ns = latency_quantile(&first->latency, 0.5);
    phase->p99_ns = latency_quantile(&first->latency, 0.99);
    phase->p999_ns = latency_quantile(&first->latency, 0.999);
    phase->max_ns = (double)max_ns;
    latency_reset(&first->latency);
}

static bool run_phase(struct run *run, const char *name, uint64_t total, double seconds,
                      struct run_phase *phase)
{
    pthread_t threads[RUN_THREADS_MAX];
    unsigned started = 0;
    int failure = 0;
    run->total = total;
    atomic_store(&run->next, 0);
    atomic_store(&run->stopped, false);
    progress_begin(name, total);
    const double cpu = cpu_seconds();
    const uint64_t began = progress_now_ns();
    run->deadline_ns = seconds > 0 ? began + (uint64_t)(seconds * 1e9) : 0;
    while (started < run->options->threads && failure == 0) {
        failure = pthread_create(&threads[started], NULL, work, &run->workers[started]);
        started += failure == 0;
    }
    if (failure != 0) {
        error(0, failure, "cannot start a thread");
        atomic_store(&run->stopped, true);
    }
    for (unsigned i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    const bool flushed = run->engine->flush(run->db);
    phase->seconds = (double)(progress_now_ns() - began) / 1e9;
    phase->cpu_seconds = cpu_seconds() - cpu;
    phase->stopped = atomic_load(&run->stopped);
    progress_end();
    summarize(run, phase);
    return failure == 0 && flushed && !interrupt_seen();
}

static bool make_workers(struct run *run)
{
    const struct run_options *const options = run->options;
    bool made = true;
    for (unsigned i = 0; i < options->threads && made; i++) {
        struct worker *const worker = &run->workers[i];
        worker->run = run;
        worker->random = workload_mix(options->seed + i + 1);
        worker->key = malloc(options->key_size);
        worker->value = malloc(options->value_size + 1);
        made = latency_init(&worker->latency) && worker->key != NULL && worker->value != NULL;
    }
    if (!made) {
        error(0, 0, "out of memory");
    }
    return made;
}

static void free_workers(struct run *run)
{
    for (unsigned i = 0; i < run->options->threads; i++) {
        latency_fini(&run->workers[i].latency);
        free(run->workers[i].key);
        free(run->workers[i].value);
    }
}

static uint64_t above(uint64_t value, uint64_t base)
{
    return value > base ? value - base : 0;
}

/* The phases of an engine that is open. */
static bool load_and_read(struct run *run, const char *path, struct run_result *result)
{
    const struct run_options *const options = run->options;
    run->loads = true;
    if (!run_phase(run, "load", options->entries, options->seconds * LOAD_SHARE, &result->load)) {
        return false;
    }
    result->file_bytes = scratch_bytes(path);
    run->loads = false;
    run->loaded = result->load.operations;
    return run_phase(run, "get", options->reads, options->seconds * (1 - LOAD_SHARE), &result->get);
}

static bool run_here(const struct engine *engine, const struct run_options *options,
                     const char *path, struct run_result *result)
{
    static struct run run;
    run.engine = engine;
    run.options = options;
    bool done = make_workers(&run);
    const uint64_t baseline = progress_anonymous_memory();
    done = done && progress_start(options->quiet, baseline);
    if (done) {
        const struct engine_options own = {.path = path, .max_mem = options->max_mem};
        run.db = engine->open(&own);
        done = run.db != NULL && load_and_read(&run, path, result);
        result->memory_end = above(progress_anonymous_memory(), baseline);
        result->memory_peak = above(progress_stop(), baseline);
        if (run.db != NULL) {
            done = engine->close(run.db) && done;
        }
    }
    for (unsigned i = 0; i < options->threads; i++) {
        result->missing += run.workers[i].missing;
        result->wrong += run.workers[i].wrong;
        result->failed += run.workers[i].failed;
    }
    free_workers(&run);
    return done;
}

/* The child: hands its result to the parent. */
static _Noreturn void run_child(const struct engine *engine, const struct run_options *options,
                                const char *path, int pipe_end)
{
    struct run_result result = {0};
    const bool done = run_here(engine, options, path, &result);
    const bool told = write(pipe_end, &result, sizeof result) == (ssize_t)sizeof result;
    _exit(done && told ? 0 : 1);
}

bool run_engine(const struct engine *engine, const struct run_options *options,
                struct run_result *result_out)
{
    int ends[2];
    int state = 0;
    ssize_t got = -1;
    *result_out = (struct run_result){0};
    char *const path = scratch_make(options->folder);
    if (path == NULL) {
        return false;
    }
    if (pipe(ends) != 0) {
        error(0, errno, "cannot make a pipe");
        scratch_remove(path);
        return false;
    }
    const pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        run_child(engine, options, path, ends[1]);
    }
    close(ends[1]);
    if (child > 0) {
        do {
            got = read(ends[0], result_out, sizeof *result_out);
        } while (got < 0 && errno == EINTR);
        while (waitpid(child, &state, 0) < 0 && errno == EINTR) {
        }
    } else {
        error(0, errno, "cannot start a process");
    }
    close(ends[0]);
    scratch_remove(path);
    return got == (ssize_t)sizeof *result_out && WIFEXITED(state) && WEXITSTATUS(state) == 0;
}
