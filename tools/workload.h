/* SPDX-License-Identifier: MIT */
/**
 * Keys that look random and never repeat, and values that follow from their keys.
 *
 * Nothing is stored: entry number i is made again whenever it is needed, and any value can be
 * checked with its key alone. Threads: any, there is no state.
 */
#ifndef TOOLS_WORKLOAD_H
#define TOOLS_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** Keys may not be shorter: eight bytes are what makes them unique. */
#define WORKLOAD_KEY_MIN ((size_t)8)
#define WORKLOAD_KEY_MAX ((size_t)1024)
/** Entries that can be chosen from. */
#define WORKLOAD_ENTRIES_MAX (UINT64_C(1) << 32)

/** Different numbers have different results, which look random. Source: SplitMix64. */
static inline uint64_t workload_mix(uint64_t number)
{
    number += UINT64_C(0x9e3779b97f4a7c15);
    number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
    return number ^ number >> 31;
}

/** The next number of a sequence. */
static inline uint64_t workload_random(uint64_t *state)
{
    return workload_mix((*state)++);
}

/** A random number below `bound`, which is at most WORKLOAD_ENTRIES_MAX. */
static inline uint64_t workload_below(uint64_t *state, uint64_t bound)
{
    return (workload_random(state) >> 32) * bound >> 32;
}

/** Writes the key of an entry. */
static inline void workload_key(uint64_t seed, uint64_t index, uint8_t *key, size_t size)
{
    uint64_t word = workload_mix(index ^ seed);
    memcpy(key, &word, sizeof word);
    for (size_t at = sizeof word; at < size; at += sizeof word) {
        word = word * UINT64_C(0x9e3779b97f4a7c15) ^ word >> 29;
        memcpy(key + at, &word, size - at < sizeof word ? size - at : sizeof word);
    }
}

static inline uint64_t workload_value_word(uint64_t start, size_t at)
{
    const uint64_t word = (start + at) * UINT64_C(0xd6e8feb86659fd93);
    return word ^ word >> 32;
}

/** Writes the value that belongs to a key. */
static inline void workload_value(const uint8_t *key, uint8_t *value, size_t size)
{
    uint64_t start;
    memcpy(&start, key, sizeof start);
    size_t at = 0;
    for (; at + sizeof start <= size; at += sizeof start) {
        const uint64_t word = workload_value_word(start, at);
        memcpy(value + at, &word, sizeof word);
    }
    const uint64_t word = workload_value_word(start, at);
    memcpy(value + at, &word, size - at);
}

/** Tells whether a value belongs to a key. */
static inline bool workload_value_is(const uint8_t *key, const uint8_t *value, size_t size)
{
    uint64_t start;
    memcpy(&start, key, sizeof start);
    uint64_t differs = 0;
    size_t at = 0;
    for (; at + sizeof start <= size; at += sizeof start) {
        uint64_t found;
        memcpy(&found, value + at, sizeof found);
        differs |= found ^ workload_value_word(start, at);
    }
    const uint64_t word = workload_value_word(start, at);
    return differs == 0 && memcmp(value + at, &word, size - at) == 0;
}

#endif
