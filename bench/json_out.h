/* SPDX-License-Identifier: MIT */
/**
 * The JSON form of a report.
 */
#ifndef BENCH_JSON_OUT_H
#define BENCH_JSON_OUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/** Writes an object and frees it; NULL, when memory ran out, and a failed write return false. */
bool json_out(FILE *stream, json_t *root);

#endif
