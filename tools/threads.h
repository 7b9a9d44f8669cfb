/* SPDX-License-Identifier: MIT */
/**
 * Threads that do the same with contexts of their own, and end early when one says so or the user
 * interrupts the program.
 */
#ifndef TOOLS_THREADS_H
#define TOOLS_THREADS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define THREADS_MAX 1024u

/** As many as CPUs, at most THREADS_MAX. */
unsigned threads_default(void);

/**
 * Runs a function for each context of an array and waits for all of them.
 *
 * @param stop  set, after a message, if a thread cannot be had: those that run should look
 * @return false when *stop is set at the end
 */
bool threads_run(unsigned count, void *(*function)(void *context), void *contexts,
                 size_t context_size, atomic_bool *stop);

/** Tells a thread whether to end; *stop is set when the user wants that. */
bool threads_told_to_stop(atomic_bool *stop);

#endif
