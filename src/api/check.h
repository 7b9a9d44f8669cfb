/* SPDX-License-Identifier: MIT */
/** What the public functions check before anything else. */
#ifndef SKV_API_CHECK_H
#define SKV_API_CHECK_H

#include "engine/engine.h"

/** What every call on a store checks first. */
static inline spillkv_status skv_api_check_store(const spillkv *kv)
{
    if (SKV_UNLIKELY(kv == NULL)) {
        return SPILLKV_EINVAL;
    }
    return SKV_UNLIKELY(skv_engine_is_forked(kv)) ? SPILLKV_EFORKED : SPILLKV_OK;
}

static inline bool skv_api_is_key(const void *key, size_t size)
{
    return key != NULL && size != 0 && size <= SPILLKV_KEY_MAX;
}

static inline bool skv_api_is_value(const void *value, size_t size)
{
    return (value != NULL || size == 0) && size <= SPILLKV_VALUE_MAX;
}

#endif
