/* SPDX-License-Identifier: MIT */
/**
 * What threads did to the keys of a store and what they saw, each operation with the moments at
 * which it was called and returned.
 *
 * Threads: each writes a log of its own; what reads the logs comes after them.
 */
#ifndef LINEAR_HISTORY_H
#define LINEAR_HISTORY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "support/linear_check.h"

struct history_entry {
    struct linear_op op;
    uint32_t key; /* its number */
};

/** What one thread did. */
struct history_log {
    struct history_entry *entries; /* owned */
    size_t count;
    size_t capacity;
    uint32_t thread;
};

/** The next moment: later than all that were returned before. Threads: any. */
uint64_t history_now(atomic_uint_fast64_t *clock);

void history_init(struct history_log *log, uint32_t thread);
void history_fini(struct history_log *log);

/** Adds an operation on a key; ends the program when memory runs out. */
void history_add(struct history_log *log, uint32_t key, struct linear_op op);

/**
 * Checks all keys below `keys`, all absent at first; for one that has no order prints the shortest
 * part of its history that shows it.
 *
 * @return how many keys have no order
 */
uint32_t history_check(const struct history_log *logs, size_t count, uint32_t keys);

#endif
