/* SPDX-License-Identifier: MIT */
/** Traces made on the spot. */
#ifndef BENCH_HITRATE_GENERATE_H
#define BENCH_HITRATE_GENERATE_H

#include "trace.h"

/**
 * Makes a trace: KIND[:REQUESTS[:KEYS]], the same for the same seed on every machine.
 *
 * zipf: popularity falls with the rank and stays; drift: the same, but some ranks are given to
 * other keys all the time; scan: zipf, a third of it interrupted by runs of keys that never come
 * again; loop: all keys in order, over and over; zigzag: up and down.
 *
 * @return false after a message; otherwise trace_free() it
 */
bool trace_generate(const char *text, uint64_t seed, struct trace *trace_out);

#endif
