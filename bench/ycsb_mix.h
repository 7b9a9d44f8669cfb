/* SPDX-License-Identifier: MIT */
/**
 * What the threads of `bench/ycsb` do: named mixes of operations. A to F are those of the Yahoo!
 * Cloud Serving Benchmark (Cooper et al., "Benchmarking cloud serving systems with YCSB", SoCC
 * 2010); E scans, which a hash map has not.
 */
#ifndef BENCH_YCSB_MIX_H
#define BENCH_YCSB_MIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crew.h"
#include "engine.h"
#include "marks.h"
#include "zipf.h"

/** Draws of the Zipf law that are made in advance: one takes as long as a hot get. */
#define YCSB_DRAWS ((size_t)1 << 23)

/** Which keys are used. */
enum ycsb_keys {
    YCSB_UNIFORM,
    YCSB_ZIPF,
    YCSB_LATEST, /* Zipf again, where the latest keys are the most frequent */
    YCSB_HOT,    /* a few thousand, uniformly */
    YCSB_ABSENT  /* none that was ever stored */
};

/** Shares in percent; the rest are reads. */
struct ycsb_mix {
    const char *name;
    const char *about;
    enum ycsb_keys keys;
    uint8_t update;
    uint8_t insert;
    uint8_t modify; /* a read, then an update */
    uint8_t toggle; /* a delete if the key is there, otherwise an insert; with as many reads */
};

/** The mix of that name; NULL if there is none. */
const struct ycsb_mix *ycsb_mix_find(const char *name);
/** Mixes by number, from 0 on; NULL after the last. */
const struct ycsb_mix *ycsb_mix_at(unsigned number);

/** What the threads see: the context of the work. */
struct ycsb_state {
    const struct engine *engine;
    void *db;
    uint64_t seed;
    size_t key_size;
    size_t value_size;
    unsigned batch;        /* gets at once where a mix only reads; 1: one by one */
    uint64_t records;      /* loaded, to be drawn from */
    const uint32_t *draws; /* YCSB_DRAWS keys by the Zipf law; ranks for YCSB_LATEST */
    const struct ycsb_mix *mix;
    struct marks *marks;
    _Atomic uint64_t next; /* key to be inserted */
};

/** A worker attaches itself to the engine, and leaves it. */
bool ycsb_begin(struct crew_worker *worker);
void ycsb_end(struct crew_worker *worker);

/** Operations: store record `index`; one of the mix. */
void ycsb_load(struct crew_worker *worker, uint64_t index);
void ycsb_operate(struct crew_worker *worker, uint64_t index);

/** Bytes that a worker needs for keys and for values. */
size_t ycsb_key_room(const struct ycsb_state *state);
size_t ycsb_value_room(const struct ycsb_state *state);

#endif
