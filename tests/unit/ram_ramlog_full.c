/* SPDX-License-Identifier: MIT */
/* The log when the budget, or the system, gives no memory. */
#include <criterion/criterion.h>
#include <stdint.h>

#include "support/memory.h"
#include "support/ramlog.h"

static void set_up(void)
{
    ramlog_open(0);
}

TestSuite(ramlog_full, .fini = ramlog_close, .timeout = 20);
TestSuite(ramlog_without_memory, .init = set_up, .fini = ramlog_close, .timeout = 20);

static uint64_t fill_up(void)
{
    uint64_t locator = 0;
    uint64_t last = 0;
    while (ramlog_try_append(SKV_NEWCOMERS, 7, false, &locator) == SPILLKV_OK) {
        last = locator;
    }
    return last;
}

Test(ramlog_full, full_budget_is_answered_and_changes_nothing)
{
    ramlog_open(20 * SEGMENT);
    const uint64_t last = fill_up();
    const uint64_t live = ram.live;
    uint64_t locator = 1;
    cr_expect_eq(ramlog_try_append(SKV_NEWCOMERS, 1, false, &locator), SPILLKV_EFULL);
    cr_expect_eq(locator, 0);
    cr_expect_eq(ram.live, live);
    cr_expect(ramlog_holds(last, 7));
    cr_expect_eq(ram.spare_count, SKV_RAM_SPARES, "the spares are not for everyone");
}

Test(ramlog_full, spares_serve_examining_and_are_filled_up_by_what_it_frees)
{
    ramlog_open(20 * SEGMENT);
    (void)fill_up();
    uint64_t locator;
    cr_expect_eq(ramlog_try_append(SKV_SURVIVORS, 1, true, &locator), SPILLKV_OK);
    cr_expect_eq(ram.spare_count, SKV_RAM_SPARES - 1);
    cr_expect_not(skv_ram_refill(&ram));
    const uint32_t segment = skv_ram_detach_oldest(&ram, SKV_NEWCOMERS);
    for (uint32_t i = 0; i < PER_SEGMENT; i++) {
        ramlog_forget((uint64_t)segment << SKV_RAM_OFFSET_BITS | i * ENTRY / 8);
    }
    skv_ram_release(&ram, segment);
    cr_expect_eq(ram.spare_count, SKV_RAM_SPARES);
    cr_expect(skv_ram_refill(&ram));
}

Test(ramlog_full, without_spares_examining_is_refused_too)
{
    ramlog_open(20 * SEGMENT);
    (void)fill_up();
    uint64_t locator;
    spillkv_status status = SPILLKV_OK;
    uint32_t count = 0;
    while ((status = ramlog_try_append(SKV_SURVIVORS, count, true, &locator)) == SPILLKV_OK) {
        count++;
    }
    cr_expect_eq(status, SPILLKV_EFULL);
    cr_expect_eq(count, SKV_RAM_SPARES * PER_SEGMENT);
}

Test(ramlog_full, budget_without_room_for_the_spares_is_refused)
{
    cr_assert(skv_budget_init(&budget, SEGMENT, SEGMENT));
    cr_expect_eq(skv_ram_init(&ram, &budget, &now), SPILLKV_EFULL);
}

/* When the system has no memory. */

Test(ramlog_full, init_without_memory_leaves_nothing_behind)
{
    struct failing_alloc failing;
    cr_assert(skv_budget_init(&budget, 0, SEGMENT));
    for (unsigned n = 1; n < 20; n++) {
        failing_alloc_start(&failing, n);
        const spillkv_status status = skv_ram_init(&ram, &budget, &now);
        failing_alloc_stop();
        if (status == SPILLKV_OK) {
            cr_expect_geq(n, 3);
            return;
        }
        cr_expect(failing.failed);
        skv_ram_fini(&ram);
        cr_expect_eq(atomic_load(&budget.used[SKV_MEMORY_ENTRIES]), 0);
    }
    cr_expect(false, "init never succeeds");
}

Test(ramlog_without_memory, append_without_memory_changes_nothing)
{
    struct failing_alloc failing;
    uint64_t locators[PER_SEGMENT];
    uint64_t locator;
    while (ram.count + 1 < ram.capacity) {
        ramlog_append_segment(SKV_NEWCOMERS, locators);
    }
    for (unsigned n = 1; n <= 2; n++) {
        const uint64_t live = ram.live;
        failing_alloc_start(&failing, n);
        cr_expect_eq(ramlog_try_append(SKV_NEWCOMERS, 1, false, &locator), SPILLKV_ENOMEM);
        failing_alloc_stop();
        cr_expect_eq(locator, 0);
        cr_expect_eq(ram.live, live);
        cr_expect(ramlog_holds(locators[3], 3));
    }
    cr_expect_eq(ramlog_try_append(SKV_NEWCOMERS, 1, false, &locator), SPILLKV_OK);
    cr_expect(ramlog_holds(locator, 1));
}

Test(ramlog_without_memory, adopt_without_memory_leaves_the_pages_to_the_caller)
{
    struct failing_alloc failing;
    uint64_t locator;
    while (ram.count + 1 < ram.capacity) {
        (void)ramlog_append_segment(SKV_NEWCOMERS, NULL);
    }
    void *const pages = skv_budget_take_pages(&budget, SKV_MEMORY_ENTRIES, 2000);
    const struct skv_entry_parts parts = ramlog_parts(1, 2000);
    skv_entry_write(pages, &parts);
    failing_alloc_start(&failing, 1);
    cr_expect_eq(skv_ram_adopt(&ram, SKV_NEWCOMERS, pages, 2000, &locator), SPILLKV_ENOMEM);
    failing_alloc_stop();
    cr_expect_eq(locator, 0);
    cr_expect(skv_ram_check(&ram));
    cr_expect_eq(skv_ram_adopt(&ram, SKV_NEWCOMERS, pages, 2000, &locator), SPILLKV_OK);
    cr_expect(ramlog_holds(locator, 1));
}
