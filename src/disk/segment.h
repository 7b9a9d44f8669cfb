/* SPDX-License-Identifier: MIT */
/**
 * The bytes of a disk segment: entries one after the other, each with a checksum.
 *
 *     +--------+-----+-------+----------+-----+--------+----- ... -----+---------+
 *     | header | key | value | checksum | pad | header | key ...       | zeroes  |
 *     +--------+-----+-------+----------+-----+--------+----- ... -----+---------+
 *       8 B                    4 B        to 8 B
 *
 * The checksum covers header, key and value and is seeded with the store's own number and with the
 * entry's address, so an entry that turns up anywhere else than where it was written is damage too,
 * and so is one that was written there earlier. A segment
 * is SKV_SEGMENT_BYTES long: with SQLite's row around it, it fills one page of 8 KiB.
 *
 * An entry that does not fit a segment has a row of its own, of any size, in which the key part and
 * the value part have a checksum each, so that the key can be verified without reading the value:
 *
 *     +--------+-----+----------+-------+----------+
 *     | header | key | checksum | value | checksum |
 *     +--------+-----+----------+-------+----------+
 *
 * Knows no SQLite. Threads: plain functions on the caller's memory.
 */
#ifndef SKV_DISK_SEGMENT_H
#define SKV_DISK_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/entry.h"

#define SKV_SEGMENT_BYTES  ((size_t)8144)
#define SKV_CHECKSUM_BYTES 4

/**
 * Where an entry is on disk: a segment (the rowid) and the offset in it in units of 8 bytes, in one
 * number of 32 bits. 0 is no place: rowids start at 1.
 */
#define SKV_PLACE_OFFSET_BITS 10
#define SKV_PLACE_BITS        32
#define SKV_SEGMENT_ID_MAX    ((UINT32_C(1) << (SKV_PLACE_BITS - SKV_PLACE_OFFSET_BITS)) - 1)

_Static_assert(SKV_SEGMENT_BYTES % 8 == 0 && SKV_SEGMENT_BYTES / 8 < (1u << SKV_PLACE_OFFSET_BITS),
               "every offset in a segment fits a place");

static inline uint64_t skv_place_make(uint32_t id, size_t offset)
{
    return (uint64_t)id << SKV_PLACE_OFFSET_BITS | (uint64_t)(offset >> 3);
}

static inline uint32_t skv_place_id(uint64_t place)
{
    return (uint32_t)(place >> SKV_PLACE_OFFSET_BITS);
}

static inline size_t skv_place_offset(uint64_t place)
{
    return (size_t)(place & ((1u << SKV_PLACE_OFFSET_BITS) - 1)) << 3;
}

/**
 * A place, and in the bits above it the generation of its segment: how often the id was taken when
 * the entry was written. What was there before, which a disk that loses a write leaves, has another
 * address.
 */
static inline uint64_t skv_address_make(uint64_t place, uint16_t generation)
{
    return place | (uint64_t)generation << SKV_PLACE_BITS;
}

static inline uint64_t skv_address_place(uint64_t address)
{
    return address & ((UINT64_C(1) << SKV_PLACE_BITS) - 1);
}

static inline uint32_t skv_address_id(uint64_t address)
{
    return skv_place_id(skv_address_place(address));
}

/** Bytes of an entry in a segment, with checksum and padding. */
static inline size_t skv_packed_bytes(size_t key_size, size_t value_size)
{
    return skv_align8(SKV_ENTRY_HEADER_BYTES + key_size + value_size + SKV_CHECKSUM_BYTES);
}

/** Whether an entry of this size goes to a segment with others, or to a row of its own. */
static inline bool skv_packs(size_t key_size, size_t value_size)
{
    return skv_packed_bytes(key_size, value_size) <= SKV_SEGMENT_BYTES;
}

/** Bytes of an entry that has a row of its own, and where its value begins in it. */
static inline size_t skv_lone_value_offset(size_t key_size)
{
    return SKV_ENTRY_HEADER_BYTES + key_size + SKV_CHECKSUM_BYTES;
}

static inline size_t skv_lone_bytes(size_t key_size, size_t value_size)
{
    return skv_lone_value_offset(key_size) + value_size + SKV_CHECKSUM_BYTES;
}

/** What an entry takes on disk: what is counted as live bytes for it. */
static inline size_t skv_disk_bytes(size_t key_size, size_t value_size)
{
    return skv_packs(key_size, value_size) ? skv_packed_bytes(key_size, value_size)
                                           : skv_lone_bytes(key_size, value_size);
}

/**
 * Writes an entry at `at` (8-byte aligned, skv_packed_bytes() long).
 *
 * @param seed     the store's own number for checksums
 * @param address  of the entry when it will be read
 */
void skv_segment_pack(uint8_t *at, uint64_t seed, uint64_t address, const void *key,
                      size_t key_size, const void *value, size_t value_size);

/** An entry inside the caller's memory. */
struct skv_packed {
    const uint8_t *key;
    const uint8_t *value;
    size_t key_size;
    size_t value_size;
};

/**
 * Reads the entry at `at`.
 *
 * @param size        bytes that may be read there
 * @param packed_out  filled in on SPILLKV_OK only
 * @return SPILLKV_OK; SPILLKV_TOO_SMALL: `size` bytes are a sane beginning, but not the whole
 *         entry, whose key_size and value_size are set (key and value are NULL);
 *         SPILLKV_ECORRUPT
 */
SKV_MUST_CHECK spillkv_status skv_segment_unpack(const uint8_t *at, size_t size, uint64_t seed,
                                                 uint64_t address, struct skv_packed *packed_out);

/**
 * The size of the entry at `at` for walking over a segment; 0 at its end.
 * Nothing is verified but that the entry lies within `size` bytes.
 */
size_t skv_segment_entry_bytes(const uint8_t *at, size_t size);

/** Checksum of the key part of a lone row: header and key. */
uint32_t skv_lone_key_checksum(uint64_t seed, uint64_t address, uint64_t header, const void *key);
/** Checksum of its value. */
uint32_t skv_lone_value_checksum(uint64_t seed, uint64_t address, const void *value,
                                 size_t value_size);

#endif
