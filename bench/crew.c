/* SPDX-License-Identifier: MIT */
/**
 * Threads take the work in chunks, so that a load which is stopped has stored the entries below one
 * number and no others, and so that all threads end at the same time.
 *
 * The clock is read once an operation: that costs some 25 ns and finds the longest one. The
 * histogram sees every sixteenth, or all of them if there is a rate.
 */
#include "crew.h"

#include <error.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "interrupt.h"
#include "progress.h"
#include "workload.h"

#define CHUNK      ((uint64_t)1024)
#define CHUNK_RATE ((uint64_t)16)
#define EVERY      16u
/* The kernel wakes a thread so much later than it asked for. */
#define WAKING_NS UINT64_C(60000)
#define SECOND_NS UINT64_C(1000000000)

static inline void note_time(struct crew_worker *worker)
{
    const uint64_t now = progress_now_ns();
    const uint64_t took = now - worker->last_ns;
    const enum crew_kind kind = worker->kind;
    worker->last_ns = now;
    worker->kind = CREW_READ;
    worker->max_ns[kind] = took > worker->max_ns[kind] ? took : worker->max_ns[kind];
    if (++worker->count % EVERY == 0) {
        latency_record(&worker->latency[kind], took);
    }
}

/* Sleeps until shortly before and looks at the clock from then on. */
static uint64_t wait_until(uint64_t due_ns)
{
    uint64_t now = progress_now_ns();
    if (now + WAKING_NS < due_ns) {
        const uint64_t wake = due_ns - WAKING_NS;
        const struct timespec time = {.tv_sec = (time_t)(wake / SECOND_NS),
                                      .tv_nsec = (long)(wake % SECOND_NS)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
    }
    do {
        now = progress_now_ns();
    } while (now < due_ns);
    return now;
}

/* One operation when it is due. */
static void operate_due(struct crew_worker *worker, uint64_t index)
{
    struct crew *const crew = worker->crew;
    const double number = (double)(worker->count++ * crew->threads + worker->number);
    const uint64_t due = crew->began_ns + (uint64_t)(number * (double)SECOND_NS / crew->work->rate);
    const uint64_t from = wait_until(due);
    crew->work->operate(worker, index);
    const uint64_t now = progress_now_ns();
    const enum crew_kind kind = worker->kind;
    worker->kind = CREW_READ;
    worker->max_ns[kind] = now - from > worker->max_ns[kind] ? now - from : worker->max_ns[kind];
    latency_record(&worker->latency[kind], now - from);
    latency_record(&worker->corrected[kind], now - due);
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

/* Takes chunks, at least one however little time there is; the worker has begun. */
static void take_chunks(struct crew_worker *worker)
{
    struct crew *const crew = worker->crew;
    const uint64_t total = crew->work->total;
    const bool paced = crew->work->rate > 0;
    const uint64_t chunk = paced ? CHUNK_RATE : CHUNK;
    bool goes_on = worker->findings.failed == 0;
    worker->last_ns = progress_now_ns();
    while (goes_on) {
        const uint64_t first = atomic_fetch_add(&crew->next, chunk);
        if (first >= total) {
            break;
        }
        const uint64_t end = total - first < chunk ? total : first + chunk;
        for (uint64_t i = first; i < end && paced; i++) {
            operate_due(worker, i);
        }
        for (uint64_t i = first; i < end && !paced; i++) {
            crew->work->operate(worker, i);
            note_time(worker);
        }
        note_tenths(crew, end - first);
        progress_add(end - first);
        goes_on = worker->findings.failed == 0 && !must_stop(crew);
    }
}

static void *work(void *context)
{
    struct crew_worker *const worker = context;
    const struct crew_work *const work_to_do = worker->crew->work;
    if (work_to_do->begin != NULL && !work_to_do->begin(worker)) {
        worker->findings.failed++;
    }
    take_chunks(worker);
    if (worker->findings.failed != 0) {
        atomic_store(&worker->crew->stopped, true);
    }
    if (work_to_do->end != NULL) {
        work_to_do->end(worker);
    }
    return NULL;
}

static double cpu_seconds(const struct timeval *time)
{
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static struct crew_spread spread_of(const struct latency *latency, uint64_t max_ns)
{
    return (struct crew_spread){.count = latency->count,
                                .p50_ns = latency_quantile(latency, 0.5),
                                .p99_ns = latency_quantile(latency, 0.99),
                                .p999_ns = latency_quantile(latency, 0.999),
                                .p9999_ns = latency_quantile(latency, 0.9999),
                                .max_ns = (double)max_ns};
}

/* Moves what one recorded to another. */
static void move_latency(struct latency *into, struct latency *from)
{
    latency_merge(into, from);
    latency_reset(from);
}

/* What all threads measured is gathered in the first. */
static void gather(struct crew *crew, struct crew_times *times)
{
    struct crew_worker *const first = &crew->workers[0];
    for (unsigned i = 0; i < crew->threads; i++) {
        struct crew_worker *const worker = &crew->workers[i];
        times->operations += worker->count + worker->more;
        worker->count = 0;
        worker->more = 0;
        for (int k = 0; k < CREW_KINDS && i != 0; k++) {
            const uint64_t max_ns = worker->max_ns[k];
            first->max_ns[k] = max_ns > first->max_ns[k] ? max_ns : first->max_ns[k];
            move_latency(&first->latency[k], &worker->latency[k]);
            move_latency(&first->corrected[k], &worker->corrected[k]);
        }
    }
}

static void summarize(struct crew *crew, struct crew_times *times)
{
    struct crew_worker *const first = &crew->workers[0];
    struct latency *const all = &first->latency[0];
    gather(crew, times);
    for (int k = 0; k < CREW_KINDS; k++) {
        times->spread[k] = spread_of(&first->latency[k], first->max_ns[k]);
        times->corrected[k] = spread_of(&first->corrected[k], first->corrected[k].max_ns);
        times->max_ns = fmax(times->max_ns, (double)first->max_ns[k]);
        latency_reset(&first->corrected[k]);
        if (k != 0) {
            move_latency(all, &first->latency[k]);
        }
        first->max_ns[k] = 0;
    }
    times->p50_ns = latency_quantile(all, 0.5);
    times->p99_ns = latency_quantile(all, 0.99);
    times->p999_ns = latency_quantile(all, 0.999);
    latency_reset(all);
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
    const bool finished = work_to_do->finish == NULL || work_to_do->finish(work_to_do->context);
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
        made = worker->key != NULL && worker->value != NULL;
        for (int k = 0; k < CREW_KINDS && made; k++) {
            made = latency_init(&worker->latency[k]) && latency_init(&worker->corrected[k]);
        }
    }
    if (!made) {
        error(0, 0, "out of memory");
    }
    return made;
}

void crew_fini(struct crew *crew)
{
    for (unsigned i = 0; i < crew->threads; i++) {
        for (int k = 0; k < CREW_KINDS; k++) {
            latency_fini(&crew->workers[i].latency[k]);
            latency_fini(&crew->workers[i].corrected[k]);
        }
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
