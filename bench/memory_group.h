/* SPDX-License-Identifier: MIT */
/**
 * A bound on what a process takes of memory and of the page cache, together: a control group of the
 * kernel (version 1 or 2), which needs the rights to make one.
 */
#ifndef BENCH_MEMORY_GROUP_H
#define BENCH_MEMORY_GROUP_H

#include <stdbool.h>
#include <stdint.h>

/** Makes a group with that bound; its folder, to be ended with memory_group_remove(), or NULL after
 *  a message. */
char *memory_group_make(uint64_t bytes);

/** The calling process joins; what it took before does not count. False after a message. */
bool memory_group_join(const char *group);

/** Removes a group whose processes have ended; frees the name; NULL is fine. */
void memory_group_remove(char *group);

#endif
