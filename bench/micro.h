/* SPDX-License-Identifier: MIT */
/**
 * What the parts of `bench/micro` have in common. Each part is a function that measures one round
 * and adds its figures.
 */
#ifndef BENCH_MICRO_H
#define BENCH_MICRO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "figures.h"

#define MICRO_KEY_SIZE   ((size_t)16)
#define MICRO_VALUE_SIZE ((size_t)100)
#define MICRO_BATCH_MOST 1024u

struct micro {
    /* Constant after the command line. */
    uint64_t entries;      /* of the load and of the table */
    uint64_t cold_entries; /* that are spilled and read back */
    uint64_t hot_entries;  /* that stay in memory */
    uint64_t reads;
    uint64_t max_mem; /* of the load */
    uint64_t seed;
    uint32_t shards;    /* of the stores; 0: they choose */
    uint32_t batch;     /* keys in a batch */
    const char *folder; /* where files go; NULL: TMPDIR or /tmp */
    /* Changing. */
    struct figures figures;
};

/** CPU time of this process, of this thread, in nanoseconds. */
uint64_t micro_process_ns(void);
uint64_t micro_thread_ns(void);

/** Makes the compiler believe that the memory is read and changed. */
static inline void micro_touch(void *memory)
{
    __asm__ volatile("" : : "r"(memory) : "memory");
}

/** What making a key and a value costs, and what making a random key and checking a value costs:
 *  to be taken off what was measured around it. */
double micro_make_ns(const struct micro *micro, size_t value_size);
double micro_check_ns(const struct micro *micro, size_t value_size);

/** One round of each part; false after a message, when a call failed or a value was wrong. */
bool micro_load(struct micro *micro);
bool micro_spill(struct micro *micro);
bool micro_cold(struct micro *micro);
bool micro_table(struct micro *micro);
bool micro_hot(struct micro *micro);
bool micro_pin(struct micro *micro);
bool micro_memory(struct micro *micro);
bool micro_residency(struct micro *micro);
/** Draws medians over the share in RAM, by gnuplot; false after a message. */
bool micro_residency_draw(const char *path, const struct figures *figures);
bool micro_many(struct micro *micro);
bool micro_many_cold(struct micro *micro);

#endif
