/* SPDX-License-Identifier: MIT */
/**
 * Bytes as printable text and back: \n \r \t \\ and \xHH for what is not printable ASCII.
 */
#ifndef TOOLS_ESCAPE_H
#define TOOLS_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/** Room for the text of escape_brief(). */
#define ESCAPE_BRIEF 88

/** Writes bytes to a stream, escaped. */
void escape_write(FILE *stream, const void *data, size_t size);

/** Writes the beginning of the bytes, escaped, into the buffer and returns it; for messages. */
const char *escape_brief(const void *data, size_t size, char buffer[ESCAPE_BRIEF]);

/**
 * Turns escaped text into the bytes it stands for, in place.
 *
 * @param text  size_in bytes; rewritten, the result is never longer
 * @return false when a backslash is followed by something else than n, r, t, backslash or xHH
 */
bool escape_undo(char *text, size_t size_in, size_t *size_out);

#endif
