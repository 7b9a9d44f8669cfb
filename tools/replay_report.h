/* SPDX-License-Identifier: MIT */
/**
 * What `spillkv replay` found out, as a table and as JSON.
 */
#ifndef TOOLS_REPLAY_REPORT_H
#define TOOLS_REPLAY_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <spillkv/spillkv.h>

#include "replay_run.h"
#include "trace.h"

struct replay_report {
    const struct trace *trace;
    size_t value_size;
    unsigned threads;
    double seconds;
    struct replay_outcome outcome;
    spillkv_stats_data stats; /* at the end */
    spillkv_advice advice;
    uint64_t count; /* what spillkv_count() says */
};

/** Tells whether all values were there and right, and nothing else. */
bool replay_report_verified(const struct replay_report *report);

void replay_report_print(FILE *stream, const struct replay_report *report);

/** Writes one JSON object; false when memory ran out. */
bool replay_report_print_json(FILE *stream, const struct replay_report *report);

#endif
