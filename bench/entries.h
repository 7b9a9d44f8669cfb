/* SPDX-License-Identifier: MIT */
/**
 * Entries of one size that a crew stores and reads back.
 */
#ifndef BENCH_ENTRIES_H
#define BENCH_ENTRIES_H

#include "crew.h"
#include "engine.h"
#include "zipf.h"

/** The context of the work. */
struct entries {
    const struct engine *engine;
    void *db;
    uint64_t seed;
    size_t key_size;
    size_t value_size;
    uint64_t count;          /* that were stored, to be read from */
    const struct zipf *zipf; /* how reads are distributed; NULL: uniformly */
};

/** A worker attaches itself to the engine, and leaves it. */
bool entries_begin(struct crew_worker *worker);
void entries_end(struct crew_worker *worker);

/** Operations: store entry `index`; read any and compare it with what it must be. */
void entries_set(struct crew_worker *worker, uint64_t index);
void entries_get(struct crew_worker *worker, uint64_t index);

/** The finish of both. */
bool entries_flush(void *context);

#endif
