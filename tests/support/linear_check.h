/* SPDX-License-Identifier: MIT */
/**
 * Whether what threads saw of one key can be explained by operations that happened at one moment
 * each, between their begin and their end. A map's keys are independent, so each is checked alone.
 *
 * Knows nothing of the library. Threads: none of its own; no state.
 * Source: J. M. Wing, C. Gong, Testing and Verifying Concurrent Objects, 1993; G. Lowe, Testing for
 * Linearizability, 2016 (the memo, and to order operations no sooner than one ends).
 */
#ifndef SKV_TESTS_SUPPORT_LINEAR_CHECK_H
#define SKV_TESTS_SUPPORT_LINEAR_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** Threads are numbered below this; each does one operation at a time. */
#define LINEAR_THREADS_MAX 32u

/** What a key holds when it is absent; values are other numbers, each set once. */
#define LINEAR_ABSENT UINT64_C(0)
/** As an initial state: nothing is known. */
#define LINEAR_ANY UINT64_MAX

enum linear_kind {
    LINEAR_SET,   /* the key holds `value` */
    LINEAR_READ,  /* it was seen to hold `value`, or to be absent */
    LINEAR_SEEN,  /* it was seen to be there, with whatever value */
    LINEAR_TAKEN, /* it was there and was deleted */
    LINEAR_CLEAR  /* it is absent, whatever it was */
};

struct linear_op {
    uint64_t begin; /* moments: all different, ascending with time */
    uint64_t end;
    uint64_t value;
    uint32_t thread;
    enum linear_kind kind;
    const char *name; /* what to call it when it is printed */
};

/**
 * Searches for an order of the operations.
 *
 * @param ops         of one key, in any order; sorted by their begin
 * @param initial     what the key holds at first
 * @param failed_out  receives, if there is none, the operation at whose end none was left
 * @return whether there is one; ends the program when memory runs out
 * Cost:   grows with the operations, and exponentially with those that change the key at a time.
 */
bool linear_check(struct linear_op *ops, size_t count, uint64_t initial, size_t *failed_out);

/**
 * Cuts operations without an order down to the last few that have none, whatever the key held
 * before, and leaves out what only reads and is not needed. Nothing is left out that could give the
 * rest an order.
 *
 * @param failed  as linear_check() said
 * @return how many are left, at the front
 */
size_t linear_shrink(struct linear_op *ops, size_t count, uint64_t initial, size_t failed);

/** Writes a line for each. */
void linear_print(FILE *stream, const struct linear_op *ops, size_t count);

#endif
