/* SPDX-License-Identifier: MIT */
/**
 * What each key must hold while several threads change and read it: four bytes for each
 * key.
 *
 * A key has a version that counts its changes: odd as long as it is there, even when it is not. Who
 * changes it claims it first, so its changes have an order; who reads it notes the version before
 * and after and accepts what the key held at some time in between, nothing older and nothing else.
 * A value follows from its key and the version. A reader may have been asleep for thousands of
 * changes, hence versions of 30 bits.
 */
#ifndef BENCH_MARKS_H
#define BENCH_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"

struct marks {
    _Atomic uint32_t *words; /* shared memory, so that it does not count as anonymous */
    uint64_t capacity;       /* keys 0 .. capacity - 1 have marks */
    bool deletes;            /* keys are deleted in this phase; set when no thread is at work */
};

/** A change that is going on. */
struct marks_claim {
    uint64_t index;
    uint32_t before;
    uint32_t after;
};

/** What was seen of a key before it was read. */
struct marks_view {
    uint64_t index;
    uint32_t before;
};

/** Makes room, all keys absent; false after a message. */
bool marks_init(struct marks *marks, uint64_t capacity);
/** Frees; one of zeroes is allowed. */
void marks_fini(struct marks *marks);

/** Fetches the mark of a key that is soon needed. */
void marks_prefetch(const struct marks *marks, uint64_t index);

/** Whether a key is there, unless that changes just now. */
bool marks_present(const struct marks *marks, uint64_t index);

/** Claims a key to set it; false when another thread is changing it. */
bool marks_claim_set(struct marks *marks, uint64_t index, struct marks_claim *claim_out);
/** Claims a key to delete it; false when another thread is changing it or it is not there. */
bool marks_claim_del(struct marks *marks, uint64_t index, struct marks_claim *claim_out);
/** The change is done. */
void marks_settle(struct marks *marks, const struct marks_claim *claim);

/** Makes the value that a claim to set a key stands for. */
void marks_value(const struct marks_claim *claim, const uint8_t *key, uint8_t *value, size_t size);

/** To be called before a key is read. */
struct marks_view marks_look(const struct marks *marks, uint64_t index);

enum marks_verdict {
    MARKS_RIGHT,
    MARKS_WRONG,  /* another value, or one that the key held earlier */
    MARKS_MISSING /* it must be there */
};

/** To be called after it was read: FOUND with a value, or MISSING. */
enum marks_verdict marks_judge(const struct marks *marks, struct marks_view view,
                               enum engine_answer answer, const uint8_t *key, const uint8_t *value,
                               size_t size);

#endif
