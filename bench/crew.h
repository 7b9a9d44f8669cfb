/* SPDX-License-Identifier: MIT */
/**
 * Threads that do numbered operations together and measure how long they take.
 *
 * Each thread has room for a key and a value, a sequence of random numbers, and counts what it
 * finds wrong.
 */
#ifndef BENCH_CREW_H
#define BENCH_CREW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latency.h"

#define CREW_THREADS_MAX 256u
#define CREW_TENTHS      10u

struct crew_findings {
    uint64_t missing; /* reads that found nothing */
    uint64_t wrong;   /* reads that found another value */
    uint64_t failed;  /* calls that failed: the first one ends the phase */
};

struct crew_worker {
    struct crew *crew;
    unsigned number; /* 0 .. threads - 1 */
    void *context;   /* of the work */

    /* Owned by the thread while work goes on; for the operation's use. */
    uint8_t *key;
    uint8_t *value;
    uint64_t random;
    struct crew_findings findings;

    /* Owned by the thread; private. */
    struct latency latency;
    uint64_t last_ns;
    uint64_t max_ns;
    uint64_t count;
};

struct crew_work {
    const char *name;
    uint64_t total; /* operations */
    double seconds; /* at most; 0: no limit */
    void (*operate)(struct crew_worker *worker, uint64_t index);
    bool (*finish)(void *context); /* ends what was begun; its time counts; false after a message */
    void *context;
};

struct crew_times {
    uint64_t operations;
    double seconds;      /* until all is done, the finish included */
    double cpu_seconds;  /* of the whole process, in user mode and in the kernel */
    double user_seconds; /* in user mode alone */
    double p50_ns;       /* with the making of key and value, which is some 30 ns */
    double p99_ns;
    double p999_ns;
    double max_ns;
    double tenths[CREW_TENTHS]; /* seconds since the start when so much was done; 0: it was not */
    bool stopped;               /* the time was up before the end */
};

struct crew {
    unsigned threads;
    struct crew_worker workers[CREW_THREADS_MAX];

    /* Of the phase. */
    const struct crew_work *work;
    uint64_t began_ns;
    uint64_t deadline_ns; /* 0: none */
    _Atomic uint64_t next;
    _Atomic uint64_t done;
    _Atomic uint64_t tenths_ns[CREW_TENTHS];
    _Atomic bool stopped;
};

/** Makes room for keys and values of these sizes; false after a message, crew_fini() is due. */
bool crew_init(struct crew *crew, unsigned threads, size_t key_size, size_t value_size,
               uint64_t seed);

/** Frees; one of zeroes is allowed. */
void crew_fini(struct crew *crew);

/** Does the work with progress shown; false after a message, or when it was interrupted. */
bool crew_run(struct crew *crew, const struct crew_work *work, struct crew_times *times_out);

/** What all threads found, in all phases. */
struct crew_findings crew_findings(const struct crew *crew);

#endif
