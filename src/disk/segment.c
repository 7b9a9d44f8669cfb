/* SPDX-License-Identifier: MIT */
/*
 * DESIGN
 *
 * An entry on disk is verified by itself, so a read needs only its own bytes and not the whole
 * segment; one checksum per segment would cost 8 KiB of hashing for every get. The checksum is the
 * low half of XXH3-64, seeded with a number of the store mixed with the address: bytes that were
 * valid elsewhere, earlier, or in an earlier store, are damage here.
 *
 * The words of a header and of a checksum are in the machine's own byte order: files never outlive
 * the process. Padding is written as zeroes, and is not verified.
 *
 * Invariant: everything behind the last entry of a segment is zero, and no header is.
 */
#include "disk/segment.h"

#include <string.h>

#include "base/check.h"
#include "base/hash.h"

/* The parts of a lone row must not pass for one another when they have equal bytes. */
#define LONE_KEY_SALT   UINT64_C(0xa0761d6478bd642f)
#define LONE_VALUE_SALT UINT64_C(0xe7037ed1a0b428db)

static uint64_t load_word(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

/* An odd multiplier maps different addresses to different seeds. */
static uint64_t mix_seed(uint64_t seed, uint64_t address)
{
    return seed ^ address * UINT64_C(0x9e3779b97f4a7c15);
}

static uint32_t checksum(uint64_t seed, const void *bytes, size_t size)
{
    /* XXH3 must not be handed a NULL, which an empty value may be. */
    return (uint32_t)XXH3_64bits_withSeed(size != 0 ? bytes : "", size, seed);
}

static size_t unpadded_bytes(uint64_t header)
{
    return SKV_ENTRY_HEADER_BYTES + skv_header_key_size(header) + skv_header_value_size(header);
}

void skv_segment_pack(uint8_t *at, uint64_t seed, uint64_t address, const void *key,
                      size_t key_size, const void *value, size_t value_size)
{
    uint64_t header = skv_header_make(key_size, value_size);
    size_t size = unpadded_bytes(header);
    size_t whole = skv_packed_bytes(key_size, value_size);
    uint32_t sum;

    SKV_CHECK(skv_place_offset(address) + whole <= SKV_SEGMENT_BYTES);
    memcpy(at, &header, sizeof(header));
    memcpy(at + SKV_ENTRY_HEADER_BYTES, key, key_size);
    if (value_size != 0) {
        memcpy(at + SKV_ENTRY_HEADER_BYTES + key_size, value, value_size);
    }
    sum = checksum(mix_seed(seed, address), at, size);
    memcpy(at + size, &sum, sizeof(sum));
    memset(at + size + sizeof(sum), 0, whole - size - sizeof(sum));
}

spillkv_status skv_segment_unpack(const uint8_t *at, size_t size, uint64_t seed, uint64_t address,
                                  struct skv_packed *packed_out)
{
    uint64_t header;
    size_t bytes;
    size_t whole;
    uint32_t sum;

    if (size < SKV_ENTRY_HEADER_BYTES) {
        return SPILLKV_ECORRUPT;
    }
    header = load_word(at);
    if (!skv_header_is_sane(header) ||
        (header & (SKV_ENTRY_FLAG_COPY | SKV_ENTRY_FLAG_LONE)) != 0) {
        return SPILLKV_ECORRUPT;
    }
    bytes = unpadded_bytes(header);
    whole = skv_align8(bytes + SKV_CHECKSUM_BYTES);
    if (skv_place_offset(address) + whole > SKV_SEGMENT_BYTES) {
        return SPILLKV_ECORRUPT;
    }
    if (bytes + SKV_CHECKSUM_BYTES > size) {
        *packed_out = (struct skv_packed){.key_size = skv_header_key_size(header),
                                          .value_size = skv_header_value_size(header)};
        return SPILLKV_TOO_SMALL;
    }
    memcpy(&sum, at + bytes, sizeof(sum));
    if (sum != checksum(mix_seed(seed, address), at, bytes)) {
        return SPILLKV_ECORRUPT;
    }
    packed_out->key_size = skv_header_key_size(header);
    packed_out->value_size = skv_header_value_size(header);
    packed_out->key = at + SKV_ENTRY_HEADER_BYTES;
    packed_out->value = packed_out->key + packed_out->key_size;
    return SPILLKV_OK;
}

size_t skv_segment_entry_bytes(const uint8_t *at, size_t size)
{
    uint64_t header;
    size_t bytes;

    if (size < SKV_ENTRY_HEADER_BYTES) {
        return 0;
    }
    header = load_word(at);
    if (!skv_header_is_sane(header)) {
        return 0;
    }
    bytes = skv_packed_bytes(skv_header_key_size(header), skv_header_value_size(header));
    return bytes <= size ? bytes : 0;
}

uint32_t skv_lone_key_checksum(uint64_t seed, uint64_t address, uint64_t header, const void *key)
{
    uint64_t salted = mix_seed(seed, address) ^ (header + 1) * LONE_KEY_SALT;
    return checksum(salted, key, skv_header_key_size(header));
}

uint32_t skv_lone_value_checksum(uint64_t seed, uint64_t address, const void *value,
                                 size_t value_size)
{
    return checksum(mix_seed(seed, address) ^ LONE_VALUE_SALT, value, value_size);
}
