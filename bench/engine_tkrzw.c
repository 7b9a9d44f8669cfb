/* SPDX-License-Identifier: MIT */
/**
 * Tkrzw's HashDBM, which maps its file: it takes no budget but that of the page cache.
 *
 * It is told how many entries there will be and has as many buckets, and half as many again.
 */
#include <error.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tkrzw_langc.h>

#include "engine.h"

#define BUCKETS_LEAST UINT64_C(1000000)

static bool check(bool fine, const char *what)
{
    if (!fine) {
        error(0, 0, "tkrzw: %s: %s", what, tkrzw_get_last_status_message());
    }
    return fine;
}

static bool close_database(void *db)
{
    return check(tkrzw_dbm_close(db), "close");
}

static void *open_database(const struct engine_options *options)
{
    char settings[256];
    char *file = NULL;
    const uint64_t wanted = options->entries + options->entries / 2;
    snprintf(settings, sizeof settings,
             "dbm=HashDBM,file=MemoryMapParallelFile,truncate=true,num_buckets=%" PRIu64,
             wanted > BUCKETS_LEAST ? wanted : BUCKETS_LEAST);
    if (asprintf(&file, "%s/entries.tkh", options->path) < 0) {
        error(0, 0, "tkrzw: out of memory");
        return NULL;
    }
    TkrzwDBM *const dbm = tkrzw_dbm_open(file, true, settings);
    free(file);
    return check(dbm != NULL, "open") ? dbm : NULL;
}

static bool set(void *handle, const void *key, size_t key_size, const void *value,
                size_t value_size)
{
    return check(tkrzw_dbm_set(handle, key, (int32_t)key_size, value, (int32_t)value_size, true),
                 "set");
}

struct reading {
    void *buffer;
    size_t capacity;
    size_t size;
    enum engine_answer answer;
};

/* Copies the value while it is locked. */
static const char *copy_value(void *context, const char *key, int32_t key_size, const char *value,
                              int32_t value_size, int32_t *new_size)
{
    (void)key;
    (void)key_size;
    (void)new_size;
    struct reading *const reading = context;
    if (value == NULL) {
        reading->answer = ENGINE_MISSING;
    } else if ((size_t)value_size <= reading->capacity) {
        reading->size = (size_t)value_size;
        memcpy(reading->buffer, value, reading->size);
        reading->answer = ENGINE_FOUND;
    }
    return TKRZW_REC_PROC_NOOP;
}

static enum engine_answer get(void *handle, const void *key, size_t key_size, void *buffer,
                              size_t capacity, size_t *size_out)
{
    struct reading reading = {.buffer = buffer, .capacity = capacity, .answer = ENGINE_FAILED};
    if (!check(tkrzw_dbm_process(handle, key, (int32_t)key_size, copy_value, &reading, false),
               "process")) {
        return ENGINE_FAILED;
    }
    *size_out = reading.size;
    return reading.answer;
}

static enum engine_answer del(void *handle, const void *key, size_t key_size)
{
    if (tkrzw_dbm_remove(handle, key, (int32_t)key_size)) {
        return ENGINE_FOUND;
    }
    return tkrzw_get_last_status_code() == TKRZW_STATUS_NOT_FOUND_ERROR || check(false, "remove")
               ? ENGINE_MISSING
               : ENGINE_FAILED;
}

static bool flush(void *db)
{
    (void)db;
    return true;
}

const struct engine engine_tkrzw = {
    .name = "tkrzw",
    .about = "HashDBM in a mapped file, 1.5 buckets an entry; no budget",
    .unbounded = true,
    .open = open_database,
    .set = set,
    .get = get,
    .del = del,
    .flush = flush,
    .close = close_database,
};
