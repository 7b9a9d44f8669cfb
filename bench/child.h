/* SPDX-License-Identifier: MIT */
/**
 * Work in a process of its own: memory that one run leaves behind cannot blur the next.
 */
#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

#include <stdbool.h>
#include <stddef.h>

/**
 * Maps zeroes that a child and its parent both see: for results, and for what is not to count as
 * anonymous memory of the child. Pages take memory when they are touched.
 *
 * @return to be unmapped with child_unshare(); NULL after a message
 */
void *child_share(size_t bytes);

/** Unmaps; NULL is fine. */
void child_unshare(void *memory, size_t bytes);

/**
 * Runs work(context) in a child and waits for it. The child dies with its parent.
 *
 * @return what it returned; false after a message, or when it came to another end
 */
bool child_run(bool (*work)(void *context), void *context);

#endif
