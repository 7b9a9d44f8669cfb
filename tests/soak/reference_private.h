/* SPDX-License-Identifier: MIT */
/** A call about one key: what has to be known before it, and what is compared after it. */
#ifndef SOAK_REFERENCE_PRIVATE_H
#define SOAK_REFERENCE_PRIVATE_H

#include "soak/reference.h"

struct reference_call {
    struct reference *reference;
    struct reference_key *key;
    uint32_t number;
    size_t key_size;
    uint64_t epoch;
    uint64_t over; /* clears */
};

/** Locks a key for a call and writes its bytes to `key`. Who locks several does so in ascending
 *  order. */
struct reference_call reference_begin(struct reference *reference, uint8_t *key, uint32_t number);
void reference_end(const struct reference_call *call);
/** As reference_judge(), for a call about one key. */
void reference_judge_key(struct reference *reference, const char *what, uint32_t number,
                         spillkv_status status, uint64_t epoch);

/** Compares whether the key is there with what it should be; true when it is there rightly. */
bool reference_expect_presence(const struct reference_call *call, const char *what, bool found);
void reference_expect_value(const struct reference_call *call, const char *what, const void *value,
                            size_t size);
/** The key is not there from now on. */
void reference_gone(struct reference_key *key);

/** Size of a value: most are small; decided by number and version alone. */
size_t reference_size_of(uint32_t number, uint64_t version);
bool reference_is_value(uint32_t number, uint64_t version, const void *value, size_t size);

#endif
