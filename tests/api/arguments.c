/* SPDX-License-Identifier: MIT */
/* What is out of its range is refused with SPILLKV_EINVAL, outputs are set all the same. */
#include <stdlib.h>
#include <string.h>

#include "support/kv.h"

static struct kv_test test;

static void open_test(void)
{
    kv_open_memory(&test, 0, SPILLKV_FULL_FAIL);
}

static void close_test(void)
{
    kv_expect_consistent(test.kv);
    kv_close(&test);
}

TestSuite(arguments, .init = open_test, .fini = close_test, .timeout = 20);

/** Has every call that takes a key refuse this one. */
static void expect_key_refused(spillkv *kv, const void *key, size_t size)
{
    char buffer[8];
    void *copy = buffer;
    size_t value_size = 99;
    cr_expect_eq(spillkv_set(kv, key, size, "value", 5), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_get(kv, key, size, buffer, sizeof(buffer), &value_size), SPILLKV_EINVAL);
    cr_expect_eq(value_size, 0);
    value_size = 99;
    cr_expect_eq(spillkv_get_copy(kv, key, size, &copy, &value_size), SPILLKV_EINVAL);
    cr_expect_null(copy);
    cr_expect_eq(value_size, 0);
    cr_expect_eq(spillkv_del(kv, key, size), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_has(kv, key, size), SPILLKV_EINVAL);
}

static int visit_none(void *context, const void *key, size_t key_size, const void *value,
                      size_t value_size)
{
    (void)context, (void)key, (void)key_size, (void)value, (void)value_size;
    cr_expect_fail("there is nothing to visit");
    return 0;
}

Test(arguments, a_null_key_is_refused)
{
    expect_key_refused(test.kv, NULL, 3);
    expect_key_refused(test.kv, NULL, 0);
}

Test(arguments, an_empty_key_is_refused)
{
    expect_key_refused(test.kv, "key", 0);
}

Test(arguments, a_key_above_the_maximum_is_refused)
{
    char *const key = calloc(1, SPILLKV_KEY_MAX + 1);
    expect_key_refused(test.kv, key, SPILLKV_KEY_MAX + 1);
    expect_key_refused(test.kv, key, SIZE_MAX);
    KV_OK(spillkv_set(test.kv, key, SPILLKV_KEY_MAX, "value", 5));
    cr_expect_eq(spillkv_has(test.kv, key, SPILLKV_KEY_MAX), SPILLKV_OK);
    free(key);
}

Test(arguments, a_null_value_needs_size_0)
{
    cr_expect_eq(spillkv_set(test.kv, "key", 3, NULL, 1), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_has(test.kv, "key", 3), SPILLKV_NOT_FOUND);
    cr_expect_eq(spillkv_set(test.kv, "key", 3, NULL, 0), SPILLKV_OK);
}

Test(arguments, a_value_above_the_maximum_is_refused_unread)
{
    KV_OK(spillkv_set(test.kv, "key", 3, "old", 3));
    cr_expect_eq(spillkv_set(test.kv, "key", 3, "v", SPILLKV_VALUE_MAX + 1), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_set(test.kv, "key", 3, "v", SIZE_MAX), SPILLKV_EINVAL);
    char buffer[3];
    KV_OK(spillkv_get(test.kv, "key", 3, buffer, 3, NULL));
    cr_expect_eq(memcmp(buffer, "old", 3), 0);
}

Test(arguments, a_null_buffer_needs_capacity_0)
{
    size_t size = 99;
    KV_OK(spillkv_set(test.kv, "key", 3, "value", 5));
    cr_expect_eq(spillkv_get(test.kv, "key", 3, NULL, 5, &size), SPILLKV_EINVAL);
    cr_expect_eq(size, 0);
}

Test(arguments, get_copy_needs_both_outputs)
{
    void *value = &test;
    size_t size = 99;
    KV_OK(spillkv_set(test.kv, "key", 3, "value", 5));
    cr_expect_eq(spillkv_get_copy(test.kv, "key", 3, NULL, &size), SPILLKV_EINVAL);
    cr_expect_eq(size, 0);
    cr_expect_eq(spillkv_get_copy(test.kv, "key", 3, &value, NULL), SPILLKV_EINVAL);
    cr_expect_null(value);
}

Test(arguments, outputs_and_callbacks_are_needed)
{
    cr_expect_eq(spillkv_count(test.kv, NULL), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_stats(test.kv, NULL), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_shard_stats(test.kv, 0, NULL), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_each(test.kv, NULL, NULL), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_open(NULL, NULL), SPILLKV_EINVAL);
}

Test(arguments, a_null_store_is_refused)
{
    uint64_t count = 99;
    spillkv_stats_data stats;
    spillkv_stats_data zero;
    spillkv_counters counters;
    memset(&stats, 1, sizeof(stats));
    memset(&zero, 0, sizeof(zero));
    memset(&counters, 1, sizeof(counters));
    expect_key_refused(NULL, "key", 3);
    cr_expect_eq(spillkv_count(NULL, &count), SPILLKV_EINVAL);
    cr_expect_eq(count, 0);
    cr_expect_eq(spillkv_clear(NULL), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_flush(NULL), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_each(NULL, visit_none, NULL), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_stats(NULL, &stats), SPILLKV_EINVAL);
    cr_expect_eq(memcmp(&stats, &zero, sizeof(zero)), 0);
    cr_expect_eq(spillkv_shard_stats(NULL, 0, &counters), SPILLKV_EINVAL);
    cr_expect_eq(memcmp(&counters, &zero.total, sizeof(counters)), 0);
}

Test(arguments, a_shard_above_the_last_is_refused)
{
    spillkv_counters counters;
    const uint32_t shards = kv_stats(test.kv).shards;
    memset(&counters, 1, sizeof(counters));
    cr_expect_eq(spillkv_shard_stats(test.kv, shards - 1, &counters), SPILLKV_OK);
    cr_expect_eq(spillkv_shard_stats(test.kv, shards, &counters), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_shard_stats(test.kv, UINT32_MAX, &counters), SPILLKV_EINVAL);
    cr_expect_eq(counters.reserved[5], 0);
}

Test(arguments, a_refused_call_counts_nothing)
{
    const spillkv_counters before = kv_stats(test.kv).total;
    expect_key_refused(test.kv, "", 0);
    const spillkv_counters after = kv_stats(test.kv).total;
    cr_expect_eq(memcmp(&before, &after, sizeof(before)), 0);
}

/* Buffers that overlap: what goes in is copied before anything comes out. */

Test(arguments, a_value_may_be_written_over_its_own_key)
{
    char bytes[64] = "key and more";
    KV_OK(spillkv_set(test.kv, bytes, 12, "a value that is longer than its key", 35));
    size_t size = 0;
    KV_OK(spillkv_get(test.kv, bytes, 12, bytes, sizeof(bytes), &size));
    cr_expect_eq(size, 35);
    cr_expect_eq(memcmp(bytes, "a value that is longer than its key", 35), 0);
}

Test(arguments, a_value_may_begin_within_its_key)
{
    const char bytes[] = "0123456789abcdef";
    char buffer[16];
    size_t size = 0;
    KV_OK(spillkv_set(test.kv, bytes, 10, bytes + 4, 12));
    KV_OK(spillkv_set(test.kv, bytes + 2, 10, bytes, 16));
    KV_OK(spillkv_get(test.kv, bytes, 10, buffer, sizeof(buffer), &size));
    cr_expect(size == 12 && memcmp(buffer, bytes + 4, 12) == 0);
    KV_OK(spillkv_get(test.kv, bytes + 2, 10, buffer, sizeof(buffer), &size));
    cr_expect(size == 16 && memcmp(buffer, bytes, 16) == 0);
}

Test(arguments, a_capacity_is_believed_but_no_more_than_the_value_is_written)
{
    char buffer[8] = "........";
    size_t size = 0;
    KV_OK(spillkv_set(test.kv, "key", 3, "value", 5));
    KV_OK(spillkv_get(test.kv, "key", 3, buffer, SIZE_MAX, &size));
    cr_expect_eq(size, 5);
    cr_expect_eq(memcmp(buffer, "value...", 8), 0);
}

Test(arguments, an_empty_value_needs_no_buffer)
{
    size_t size = 99;
    void *value = NULL;
    KV_OK(spillkv_set(test.kv, "key", 3, "", 0));
    KV_OK(spillkv_get(test.kv, "key", 3, NULL, 0, &size));
    cr_expect_eq(size, 0);
    KV_OK(spillkv_get_copy(test.kv, "key", 3, &value, &size));
    cr_expect_eq(size, 0);
    cr_expect_not_null(value);
    spillkv_free(value);
    KV_OK(spillkv_set(test.kv, "key", 3, "value", 5));
    cr_expect_eq(spillkv_get(test.kv, "key", 3, NULL, 0, &size), SPILLKV_TOO_SMALL);
    cr_expect_eq(size, 5);
}
