/* SPDX-License-Identifier: MIT */
/** A store in a directory of its own, and numbered keys whose values say what they are. */
#ifndef SKV_TESTS_SUPPORT_KV_H
#define SKV_TESTS_SUPPORT_KV_H

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <spillkv/spillkv.h>

#include "support/tempdir.h"

/** A budget under which a few thousand entries do not fit, with one shard. */
#define KV_TINY ((uint64_t)3 << 20)
/** Size of the values of kv_fill() and its like. */
#define KV_VALUE ((size_t)600)
/** Entries of that size, several times as many as fit under KV_TINY. */
#define KV_MANY 16000u

/** What kv_get() says of a wrong value. */
#define KV_WRONG (-100)

#define KV_OK(call) cr_assert_eq(call, SPILLKV_OK)

/* ThreadSanitizer ends a child that starts threads, as opening a store does. */
#if defined(__SANITIZE_THREAD__)
#define KV_OPENS_IN_CHILD false
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KV_OPENS_IN_CHILD false
#endif
#endif
#ifndef KV_OPENS_IN_CHILD
#define KV_OPENS_IN_CHILD true
#endif

/** Begins a test whose child opens a spilling store. */
#define KV_NEED_OPEN_IN_CHILD()                                                                    \
    do {                                                                                           \
        if (!KV_OPENS_IN_CHILD) {                                                                  \
            cr_skip_test("ThreadSanitizer allows no threads in a child");                          \
        }                                                                                          \
    } while (0)

struct kv_test {
    struct tempdir dir;
    char path[PATH_MAX + 8]; /* of the store: "store" in the directory */
    spillkv_options options;
    spillkv *kv;
};

/** Options for a spilling store: KV_TINY, one shard, one spiller, a fixed seed. */
void kv_options(struct kv_test *test);
/** Opens a store as `test->options` say. */
void kv_open(struct kv_test *test);
/** Both. */
void kv_open_tiny(struct kv_test *test);
/** Opens a store without a path. */
void kv_open_memory(struct kv_test *test, uint64_t max_mem, spillkv_on_full on_full);
/** Closes the store, expects that it left nothing, and removes the directory. */
void kv_close(struct kv_test *test);
/** Removes the directory; the store must have been closed and be gone. */
void kv_remove(struct kv_test *test);

/** Criterion overlooks what fails in .fini: this aborts, there and elsewhere, which it counts. */
#define KV_CHECK(condition) kv_check(condition, #condition, __FILE__, __LINE__)

void kv_check(bool condition, const char *text, const char *file, int line);

/** Size of every key, and the key "key-NNNNNNNN" of a number. */
#define KV_KEY ((size_t)12)
void kv_make_key(char *key, uint32_t number);

/** Fills a value that depends on number, version and size, in its first bytes too. */
void kv_make_value(uint8_t *value, size_t size, uint32_t number, uint32_t version);

/** spillkv_set() of key "key-NNNNNNNN" to the value of that number and version. */
spillkv_status kv_set(spillkv *kv, uint32_t number, uint32_t version, size_t size);
/** Reads the key and compares; what is not SPILLKV_OK, or KV_WRONG when the value is wrong. */
int kv_get(spillkv *kv, uint32_t number, uint32_t version, size_t size);
/** Whether bytes that were read are the value of that number, version and size. */
bool kv_value_is(const void *value, size_t got, uint32_t number, uint32_t version, size_t size);
spillkv_status kv_pin(spillkv *kv, uint32_t number, spillkv_pinned *pinned);
/** Unpins; fails the test unless that succeeds and leaves nothing of the pin. */
void kv_unpin(spillkv *kv, spillkv_pinned *pinned);
bool kv_pinned_is(const spillkv_pinned *pinned, uint32_t number, uint32_t version, size_t size);
bool kv_pinned_is_none(const spillkv_pinned *pinned);
spillkv_status kv_del(spillkv *kv, uint32_t number);
spillkv_status kv_has(spillkv *kv, uint32_t number);

/** Sets keys first .. end - 1, version 0, KV_VALUE bytes; fails the test otherwise. */
void kv_fill(spillkv *kv, uint32_t first, uint32_t end);
/** Expects of keys first .. end - 1 what kv_fill() set. */
void kv_expect_filled(spillkv *kv, uint32_t first, uint32_t end);

spillkv_stats_data kv_stats(spillkv *kv);
uint64_t kv_count(spillkv *kv);
/** Gets a key, which is a use and may promote it; returns whether the disk was read for it. */
bool kv_get_reads_disk(spillkv *kv, uint32_t number);

/** Checks what must be true of counters and account whenever no other thread works. */
void kv_expect_consistent(spillkv *kv);

#endif
