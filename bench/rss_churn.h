/* SPDX-License-Identifier: MIT */
/**
 * Named sequences of phases that change which entries there are and how large they are.
 *
 * A value follows from its key, the phase that set it and a version, so that a byte or two for each
 * key tell what must be there. Threads: any, there is no state.
 */
#ifndef BENCH_RSS_CHURN_H
#define BENCH_RSS_CHURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHURN_KEY_SIZE   ((size_t)16)
#define CHURN_VALUE_MOST ((size_t)5120)
#define CHURN_PHASES_MAX 8u

/** Values of `least` to `most` bytes go to random keys. */
struct churn_phase {
    const char *name;
    uint32_t least;
    uint32_t most;
    bool by_ratio;  /* as many of 16 to 32 bytes as of 1 to 2 KiB; else all sizes alike */
    bool toggles;   /* a key that is there is deleted, one that is not is set */
    double deleted; /* so much of all keys is deleted first */
};

struct churn {
    const char *name;
    unsigned count;
    struct churn_phase phases[CHURN_PHASES_MAX];
};

/** What a key holds. */
struct churn_mark {
    uint8_t phase; /* the one that set it, from 1 on; 0: it is not there */
    uint8_t version;
};

/** The churn of that name; NULL if there is none. Numbers below churn_count() find all. */
const struct churn *churn_find(const char *name);
const struct churn *churn_number(unsigned number);
unsigned churn_count(void);

/** How many keys a phase works on: twice what fits into memory, but their slots must fit. */
uint64_t churn_keys(const struct churn_phase *phase, uint64_t max_mem);
/** Operations until `factor` times the budget is written, in keys and values. */
uint64_t churn_operations(const struct churn_phase *phase, uint64_t max_mem, double factor);

/** Makes the value that a mark stands for; returns its size, at most CHURN_VALUE_MOST. */
size_t churn_value(const struct churn *churn, const uint8_t *key, struct churn_mark mark,
                   uint8_t *value);
/** Tells whether a value is the one that a mark stands for. */
bool churn_value_is(const struct churn *churn, const uint8_t *key, struct churn_mark mark,
                    const uint8_t *value, size_t size);

#endif
