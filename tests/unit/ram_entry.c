/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "ram/entry.h"

static _Alignas(8) uint8_t bytes[4096];

static uint64_t write_entry(const char *key, const char *value, uint64_t copy)
{
    const struct skv_entry_parts parts = {
        .key = key,
        .value = value,
        .key_size = strlen(key),
        .value_size = strlen(value),
        .copy = copy,
    };
    memset(bytes, 0xaa, sizeof(bytes));
    skv_entry_write(bytes, &parts);
    const uint64_t header = skv_entry_header(bytes);
    cr_expect_eq(skv_entry_parts_bytes(&parts), skv_entry_bytes(header));
    cr_expect_eq(bytes[skv_entry_bytes(header)], 0xaa, "nothing is written behind the entry");
    return header;
}

Test(entry, key_and_value_are_found_again)
{
    const uint64_t header = write_entry("some key", "value", SKV_NO_COPY);
    cr_expect_eq(skv_header_key_size(header), 8);
    cr_expect_eq(skv_header_value_size(header), 5);
    cr_expect_eq(skv_entry_key_offset(header), 8);
    cr_expect_arr_eq(skv_entry_key(bytes, header), "some key", 8);
    cr_expect_arr_eq(skv_entry_value(bytes, header), "value", 5);
    cr_expect_eq(skv_entry_bytes(header), 24);
}

Test(entry, without_copy_word_has_no_copy)
{
    const uint64_t header = write_entry("k", "v", SKV_NO_COPY);
    cr_expect_not(skv_entry_has_copy_word(header));
    cr_expect_eq(skv_entry_copy(bytes, header), SKV_NO_COPY);
}

Test(entry, with_copy_word_keeps_key_and_value_behind_it)
{
    const uint64_t header = write_entry("key", "value", 0x123456789);
    cr_expect(skv_entry_has_copy_word(header));
    cr_expect_eq(skv_entry_copy(bytes, header), 0x123456789);
    cr_expect_eq(skv_entry_key_offset(header), 16);
    cr_expect_arr_eq(skv_entry_key(bytes, header), "key", 3);
    cr_expect_arr_eq(skv_entry_value(bytes, header), "value", 5);
    cr_expect_eq(skv_entry_bytes(header), 24);
}

Test(entry, copy_word_can_be_changed_without_changing_the_entry)
{
    const uint64_t header = write_entry("key", "value", 77);
    const size_t size = skv_entry_bytes(header);
    skv_entry_set_copy(bytes, 88);
    cr_expect_eq(skv_entry_copy(bytes, header), 88);
    skv_entry_set_copy(bytes, SKV_NO_COPY);
    cr_expect_eq(skv_entry_copy(bytes, header), SKV_NO_COPY);
    cr_expect(skv_entry_has_copy_word(skv_entry_header(bytes)));
    cr_expect_eq(skv_entry_bytes(skv_entry_header(bytes)), size);
    cr_expect_arr_eq(skv_entry_value(bytes, header), "value", 5);
}

Test(entry, empty_value_takes_no_bytes)
{
    const uint64_t header = write_entry("12345678", "", SKV_NO_COPY);
    cr_expect_eq(skv_header_value_size(header), 0);
    cr_expect_eq(skv_entry_bytes(header), 16);
}

Test(entry, value_may_be_null_when_it_is_empty)
{
    const struct skv_entry_parts parts = {.key = "k", .key_size = 1};
    skv_entry_write(bytes, &parts);
    cr_expect_eq(skv_entry_bytes(skv_entry_header(bytes)), 16);
}

Test(entry, size_is_always_a_multiple_of_eight)
{
    for (size_t key_size = 1; key_size < 40; key_size++) {
        for (size_t value_size = 0; value_size < 40; value_size++) {
            const size_t plain = skv_entry_bytes_for(key_size, value_size, false);
            cr_assert_eq(plain % 8, 0);
            cr_assert_geq(plain, 8 + key_size + value_size);
            cr_assert_lt(plain, 16 + key_size + value_size);
            cr_assert_eq(skv_entry_bytes_for(key_size, value_size, true), plain + 8);
        }
    }
}

Test(entry, largest_sizes_fit_the_header)
{
    const uint64_t header = skv_header_make(SPILLKV_KEY_MAX, SPILLKV_VALUE_MAX);
    cr_expect_eq(skv_header_key_size(header), SPILLKV_KEY_MAX);
    cr_expect_eq(skv_header_value_size(header), SPILLKV_VALUE_MAX);
    cr_expect_not(skv_entry_has_copy_word(header));
    cr_expect_eq(skv_entry_bytes(header), skv_align8(8 + SPILLKV_KEY_MAX + SPILLKV_VALUE_MAX));
}

Test(entry, key_is_compared_in_length_and_bytes)
{
    const uint64_t header = write_entry("abc", "abcd", SKV_NO_COPY);
    cr_expect(skv_entry_key_is(bytes, header, "abc", 3));
    cr_expect_not(skv_entry_key_is(bytes, header, "abd", 3));
    cr_expect_not(skv_entry_key_is(bytes, header, "abca", 4));
    cr_expect_not(skv_entry_key_is(bytes, header, "ab", 2));
}
