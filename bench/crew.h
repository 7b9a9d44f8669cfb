/* SPDX-License-Identifier: MIT */
/**
 * Threads that do numbered operations together and measure how long they take.
 *
 * With a rate operations are due at certain times, whatever became of those before, and are also
 * timed from then on: one that comes late as others took long has its waiting counted.
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

/** What an operation was, for its latency. */
enum crew_kind {
    CREW_READ,
    CREW_WRITE,
    CREW_KINDS
};

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
    void *handle; /* these two are for `begin` to set */
    uint64_t place;
    enum crew_kind kind; /* of the operation: CREW_READ unless it says so */
    uint64_t more;       /* what operations did beyond one each, such as keys of a batch */
    struct crew_findings findings;

    /* Owned by the thread; private. */
    struct latency latency[CREW_KINDS];
    struct latency corrected[CREW_KINDS]; /* since an operation was due, if there is a rate */
    uint64_t last_ns;
    uint64_t max_ns[CREW_KINDS];
    uint64_t count;
};

struct crew_work {
    const char *name;
    uint64_t total; /* operations */
    double seconds; /* at most; 0: no limit */
    double rate;    /* operations a second that are due, of all threads; 0: one after the other */
    bool (*begin)(struct crew_worker *worker); /* in its thread; false after a message; or NULL */
    void (*end)(struct crew_worker *worker);   /* the same, whatever begin returned; or NULL */
    void (*operate)(struct crew_worker *worker, uint64_t index);
    bool (*finish)(void *context); /* ends what was begun; its time counts; or NULL */
    void *context;
};

/** How long operations took. */
struct crew_spread {
    uint64_t count; /* that were measured; the longest is of all */
    double p50_ns;
    double p99_ns;
    double p999_ns;
    double p9999_ns;
    double max_ns;
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
    struct crew_spread spread[CREW_KINDS];
    struct crew_spread corrected[CREW_KINDS]; /* for coordinated omission; zeroes without a rate */
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
