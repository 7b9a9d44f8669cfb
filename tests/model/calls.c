/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "model/run.h"

#define BATCH_MOST 100u

uint32_t run_dice(struct run *run, uint32_t sides)
{
    return (uint32_t)(model_random(&run->random) % sides);
}

/* Two in three among a tenth of the keys. */
static uint32_t any_number(struct run *run)
{
    const uint32_t numbers = run->setting->numbers;
    return run_dice(run, 3) != 0 ? run_dice(run, numbers / 10 + 1) : run_dice(run, numbers);
}

static size_t any_size(struct run *run)
{
    const uint32_t kind = run_dice(run, 100);
    if (run->setting->large_one_in != 0 && run_dice(run, run->setting->large_one_in) == 0) {
        return run_dice(run, VALUE_MOST);
    }
    return kind < 5    ? 0
           : kind < 80 ? run_dice(run, 200)
           : kind < 96 ? run_dice(run, 3000)
                       : run_dice(run, 20 << 10);
}

void run_let_go(struct run *run, struct held *held)
{
    if (held->pinned.value != NULL) {
        cr_assert_eq(held->pinned.value_size, held->size);
        cr_assert(model_value_is(held->number, held->version, held->pinned.value, held->size),
                  "step %u: key %u", run->step, held->number);
        cr_assert_eq(spillkv_unpin(run->kv, &held->pinned), SPILLKV_OK);
    }
}

void run_set(struct run *run)
{
    const uint32_t number = any_number(run);
    struct model_entry *const entry = &run->model.entries[number];
    const size_t size = entry->present && run_dice(run, 3) == 0 ? entry->size : any_size(run);
    const size_t key_size = model_key(number, run->key);
    run->version++;
    model_value(number, run->version, run->value, size);
    spillkv_status status = SPILLKV_WOULD_BLOCK;
    if (run_dice(run, 3) == 0) {
        status = spillkv_try_set(run->kv, run->key, key_size, run->value, size);
        cr_assert(run->setting->spills || status != SPILLKV_WOULD_BLOCK);
    }
    if (status == SPILLKV_WOULD_BLOCK) {
        status = spillkv_set(run->kv, run->key, key_size, run->value, size);
    }
    if (status == SPILLKV_OK) {
        model_set(&run->model, number, run->version, size);
    } else {
        cr_assert_eq(status, SPILLKV_EFULL, "step %u: %d", run->step, status);
        cr_assert(!run->setting->spills, "step %u: %zu + %zu bytes", run->step, key_size, size);
    }
}

bool run_is_there(struct run *run, uint32_t number, spillkv_status status)
{
    if (status == SPILLKV_NOT_FOUND && run->drops) {
        model_del(&run->model, number);
    }
    const bool present = run->model.entries[number].present;
    cr_assert_eq(status, present ? SPILLKV_OK : SPILLKV_NOT_FOUND, "step %u: key %u: %d", run->step,
                 number, status);
    return present;
}

void run_expect_value(struct run *run, uint32_t number, const uint8_t *value, size_t size)
{
    const struct model_entry *const entry = &run->model.entries[number];
    cr_assert_eq(size, entry->size, "step %u: key %u", run->step, number);
    cr_assert(model_value_is(number, entry->version, value, size), "step %u: key %u", run->step,
              number);
}

void run_get(struct run *run)
{
    const uint32_t number = any_number(run);
    const size_t key_size = model_key(number, run->key);
    const size_t wanted = run->model.entries[number].size;
    const size_t capacity = run_dice(run, 4) == 0 ? run_dice(run, 300) : VALUE_MOST;
    size_t size;
    spillkv_status status = spillkv_get(run->kv, run->key, key_size, run->value, capacity, &size);
    if (status == SPILLKV_TOO_SMALL) {
        cr_assert(run->model.entries[number].present && wanted > capacity && size == wanted,
                  "step %u", run->step);
        return;
    }
    if (run_is_there(run, number, status)) {
        cr_assert_leq(size, capacity);
        run_expect_value(run, number, run->value, size);
    } else {
        cr_assert_eq(size, 0);
    }
}

void run_get_copy(struct run *run)
{
    const uint32_t number = any_number(run);
    const size_t key_size = model_key(number, run->key);
    void *value;
    size_t size;
    const spillkv_status status = spillkv_get_copy(run->kv, run->key, key_size, &value, &size);
    if (run_is_there(run, number, status)) {
        run_expect_value(run, number, value, size);
    } else {
        cr_assert_null(value);
    }
    spillkv_free(value);
}

void run_pin(struct run *run)
{
    struct held *const held = &run->held[run_dice(run, HELD)];
    const uint32_t number = any_number(run);
    const size_t key_size = model_key(number, run->key);
    const struct model_entry *const entry = &run->model.entries[number];
    run_let_go(run, held);
    const spillkv_status status = spillkv_pin(run->kv, run->key, key_size, &held->pinned);
    if (status == SPILLKV_EFULL) {
        cr_assert(run->setting->spills && entry->present && entry->size > HELD_SIZE, "step %u",
                  run->step);
        return;
    }
    held->number = number;
    held->version = entry->version;
    held->size = entry->size;
    if (run_is_there(run, number, status) && held->size > HELD_SIZE) {
        run_let_go(run, held);
    }
}

/* The calls that do not wait: either they answer as the others, or nothing has happened. */
void run_try(struct run *run)
{
    const uint32_t number = any_number(run);
    const size_t key_size = model_key(number, run->key);
    const uint32_t kind = run_dice(run, 4);
    size_t size = 0;
    void *copy = NULL;
    spillkv_pinned pinned = {0};
    spillkv_status status;
    switch (kind) {
    case 0:
        status = spillkv_try_get(run->kv, run->key, key_size, run->value, VALUE_MOST, &size);
        break;
    case 1:
        status = spillkv_try_get_copy(run->kv, run->key, key_size, &copy, &size);
        break;
    case 2:
        status = spillkv_try_pin(run->kv, run->key, key_size, &pinned);
        size = pinned.value_size;
        break;
    default:
        status = spillkv_try_del(run->kv, run->key, key_size);
    }
    if (status == SPILLKV_WOULD_BLOCK) {
        cr_assert(run->setting->spills);
        return;
    }
    if (run_is_there(run, number, status) && kind < 3) {
        const void *const held = copy != NULL ? copy : pinned.value;
        run_expect_value(run, number, held != NULL ? held : run->value, size);
    }
    if (kind == 3) {
        model_del(&run->model, number);
    }
    if (pinned.value != NULL) {
        cr_assert_eq(spillkv_unpin(run->kv, &pinned), SPILLKV_OK);
    }
    spillkv_free(copy);
}

void run_del(struct run *run)
{
    const uint32_t number = any_number(run);
    const size_t key_size = model_key(number, run->key);
    (void)run_is_there(run, number, spillkv_del(run->kv, run->key, key_size));
    model_del(&run->model, number);
}

void run_has(struct run *run)
{
    const uint32_t number = any_number(run);
    const size_t key_size = model_key(number, run->key);
    (void)run_is_there(run, number, spillkv_has(run->kv, run->key, key_size));
}

/* A key of a batch, and the value that it is set to or that is read. */
struct batch_part {
    uint32_t number;
    uint64_t version;
    uint8_t *key;
    uint8_t *value;
    size_t capacity;
};

/* Makes an item and what it points at, in memory of its own for the sanitizer. */
static void make_part(struct run *run, struct batch_part *part, spillkv_item *item, bool sets)
{
    const uint32_t number = any_number(run);
    const size_t wanted = run->model.entries[number].size;
    *part = (struct batch_part){.number = number, .version = ++run->version};
    part->capacity = sets ? any_size(run) : run_dice(run, 4) == 0 ? run_dice(run, 300) : wanted;
    part->key = malloc(model_key_size(number));
    part->value = malloc(part->capacity);
    *item = (spillkv_item){.key = part->key,
                           .key_size = model_key(number, part->key),
                           .value = part->value,
                           .value_size = part->capacity,
                           .buffer = part->value,
                           .capacity = part->capacity};
    if (sets) {
        model_value(number, part->version, part->value, part->capacity);
    }
}

static void expect_set(struct run *run, const struct batch_part *part, const spillkv_item *item)
{
    if (item->status == SPILLKV_OK) {
        model_set(&run->model, part->number, part->version, part->capacity);
    } else {
        cr_assert_eq(item->status, SPILLKV_EFULL, "step %u: %d", run->step, item->status);
        cr_assert(!run->setting->spills, "step %u", run->step);
    }
}

static void expect_got(struct run *run, const struct batch_part *part, const spillkv_item *item)
{
    const struct model_entry *const entry = &run->model.entries[part->number];
    if (item->status == SPILLKV_TOO_SMALL) {
        cr_assert(entry->present && entry->size > part->capacity, "step %u", run->step);
        cr_assert(item->value_size == entry->size && item->value == NULL, "step %u", run->step);
    } else if (run_is_there(run, part->number, item->status)) {
        cr_assert_eq(item->value, part->value);
        run_expect_value(run, part->number, part->value, item->value_size);
    } else {
        cr_assert(item->value == NULL && item->value_size == 0, "step %u", run->step);
    }
}

/* The items take effect in their order, as far as they have one key. */
void run_many(struct run *run, many_fn *many)
{
    spillkv_item items[BATCH_MOST];
    struct batch_part parts[BATCH_MOST];
    const uint32_t count = run_dice(run, run_dice(run, 4) == 0 ? BATCH_MOST + 1 : 12);
    for (uint32_t i = 0; i < count; i++) {
        make_part(run, &parts[i], &items[i], many == spillkv_set_many);
    }
    const spillkv_status status = many(run->kv, items, count);
    cr_assert(status == SPILLKV_OK || (status == SPILLKV_EFULL && many == spillkv_set_many),
              "step %u: %d", run->step, status);
    for (uint32_t i = 0; i < count; i++) {
        if (many == spillkv_set_many) {
            expect_set(run, &parts[i], &items[i]);
        } else if (many == spillkv_get_many) {
            expect_got(run, &parts[i], &items[i]);
        } else {
            (void)run_is_there(run, parts[i].number, items[i].status);
            model_del(&run->model, parts[i].number);
        }
        free(parts[i].key);
        free(parts[i].value);
    }
}
