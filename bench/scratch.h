/* SPDX-License-Identifier: MIT */
/**
 * Directories for the files of a run.
 */
#ifndef BENCH_SCRATCH_H
#define BENCH_SCRATCH_H

#include <stdint.h>

/**
 * Makes a fresh directory.
 *
 * @param parent  NULL: TMPDIR or /tmp
 * @return its name, to be ended with scratch_remove(); NULL after a message
 */
char *scratch_make(const char *parent);

/** Sizes of the files in it, together, without holes. */
uint64_t scratch_bytes(const char *path);

/** Removes the directory with what is in it; frees the name; NULL is fine. */
void scratch_remove(char *path);

#endif
