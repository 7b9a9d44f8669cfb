/* SPDX-License-Identifier: MIT */
/**
 * Threads take the work in chunks, so that a load which is stopped has stored the entries below one
 * number and no others, and so that all threads end at the same time.
 *
 * The clock is read once an operation: that costs some 25 ns and finds the longest one. The
 * histogram sees every sixteenth.
 */
#include "crew.h"

#include <error.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "interrupt.h"
#include "progress.h"
#include "workload.h"

#define CHUNK ((uint64_t)1024)
#define EVERY 16u

static inline void note_time(struct crew_worker *worker)
{
    const uint64_t now = progress_now_ns();
    const uint64_t took = now - worker->last_ns;
    worker->last_ns = now;
    worker->max_ns = took > worker->max_ns ? took : worker->max_ns;
    if (++worker->count % EVERY == 0) {
        latency_record(&worker->latency, took);
    }
}

/* Notes when another tenth of the work was done. */
static void note_tenths(struct crew *crew, uint64_t steps)
{
    const uint64_t total = crew->work->total;
    const uint64_t before = atomic_fetch_add(&crew->done, steps);
    const uint64_t now = progress_now_ns();
    for (uint64_t i = 0; i < CREW_TENTHS; i++) {
        const uint64_t edge = total / CREW_TENTHS * (i + 1) + total % CREW_TENTHS * (i + 1) / 10;
        if (before < edge && before + steps >= edge) {
            atomic_store(&crew->tenths_ns[i], now);
        }
    }
}

static bool must_stop(struct crew *crew)
{
    if (interrupt_seen() || (crew->deadline_ns != 0 && progress_now_ns() > crew->deadline_ns)) {
        atomic_store(&crew->stopped, true);
    }
    return atomic_load(&crew->stopped);
}

static void *work(void *context)
{
    struct crew_worker *const worker = context;
    struct crew *const crew = worker->crew;
    const uint64_t total = crew->work->total;
    worker->last_ns = progress_now_ns();
    while (worker->findings.failed == 0 && !must_stop(crew)) {
        const uint64_t first = atomic_fetch_add(&crew->next, CHUNK);
        if (first >= total) {
            break;
        }
        const uint64_t end = total - first < CHUNK ? total : first + CHUNK;
        for (uint64_t i = first; i < end; i++) {
            crew->work->operate(worker, i);
            note_time(worker);
        }
        note_tenths(crew, end - first);
        progress_add(end - first);
    }
    if (worker->findings.failed != 0) {
        atomic_store(&crew->stopped, true);
    }
    return NULL;
}

static double cpu_seconds(const struct timeval *time)
{
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static void summarize(struct crew *crew, struct crew_times *times)
{
    struct crew_worker *const first = &crew->workers[0];
    uint64_t max_ns = 0;
    for (unsigned i = 0; i < crew->threads; i++) {
        struct crew_worker *const worker = &crew->workers[i];
        max_ns = worker->max_ns > max_ns ? worker->max_ns : max_ns;
        if (i != 0) {
            latency_merge(&first->latency, &worker->latency);
            latency_reset(&worker->latency);
        }
        times->operations += worker->count;
        worker->max_ns = 0;
        worker->count = 0;
    }
    times->p50_ns = latency_quantile(&first->latency, 0.5);
    times->p99_ns = latency_quantile(&first->latency, 0.99);
    times->p999_ns = latency_quantile(&first->latency, 0.999);
    times->max_ns = (double)max_ns;
    latency_reset(&first->latency);
    for (unsigned i = 0; i < CREW_TENTHS; i++) {
        const uint64_t at = atomic_load(&crew->tenths_ns[i]);
        times->tenths[i] = at != 0 ? (double)(at - crew->began_ns) / 1e9 : 0;
    }
}

/* Starts the threads and waits for them; false after a message. */
static bool run_threads(struct crew *crew)
{
    pthread_t threads[CREW_THREADS_MAX];
    unsigned started = 0;
    int failure = 0;
    while (started < crew->threads && failure == 0) {
        failure = pthread_create(&threads[started], NULL, work, &crew->workers[started]);
        started += failure == 0;
    }
    if (failure != 0) {
        error(0, failure, "cannot start a thread");
        atomic_store(&crew->stopped, true);
    }
    for (unsigned i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    return failure == 0;
}

bool crew_run(struct crew *crew, const struct crew_work *work_to_do, struct crew_times *times_out)
{
    struct rusage before;
    struct rusage after;
    *times_out = (struct crew_times){0};
    crew->work = work_to_do;
    atomic_store(&crew->next, 0);
    atomic_store(&crew->done, 0);
    atomic_store(&crew->stopped, false);
    for (unsigned i = 0; i < CREW_TENTHS; i++) {
        atomic_store(&crew->tenths_ns[i], 0);
    }
    for (unsigned i = 0; i < crew->threads; i++) {
        crew->workers[i].context = work_to_do->context;
    }
    progress_begin(work_to_do->name, work_to_do->total);
    getrusage(RUSAGE_SELF, &before);
    crew->began_ns = progress_now_ns();
    crew->deadline_ns =
        work_to_do->seconds > 0 ? crew->began_ns + (uint64_t)(work_to_do->seconds * 1e9) : 0;
    const bool started = run_threads(crew);
    const bool finished = work_to_do->finish(work_to_do->context);
    times_out->seconds = (double)(progress_now_ns() - crew->began_ns) / 1e9;
    getrusage(RUSAGE_SELF, &after);
    times_out->user_seconds = cpu_seconds(&after.ru_utime) - cpu_seconds(&before.ru_utime);
    times_out->cpu_seconds =
        times_out->user_seconds + cpu_seconds(&after.ru_stime) - cpu_seconds(&before.ru_stime);
    times_out->stopped = atomic_load(&crew->stopped);
    progress_end();
    summarize(crew, times_out);
    return started && finished && !interrupt_seen();
}

bool crew_init(struct crew *crew, unsigned threads, size_t key_size, size_t value_size,
               uint64_t seed)
{
    bool made = true;
    crew->threads = threads;
    for (unsigned i = 0; i < threads && made; i++) {
        struct crew_worker *const worker = &crew->workers[i];
        worker->crew = crew;
        worker->number = i;
        worker->random = workload_mix(seed + i + 1);
        worker->key = malloc(key_size);
        worker->value = malloc(value_size + 1);
        made = latency_init(&worker->latency) && worker->key != NULL && worker->value != NULL;
    }
    if (!made) {
        error(0, 0, "out of memory");
    }
    return made;
}

void crew_fini(struct crew *crew)
{
    for (unsigned i = 0; i < crew->threads; i++) {
        latency_fini(&crew->workers[i].latency);
        free(crew->workers[i].key);
        free(crew->workers[i].value);
    }
}

struct crew_findings crew_findings(const struct crew *crew)
{
    struct crew_findings sum = {0};
    for (unsigned i = 0; i < crew->threads; i++) {
        const struct crew_findings *const found = &crew->workers[i].findings;
        sum.missing += found->missing;
        sum.wrong += found->wrong;
        sum.failed += found->failed;
    }
    return sum;
}
