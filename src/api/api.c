/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. The public functions: check the arguments, hash the key, choose the shard, nudge the
 * spillers. Everything else is below. Bad input is answered before anything is touched.
 */
#include <string.h>

#include "api/check.h"
#include "base/alloc.h"

void spillkv_options_init(spillkv_options *options)
{
    memset(options, 0, sizeof(*options));
}

static inline spillkv_status check_key(const spillkv *kv, const void *key, size_t size)
{
    const spillkv_status status = skv_api_check_store(kv);
    if (SKV_UNLIKELY(status == SPILLKV_OK && !skv_api_is_key(key, size))) {
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
    const spillkv_status status = skv_api_check_store(kv);
    return status != SPILLKV_OK ? status : skv_engine_close(kv);
}

/** The key of a call that may wait, or may not. */
static inline struct skv_key make_key(const spillkv *kv, const void *key, size_t size, bool nowait)
{
    struct skv_key hashed = skv_engine_key(kv, key, size);
    hashed.nowait = nowait;
    return hashed;
}

static inline spillkv_status set(spillkv *kv, const void *key, size_t key_size, const void *value,
                                 size_t value_size, bool nowait)
{
    const spillkv_status status = check_key(kv, key, key_size);
    if (SKV_UNLIKELY(status != SPILLKV_OK)) {
        return status;
    }
    if (SKV_UNLIKELY(!skv_api_is_value(value, value_size))) {
        return SPILLKV_EINVAL;
    }
    const struct skv_key hashed = make_key(kv, key, key_size, nowait);
    return skv_engine_set(kv, &hashed, value, value_size);
}

spillkv_status spillkv_set(spillkv *kv, const void *key, size_t key_size, const void *value,
                           size_t value_size)
{
    return set(kv, key, key_size, value, value_size, false);
}

spillkv_status spillkv_try_set(spillkv *kv, const void *key, size_t key_size, const void *value,
                               size_t value_size)
{
    return set(kv, key, key_size, value, value_size, true);
}

static inline spillkv_status get(spillkv *kv, const struct skv_key *key, struct skv_sink *sink)
{
    const spillkv_status status = skv_shard_get(skv_engine_shard(kv, key->hash), key, sink);
    skv_spillers_nudge(&kv->spillers);
    return status;
}

static inline spillkv_status get_into(spillkv *kv, const void *key, size_t key_size, void *buffer,
                                      size_t capacity, size_t *value_size_out, bool nowait)
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
    size_t value_size = 0;
    const struct skv_key hashed = make_key(kv, key, key_size, nowait);
    status = skv_shard_get_hot(skv_engine_shard(kv, hashed.hash), key, key_size, hashed.hash,
                               buffer, capacity, &value_size);
    if (SKV_UNLIKELY(status == SKV_ELSEWHERE)) {
        struct skv_sink sink = {.buffer = buffer, .capacity = capacity};
        status = get(kv, &hashed, &sink);
        value_size = sink.value_size;
    }
    if (value_size_out != NULL && status >= SPILLKV_OK) {
        *value_size_out = value_size;
    }
    return status;
}

spillkv_status spillkv_get(spillkv *kv, const void *key, size_t key_size, void *buffer,
                           size_t capacity, size_t *value_size_out)
{
    return get_into(kv, key, key_size, buffer, capacity, value_size_out, false);
}

spillkv_status spillkv_try_get(spillkv *kv, const void *key, size_t key_size, void *buffer,
                               size_t capacity, size_t *value_size_out)
{
    return get_into(kv, key, key_size, buffer, capacity, value_size_out, true);
}

static spillkv_status get_copy(spillkv *kv, const void *key, size_t key_size, void **value_out,
                               size_t *value_size_out, bool nowait)
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
    const struct skv_key hashed = make_key(kv, key, key_size, nowait);
    status = get(kv, &hashed, &sink);
    if (status == SPILLKV_OK) {
        *value_out = sink.buffer;
        *value_size_out = sink.value_size;
    }
    return status;
}

spillkv_status spillkv_get_copy(spillkv *kv, const void *key, size_t key_size, void **value_out,
                                size_t *value_size_out)
{
    return get_copy(kv, key, key_size, value_out, value_size_out, false);
}

spillkv_status spillkv_try_get_copy(spillkv *kv, const void *key, size_t key_size, void **value_out,
                                    size_t *value_size_out)
{
    return get_copy(kv, key, key_size, value_out, value_size_out, true);
}

void spillkv_free(void *value)
{
    skv_free(value);
}

/** A pin names the shard in the upper half of a word, the segment in the lower. */
#define PIN_SHARD_SHIFT 32

static inline spillkv_status pin(spillkv *kv, const void *key, size_t key_size,
                                 spillkv_pinned *pinned, bool nowait)
{
    if (pinned != NULL) {
        *pinned = (spillkv_pinned){0};
    }
    spillkv_status status = check_key(kv, key, key_size);
    if (SKV_UNLIKELY(status != SPILLKV_OK)) {
        return status;
    }
    if (SKV_UNLIKELY(pinned == NULL)) {
        return SPILLKV_EINVAL;
    }
    const struct skv_key hashed = make_key(kv, key, key_size, nowait);
    struct skv_pin made;
    status = skv_engine_pin(kv, &hashed, &made);
    if (status == SPILLKV_OK) {
        const uint64_t shard = hashed.hash >> 1 >> kv->shard_shift;
        pinned->value = made.value;
        pinned->value_size = made.value_size;
        pinned->reserved[0] = shard << PIN_SHARD_SHIFT | made.segment;
    }
    return status;
}

spillkv_status spillkv_pin(spillkv *kv, const void *key, size_t key_size, spillkv_pinned *pinned)
{
    return pin(kv, key, key_size, pinned, false);
}

spillkv_status spillkv_try_pin(spillkv *kv, const void *key, size_t key_size,
                               spillkv_pinned *pinned)
{
    return pin(kv, key, key_size, pinned, true);
}

spillkv_status spillkv_unpin(spillkv *kv, spillkv_pinned *pinned)
{
    const spillkv_status status = skv_api_check_store(kv);
    if (status != SPILLKV_OK) {
        return status;
    }
    if (pinned == NULL || pinned->reserved[0] >> PIN_SHARD_SHIFT >= kv->shard_count) {
        return SPILLKV_EINVAL;
    }
    const struct skv_pin made = {
        .value = pinned->value,
        .value_size = pinned->value_size,
        .segment = (uint32_t)pinned->reserved[0],
    };
    const spillkv_status unpinned =
        skv_shard_unpin(kv->shards[pinned->reserved[0] >> PIN_SHARD_SHIFT], &made);
    if (unpinned == SPILLKV_OK) {
        *pinned = (spillkv_pinned){0};
    }
    return unpinned;
}

static spillkv_status del(spillkv *kv, const void *key, size_t key_size, bool nowait)
{
    const spillkv_status status = check_key(kv, key, key_size);
    if (status != SPILLKV_OK) {
        return status;
    }
    const struct skv_key hashed = make_key(kv, key, key_size, nowait);
    struct skv_shard *const shard = skv_engine_shard(kv, hashed.hash);
    const spillkv_status deleted = skv_shard_del(shard, &hashed);
    skv_spillers_nudge_compaction(&kv->spillers, shard);
    return deleted;
}

spillkv_status spillkv_del(spillkv *kv, const void *key, size_t key_size)
{
    return del(kv, key, key_size, false);
}

spillkv_status spillkv_try_del(spillkv *kv, const void *key, size_t key_size)
{
    return del(kv, key, key_size, true);
}

static spillkv_status has(spillkv *kv, const void *key, size_t key_size, bool nowait)
{
    const spillkv_status status = check_key(kv, key, key_size);
    if (status != SPILLKV_OK) {
        return status;
    }
    const struct skv_key hashed = make_key(kv, key, key_size, nowait);
    return skv_shard_has(skv_engine_shard(kv, hashed.hash), &hashed);
}

spillkv_status spillkv_has(spillkv *kv, const void *key, size_t key_size)
{
    return has(kv, key, key_size, false);
}

spillkv_status spillkv_try_has(spillkv *kv, const void *key, size_t key_size)
{
    return has(kv, key, key_size, true);
}

spillkv_status spillkv_count(spillkv *kv, uint64_t *count_out)
{
    if (count_out != NULL) {
        *count_out = 0;
    }
    const spillkv_status status = skv_api_check_store(kv);
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
    const spillkv_status status = skv_api_check_store(kv);
    return status != SPILLKV_OK ? status : skv_engine_set_max_mem(kv, max_mem);
}

spillkv_status spillkv_clear(spillkv *kv)
{
    const spillkv_status status = skv_api_check_store(kv);
    if (status == SPILLKV_OK) {
        skv_engine_clear(kv);
    }
    return status;
}

spillkv_status spillkv_each(spillkv *kv, spillkv_visit *visit, void *context)
{
    const spillkv_status status = skv_api_check_store(kv);
    if (status != SPILLKV_OK) {
        return status;
    }
    return visit == NULL ? SPILLKV_EINVAL : skv_engine_each(kv, visit, context);
}

spillkv_status spillkv_flush(spillkv *kv)
{
    const spillkv_status status = skv_api_check_store(kv);
    return status == SPILLKV_OK ? skv_engine_flush(kv) : status;
}

spillkv_status spillkv_stats(spillkv *kv, spillkv_stats_data *out)
{
    if (out != NULL) {
        memset(out, 0, sizeof(*out));
    }
    const spillkv_status status = skv_api_check_store(kv);
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
    const spillkv_status status = skv_api_check_store(kv);
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
    const spillkv_status status = skv_api_check_store(kv);
    if (status != SPILLKV_OK) {
        return status;
    }
    if (out == NULL || shard >= kv->shard_count) {
        return SPILLKV_EINVAL;
    }
    skv_engine_shard_stats(kv, shard, out);
    return SPILLKV_OK;
}
