/* SPDX-License-Identifier: MIT */
/* What set, get, del, has, count, clear and their like say while everything is in RAM. */
#include <string.h>

#include "support/kv.h"

static struct kv_test test;

static void open_test(void)
{
    kv_open_memory(&test, 0, SPILLKV_FULL_FAIL);
}

static void close_test(void)
{
    kv_close(&test);
}

TestSuite(basics, .init = open_test, .fini = close_test, .timeout = 20);

static spillkv_status set_text(const char *key, const char *value)
{
    return spillkv_set(test.kv, key, strlen(key), value, strlen(value));
}

static void expect_text(const char *key, const char *value)
{
    char buffer[64] = "";
    size_t size = 99;
    cr_expect_eq(spillkv_get(test.kv, key, strlen(key), buffer, sizeof(buffer), &size), SPILLKV_OK);
    cr_expect_eq(size, strlen(value));
    cr_expect_eq(memcmp(buffer, value, strlen(value)), 0);
}

Test(basics, get_finds_what_was_set)
{
    KV_OK(set_text("one", "first"));
    KV_OK(set_text("two", "second"));
    expect_text("one", "first");
    expect_text("two", "second");
}

Test(basics, get_of_an_absent_key_is_not_found)
{
    char buffer[8];
    size_t size = 99;
    KV_OK(set_text("one", "first"));
    cr_expect_eq(spillkv_get(test.kv, "on", 2, buffer, sizeof(buffer), &size), SPILLKV_NOT_FOUND);
    cr_expect_eq(size, 0);
    cr_expect_eq(spillkv_get(test.kv, "one ", 4, buffer, sizeof(buffer), NULL), SPILLKV_NOT_FOUND);
    cr_expect_eq(spillkv_has(test.kv, "two", 3), SPILLKV_NOT_FOUND);
}

Test(basics, set_replaces_with_any_size)
{
    static const char *const values[] = {"longer value", "short", "shoot", "",
                                         "a bit longer again"};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        KV_OK(set_text("key", values[i]));
        expect_text("key", values[i]);
        cr_expect_eq(kv_count(test.kv), 1);
    }
}

Test(basics, buffers_are_borrowed_for_the_call_only)
{
    char key[] = "key";
    char value[] = "value";
    KV_OK(spillkv_set(test.kv, key, 3, value, 5));
    memset(key, 'x', 3);
    memset(value, 'x', 5);
    expect_text("key", "value");
}

Test(basics, keys_and_values_may_hold_any_bytes)
{
    static const char first[] = "a\0b";
    static const char second[] = "a\0c";
    char buffer[3];
    KV_OK(spillkv_set(test.kv, first, 3, second, 3));
    KV_OK(spillkv_set(test.kv, second, 3, first, 3));
    KV_OK(spillkv_set(test.kv, "a", 1, "", 0));
    cr_expect_eq(kv_count(test.kv), 3);
    KV_OK(spillkv_get(test.kv, first, 3, buffer, 3, NULL));
    cr_expect_eq(memcmp(buffer, second, 3), 0);
    KV_OK(spillkv_get(test.kv, second, 3, buffer, 3, NULL));
    cr_expect_eq(memcmp(buffer, first, 3), 0);
}

Test(basics, an_empty_value_is_a_value)
{
    void *copy = NULL;
    size_t size = 99;
    KV_OK(spillkv_set(test.kv, "key", 3, NULL, 0));
    cr_expect_eq(spillkv_has(test.kv, "key", 3), SPILLKV_OK);
    cr_expect_eq(spillkv_get(test.kv, "key", 3, NULL, 0, &size), SPILLKV_OK);
    cr_expect_eq(size, 0);
    cr_expect_eq(spillkv_get_copy(test.kv, "key", 3, &copy, &size), SPILLKV_OK);
    cr_expect_not_null(copy);
    cr_expect_eq(size, 0);
    spillkv_free(copy);
}

Test(basics, a_buffer_too_small_is_answered_with_the_size)
{
    char buffer[8];
    size_t size = 99;
    KV_OK(set_text("key", "12345"));
    cr_expect_eq(spillkv_get(test.kv, "key", 3, buffer, 4, &size), SPILLKV_TOO_SMALL);
    cr_expect_eq(size, 5);
    size = 99;
    cr_expect_eq(spillkv_get(test.kv, "key", 3, NULL, 0, &size), SPILLKV_TOO_SMALL);
    cr_expect_eq(size, 5);
    cr_expect_eq(spillkv_get(test.kv, "key", 3, NULL, 0, NULL), SPILLKV_TOO_SMALL);
    cr_expect_eq(spillkv_get(test.kv, "key", 3, buffer, 5, &size), SPILLKV_OK);
}

Test(basics, nothing_is_written_behind_the_buffer)
{
    char buffer[8] = "-------";
    KV_OK(set_text("key", "123"));
    KV_OK(spillkv_get(test.kv, "key", 3, buffer, 3, NULL));
    cr_expect_str_eq(buffer, "123----");
}

Test(basics, get_copy_hands_out_a_buffer_of_its_own)
{
    void *first = NULL;
    void *second = NULL;
    size_t size = 0;
    KV_OK(set_text("key", "value"));
    KV_OK(spillkv_get_copy(test.kv, "key", 3, &first, &size));
    KV_OK(set_text("key", "VALUE"));
    KV_OK(spillkv_get_copy(test.kv, "key", 3, &second, &size));
    cr_expect_eq(memcmp(first, "value", 5), 0);
    cr_expect_eq(memcmp(second, "VALUE", 5), 0);
    spillkv_free(first);
    spillkv_free(second);
    spillkv_free(NULL);
}

Test(basics, get_copy_outlives_the_store)
{
    spillkv *kv;
    void *value;
    size_t size;
    KV_OK(spillkv_open(NULL, &kv));
    KV_OK(spillkv_set(kv, "key", 3, "value", 5));
    KV_OK(spillkv_get_copy(kv, "key", 3, &value, &size));
    KV_OK(spillkv_close(kv));
    cr_expect_eq(memcmp(value, "value", 5), 0);
    spillkv_free(value);
}

Test(basics, get_copy_of_an_absent_key_yields_null)
{
    void *value = &test;
    size_t size = 99;
    cr_expect_eq(spillkv_get_copy(test.kv, "key", 3, &value, &size), SPILLKV_NOT_FOUND);
    cr_expect_null(value);
    cr_expect_eq(size, 0);
}

Test(basics, del_removes_and_says_whether_there_was_something)
{
    KV_OK(set_text("key", "value"));
    cr_expect_eq(spillkv_del(test.kv, "key", 3), SPILLKV_OK);
    cr_expect_eq(spillkv_has(test.kv, "key", 3), SPILLKV_NOT_FOUND);
    cr_expect_eq(spillkv_del(test.kv, "key", 3), SPILLKV_NOT_FOUND);
    cr_expect_eq(kv_count(test.kv), 0);
    KV_OK(set_text("key", "again"));
    expect_text("key", "again");
}

Test(basics, del_leaves_the_other_keys)
{
    kv_fill(test.kv, 0, 2000);
    for (uint32_t i = 0; i < 2000; i += 2) {
        cr_assert_eq(kv_del(test.kv, i), SPILLKV_OK);
    }
    cr_expect_eq(kv_count(test.kv), 1000);
    for (uint32_t i = 0; i < 2000; i++) {
        cr_expect_eq(kv_has(test.kv, i), i % 2 == 0 ? SPILLKV_NOT_FOUND : SPILLKV_OK);
    }
    for (uint32_t i = 1; i < 2000; i += 2) {
        cr_expect_eq(kv_get(test.kv, i, 0, KV_VALUE), SPILLKV_OK);
    }
}

Test(basics, clear_removes_everything_and_the_store_goes_on)
{
    kv_fill(test.kv, 0, 3000);
    cr_expect_eq(spillkv_clear(test.kv), SPILLKV_OK);
    cr_expect_eq(kv_count(test.kv), 0);
    cr_expect_eq(kv_has(test.kv, 7), SPILLKV_NOT_FOUND);
    cr_expect_eq(spillkv_clear(test.kv), SPILLKV_OK);
    kv_fill(test.kv, 1000, 5000);
    kv_expect_filled(test.kv, 1000, 5000);
    cr_expect_eq(kv_count(test.kv), 4000);
}

Test(basics, flush_of_a_store_in_memory_has_nothing_to_do)
{
    kv_fill(test.kv, 0, 100);
    cr_expect_eq(spillkv_flush(test.kv), SPILLKV_OK);
    kv_expect_filled(test.kv, 0, 100);
}

Test(basics, close_of_null_is_fine)
{
    cr_expect_eq(spillkv_close(NULL), SPILLKV_OK);
}

Test(basics, stores_are_independent)
{
    spillkv *other;
    KV_OK(spillkv_open(NULL, &other));
    KV_OK(set_text("key", "value"));
    cr_expect_eq(spillkv_has(other, "key", 3), SPILLKV_NOT_FOUND);
    KV_OK(spillkv_set(other, "key", 3, "other", 5));
    expect_text("key", "value");
    KV_OK(spillkv_close(other));
    expect_text("key", "value");
}

Test(basics, every_status_has_a_text_of_its_own)
{
    const char *texts[13];
    int count = 0;
    for (int status = SPILLKV_ESYSTEM; status <= SPILLKV_TOO_SMALL; status++) {
        texts[count] = spillkv_strerror((spillkv_status)status);
        cr_assert_not_null(texts[count]);
        cr_expect_gt(strlen(texts[count]), 0);
        for (int i = 0; i < count; i++) {
            cr_expect_str_neq(texts[i], texts[count]);
        }
        count++;
    }
}

Test(basics, a_status_that_is_none_has_a_text_too)
{
    cr_expect_not_null(spillkv_strerror((spillkv_status)3));
    cr_expect_not_null(spillkv_strerror((spillkv_status)-11));
    cr_expect_not_null(spillkv_strerror((spillkv_status)1000000));
}
