/* SPDX-License-Identifier: MIT */
/**
 * Threads that store records, then read them back and compare.
 *
 * All memory that they need is taken and touched by workers_create(), so that it does not blur how
 * much a store takes later.
 */
#ifndef TOOLS_WORKERS_H
#define TOOLS_WORKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <spillkv/spillkv.h>

#include "latency.h"
#include "records.h"

struct workers;

/** What reading back found. */
struct workers_findings {
    uint64_t missing; /* keys that the store does not know */
    uint64_t wrong;   /* keys with another value */
    uint64_t failed;  /* calls that returned a failure */
};

/** @return NULL after a message */
struct workers *workers_create(unsigned count, const struct records *records);

/** Frees; NULL is allowed. */
void workers_destroy(struct workers *workers);

/**
 * Stores all records; worker w those from starts[w] to starts[w + 1] - 1.
 *
 * @return false after a message: a call failed, a thread could not be had, or the user stopped it
 */
bool workers_set_all(struct workers *workers, spillkv *kv, const size_t *starts,
                     struct latency *latency);

/**
 * Reads all records back, in their order but for the threads, and compares. The first few
 * differences are described on standard error.
 *
 * @return false after a message: a thread could not be had, or the user stopped it
 */
bool workers_verify_all(struct workers *workers, spillkv *kv, struct latency *latency,
                        struct workers_findings *findings_out);

#endif
