/* SPDX-License-Identifier: MIT */
#include "support/kv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void kv_make_key(char *key, uint32_t number)
{
    char text[KV_KEY + 1];
    snprintf(text, sizeof(text), "key-%08u", number % 100000000);
    memcpy(key, text, KV_KEY);
}

void kv_options(struct kv_test *test)
{
    tempdir_make(&test->dir);
    spillkv_options_init(&test->options);
    snprintf(test->path, sizeof(test->path), "%s/store", test->dir.path);
    test->options.path = test->path;
    test->options.max_mem = KV_TINY;
    test->options.shards = 1;
    test->options.spillers = 1;
    test->options.hash_seed = 1;
}

void kv_open(struct kv_test *test)
{
    KV_OK(spillkv_open(&test->options, &test->kv));
    cr_assert_not_null(test->kv);
}

void kv_open_tiny(struct kv_test *test)
{
    kv_options(test);
    kv_open(test);
}

void kv_open_memory(struct kv_test *test, uint64_t max_mem, spillkv_on_full on_full)
{
    kv_options(test);
    test->options.path = NULL;
    test->options.max_mem = max_mem;
    test->options.on_full = on_full;
    kv_open(test);
}

void kv_check(bool condition, const char *text, const char *file, int line)
{
    if (!condition) {
        (void)fprintf(stderr, "%s:%d: not true: %s\n", file, line, text);
        abort();
    }
}

void kv_remove(struct kv_test *test)
{
    const bool gone = !tempdir_has(&test->dir, "store");
    tempdir_remove(&test->dir);
    KV_CHECK(gone);
}

void kv_close(struct kv_test *test)
{
    const spillkv_status status = spillkv_close(test->kv);
    test->kv = NULL;
    kv_remove(test);
    KV_CHECK(status == SPILLKV_OK);
}

void kv_make_value(uint8_t *value, size_t size, uint32_t number, uint32_t version)
{
    uint64_t word = (((uint64_t)number << 32 | version) ^ size) * UINT64_C(0x9e3779b97f4a7c15);
    for (size_t at = 0; at < size; at += sizeof(word)) {
        const size_t left = size - at;
        word ^= word >> 29;
        memcpy(value + at, &word, left < sizeof(word) ? left : sizeof(word));
        word = (word + at) * UINT64_C(0xbf58476d1ce4e5b9);
    }
}

spillkv_status kv_set(spillkv *kv, uint32_t number, uint32_t version, size_t size)
{
    char key[KV_KEY];
    uint8_t small[1024];
    uint8_t *const value = size <= sizeof(small) ? small : malloc(size);
    cr_assert_not_null(value);
    kv_make_key(key, number);
    kv_make_value(value, size, number, version);
    const spillkv_status status = spillkv_set(kv, key, sizeof(key), value, size);
    if (value != small) {
        free(value);
    }
    return status;
}

bool kv_value_is(const void *value, size_t got, uint32_t number, uint32_t version, size_t size)
{
    if (value == NULL || got != size) {
        return false;
    }
    uint8_t *const wanted = malloc(size + 1);
    cr_assert_not_null(wanted);
    kv_make_value(wanted, size, number, version);
    const bool is = memcmp(value, wanted, size) == 0;
    free(wanted);
    return is;
}

int kv_get(spillkv *kv, uint32_t number, uint32_t version, size_t size)
{
    char key[KV_KEY];
    void *value = NULL;
    size_t got = 0;
    kv_make_key(key, number);
    int status = spillkv_get_copy(kv, key, sizeof(key), &value, &got);
    if (status != SPILLKV_OK) {
        return value == NULL && got == 0 ? status : KV_WRONG;
    }
    if (!kv_value_is(value, got, number, version, size)) {
        status = KV_WRONG;
    }
    spillkv_free(value);
    return status;
}

spillkv_status kv_pin(spillkv *kv, uint32_t number, spillkv_pinned *pinned)
{
    char key[KV_KEY];
    kv_make_key(key, number);
    return spillkv_pin(kv, key, sizeof(key), pinned);
}

void kv_unpin(spillkv *kv, spillkv_pinned *pinned)
{
    KV_OK(spillkv_unpin(kv, pinned));
    cr_assert(kv_pinned_is_none(pinned));
}

bool kv_pinned_is(const spillkv_pinned *pinned, uint32_t number, uint32_t version, size_t size)
{
    return kv_value_is(pinned->value, pinned->value_size, number, version, size);
}

bool kv_pinned_is_none(const spillkv_pinned *pinned)
{
    const spillkv_pinned none = {0};
    return memcmp(pinned, &none, sizeof(none)) == 0;
}

spillkv_status kv_del(spillkv *kv, uint32_t number)
{
    char key[KV_KEY];
    kv_make_key(key, number);
    return spillkv_del(kv, key, sizeof(key));
}

spillkv_status kv_has(spillkv *kv, uint32_t number)
{
    char key[KV_KEY];
    kv_make_key(key, number);
    return spillkv_has(kv, key, sizeof(key));
}

void kv_fill(spillkv *kv, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        const spillkv_status status = kv_set(kv, i, 0, KV_VALUE);
        cr_assert_eq(status, SPILLKV_OK, "key %u: %s", i, spillkv_strerror(status));
    }
}

void kv_expect_filled(spillkv *kv, uint32_t first, uint32_t end)
{
    uint32_t wrong = 0;
    for (uint32_t i = first; i < end; i++) {
        const int status = kv_get(kv, i, 0, KV_VALUE);
        cr_expect(status == SPILLKV_OK || wrong++ > 3, "key %u: %d", i, status);
    }
}

spillkv_stats_data kv_stats(spillkv *kv)
{
    spillkv_stats_data stats;
    KV_OK(spillkv_stats(kv, &stats));
    return stats;
}

uint64_t kv_count(spillkv *kv)
{
    uint64_t count = UINT64_MAX;
    KV_OK(spillkv_count(kv, &count));
    return count;
}

bool kv_get_reads_disk(spillkv *kv, uint32_t number)
{
    char key[KV_KEY];
    void *value;
    size_t size;
    const uint64_t before = kv_stats(kv).total.spilled_reads;
    kv_make_key(key, number);
    KV_OK(spillkv_get_copy(kv, key, sizeof(key), &value, &size));
    spillkv_free(value);
    return kv_stats(kv).total.spilled_reads != before;
}

void kv_expect_consistent(spillkv *kv)
{
    const spillkv_stats_data stats = kv_stats(kv);
    const spillkv_memory *const memory = &stats.memory;
    const spillkv_counters *const total = &stats.total;
    KV_CHECK(memory->entries + memory->table + memory->sqlite + memory->scratch + memory->fixed +
                 memory->unused ==
             memory->total);
    KV_CHECK(stats.max_mem == 0 || memory->total <= stats.max_mem);
    KV_CHECK(total->entries_ram + total->entries_spilled == kv_count(kv));
    KV_CHECK(total->live_bytes <= total->file_bytes);
}
