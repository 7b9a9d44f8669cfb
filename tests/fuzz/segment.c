/* SPDX-License-Identifier: MIT */
/*
 * The decoder of disk segments: any bytes may stand in a file. Read as a segment they lead nowhere
 * outside of themselves; written as entries they come back, and not when a byte of them changed.
 */
#include "disk/segment.h"

#include <string.h>

#include "fuzz.h"

#define SEED UINT64_C(0x1234)

/* So that a read outside of it is one that AddressSanitizer sees. */
static void touch(const struct skv_packed *packed, const uint8_t *bytes, size_t size)
{
    FUZZ_CHECK(packed->key_size != 0 && packed->key_size <= SPILLKV_KEY_MAX);
    FUZZ_CHECK(packed->key >= bytes && packed->value == packed->key + packed->key_size);
    FUZZ_CHECK(packed->value + packed->value_size + SKV_CHECKSUM_BYTES <= bytes + size);
    (void)skv_lone_key_checksum(SEED, 1, skv_header_make(packed->key_size, packed->value_size),
                                packed->key);
    (void)skv_lone_value_checksum(SEED, 1, packed->value, packed->value_size);
}

static void read_at(const uint8_t *bytes, size_t size, size_t offset)
{
    struct skv_packed packed = {0};
    const spillkv_status status = skv_segment_unpack(bytes + offset, size - offset, SEED,
                                                     skv_place_make(1, offset & 8184), &packed);
    if (status == SPILLKV_OK) {
        touch(&packed, bytes + offset, size - offset);
    } else if (status == SPILLKV_TOO_SMALL) {
        FUZZ_CHECK(packed.key == NULL && packed.value == NULL);
        FUZZ_CHECK(skv_packed_bytes(packed.key_size, packed.value_size) > size - offset);
        FUZZ_CHECK(skv_packs(packed.key_size, packed.value_size));
    } else {
        FUZZ_CHECK(status == SPILLKV_ECORRUPT);
    }
}

static void walk(const uint8_t *bytes, size_t size)
{
    size_t at = 0;
    size_t step;
    while ((step = skv_segment_entry_bytes(bytes + at, size - at)) != 0) {
        FUZZ_CHECK(step % 8 == 0 && step <= size - at);
        read_at(bytes, size, at);
        at += step;
    }
    read_at(bytes, size, at);
    for (at = 0; at <= size; at += 8) {
        read_at(bytes, size, at);
    }
}

/* A segment of one entry with sizes and bytes of the input's; then with one bit of it flipped. */
static void pack(struct fuzz_bytes *bytes)
{
    const size_t offset = skv_align8(fuzz_u16(bytes) % SKV_SEGMENT_BYTES);
    const uint64_t place = skv_place_make(1 + fuzz_u16(bytes), offset);
    const uint32_t flipped = fuzz_u16(bytes);
    const size_t key_most = (size_t)fuzz_u16(bytes) + 1;
    size_t key_size;
    size_t value_size;
    uint8_t *const key = fuzz_take(bytes, key_most, &key_size);
    uint8_t *const value = fuzz_take(bytes, SKV_SEGMENT_BYTES, &value_size);
    const size_t whole = skv_packed_bytes(key_size, value_size);
    if (key_size != 0 && offset + whole <= SKV_SEGMENT_BYTES) {
        struct skv_packed packed;
        uint8_t *const at = malloc(whole);
        FUZZ_CHECK(at != NULL);
        skv_segment_pack(at, SEED, place, key, key_size, value, value_size);
        FUZZ_CHECK(skv_segment_entry_bytes(at, whole) == whole);
        FUZZ_CHECK(skv_segment_unpack(at, whole, SEED, place, &packed) == SPILLKV_OK);
        FUZZ_CHECK(packed.key_size == key_size && packed.value_size == value_size);
        FUZZ_CHECK(memcmp(packed.key, key, key_size) == 0);
        FUZZ_CHECK(memcmp(packed.value, value, value_size) == 0);
        FUZZ_CHECK(skv_segment_unpack(at, whole, SEED, place + 1, &packed) == SPILLKV_ECORRUPT);
        const size_t sealed = SKV_ENTRY_HEADER_BYTES + key_size + value_size + SKV_CHECKSUM_BYTES;
        at[flipped / 8 % sealed] ^= (uint8_t)(1 << flipped % 8);
        FUZZ_CHECK(skv_segment_unpack(at, whole, SEED, place, &packed) != SPILLKV_OK);
        (void)skv_segment_entry_bytes(at, whole);
        free(at);
    }
    free(key);
    free(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bytes bytes = {data, size};
    size_t segment_size;
    uint8_t *segment;
    if (fuzz_u8(&bytes) % 2 == 0) {
        pack(&bytes);
        return 0;
    }
    segment = fuzz_take(&bytes, SKV_SEGMENT_BYTES, &segment_size);
    walk(segment, segment_size);
    free(segment);
    return 0;
}
