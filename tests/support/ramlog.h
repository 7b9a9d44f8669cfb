/* SPDX-License-Identifier: MIT */
/** A RAM log with a budget of its own, and entries that are known by their numbers. */
#ifndef SKV_TESTS_SUPPORT_RAMLOG_H
#define SKV_TESTS_SUPPORT_RAMLOG_H

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "ram/ramlog.h"

#define SEGMENT     ((size_t)4 << 10)
#define ENTRY       ((size_t)256) /* 16 of them fill a segment */
#define PER_SEGMENT (SEGMENT / ENTRY)

/* Of the test that includes this. */
static struct skv_budget budget;
static struct skv_ram ram;
static _Atomic uint64_t now;
static uint8_t value[SEGMENT];

static inline void ramlog_open(uint64_t limit)
{
    cr_assert(skv_budget_init(&budget, limit, SEGMENT));
    cr_assert_eq(skv_ram_init(&ram, &budget, &now), SPILLKV_OK);
    cr_assert(skv_ram_check(&ram));
}

static inline void ramlog_close(void)
{
    skv_ram_fini(&ram);
    cr_expect_eq(atomic_load(&budget.used[SKV_MEMORY_ENTRIES]), 0);
    cr_expect(skv_budget_check(&budget));
    skv_budget_fini(&budget);
}

static inline struct skv_entry_parts ramlog_parts(uint32_t number, size_t entry_bytes)
{
    static uint32_t key;
    key = number;
    memset(value, (int)number, sizeof(value));
    return (struct skv_entry_parts){
        .key = &key,
        .key_size = sizeof(key),
        .value = value,
        .value_size = entry_bytes - SKV_ENTRY_HEADER_BYTES - sizeof(key),
    };
}

static inline spillkv_status ramlog_try_append(enum skv_ram_log_name log, uint32_t number,
                                               bool spares, uint64_t *locator_out)
{
    const struct skv_entry_parts parts = ramlog_parts(number, ENTRY);
    const spillkv_status status = skv_ram_append(&ram, log, &parts, spares, locator_out);
    cr_assert(skv_ram_check(&ram));
    return status;
}

static inline uint64_t ramlog_append(enum skv_ram_log_name log, uint32_t number)
{
    uint64_t locator;
    cr_assert_eq(ramlog_try_append(log, number, false, &locator), SPILLKV_OK);
    cr_assert_neq(locator, 0);
    return locator;
}

/* Fills a segment, leaves one entry in the next; locators receives PER_SEGMENT of them. */
static inline uint32_t ramlog_append_segment(enum skv_ram_log_name log, uint64_t *locators)
{
    uint64_t dummy[PER_SEGMENT];
    locators = locators != NULL ? locators : dummy;
    for (uint32_t i = 0; i < PER_SEGMENT; i++) {
        locators[i] = ramlog_append(log, i);
    }
    return skv_ram_segment_of(locators[0]);
}

static inline void ramlog_forget(uint64_t locator)
{
    skv_ram_forget(&ram, locator);
    cr_assert(skv_ram_check(&ram));
}

static inline bool ramlog_holds(uint64_t locator, uint32_t number)
{
    const uint8_t *const entry = skv_ram_at(&ram, locator);
    const uint64_t header = skv_entry_header(entry);
    return skv_entry_key_is(entry, header, &number, sizeof(number)) &&
           skv_entry_value((uint8_t *)(uintptr_t)entry, header)[0] == (uint8_t)number;
}

#endif
