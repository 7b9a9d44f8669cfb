/* SPDX-License-Identifier: MIT */
/**
 * One engine loads records and is then put through mixes, in a process of its own.
 */
#ifndef BENCH_YCSB_RUN_H
#define BENCH_YCSB_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crew.h"
#include "engine.h"
#include "ycsb_mix.h"

#define YCSB_PHASES_MAX 64u
#define YCSB_LIST_MAX   16u

struct ycsb_options {
    uint64_t records;
    uint64_t room; /* records that may be inserted after the load */
    uint64_t max_mem;
    uint64_t page_cache; /* that may be taken beside max_mem by all there is; 0: no limit */
    uint64_t seed;
    size_t key_size;
    size_t value_size;
    double exponent;     /* of the Zipf law */
    double seconds;      /* of each phase after the load */
    double warm_seconds; /* before the first phase of a mix; 0: none */
    double load_seconds; /* the load ends after them, and no mix follows; 0: no limit */
    double rate;         /* operations a second after the load; 0: as many as can be */
    unsigned batch;
    unsigned load_threads;
    uint32_t shards; /* 0: the engine chooses */
    const struct ycsb_mix *mixes[YCSB_LIST_MAX];
    unsigned mix_count;
    unsigned threads[YCSB_LIST_MAX]; /* of each mix, one phase for each number */
    unsigned thread_count;
    const char *folder; /* where the files go; NULL: TMPDIR or /tmp */
    bool quiet;
    uint64_t (*count)(void); /* something to be counted in each phase; NULL: nothing */
};

struct ycsb_phase {
    const struct ycsb_mix *mix; /* NULL: the load */
    unsigned threads;
    bool batched;
    struct crew_times times;
    struct crew_findings findings;
    uint64_t counted;
};

struct ycsb_result {
    struct ycsb_phase phases[YCSB_PHASES_MAX]; /* the load comes first */
    unsigned phase_count;
    double settle_seconds; /* that the engine took after the load, not counted in it */
    uint64_t memory_peak;  /* anonymous memory above what it was before opening */
    uint64_t file_bytes;   /* at the end */
    bool done;             /* it came to its end */
};

/** Draws by the Zipf law, shared by all runs with the same options. */
struct ycsb_draws {
    uint32_t *keys;
    uint32_t *ranks; /* NULL: no mix needs them */
};

/** Makes them; false after a message. */
bool ycsb_draws_init(struct ycsb_draws *draws, const struct ycsb_options *options);
void ycsb_draws_fini(struct ycsb_draws *draws);

/** Runs; false after a message. */
bool ycsb_run(const struct engine *engine, const struct ycsb_options *options,
              const struct ycsb_draws *draws, struct ycsb_result *result_out);

/** Tells whether all of it was done and every value was right. */
bool ycsb_verified(const struct ycsb_result *result);

#endif
