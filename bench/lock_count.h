/* SPDX-License-Identifier: MIT */
/**
 * Counts how often a lock was not free when it was asked for, in a program that is linked with
 * --wrap=pthread_mutex_lock: calls from its own objects and static libraries, not from shared ones
 * such as SQLite. Nothing of it is in any other program.
 */
#ifndef BENCH_LOCK_COUNT_H
#define BENCH_LOCK_COUNT_H

#include <stdint.h>

/** Since the program began. Threads: any. */
uint64_t lock_count_contended(void);

#endif
