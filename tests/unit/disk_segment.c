/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "disk/segment.h"

#define SEED  UINT64_C(0x1234567890abcdef)
#define PLACE skv_place_make(7, 64)

static uint8_t bytes[SKV_SEGMENT_BYTES] __attribute__((aligned(8)));

static spillkv_status unpack(size_t size, struct skv_packed *packed)
{
    return skv_segment_unpack(bytes, size, SEED, PLACE, packed);
}

Test(segment, place_holds_id_and_offset)
{
    uint64_t place = skv_place_make(SKV_SEGMENT_ID_MAX, SKV_SEGMENT_BYTES - 8);
    cr_expect_eq(skv_place_id(place), SKV_SEGMENT_ID_MAX);
    cr_expect_eq(skv_place_offset(place), SKV_SEGMENT_BYTES - 8);
    cr_expect_eq(place >> SKV_PLACE_BITS, 0);
}

Test(segment, packed_entry_comes_back)
{
    struct skv_packed packed;
    size_t size = skv_packed_bytes(3, 5);
    skv_segment_pack(bytes, SEED, PLACE, "key", 3, "value", 5);
    cr_assert_eq(unpack(size, &packed), SPILLKV_OK);
    cr_expect_eq(packed.key_size, 3);
    cr_expect_eq(packed.value_size, 5);
    cr_expect_eq(memcmp(packed.key, "key", 3), 0);
    cr_expect_eq(memcmp(packed.value, "value", 5), 0);
    cr_expect_eq(skv_segment_entry_bytes(bytes, sizeof(bytes)), size);
}

Test(segment, empty_value_comes_back)
{
    struct skv_packed packed;
    skv_segment_pack(bytes, SEED, PLACE, "k", 1, NULL, 0);
    cr_assert_eq(unpack(skv_packed_bytes(1, 0), &packed), SPILLKV_OK);
    cr_expect_eq(packed.value_size, 0);
}

Test(segment, largest_entry_fills_a_segment)
{
    static uint8_t value[SKV_SEGMENT_BYTES];
    size_t value_size = SKV_SEGMENT_BYTES - SKV_ENTRY_HEADER_BYTES - SKV_CHECKSUM_BYTES - 4;
    struct skv_packed packed;
    cr_assert(skv_packs(4, value_size));
    cr_assert_not(skv_packs(4, value_size + 1));
    cr_assert_eq(skv_packed_bytes(4, value_size), SKV_SEGMENT_BYTES);
    skv_segment_pack(bytes, SEED, skv_place_make(1, 0), "four", 4, value, value_size);
    cr_expect_eq(skv_segment_unpack(bytes, sizeof(bytes), SEED, skv_place_make(1, 0), &packed),
                 SPILLKV_OK);
}

Test(segment, every_flipped_bit_is_noticed)
{
    struct skv_packed packed;
    size_t size = SKV_ENTRY_HEADER_BYTES + 16 + 100 + SKV_CHECKSUM_BYTES;
    uint8_t text[100];
    memset(text, 'x', sizeof(text));
    skv_segment_pack(bytes, SEED, PLACE, "sixteen byte key", 16, text, sizeof(text));
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        /* A size that has become larger may ask for more bytes, which do not exist. */
        cr_expect_neq(unpack(SKV_SEGMENT_BYTES - skv_place_offset(PLACE), &packed), SPILLKV_OK,
                      "bit %zu", bit);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    cr_expect_eq(unpack(size, &packed), SPILLKV_OK);
}

Test(segment, entry_of_another_place_or_store_is_damage)
{
    struct skv_packed packed;
    size_t size = skv_packed_bytes(3, 5);
    skv_segment_pack(bytes, SEED, PLACE, "key", 3, "value", 5);
    cr_expect_eq(skv_segment_unpack(bytes, size, SEED, skv_place_make(8, 64), &packed),
                 SPILLKV_ECORRUPT);
    cr_expect_eq(skv_segment_unpack(bytes, size, SEED, skv_place_make(7, 72), &packed),
                 SPILLKV_ECORRUPT);
    cr_expect_eq(skv_segment_unpack(bytes, size, SEED + 1, PLACE, &packed), SPILLKV_ECORRUPT);
    cr_expect_eq(skv_segment_unpack(bytes, size, SEED, skv_address_make(PLACE, 1), &packed),
                 SPILLKV_ECORRUPT);
}

Test(segment, beginning_of_an_entry_tells_its_size)
{
    struct skv_packed packed;
    skv_segment_pack(bytes, SEED, PLACE, "key", 3, "value", 5);
    for (size_t size = SKV_ENTRY_HEADER_BYTES; size < SKV_ENTRY_HEADER_BYTES + 3 + 5 + 4; size++) {
        cr_assert_eq(unpack(size, &packed), SPILLKV_TOO_SMALL);
        cr_expect_eq(packed.key_size, 3);
        cr_expect_eq(packed.value_size, 5);
        cr_expect_null(packed.key);
        cr_expect_null(packed.value);
    }
    cr_expect_eq(unpack(SKV_ENTRY_HEADER_BYTES - 1, &packed), SPILLKV_ECORRUPT);
    cr_expect_eq(unpack(0, &packed), SPILLKV_ECORRUPT);
}

Test(segment, walk_ends_at_zeroes_and_at_the_end)
{
    size_t size = skv_packed_bytes(3, 5);
    memset(bytes, 0, sizeof(bytes));
    cr_expect_eq(skv_segment_entry_bytes(bytes, sizeof(bytes)), 0);
    skv_segment_pack(bytes, SEED, PLACE, "key", 3, "value", 5);
    cr_expect_eq(skv_segment_entry_bytes(bytes, size), size);
    cr_expect_eq(skv_segment_entry_bytes(bytes, size - 1), 0);
    cr_expect_eq(skv_segment_entry_bytes(bytes, 7), 0);
    memset(bytes, 0xff, 8);
    cr_expect_eq(skv_segment_entry_bytes(bytes, sizeof(bytes)), 0);
}

Test(segment, random_bytes_are_never_an_entry)
{
    struct skv_packed packed;
    uint64_t state = 88172645463325252u;
    for (int round = 0; round < 100000; round++) {
        for (size_t i = 0; i < 32; i++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            bytes[i] = (uint8_t)state;
        }
        bytes[1] = 0;
        memset(bytes + 3, 0, 5);
        cr_assert_neq(unpack(32, &packed), SPILLKV_OK);
    }
}

Test(segment, lone_checksums_depend_on_everything)
{
    uint64_t header = skv_header_make(3, 5);
    uint32_t key_sum = skv_lone_key_checksum(SEED, PLACE, header, "key");
    uint32_t value_sum = skv_lone_value_checksum(SEED, PLACE, "value", 5);
    cr_expect_neq(key_sum, skv_lone_key_checksum(SEED + 1, PLACE, header, "key"));
    cr_expect_neq(key_sum, skv_lone_key_checksum(SEED, PLACE + 1, header, "key"));
    cr_expect_neq(key_sum, skv_lone_key_checksum(SEED, PLACE, skv_header_make(3, 6), "key"));
    cr_expect_neq(key_sum, skv_lone_key_checksum(SEED, PLACE, header, "kez"));
    cr_expect_neq(value_sum, skv_lone_value_checksum(SEED, PLACE, "valuf", 5));
    cr_expect_neq(value_sum, skv_lone_value_checksum(SEED, PLACE + 1, "value", 5));
    cr_expect_neq(skv_lone_key_checksum(SEED, PLACE, skv_header_make(5, 0), "value"), value_sum);
    cr_expect_eq(skv_lone_value_checksum(SEED, PLACE, NULL, 0),
                 skv_lone_value_checksum(SEED, PLACE, "", 0));
}
