/* SPDX-License-Identifier: MIT */
/**
 * The bytes of an entry in RAM: header, where its spilled copy is (only if it came from disk), key,
 * value, padding to 8 bytes.
 *
 *     +--------+-------------+-----+-------+-----+
 *     | header | copy, 0 / 8 | key | value | pad |
 *     +--------+-------------+-----+-------+-----+
 *
 * An entry with a copy is clean: it can leave RAM without a write. When its value changes the copy
 * word becomes SKV_NO_COPY and the entry is dirty like any other.
 */
#ifndef SKV_RAM_ENTRY_H
#define SKV_RAM_ENTRY_H

#include <string.h>

#include "base/attributes.h"
#include "base/entry.h"

#define SKV_NO_COPY UINT64_C(0)

static inline uint64_t skv_entry_header(const uint8_t *entry)
{
    uint64_t header;
    memcpy(&header, entry, sizeof(header));
    return header;
}

static inline bool skv_entry_has_copy_word(uint64_t header)
{
    return (header & SKV_ENTRY_FLAG_COPY) != 0;
}

/** Offset of the key. */
static inline size_t skv_entry_key_offset(uint64_t header)
{
    return SKV_ENTRY_HEADER_BYTES + (skv_entry_has_copy_word(header) ? (size_t)8 : 0);
}

static inline const uint8_t *skv_entry_key(const uint8_t *entry, uint64_t header)
{
    return entry + skv_entry_key_offset(header);
}

static inline uint8_t *skv_entry_value(uint8_t *entry, uint64_t header)
{
    return entry + skv_entry_key_offset(header) + skv_header_key_size(header);
}

/** Bytes of an entry, padding included. */
static inline size_t skv_entry_bytes(uint64_t header)
{
    return skv_align8(skv_entry_key_offset(header) + skv_header_key_size(header) +
                      skv_header_value_size(header));
}

/** Bytes of an entry that is not written yet. */
static inline size_t skv_entry_bytes_for(size_t key_size, size_t value_size, bool with_copy)
{
    return skv_align8(SKV_ENTRY_HEADER_BYTES + (with_copy ? (size_t)8 : 0) + key_size + value_size);
}

/** Where the entry's spilled copy is, or SKV_NO_COPY. */
static inline uint64_t skv_entry_copy(const uint8_t *entry, uint64_t header)
{
    if (!skv_entry_has_copy_word(header)) {
        return SKV_NO_COPY;
    }
    uint64_t copy;
    memcpy(&copy, entry + SKV_ENTRY_HEADER_BYTES, sizeof(copy));
    return copy;
}

/** For an entry that has the word. */
static inline void skv_entry_set_copy(uint8_t *entry, uint64_t copy)
{
    memcpy(entry + SKV_ENTRY_HEADER_BYTES, &copy, sizeof(copy));
}

/** What an entry is made of, in the caller's memory. */
struct skv_entry_parts {
    const void *key;
    const void *value;
    size_t key_size;
    size_t value_size;
    uint64_t copy; /* SKV_NO_COPY: the entry gets no copy word */
};

static inline size_t skv_entry_parts_bytes(const struct skv_entry_parts *parts)
{
    return skv_entry_bytes_for(parts->key_size, parts->value_size, parts->copy != SKV_NO_COPY);
}

/** Writes what of an entry comes before its value, which need not be known yet; returns where the
 *  value goes. */
static inline uint8_t *skv_entry_write_head(uint8_t *at, const struct skv_entry_parts *parts)
{
    uint64_t header = skv_header_make(parts->key_size, parts->value_size);
    size_t offset = SKV_ENTRY_HEADER_BYTES;
    if (parts->copy != SKV_NO_COPY) {
        header |= SKV_ENTRY_FLAG_COPY;
        memcpy(at + offset, &parts->copy, sizeof(parts->copy));
        offset += sizeof(parts->copy);
    }
    memcpy(at, &header, sizeof(header));
    memcpy(at + offset, parts->key, parts->key_size);
    return at + offset + parts->key_size;
}

/** Writes an entry at `at`, which has room for skv_entry_parts_bytes(). */
static inline void skv_entry_write(uint8_t *at, const struct skv_entry_parts *parts)
{
    uint8_t *const value = skv_entry_write_head(at, parts);
    if (parts->value_size != 0) {
        memcpy(value, parts->value, parts->value_size);
    }
}

static inline bool skv_entry_key_is(const uint8_t *entry, uint64_t header, const void *key,
                                    size_t key_size)
{
    return skv_header_key_size(header) == key_size &&
           memcmp(skv_entry_key(entry, header), key, key_size) == 0;
}

#endif
