/* SPDX-License-Identifier: MIT */
/**
 * Programs that a benchmark uses if they are there.
 */
#ifndef BENCH_PROGRAM_H
#define BENCH_PROGRAM_H

/** The file of a program in PATH, to be freed; NULL if there is none, or no memory. */
char *program_find(const char *name);

#endif
