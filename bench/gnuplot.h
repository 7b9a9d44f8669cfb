/* SPDX-License-Identifier: MIT */
/**
 * gnuplot gets its commands and the numbers by a pipe.
 */
#ifndef BENCH_GNUPLOT_H
#define BENCH_GNUPLOT_H

#include <stdbool.h>
#include <stdio.h>

struct gnuplot {
    FILE *stream; /* NULL: it could not be started */
    void (*previous)(int);
};

/** Starts gnuplot, which is to draw SVG of so many pixels into a file. Writing to the stream raises
 *  no signal until gnuplot_close(). */
struct gnuplot gnuplot_open(const char *path, unsigned width, unsigned height);
/** Waits for it; false after a message when the file was not drawn. */
bool gnuplot_close(struct gnuplot *gnuplot, const char *path);
/** Writes a text as gnuplot reads it, in single quotes. */
void gnuplot_quote(FILE *stream, const char *text);

#endif
