/* SPDX-License-Identifier: MIT */
/**
 * Allocations that fail on order: the library's and SQLite's.
 *
 * Threads: safe from any thread, but for switching on, which comes before there are others.
 */
#ifndef SKV_TESTS_SUPPORT_ALLOC_FAULTS_H
#define SKV_TESTS_SUPPORT_ALLOC_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

/** From now on the library's allocations are counted, and may be made to fail. */
void alloc_faults_watch_ours(void);
/** The same for SQLite's; before SQLite is used at all. False when that is refused. */
bool alloc_faults_watch_sqlite(void);

/** The n-th allocation from now on fails, with `ever` all later ones too; n = 0: none does. */
void alloc_faults_set(unsigned n, bool ever);
/** One allocation in so many fails, chosen by dice; 0: none does. */
void alloc_faults_set_some(uint32_t one_in);
/** How many have failed since the last of these calls. */
unsigned alloc_faults_failures(void);

#endif
