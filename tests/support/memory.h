/* SPDX-License-Identifier: MIT */
/** What the system says about this process's memory, and allocations that fail on order. */
#ifndef SKV_TESTS_SUPPORT_MEMORY_H
#define SKV_TESTS_SUPPORT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"

/* ThreadSanitizer keeps shadows of all memory: they count as resident, stay, and need mappings. */
#if defined(__SANITIZE_THREAD__)
#define MEMORY_IS_OURS false
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MEMORY_IS_OURS false
#endif
#endif
#ifndef MEMORY_IS_OURS
#define MEMORY_IS_OURS true
#endif

/** Bytes of anonymous memory that are resident; 0 if the system does not say. */
static inline uint64_t resident_bytes(void)
{
    FILE *const file = fopen("/proc/self/status", "r");
    char line[256];
    unsigned long kib = 0;
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "RssAnon: %lu", &kib) == 1) {
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return (uint64_t)kib * 1024;
}

/** Whether valgrind watches (tests/memcheck.sh): everything takes some forty times as long. */
static inline bool is_memchecked(void)
{
    return getenv("SPILLKV_MEMCHECK") != NULL;
}

/** Whether no more is resident; true where that cannot be told, as under valgrind. */
static inline bool resident_at_most(uint64_t bytes)
{
    return !MEMORY_IS_OURS || is_memchecked() || resident_bytes() <= bytes;
}

/** How many mappings the process has. */
static inline unsigned mapping_count(void)
{
    FILE *const file = fopen("/proc/self/maps", "r");
    unsigned lines = 0;
    for (int c = 0; file != NULL && (c = fgetc(file)) != EOF;) {
        lines += c == '\n';
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return lines;
}

/** Fails one allocation of all that follow. Single-threaded tests only. */
struct failing_alloc {
    unsigned seen;    /* allocations so far */
    unsigned fail_at; /* the first is 1; 0: none fails */
    bool failed;
};

static inline bool failing_alloc_hook(void *context, size_t bytes)
{
    struct failing_alloc *const failing = context;
    (void)bytes;
    failing->seen++;
    if (failing->seen != failing->fail_at) {
        return true;
    }
    failing->failed = true;
    return false;
}

static inline void failing_alloc_start(struct failing_alloc *failing, unsigned fail_at)
{
    *failing = (struct failing_alloc){.fail_at = fail_at};
    skv_alloc_set_hook(failing_alloc_hook, failing);
}

static inline void failing_alloc_stop(void)
{
    skv_alloc_set_hook(NULL, NULL);
}

#endif
