/* SPDX-License-Identifier: MIT */
#include "linear/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *memory)
{
    if (memory == NULL) {
        (void)fputs("out of memory\n", stderr);
        abort();
    }
    return memory;
}

uint64_t history_now(atomic_uint_fast64_t *clock)
{
    return atomic_fetch_add(clock, 1) + 1;
}

void history_init(struct history_log *log, uint32_t thread)
{
    *log = (struct history_log){.thread = thread};
}

void history_fini(struct history_log *log)
{
    free(log->entries);
    log->entries = NULL;
}

void history_add(struct history_log *log, uint32_t key, struct linear_op op)
{
    if (log->count == log->capacity) {
        log->capacity = log->capacity * 2 + 1024;
        log->entries = checked(realloc(log->entries, log->capacity * sizeof(*log->entries)));
    }
    op.thread = log->thread;
    log->entries[log->count++] = (struct history_entry){.op = op, .key = key};
}

static uint32_t check_key(uint32_t key, struct linear_op *ops, size_t count)
{
    size_t failed;
    if (linear_check(ops, count, LINEAR_ABSENT, &failed)) {
        return 0;
    }
    const size_t left = linear_shrink(ops, count, LINEAR_ABSENT, failed);
    printf("key %u: no order explains these %zu of %zu operations:\n", key, left, count);
    linear_print(stdout, ops, left);
    (void)fflush(stdout);
    return 1;
}

uint32_t history_check(const struct history_log *logs, size_t count, uint32_t keys)
{
    size_t *const ends = checked(calloc((size_t)keys + 1, sizeof(*ends)));
    size_t all = 0;
    uint32_t failures = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < logs[i].count; j++) {
            ends[logs[i].entries[j].key + 1]++;
        }
        all += logs[i].count;
    }
    /* Sorted by key: ends[key] is where its operations begin, then where they end. */
    struct linear_op *const ops = checked(calloc(all + 1, sizeof(*ops)));
    for (uint32_t key = 0; key < keys; key++) {
        ends[key + 1] += ends[key];
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < logs[i].count; j++) {
            ops[ends[logs[i].entries[j].key]++] = logs[i].entries[j].op;
        }
    }
    for (uint32_t key = 0; key < keys; key++) {
        const size_t begin = key == 0 ? 0 : ends[key - 1];
        failures += check_key(key, ops + begin, ends[key] - begin);
    }
    free(ops);
    free(ends);
    return failures;
}
