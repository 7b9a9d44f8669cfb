/* SPDX-License-Identifier: MIT */
#include "support/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void model_init(struct model *model, uint32_t numbers)
{
    *model =
        (struct model){.entries = calloc(numbers, sizeof(*model->entries)), .numbers = numbers};
    if (model->entries == NULL) {
        abort();
    }
}

void model_fini(struct model *model)
{
    free(model->entries);
    *model = (struct model){0};
}

void model_set(struct model *model, uint32_t number, uint64_t version, size_t size)
{
    model_del(model, number);
    model->entries[number] =
        (struct model_entry){.present = true, .version = version, .size = size};
    model->count++;
    model->bytes += model_key_size(number) + size;
}

void model_del(struct model *model, uint32_t number)
{
    struct model_entry *const entry = &model->entries[number];
    if (entry->present) {
        entry->present = false;
        model->count--;
        model->bytes -= model_key_size(number) + entry->size;
    }
}

void model_clear(struct model *model)
{
    for (uint32_t i = 0; i < model->numbers; i++) {
        model_del(model, i);
    }
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

uint64_t model_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    return mix(*state);
}

size_t model_key_size(uint32_t number)
{
    const uint64_t dice = mix(number);
    if (dice % 64 == 0) {
        return 300 + dice / 64 % 3000;
    }
    if (dice % 500 == 1) {
        return 9000 + dice / 500 % (MODEL_KEY_MAX - 8999);
    }
    return 4 + dice / 64 % 36;
}

size_t model_key(uint32_t number, uint8_t *key)
{
    const size_t size = model_key_size(number);
    memset(key, (int)(mix(number) >> 56), size);
    memcpy(key, &number, sizeof(number));
    return size;
}

uint32_t model_number(const uint8_t *key, size_t size)
{
    uint32_t number;
    if (size < sizeof(number)) {
        return UINT32_MAX;
    }
    memcpy(&number, key, sizeof(number));
    if (size != model_key_size(number)) {
        return UINT32_MAX;
    }
    for (size_t i = sizeof(number); i < size; i++) {
        if (key[i] != mix(number) >> 56) {
            return UINT32_MAX;
        }
    }
    return number;
}

static uint64_t word_of(uint32_t number, uint64_t version, size_t at)
{
    return mix(version * 1000003 + number) + at * UINT64_C(0x9e3779b97f4a7c15);
}

void model_value(uint32_t number, uint64_t version, uint8_t *value, size_t size)
{
    for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
        const uint64_t word = word_of(number, version, at);
        memcpy(value + at, &word, size - at < sizeof(word) ? size - at : sizeof(word));
    }
}

bool model_value_is(uint32_t number, uint64_t version, const uint8_t *value, size_t size)
{
    for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
        const uint64_t word = word_of(number, version, at);
        if (memcmp(value + at, &word, size - at < sizeof(word) ? size - at : sizeof(word)) != 0) {
            return false;
        }
    }
    return true;
}

uint64_t model_seed(const char *test, uint64_t seed)
{
    const char *const text = getenv("SPILLKV_SEED");
    if (text != NULL && text[0] != '\0') {
        seed = strtoull(text, NULL, 0);
    }
    printf("%s: SPILLKV_SEED=%llu\n", test, (unsigned long long)seed);
    (void)fflush(stdout);
    return seed;
}
