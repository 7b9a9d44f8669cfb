/* SPDX-License-Identifier: MIT */
/**
 * Threads that run a trace: each request gets its key and, if that is not there, sets it.
 *
 * Keys and values follow from the keys' numbers, so that every value can be checked. All memory
 * that the threads need is taken by replay_create().
 */
#ifndef TOOLS_REPLAY_RUN_H
#define TOOLS_REPLAY_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include <spillkv/spillkv.h>

#include "latency.h"
#include "trace.h"
#include "workers.h"

/** Longer values are not of interest. */
#define REPLAY_VALUE_MOST ((size_t)64 << 20)

struct replay;

/** @param trace  borrowed. @return NULL after a message */
struct replay *replay_create(unsigned threads, const struct trace *trace, size_t value_size);

/** Frees; NULL is allowed. */
void replay_destroy(struct replay *replay);

/** What a run comes to besides the store's own counters. */
struct replay_outcome {
    struct latency get;
    struct latency set;
    struct workers_findings findings; /* missing: keys that had been set before */
    double entries_ram;               /* in the mean while some were spilled; 0: none ever was */
};

/**
 * Runs all requests against an empty store, in their order but for the threads.
 *
 * @param outcome  its latencies are initialised by the caller; added to
 * @return false after a message: a set failed, a thread could not be had, or the user stopped it
 */
bool replay_run(struct replay *replay, spillkv *kv, struct replay_outcome *outcome);

#endif
