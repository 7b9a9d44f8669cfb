/* SPDX-License-Identifier: MIT */
/**
 * Sizes and numbers as people write and read them.
 */
#ifndef TOOLS_SIZE_H
#define TOOLS_SIZE_H

#include <stdbool.h>
#include <stdint.h>

/** Room for the text of size_format() and duration_format(). */
#define SIZE_TEXT 32

/**
 * Reads a size: digits, a fraction if a suffix follows, and K, M, G or T (powers of 1024; "KiB" and
 * "KB" mean the same; case does not matter).
 *
 * @return false, with *bytes_out 0, when the text is anything else or too large
 */
bool size_parse(const char *text, uint64_t *bytes_out);

/**
 * Reads a decimal number in min..max.
 *
 * @return false, with *number_out 0, when the text is anything else
 */
bool number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *number_out);

/** Writes a size as "12.3 MiB" into the buffer and returns it. */
const char *size_format(uint64_t bytes, char buffer[SIZE_TEXT]);

/** Writes nanoseconds as "1.23 us" into the buffer and returns it. */
const char *duration_format(double nanoseconds, char buffer[SIZE_TEXT]);

#endif
