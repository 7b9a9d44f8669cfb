/* SPDX-License-Identifier: MIT */
/**
 * One churn through one engine, in a process of its own, with its memory sampled all the time.
 */
#ifndef BENCH_RSS_RUN_H
#define BENCH_RSS_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "crew.h"
#include "engine.h"
#include "rss_churn.h"

#define RSS_SAMPLES_MAX ((uint32_t)1 << 20)

struct rss_options {
    uint64_t max_mem;
    double factor;  /* each phase writes so many times the budget */
    double seconds; /* a phase ends after them; 0: no limit */
    uint64_t seed;
    unsigned threads;
    uint32_t shards;    /* 0: the store chooses */
    const char *folder; /* where files go; NULL: TMPDIR or /tmp */
    bool quiet;
};

struct rss_sample {
    float seconds; /* since the store was opened */
    uint64_t rss;
    uint64_t charged;
};

struct rss_phase {
    struct crew_times times;
    uint64_t written;              /* bytes of keys and values */
    uint64_t samples;              /* taken in it */
    uint64_t rss_most;             /* of all samples */
    uint64_t rss_last;             /* when all was flushed */
    uint64_t charged_most;         /* of all samples */
    struct engine_account ended;   /* after the last operation */
    struct engine_account flushed; /* after the flush */
};

/** A run and its results; shared by the child that does it and its parent. */
struct rss_run {
    const struct churn *churn;
    const struct engine *engine;
    struct rss_options options;

    const char *path; /* of the files, while it runs */
    bool done;        /* it came to its end */
    unsigned phases_done;
    uint64_t rss_before; /* RssAnon of the process before there was a store */
    uint64_t evicted;    /* reads that missed what the engine may evict */
    struct crew_findings findings;
    struct rss_phase phases[CHURN_PHASES_MAX];
    uint32_t sample_count;
    struct rss_sample samples[RSS_SAMPLES_MAX];
};

/** Does a run whose first three fields are filled in; false after a message. */
bool rss_run(struct rss_run *run);

/** The bound on RssAnon: 1.05 times max_mem, and 8 MiB. */
uint64_t rss_bound(uint64_t max_mem);

#endif
