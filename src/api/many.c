/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. A batch of any length is cut into pieces of SKV_JOBS_MOST keys, so that everything it
 * needs lies on the stack. Each item's arguments are checked when its piece begins.
 */
#include "api/check.h"

/** Prepares an item's answer; returns whether its arguments are good. */
static bool prepare(enum skv_many many, spillkv_item *item)
{
    bool good = skv_api_is_key(item->key, item->key_size);
    if (many == SKV_MANY_GET) {
        item->value = NULL;
        item->value_size = 0;
        good = good && (item->buffer != NULL || item->capacity == 0);
    } else if (many == SKV_MANY_SET) {
        good = good && skv_api_is_value(item->value, item->value_size);
    }
    item->status = SPILLKV_EINVAL;
    return good;
}

static void do_piece(spillkv *kv, enum skv_many many, spillkv_item *items, size_t count)
{
    struct skv_job jobs[SKV_JOBS_MOST];
    uint32_t good = 0;
    for (size_t i = 0; i < count; i++) {
        if (SKV_LIKELY(prepare(many, &items[i]))) {
            jobs[good++] = (struct skv_job){
                .key = skv_engine_key(kv, items[i].key, items[i].key_size), .item = &items[i]};
        }
    }
    skv_engine_many(kv, many, jobs, good);
}

/** Answers all items with one status, which is that of the call. */
static spillkv_status refuse(enum skv_many many, spillkv_item *items, size_t count,
                             spillkv_status status)
{
    for (size_t i = 0; items != NULL && i < count; i++) {
        (void)prepare(many, &items[i]);
        items[i].status = status;
    }
    return status;
}

static spillkv_status do_many(spillkv *kv, enum skv_many many, spillkv_item *items, size_t count)
{
    spillkv_status status = skv_api_check_store(kv);
    if (status == SPILLKV_OK && items == NULL && count != 0) {
        status = SPILLKV_EINVAL;
    }
    if (status != SPILLKV_OK) {
        return refuse(many, items, count, status);
    }
    for (size_t at = 0; at < count; at += SKV_JOBS_MOST) {
        const size_t piece = count - at < SKV_JOBS_MOST ? count - at : SKV_JOBS_MOST;
        do_piece(kv, many, items + at, piece);
        for (size_t i = at; i < at + piece && status == SPILLKV_OK; i++) {
            status = items[i].status < SPILLKV_OK ? items[i].status : SPILLKV_OK;
        }
    }
    return status;
}

spillkv_status spillkv_get_many(spillkv *kv, spillkv_item *items, size_t count)
{
    return do_many(kv, SKV_MANY_GET, items, count);
}

spillkv_status spillkv_set_many(spillkv *kv, spillkv_item *items, size_t count)
{
    return do_many(kv, SKV_MANY_SET, items, count);
}

spillkv_status spillkv_del_many(spillkv *kv, spillkv_item *items, size_t count)
{
    return do_many(kv, SKV_MANY_DEL, items, count);
}
