/* SPDX-License-Identifier: MIT */
/**
 * What the user sees while work goes on: messages, and a bar or lines about a phase. A thread draws
 * it and samples the memory of the process.
 *
 * There is one terminal, hence one progress for the process. All of it goes to standard error.
 */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/** Writes a line "spillkv: ..." without breaking the bar. Threads: any. */
__attribute__((format(printf, 1, 2))) void progress_say(const char *format, ...);

/**
 * Starts the thread.
 *
 * @param quiet     neither bar nor lines
 * @param baseline  anonymous memory, in bytes, that is not the store's
 * @return false after a message
 */
bool progress_start(bool quiet, uint64_t baseline);

/** Ends the thread; returns the most anonymous memory it saw, 0 if that could not be read. */
uint64_t progress_stop(void);

/** Begins a phase of `total` steps; the text is borrowed until progress_end(). */
void progress_begin(const char *phase, uint64_t total);

/** Counts steps as done. Threads: any. */
void progress_add(uint64_t steps);

/** Ends the phase. */
void progress_end(void);

/** How much anonymous memory the process has now (RssAnon), in bytes; 0 if that is unknown. */
uint64_t progress_anonymous_memory(void);

/** Nanoseconds of a clock that only goes forward. */
uint64_t progress_now_ns(void);

#endif
