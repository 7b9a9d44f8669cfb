/* SPDX-License-Identifier: MIT */
/**
 * Figures as a table for people and as JSON for machines.
 */
#ifndef TOOLS_REPORT_H
#define TOOLS_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <spillkv/spillkv.h>

#include "latency.h"
#include "workers.h"

/** One phase of a run. */
struct report_phase {
    struct latency latency;
    double seconds;
};

/** What `spillkv load` found out. */
struct report {
    const char *format;
    uint64_t records;     /* in the input */
    uint64_t keys;        /* without repetitions */
    uint64_t bytes;       /* of keys and values, without repetitions */
    uint64_t index_bytes; /* memory of the index of the input, outside of the store */

    unsigned threads;
    uint64_t seed;
    struct report_phase set;
    struct report_phase get;
    double flush_seconds;

    spillkv_stats_data flushed; /* after the set phase and spillkv_flush() */
    spillkv_stats_data end;     /* after the get phase */
    uint64_t rss_baseline;      /* anonymous memory before the store was opened */
    uint64_t rss_peak;          /* and the most while it was open; 0: unknown */

    uint64_t count; /* what spillkv_count() says */
    struct workers_findings findings;
};

/** Tells whether all values were there and right, and nothing else. */
bool report_verified(const struct report *report);

/** Writes the table of a run. */
void report_print(FILE *stream, const struct report *report);

/** Writes a run as one JSON object; false when memory ran out. */
bool report_print_json(FILE *stream, const struct report *report);

/** Writes all that spillkv_stats() reports as a table. */
void report_print_stats(FILE *stream, const spillkv_stats_data *stats);

/* Pieces of a table and of an object, for other commands. */

/** Writes the heading of a table of phases. */
void report_print_heading(FILE *stream);
/** Writes a line of it. */
void report_print_phase(FILE *stream, const char *name, const struct report_phase *phase);
/** @return NULL when memory ran out */
json_t *report_json_phase(const struct report_phase *phase);
/** @return NULL when memory ran out */
json_t *report_json_stats(const spillkv_stats_data *stats);
/** Writes an object and frees it; false when memory ran out. */
bool report_write_json(FILE *stream, json_t *object);

#endif
