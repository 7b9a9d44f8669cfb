/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. Every call about keys, made while their locks are held, so that what is compared is what
 * was there. One in four is made in its spillkv_try_ form, which may answer that it would block:
 * then it must have changed nothing, which the next call shows.
 */
#include <string.h>

#include "soak/reference_private.h"
#include "support/model.h"

/* Values above this are not kept pinned: they hold memory of their own. */
#define PINNED_MOST ((size_t)4 << 10)

static bool tries(struct reference_room *room)
{
    return reference_dice(room, 4) == 0;
}

/* Whether the call says anything about the key: neither failed nor would have had to wait. */
static bool answers(const struct reference_call *call, bool try, spillkv_status status)
{
    if (status != SPILLKV_WOULD_BLOCK) {
        return status >= 0;
    }
    if (!try || !call->reference->spills) {
        reference_complain(call->reference, "key %u: would block", call->number);
    }
    atomic_fetch_add_explicit(&call->reference->blocked, 1, memory_order_relaxed);
    return false;
}

static void note_set(const struct reference_call *call, uint64_t version)
{
    struct reference_key *const key = call->key;
    key->present = true;
    key->version = version;
    key->over_then = call->over;
    key->begun_then = atomic_load(&call->reference->clears_begun);
    key->changes++;
}

void reference_set(struct reference *reference, struct reference_room *room, uint32_t number)
{
    const struct reference_call call = reference_begin(reference, room->keys, number);
    const uint64_t version = ++call.key->attempts;
    const size_t size = reference_size_of(number, version);
    model_value(number, version, room->values, size);
    const bool try = tries(room);
    const spillkv_status status = (try ? spillkv_try_set : spillkv_set)(
        reference->kv, room->keys, call.key_size, room->values, size);
    reference_judge_key(reference, "set", number, status, call.epoch);
    if (status == SPILLKV_OK) {
        note_set(&call, version);
    }
    reference_end(&call);
}

void reference_get(struct reference *reference, struct reference_room *room, uint32_t number)
{
    const struct reference_call call = reference_begin(reference, room->keys, number);
    size_t size;
    const bool try = tries(room);
    const spillkv_status status = (try ? spillkv_try_get : spillkv_get)(
        reference->kv, room->keys, call.key_size, room->values, REFERENCE_VALUE_MOST, &size);
    reference_judge_key(reference, "get", number, status, call.epoch);
    if (answers(&call, try, status) &&
        reference_expect_presence(&call, "get", status == SPILLKV_OK)) {
        reference_expect_value(&call, "get", room->values, size);
    }
    reference_end(&call);
}

void reference_get_copy(struct reference *reference, struct reference_room *room, uint32_t number)
{
    const struct reference_call call = reference_begin(reference, room->keys, number);
    void *value;
    size_t size;
    const bool try = tries(room);
    const spillkv_status status = (try ? spillkv_try_get_copy : spillkv_get_copy)(
        reference->kv, room->keys, call.key_size, &value, &size);
    reference_judge_key(reference, "get_copy", number, status, call.epoch);
    if (answers(&call, try, status) &&
        reference_expect_presence(&call, "get_copy", status == SPILLKV_OK)) {
        reference_expect_value(&call, "get_copy", value, size);
    }
    spillkv_free(value);
    reference_end(&call);
}

void reference_get_little(struct reference *reference, struct reference_room *room, uint32_t number)
{
    const struct reference_call call = reference_begin(reference, room->keys, number);
    const size_t capacity = reference_dice(room, 300);
    size_t size;
    const spillkv_status status =
        spillkv_get(reference->kv, room->keys, call.key_size, room->values, capacity, &size);
    reference_judge_key(reference, "get", number, status, call.epoch);
    if (status >= 0 && reference_expect_presence(&call, "get", status != SPILLKV_NOT_FOUND)) {
        const size_t wanted = reference_size_of(number, call.key->version);
        if (size != wanted || (status == SPILLKV_TOO_SMALL) != (wanted > capacity)) {
            reference_complain(reference, "get: key %u has %zu bytes instead of %zu", number, size,
                               wanted);
        } else if (status == SPILLKV_OK) {
            reference_expect_value(&call, "get", room->values, size);
        }
    }
    reference_end(&call);
}

void reference_del(struct reference *reference, struct reference_room *room, uint32_t number)
{
    const struct reference_call call = reference_begin(reference, room->keys, number);
    const bool try = tries(room);
    const spillkv_status status =
        (try ? spillkv_try_del : spillkv_del)(reference->kv, room->keys, call.key_size);
    reference_judge_key(reference, "del", number, status, call.epoch);
    if (answers(&call, try, status)) {
        (void)reference_expect_presence(&call, "del", status == SPILLKV_OK);
        reference_gone(call.key);
    }
    reference_end(&call);
}

void reference_has(struct reference *reference, struct reference_room *room, uint32_t number)
{
    const struct reference_call call = reference_begin(reference, room->keys, number);
    const bool try = tries(room);
    const spillkv_status status =
        (try ? spillkv_try_has : spillkv_has)(reference->kv, room->keys, call.key_size);
    reference_judge_key(reference, "has", number, status, call.epoch);
    if (answers(&call, try, status)) {
        (void)reference_expect_presence(&call, "has", status == SPILLKV_OK);
    }
    reference_end(&call);
}

/* Pins. */

/* What was pinned is as it was, whatever became of the key. */
static void unpin(struct reference *reference, struct reference_pin *pin)
{
    if (pin->pinned.value == NULL) {
        return;
    }
    if (!reference_is_value(pin->number, pin->version, pin->pinned.value, pin->pinned.value_size)) {
        reference_complain(reference, "pin: key %u has changed, version %llu", pin->number,
                           (unsigned long long)pin->version);
    }
    const spillkv_status status = spillkv_unpin(reference->kv, &pin->pinned);
    if (status != SPILLKV_OK || pin->pinned.value != NULL) {
        reference_complain(reference, "unpin of key %u: %s", pin->number, spillkv_strerror(status));
    }
}

void reference_unpin_all(struct reference *reference, struct reference_room *room)
{
    for (size_t i = 0; i < REFERENCE_PINS; i++) {
        unpin(reference, &room->pins[i]);
    }
}

void reference_pin(struct reference *reference, struct reference_room *room, uint32_t number)
{
    struct reference_pin *const pin = &room->pins[reference_dice(room, REFERENCE_PINS)];
    unpin(reference, pin);
    const struct reference_call call = reference_begin(reference, room->keys, number);
    const bool try = tries(room);
    const spillkv_status status = (try ? spillkv_try_pin : spillkv_pin)(
        reference->kv, room->keys, call.key_size, &pin->pinned);
    pin->number = number;
    pin->version = call.key->version;
    reference_judge_key(reference, "pin", number, status, call.epoch);
    if (answers(&call, try, status) &&
        reference_expect_presence(&call, "pin", status == SPILLKV_OK)) {
        reference_expect_value(&call, "pin", pin->pinned.value, pin->pinned.value_size);
    }
    reference_end(&call);
    if (pin->pinned.value_size > PINNED_MOST) {
        unpin(reference, pin);
    }
}

/* Batches. */

struct batch {
    struct reference_call calls[REFERENCE_BATCH];
    spillkv_item items[REFERENCE_BATCH];
    uint64_t versions[REFERENCE_BATCH]; /* of a set */
    size_t count;
};

/* Begins calls for keys from `number` on, with gaps; ascending, as all who lock several. */
static void begin_batch(struct reference *reference, struct reference_room *room, uint32_t number,
                        struct batch *batch)
{
    memset(batch, 0, sizeof(*batch));
    const size_t most = 1 + reference_dice(room, REFERENCE_BATCH);
    while (batch->count < most && number < reference->numbers) {
        const size_t i = batch->count++;
        uint8_t *const key = room->keys + i * MODEL_KEY_MAX;
        batch->calls[i] = reference_begin(reference, key, number);
        batch->items[i] = (spillkv_item){
            .key = key,
            .key_size = batch->calls[i].key_size,
            .buffer = room->values + i * REFERENCE_VALUE_MOST,
            .capacity = REFERENCE_VALUE_MOST,
        };
        number += 1 + reference_dice(room, 50);
    }
}

/* Judges every item, and that the batch says the first failure; ends the calls. */
static void end_batch(struct batch *batch, const char *what, spillkv_status status)
{
    struct reference *const reference = batch->calls[0].reference;
    spillkv_status first = SPILLKV_OK;
    for (size_t i = 0; i < batch->count; i++) {
        const struct reference_call *const call = &batch->calls[i];
        const spillkv_status one = batch->items[i].status;
        first = first == SPILLKV_OK && one < 0 ? one : first;
        reference_judge_key(reference, what, call->number, one, call->epoch);
        reference_end(call);
    }
    if (status != first) {
        reference_complain(reference, "%s: %s instead of %s", what, spillkv_strerror(status),
                           spillkv_strerror(first));
    }
}

void reference_get_many(struct reference *reference, struct reference_room *room, uint32_t number)
{
    struct batch batch;
    begin_batch(reference, room, number, &batch);
    const spillkv_status status = spillkv_get_many(reference->kv, batch.items, batch.count);
    for (size_t i = 0; i < batch.count; i++) {
        const spillkv_item *const item = &batch.items[i];
        if (answers(&batch.calls[i], false, item->status) &&
            reference_expect_presence(&batch.calls[i], "get_many", item->status == SPILLKV_OK)) {
            reference_expect_value(&batch.calls[i], "get_many", item->value, item->value_size);
        }
    }
    end_batch(&batch, "get_many", status);
}

void reference_set_many(struct reference *reference, struct reference_room *room, uint32_t number)
{
    struct batch batch;
    begin_batch(reference, room, number, &batch);
    for (size_t i = 0; i < batch.count; i++) {
        spillkv_item *const item = &batch.items[i];
        const uint32_t one = batch.calls[i].number;
        batch.versions[i] = ++batch.calls[i].key->attempts;
        item->value = item->buffer;
        item->value_size = reference_size_of(one, batch.versions[i]);
        model_value(one, batch.versions[i], item->buffer, item->value_size);
    }
    const spillkv_status status = spillkv_set_many(reference->kv, batch.items, batch.count);
    for (size_t i = 0; i < batch.count; i++) {
        if (answers(&batch.calls[i], false, batch.items[i].status)) {
            note_set(&batch.calls[i], batch.versions[i]);
        }
    }
    end_batch(&batch, "set_many", status);
}

void reference_del_many(struct reference *reference, struct reference_room *room, uint32_t number)
{
    struct batch batch;
    begin_batch(reference, room, number, &batch);
    const spillkv_status status = spillkv_del_many(reference->kv, batch.items, batch.count);
    for (size_t i = 0; i < batch.count; i++) {
        const struct reference_call *const call = &batch.calls[i];
        if (answers(call, false, batch.items[i].status)) {
            (void)reference_expect_presence(call, "del_many", batch.items[i].status == SPILLKV_OK);
            reference_gone(call->key);
        }
    }
    end_batch(&batch, "del_many", status);
}
