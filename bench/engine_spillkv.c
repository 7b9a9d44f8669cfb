/* SPDX-License-Identifier: MIT */
#include <error.h>

#include <spillkv/spillkv.h>

#include "engine.h"

/* Bytes before key and value of an entry in RAM: the statistics tell those of keys and values. */
#define ENTRY_HEADER 8u

static bool check(spillkv_status status, const char *what)
{
    if (status != SPILLKV_OK) {
        error(0, 0, "spillkv: %s: %s", what, spillkv_strerror(status));
    }
    return status == SPILLKV_OK;
}

static void *open_store(const struct engine_options *options)
{
    spillkv *kv;
    spillkv_options own;
    spillkv_options_init(&own);
    own.path = options->path;
    own.max_mem = options->max_mem;
    own.shards = options->shards;
    return check(spillkv_open(&own, &kv), "open") ? kv : NULL;
}

static bool set(void *db, const void *key, size_t key_size, const void *value, size_t value_size)
{
    const spillkv_status status = spillkv_set(db, key, key_size, value, value_size);
    return status == SPILLKV_OK || check(status, "set");
}

static enum engine_answer answer_of(spillkv_status status)
{
    if (status == SPILLKV_OK) {
        return ENGINE_FOUND;
    }
    if (status == SPILLKV_NOT_FOUND) {
        return ENGINE_MISSING;
    }
    check(status, "get");
    return ENGINE_FAILED;
}

static enum engine_answer get(void *db, const void *key, size_t key_size, void *buffer,
                              size_t capacity, size_t *size_out)
{
    return answer_of(spillkv_get(db, key, key_size, buffer, capacity, size_out));
}

static void get_many(void *db, struct engine_read *reads, size_t count, size_t key_size,
                     size_t capacity)
{
    spillkv_item items[ENGINE_BATCH_MAX];
    for (size_t i = 0; i < count; i++) {
        items[i] = (spillkv_item){.key = reads[i].key,
                                  .key_size = key_size,
                                  .buffer = reads[i].buffer,
                                  .capacity = capacity};
    }
    /* Each item says what became of it. */
    (void)!spillkv_get_many(db, items, count);
    for (size_t i = 0; i < count; i++) {
        reads[i].size = items[i].value_size;
        reads[i].answer = answer_of(items[i].status);
    }
}

static bool flush(void *db)
{
    return check(spillkv_flush(db), "flush");
}

static bool close_store(void *db)
{
    return check(spillkv_close(db), "close");
}

static const char *lacks(void)
{
    return NULL;
}

static enum engine_answer del(void *db, const void *key, size_t key_size)
{
    const spillkv_status status = spillkv_del(db, key, key_size);
    if (status == SPILLKV_OK) {
        return ENGINE_FOUND;
    }
    return status == SPILLKV_NOT_FOUND || check(status, "del") ? ENGINE_MISSING : ENGINE_FAILED;
}

static bool account(void *db, struct engine_account *out)
{
    spillkv_stats_data stats;
    const spillkv_status status = spillkv_stats(db, &stats);
    *out = (struct engine_account){
        .charged = stats.memory.total,
        .entries = stats.memory.entries,
        .table = stats.memory.table,
        .live = stats.total.bytes_ram + stats.total.entries_ram * ENTRY_HEADER,
    };
    return check(status, "stats");
}

static pid_t process(void *db)
{
    (void)db;
    return 0;
}

const struct engine engine_spillkv = {
    .name = "spillkv",
    .about = "defaults",
    .open = open_store,
    .set = set,
    .get = get,
    .get_many = get_many,
    .flush = flush,
    .close = close_store,
    .lacks = lacks,
    .del = del,
    .account = account,
    .process = process,
};
