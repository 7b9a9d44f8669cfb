/* SPDX-License-Identifier: MIT */
/**
 * Values of options that several benchmarks have. What cannot be read ends the program with a
 * message, as argp does.
 */
#ifndef BENCH_ARGUMENTS_H
#define BENCH_ARGUMENTS_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

/** Reads a number within the bounds. */
uint64_t arguments_number(struct argp_state *state, const char *text, uint64_t min, uint64_t max);

/** Reads a size such as 64M within the bounds. */
uint64_t arguments_size(struct argp_state *state, const char *text, uint64_t min, uint64_t max);

/**
 * Hands the words of a comma-separated list to a function until it returns false.
 *
 * @return false when it did, or when memory ran out
 */
bool arguments_each(const char *list, bool (*take)(void *context, const char *word), void *context);

#endif
