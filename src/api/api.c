/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. The public functions: check the arguments, hash the key, choose the shard, nudge the
 * spillers. Everything else is below. Bad input is answered before anything is touched.
 */
#include <string.h>

#include "base/alloc.h"
#include "engine/engine.h"

void spillkv_options_init(spillkv_options *options)
{
    memset(options, 0, sizeof(*options));
}

/** What every call on a store checks first. */
static inline spillkv_status check_store(const spillkv *kv)
{
    if (SKV_UNLIKELY(kv == NULL)) {
        return SPILLKV_EINVAL;
    }
    return SKV_UNLIKELY(skv_engine_is_forked(kv)) ? SPILLKV_EFORKED : SPILLKV_OK;
}

static inline spillkv_status check_key(const spillkv *kv, const void *key, size_t size)
{
    const spillkv_status status = check_store(kv);
    if (SKV_UNLIKELY(status == SPILLKV_OK &&
                     (key == NULL || size == 0 || size > SPILLKV_KEY_MAX))) {
        return SPILLKV_EINVAL;
    }
    return status;
}

static bool are_valid(const spillkv_options *options)
{
    bool reserved = true;
    for (size_t i = 0; i < sizeof(options->reserved) / sizeof(options->reserved[0]); i++) {
        reserved = reserved && options->reserved[i] == 0;
    }
    return reserved && options->shards <= SPILLKV_SHARDS_MAX &&
           options->spillers <= SKV_SPILLERS_MAX &&
           (unsigned)options->policy <= SPILLKV_POLICY_LRU &&
           (options->on_full == SPILLKV_FULL_FAIL || options->on_full == SPILLKV_FULL_DROP) &&
           (options->path == NULL || options->path[0] != '\0');
}

spillkv_status spillkv_open(const spillkv_options *options, spillkv **kv_out)
{
    spillkv_options defaults;
    if (kv_out == NULL) {
        return SPILLKV_EINVAL;
    }
    *kv_out = NULL;
    if (options == NULL) {
        spillkv_options_init(&defaults);
        options = &defaults;
    }
    return are_valid(options) ? skv_engine_open(options, kv_out) : SPILLKV_EINVAL;
}

spillkv_status spillkv_close(spillkv *kv)
{
    if (kv == NULL) {
        return SPILLKV_OK;
    }
    const spillkv_status status = check_store(kv);
    return status != SPILLKV_OK ? status : skv_engine_close(kv);
}

spillkv_status spillkv_set(spillkv *kv, const void *key, size_t key_size, const void *value,
                           size_t value_size)
{
    const spillkv_status status = check_key(kv, key, key_size);
    if (SKV_UNLIKELY(status != SPILLKV_OK)) {
        return status;
    }
    if (SKV_UNLIKELY((value == NULL && value_size != 0) || value_size > SPILLKV_VALUE_MAX)) {
        return SPILLKV_EINVAL;
    }
    const struct skv_key hashed = skv_engine_key(kv, key, key_size);
    return skv_engine_set(kv, &hashed, value, value_size);
}

static inline spillkv_status get(spillkv *kv, const void *key, size_t key_size,
                                 struct skv_sink *sink)
{
    const struct skv_key hashed = skv_engine_key(kv, key, key_size);
    const spillkv_status status = skv_shard_get(skv_engine_shard(kv, hashed.hash), &hashed, sink);
    skv_spillers_nudge(&kv->spillers);
    return status;
}

spillkv_status spillkv_get(spillkv *kv, const void *key, size_t key_size, void *buffer,
                           size_t capacity, size_t *value_size_out)
{
    if (value_size_out != NULL) {
        *value_size_out = 0;
    }
    spillkv_status status = check_key(kv, key, key_size);
    if (SKV_UNLIKELY(status != SPILLKV_OK)) {
        return status;
    }
    if (SKV_UNLIKELY(buffer == NULL && capacity != 0)) {
        return SPILLKV_EINVAL;
    }
    struct skv_sink sink = {.buffer = buffer, .capacity = capacity};
    status = get(kv, key, key_size, &sink);
    if (value_size_out != NULL && status >= SPILLKV_OK) {
        *value_size_out = sink.value_size;
    }
    return status;
}

spillkv_status spillkv_get_copy(spillkv *kv, const void *key, size_t key_size, void **value_out,
                                size_t *value_size_out)
{
    if (value_out != NULL) {
        *value_out = NULL;
    }
    if (value_size_out != NULL) {
        *value_size_out = 0;
    }
    spillkv_status status = check_key(kv, key, key_size);
    if (status != SPILLKV_OK) {
        return status;
    }
    if (value_out == NULL || value_size_out == NULL) {
        return SPILLKV_EINVAL;
    }
    struct skv_sink sink = {.allocate = true};
    status = get(kv, key, key_size, &sink);
    if (status == SPILLKV_OK) {
        *value_out = sink.buffer;
        *value_size_out = sink.value_size;
    }
    return status;
}

void spillkv_free(void *value)
{
    skv_free(value);
}

spillkv_status spillkv_del(spillkv *kv, const void *key, size_t key_size)
{
    const spillkv_status status = check_key(kv, key, key_size);
    if (status != SPILLKV_OK) {
        return status;
    }
    const struct skv_key hashed = skv_engine_key(kv, key, key_size);
    struct skv_shard *const shard = skv_engine_shard(kv, hashed.hash);
    const spillkv_status deleted = skv_shard_del(shard, &hashed);
    skv_spillers_nudge_compaction(&kv->spillers, shard);
    return deleted;
}

spillkv_status spillkv_has(spillkv *kv, const void *key, size_t key_size)
{
    const spillkv_status status = check_key(kv, key, key_size);
    if (status != SPILLKV_OK) {
        return status;
    }
    const struct skv_key hashed = skv_engine_key(kv, key, key_size);
    return skv_shard_has(skv_engine_shard(kv, hashed.hash), &hashed);
}

spillkv_status spillkv_count(spillkv *kv, uint64_t *count_out)
{
    if (count_out != NULL) {
        *count_out = 0;
    }
    const spillkv_status status = check_store(kv);
    if (status != SPILLKV_OK) {
        return status;
    }
    if (count_out == NULL) {
        return SPILLKV_EINVAL;
    }
    *count_out = skv_engine_count(kv);
    return SPILLKV_OK;
}

spillkv_status spillkv_set_max_mem(spillkv *kv, uint64_t max_mem)
{
    const spillkv_status status = check_store(kv);
    return status != SPILLKV_OK ? status : skv_engine_set_max_mem(kv, max_mem);
}

spillkv_status spillkv_clear(spillkv *kv)
{
    const spillkv_status status = check_store(kv);
    if (status == SPILLKV_OK) {
        skv_engine_clear(kv);
    }
    return status;
}

spillkv_status spillkv_each(spillkv *kv, spillkv_visit *visit, void *context)
{
    const spillkv_status status = check_store(kv);
    if (status != SPILLKV_OK) {
        return status;
    }
    return visit == NULL ? SPILLKV_EINVAL : skv_engine_each(kv, visit, context);
}

spillkv_status spillkv_flush(spillkv *kv)
{
    const spillkv_status status = check_store(kv);
    return status == SPILLKV_OK ? skv_engine_flush(kv) : status;
}

spillkv_status spillkv_stats(spillkv *kv, spillkv_stats_data *out)
{
    if (out != NULL) {
        memset(out, 0, sizeof(*out));
    }
    const spillkv_status status = check_store(kv);
    if (status != SPILLKV_OK) {
        return status;
    }
    if (out == NULL) {
        return SPILLKV_EINVAL;
    }
    skv_engine_stats(kv, out);
    return SPILLKV_OK;
}

spillkv_status spillkv_advise(spillkv *kv, spillkv_advice *out)
{
    if (out != NULL) {
        memset(out, 0, sizeof(*out));
    }
    const spillkv_status status = check_store(kv);
    if (status != SPILLKV_OK) {
        return status;
    }
    if (out == NULL) {
        return SPILLKV_EINVAL;
    }
    skv_engine_advise(kv, out);
    return SPILLKV_OK;
}

spillkv_status spillkv_shard_stats(spillkv *kv, uint32_t shard, spillkv_counters *out)
{
    if (out != NULL) {
        memset(out, 0, sizeof(*out));
    }
    const spillkv_status status = check_store(kv);
    if (status != SPILLKV_OK) {
        return status;
    }
    if (out == NULL || shard >= kv->shard_count) {
        return SPILLKV_EINVAL;
    }
    skv_engine_shard_stats(kv, shard, out);
    return SPILLKV_OK;
}
