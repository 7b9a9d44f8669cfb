/* SPDX-License-Identifier: MIT */
#include "soak/reference.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "soak/reference_private.h"
#include "support/model.h"

/* More complaints than this say nothing new. */
#define COMPLAINTS_MOST 50

static void *allocate(size_t count, size_t size)
{
    void *const memory = calloc(count, size);
    if (memory == NULL) {
        (void)fputs("out of memory\n", stderr);
        abort();
    }
    return memory;
}

void reference_init(struct reference *reference, uint32_t numbers)
{
    memset(reference, 0, sizeof(*reference));
    reference->numbers = numbers;
    reference->keys = allocate(numbers, sizeof(*reference->keys));
    for (uint32_t i = 0; i < numbers; i++) {
        (void)pthread_mutex_init(&reference->keys[i].lock, NULL);
    }
}

void reference_fini(struct reference *reference)
{
    for (uint32_t i = 0; i < reference->numbers; i++) {
        (void)pthread_mutex_destroy(&reference->keys[i].lock);
    }
    free(reference->keys);
}

void reference_reset(struct reference *reference, spillkv *kv)
{
    reference->kv = kv;
    for (uint32_t i = 0; i < reference->numbers; i++) {
        reference->keys[i].present = false;
    }
}

void reference_room_init(struct reference_room *room, uint64_t random)
{
    room->keys = allocate(REFERENCE_BATCH, MODEL_KEY_MAX);
    room->values = allocate(REFERENCE_BATCH, REFERENCE_VALUE_MOST);
    room->random = random;
    memset(room->pins, 0, sizeof(room->pins));
}

void reference_room_fini(struct reference_room *room)
{
    free(room->keys);
    free(room->values);
}

uint32_t reference_dice(struct reference_room *room, uint32_t sides)
{
    return (uint32_t)(model_random(&room->random) % sides);
}

void reference_complain(struct reference *reference, const char *format, ...)
{
    if (atomic_fetch_add(&reference->wrong, 1) < COMPLAINTS_MOST) {
        char text[256];
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        (void)fprintf(stderr, "WRONG: %s\n", text);
    }
}

/* Whether a failure is what was ordered. */
static bool is_excused(const struct reference *reference, spillkv_status status, uint64_t epoch)
{
    const bool ordered = epoch % 2 != 0 || atomic_load(&reference->epoch) != epoch;
    switch (status) {
    case SPILLKV_EFULL:
        return ordered || reference->refuses;
    case SPILLKV_EIO:
    case SPILLKV_ENOSPC:
    case SPILLKV_ENOMEM:
    case SPILLKV_ECORRUPT: /* a read that ends too early looks like that */
        return ordered;
    default:
        return false;
    }
}

void reference_judge(struct reference *reference, const char *what, spillkv_status status,
                     uint64_t epoch)
{
    atomic_fetch_add_explicit(&reference->operations, 1, memory_order_relaxed);
    if (status >= 0) {
        return;
    }
    if (is_excused(reference, status, epoch)) {
        atomic_fetch_add_explicit(&reference->refused, 1, memory_order_relaxed);
    } else {
        reference_complain(reference, "%s: %s", what, spillkv_strerror(status));
    }
}

void reference_judge_key(struct reference *reference, const char *what, uint32_t number,
                         spillkv_status status, uint64_t epoch)
{
    char text[64];
    if (status < 0) {
        (void)snprintf(text, sizeof(text), "%s of key %u", what, number);
        what = text;
    }
    reference_judge(reference, what, status, epoch);
}

size_t reference_size_of(uint32_t number, uint64_t version)
{
    uint64_t state = version * 100003 + number;
    const uint64_t dice = model_random(&state);
    const uint64_t kind = dice % 10000;
    const uint64_t more = dice / 10000;
    return (size_t)(kind < 300    ? 0
                    : kind < 8500 ? more % 400
                    : kind < 9900 ? more % 4000
                    : kind < 9990 ? more % 20000
                                  : more % REFERENCE_VALUE_MOST);
}

bool reference_is_value(uint32_t number, uint64_t version, const void *value, size_t size)
{
    return size == reference_size_of(number, version) &&
           model_value_is(number, version, value, size);
}

struct reference_call reference_begin(struct reference *reference, uint8_t *key, uint32_t number)
{
    struct reference_call call = {
        .reference = reference, .key = &reference->keys[number], .number = number};
    (void)pthread_mutex_lock(&call.key->lock);
    call.key_size = model_key(number, key);
    call.epoch = atomic_load(&reference->epoch);
    call.over = atomic_load(&reference->clears_over);
    return call;
}

void reference_end(const struct reference_call *call)
{
    (void)pthread_mutex_unlock(&call->key->lock);
}

void reference_gone(struct reference_key *key)
{
    key->changes += key->present;
    key->present = false;
}

bool reference_expect_presence(const struct reference_call *call, const char *what, bool found)
{
    struct reference *const reference = call->reference;
    struct reference_key *const key = call->key;
    const bool may_be_gone =
        !key->present || reference->drops || atomic_load(&reference->clears_begun) > key->over_then;
    const bool must_be_gone = !key->present || call->over > key->begun_then;
    if (found && must_be_gone) {
        reference_complain(reference, "%s: key %u is there again", what, call->number);
    }
    if (!found && !may_be_gone) {
        reference_complain(reference, "%s: key %u is lost, version %llu", what, call->number,
                           (unsigned long long)key->version);
    }
    if (!found) {
        reference_gone(key);
    }
    return found && !must_be_gone;
}

void reference_expect_value(const struct reference_call *call, const char *what, const void *value,
                            size_t size)
{
    const uint64_t version = call->key->version;
    if (!reference_is_value(call->number, version, value, size)) {
        reference_complain(call->reference, "%s: key %u has a wrong value, not version %llu", what,
                           call->number, (unsigned long long)version);
    }
}

void reference_clear(struct reference *reference)
{
    atomic_fetch_add(&reference->clears_begun, 1);
    reference_judge(reference, "clear", spillkv_clear(reference->kv),
                    atomic_load(&reference->epoch));
    atomic_fetch_add(&reference->clears_over, 1);
}

struct iteration {
    struct reference *reference;
    struct reference_seen *seen;
    uint64_t over; /* clears, when it began */
};

static int visit(void *context, const void *bytes, size_t key_size, const void *value, size_t size)
{
    const struct iteration *const iteration = context;
    struct reference *const reference = iteration->reference;
    const uint32_t number = model_number(bytes, key_size);
    if (number >= reference->numbers || iteration->seen[number].visited) {
        reference_complain(reference, "each: visits key %u, or again", number);
        return 0;
    }
    struct reference_seen *const seen = &iteration->seen[number];
    struct reference_key *const key = &reference->keys[number];
    seen->visited = true;
    (void)pthread_mutex_lock(&key->lock);
    const bool stable = key->changes == seen->changes;
    bool right = false;
    if (stable) {
        right = key->present && iteration->over <= key->begun_then &&
                reference_is_value(number, key->version, value, size);
    }
    for (uint64_t version = seen->version; !stable && !right && version <= key->attempts;
         version++) {
        right = reference_is_value(number, version, value, size);
    }
    (void)pthread_mutex_unlock(&key->lock);
    if (!right) {
        reference_complain(reference, "each: key %u has a wrong value", number);
    }
    return 0;
}

static void expect_visited(struct reference *reference, const struct reference_seen *seen,
                           uint32_t number)
{
    struct reference_key *const key = &reference->keys[number];
    (void)pthread_mutex_lock(&key->lock);
    const bool must_be = key->present && key->changes == seen->changes && !reference->drops &&
                         atomic_load(&reference->clears_begun) <= key->over_then;
    (void)pthread_mutex_unlock(&key->lock);
    if (must_be && !seen->visited) {
        reference_complain(reference, "each: key %u is not visited", number);
    }
}

void reference_each(struct reference *reference, struct reference_seen *seen)
{
    struct iteration iteration = {
        .reference = reference, .seen = seen, .over = atomic_load(&reference->clears_over)};
    for (uint32_t i = 0; i < reference->numbers; i++) {
        struct reference_key *const key = &reference->keys[i];
        (void)pthread_mutex_lock(&key->lock);
        seen[i] = (struct reference_seen){
            .version = key->version, .changes = key->changes, .present = key->present};
        (void)pthread_mutex_unlock(&key->lock);
    }
    const uint64_t epoch = atomic_load(&reference->epoch);
    const spillkv_status status = spillkv_each(reference->kv, visit, &iteration);
    reference_judge(reference, "each", status, epoch);
    for (uint32_t i = 0; i < reference->numbers && status == SPILLKV_OK; i++) {
        expect_visited(reference, &seen[i], i);
    }
}

void reference_verify(struct reference *reference, struct reference_room *room)
{
    uint64_t count = 0;
    uint64_t counted = UINT64_MAX;
    for (uint32_t i = 0; i < reference->numbers; i++) {
        reference_get(reference, room, i);
        count += reference->keys[i].present;
    }
    const uint64_t epoch = atomic_load(&reference->epoch);
    reference_judge(reference, "count", spillkv_count(reference->kv, &counted), epoch);
    if (counted != count) {
        reference_complain(reference, "count: %llu keys instead of %llu",
                           (unsigned long long)counted, (unsigned long long)count);
    }
}
