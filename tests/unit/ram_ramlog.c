/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdint.h>

#include "support/ramlog.h"

static void set_up(void)
{
    ramlog_open(0);
}

TestSuite(ramlog, .init = set_up, .fini = ramlog_close, .timeout = 20);

Test(ramlog, new_log_holds_its_spares_and_nothing_else)
{
    cr_expect_eq(ram.spare_count, SKV_RAM_SPARES);
    cr_expect_eq(atomic_load(&budget.used[SKV_MEMORY_ENTRIES]), SKV_RAM_SPARES * SEGMENT);
    cr_expect_eq(ram.in_use, 0);
    cr_expect_eq(skv_ram_oldest_born(&ram), UINT64_MAX);
    cr_expect_eq(skv_ram_detach_oldest(&ram, SKV_NEWCOMERS), 0);
    cr_expect_eq(skv_ram_detach_wasteful(&ram, UINT32_MAX, 0), 0);
    cr_expect_gt(skv_ram_overhead_bytes(&ram), 0);
}

Test(ramlog, appended_entries_are_where_their_locators_say)
{
    uint64_t locators[10 * PER_SEGMENT];
    for (uint32_t i = 0; i < 10 * PER_SEGMENT; i++) {
        locators[i] = ramlog_append(i % 3 == 0 ? SKV_SURVIVORS : SKV_NEWCOMERS, i);
    }
    for (uint32_t i = 0; i < 10 * PER_SEGMENT; i++) {
        cr_expect(ramlog_holds(locators[i], i));
    }
    cr_expect_eq(ram.live, 10 * PER_SEGMENT * ENTRY);
    cr_expect_eq(ram.garbage, 0);
}

Test(ramlog, logs_share_no_segment)
{
    const uint64_t newcomer = ramlog_append(SKV_NEWCOMERS, 1);
    const uint64_t survivor = ramlog_append(SKV_SURVIVORS, 2);
    cr_expect_neq(skv_ram_segment_of(newcomer), skv_ram_segment_of(survivor));
    cr_expect_eq(ram.in_use, 2);
}

Test(ramlog, copied_entry_keeps_its_copy_word)
{
    const struct skv_entry_parts parts = {
        .key = "key", .key_size = 3, .value = "value", .value_size = 5, .copy = 4711};
    uint64_t first;
    uint64_t second;
    cr_assert_eq(skv_ram_append(&ram, SKV_NEWCOMERS, &parts, false, &first), SPILLKV_OK);
    const uint8_t *entry = skv_ram_at(&ram, first);
    cr_assert_eq(skv_ram_append_bytes(&ram, SKV_SURVIVORS, entry,
                                      skv_entry_bytes(skv_entry_header(entry)), false, &second),
                 SPILLKV_OK);
    entry = skv_ram_at(&ram, second);
    cr_expect_eq(skv_entry_copy(entry, skv_entry_header(entry)), 4711);
    cr_expect(skv_entry_key_is(entry, skv_entry_header(entry), "key", 3));
    cr_expect(skv_ram_check(&ram));
}

Test(ramlog, sealed_segment_goes_with_its_last_live_entry)
{
    uint64_t locators[PER_SEGMENT];
    ramlog_append_segment(SKV_NEWCOMERS, locators);
    (void)ramlog_append(SKV_NEWCOMERS, 99);
    for (uint32_t i = 0; i < PER_SEGMENT; i++) {
        cr_expect_eq(ram.in_use, 2);
        ramlog_forget(locators[i]);
    }
    cr_expect_eq(ram.in_use, 1);
    cr_expect_eq(ram.garbage, 0);
    cr_expect_eq(ram.live, ENTRY);
}

Test(ramlog, segment_in_the_middle_of_a_log_can_go)
{
    uint64_t locators[3][PER_SEGMENT];
    for (int i = 0; i < 3; i++) {
        ramlog_append_segment(SKV_NEWCOMERS, locators[i]);
    }
    (void)ramlog_append(SKV_NEWCOMERS, 99);
    for (uint32_t i = 0; i < PER_SEGMENT; i++) {
        ramlog_forget(locators[1][i]);
    }
    cr_expect_eq(ram.in_use, 3);
    cr_expect_eq(skv_ram_detach_oldest(&ram, SKV_NEWCOMERS), skv_ram_segment_of(locators[0][0]));
    cr_expect_eq(skv_ram_detach_oldest(&ram, SKV_NEWCOMERS), skv_ram_segment_of(locators[2][0]));
}

Test(ramlog, open_segment_stays_when_it_is_all_garbage_and_goes_when_it_is_full)
{
    uint64_t locators[PER_SEGMENT];
    ramlog_append_segment(SKV_NEWCOMERS, locators);
    for (uint32_t i = 0; i < PER_SEGMENT; i++) {
        ramlog_forget(locators[i]);
    }
    cr_expect_eq(ram.in_use, 1);
    cr_expect_eq(ram.garbage, SEGMENT);
    (void)ramlog_append(SKV_NEWCOMERS, 99);
    cr_expect_eq(ram.in_use, 1);
    cr_expect_eq(ram.garbage, 0);
}

Test(ramlog, numbers_are_reused)
{
    uint64_t locators[PER_SEGMENT];
    for (int round = 0; round < 200; round++) {
        ramlog_append_segment(SKV_NEWCOMERS, locators);
        for (uint32_t i = 0; i < PER_SEGMENT; i++) {
            ramlog_forget(locators[i]);
        }
    }
    cr_expect_leq(ram.count, 3);
}

Test(ramlog, arrays_grow_with_the_segments)
{
    const uint64_t before = skv_ram_overhead_bytes(&ram);
    for (int i = 0; i < 200; i++) {
        (void)ramlog_append_segment(SKV_NEWCOMERS, NULL);
    }
    cr_expect_eq(ram.in_use, 200);
    cr_expect_gt(skv_ram_overhead_bytes(&ram), before);
}

Test(ramlog, pinned_segment_is_dead_until_its_last_pin_goes)
{
    uint64_t locators[PER_SEGMENT];
    const uint32_t segment = ramlog_append_segment(SKV_NEWCOMERS, locators);
    (void)ramlog_append(SKV_NEWCOMERS, 99);
    skv_ram_pin(&ram, segment);
    skv_ram_pin(&ram, segment);
    for (uint32_t i = 0; i < PER_SEGMENT; i++) {
        ramlog_forget(locators[i]);
    }
    cr_expect_eq(ram.segments[segment].state, SKV_RAM_DEAD);
    cr_expect(ramlog_holds(locators[3], 3), "its bytes stay as they are");
    skv_ram_unpin(&ram, segment);
    cr_expect(skv_ram_check(&ram));
    cr_expect_eq(ram.segments[segment].state, SKV_RAM_DEAD);
    skv_ram_unpin(&ram, segment);
    cr_expect(skv_ram_check(&ram));
    cr_expect_eq(ram.segments[segment].state, SKV_RAM_FREE);
    cr_expect_eq(ram.in_use, 1);
}

Test(ramlog, pins_that_may_last_leave_room_for_those_of_copies)
{
    const uint32_t segment = skv_ram_segment_of(ramlog_append(SKV_NEWCOMERS, 1));
    cr_expect(skv_ram_may_pin(&ram, segment));
    ram.segments[segment].pins = SKV_RAM_PINS_MOST - 1;
    cr_expect(skv_ram_may_pin(&ram, segment));
    skv_ram_pin(&ram, segment);
    cr_expect_not(skv_ram_may_pin(&ram, segment));
    skv_ram_pin(&ram, segment);
    cr_expect_gt(ram.segments[segment].pins, SKV_RAM_PINS_MOST, "a copy can still be made");
    ram.segments[segment].pins = 0;
}

Test(ramlog, only_bytes_in_a_pinned_segment_are_pinned)
{
    const uint64_t locator = ramlog_append(SKV_NEWCOMERS, 1);
    const uint32_t segment = skv_ram_segment_of(locator);
    const uint8_t *const entry = skv_ram_at(&ram, locator);
    cr_expect_not(skv_ram_is_pinned(&ram, segment, entry, ENTRY));
    skv_ram_pin(&ram, segment);
    cr_expect(skv_ram_is_pinned(&ram, segment, entry, ENTRY));
    cr_expect(skv_ram_is_pinned(&ram, segment, entry + ENTRY, 0), "an empty value at the end");
    cr_expect_not(skv_ram_is_pinned(&ram, segment, entry + ENTRY, 1));
    cr_expect_not(skv_ram_is_pinned(&ram, segment, entry - 1, 1));
    cr_expect_not(skv_ram_is_pinned(&ram, segment, entry, SIZE_MAX));
    cr_expect_not(skv_ram_is_pinned(&ram, segment, NULL, 0));
    cr_expect_not(skv_ram_is_pinned(&ram, 0, entry, 1));
    cr_expect_not(skv_ram_is_pinned(&ram, segment + 1, entry, 1));
    cr_expect_not(skv_ram_is_pinned(&ram, UINT32_MAX, entry, 1));
    skv_ram_unpin(&ram, segment);
}

Test(ramlog, number_of_a_dead_segment_is_not_given_out)
{
    uint64_t locators[PER_SEGMENT];
    const uint32_t segment = ramlog_append_segment(SKV_NEWCOMERS, locators);
    skv_ram_pin(&ram, segment);
    skv_ram_clear(&ram);
    cr_expect(skv_ram_check(&ram));
    for (int i = 0; i < 20; i++) {
        cr_expect_neq(ramlog_append_segment(SKV_NEWCOMERS, NULL), segment);
    }
    cr_expect(ramlog_holds(locators[5], 5));
    skv_ram_unpin(&ram, segment);
    cr_expect(skv_ram_check(&ram));
}

Test(ramlog, overwriting_is_allowed_only_where_nobody_looks)
{
    const uint64_t locator = ramlog_append(SKV_NEWCOMERS, 1);
    const uint32_t segment = skv_ram_segment_of(locator);
    cr_expect(skv_ram_may_overwrite(&ram, locator));
    skv_ram_pin(&ram, segment);
    cr_expect_not(skv_ram_may_overwrite(&ram, locator));
    skv_ram_unpin(&ram, segment);
    cr_expect(skv_ram_may_overwrite(&ram, locator));
    cr_expect_eq(skv_ram_detach_oldest(&ram, SKV_NEWCOMERS), segment);
    cr_expect_not(skv_ram_may_overwrite(&ram, locator));
    skv_ram_reattach(&ram, segment);
    cr_expect(skv_ram_may_overwrite(&ram, locator));
}

Test(ramlog, oldest_comes_first_and_reattached_is_the_oldest_again)
{
    uint32_t segments[3];
    for (int i = 0; i < 3; i++) {
        segments[i] = ramlog_append_segment(SKV_SURVIVORS, NULL);
    }
    cr_expect_eq(skv_ram_detach_oldest(&ram, SKV_SURVIVORS), segments[0]);
    cr_expect_eq(skv_ram_detach_oldest(&ram, SKV_SURVIVORS), segments[1]);
    cr_expect(skv_ram_check(&ram));
    skv_ram_reattach(&ram, segments[1]);
    skv_ram_reattach(&ram, segments[0]);
    cr_expect(skv_ram_check(&ram));
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(skv_ram_detach_oldest(&ram, SKV_SURVIVORS), segments[i]);
    }
    cr_expect_eq(ram.logs[SKV_SURVIVORS].used, 0);
}

Test(ramlog, reattached_segment_without_live_entries_is_freed)
{
    uint64_t locators[PER_SEGMENT];
    const uint32_t segment = ramlog_append_segment(SKV_NEWCOMERS, locators);
    cr_expect_eq(skv_ram_detach_oldest(&ram, SKV_NEWCOMERS), segment);
    for (uint32_t i = 0; i < PER_SEGMENT; i++) {
        ramlog_forget(locators[i]);
    }
    cr_expect_eq(ram.segments[segment].state, SKV_RAM_EXAMINED, "it stays for its examiner");
    skv_ram_reattach(&ram, segment);
    cr_expect(skv_ram_check(&ram));
    cr_expect_eq(ram.in_use, 0);
}

Test(ramlog, released_segment_is_free)
{
    uint64_t locators[PER_SEGMENT];
    const uint32_t segment = ramlog_append_segment(SKV_NEWCOMERS, locators);
    cr_expect_eq(skv_ram_detach_oldest(&ram, SKV_NEWCOMERS), segment);
    for (uint32_t i = 0; i < PER_SEGMENT; i++) {
        ramlog_forget(locators[i]);
    }
    skv_ram_release(&ram, segment);
    cr_expect(skv_ram_check(&ram));
    cr_expect_eq(ram.in_use, 0);
    cr_expect_eq(ram.garbage, 0);
}

Test(ramlog, nothing_is_appended_to_a_detached_segment)
{
    const uint64_t first = ramlog_append(SKV_NEWCOMERS, 1);
    cr_expect_eq(skv_ram_detach_oldest(&ram, SKV_NEWCOMERS), skv_ram_segment_of(first));
    const uint64_t second = ramlog_append(SKV_NEWCOMERS, 2);
    cr_expect_neq(skv_ram_segment_of(first), skv_ram_segment_of(second));
    skv_ram_reattach(&ram, skv_ram_segment_of(first));
    cr_expect(skv_ram_check(&ram));
}

/** Forgets the first `garbage` entries of each segment of two logs. */
static void append_wasteful(const uint32_t *garbage, uint32_t count, uint32_t *numbers)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t locators[PER_SEGMENT];
        ramlog_append_segment(i % 2 == 1 ? SKV_SURVIVORS : SKV_NEWCOMERS, locators);
        numbers[i] = skv_ram_segment_of(locators[0]);
        for (uint32_t k = 0; k < garbage[i]; k++) {
            ramlog_forget(locators[k]);
        }
    }
}

Test(ramlog, wasteful_one_has_the_most_garbage_of_both_logs)
{
    uint32_t numbers[3];
    append_wasteful((uint32_t[]){3, 5, 2}, 3, numbers);
    cr_expect_eq(skv_ram_detach_wasteful(&ram, 3, 6 * ENTRY), 0);
    cr_expect_eq(skv_ram_detach_wasteful(&ram, 3, 3 * ENTRY), numbers[1]);
    cr_expect_eq(skv_ram_detach_wasteful(&ram, 3, 3 * ENTRY), numbers[0]);
    cr_expect_eq(skv_ram_detach_wasteful(&ram, 3, 3 * ENTRY), 0);
    cr_expect(skv_ram_check(&ram));
}

Test(ramlog, wasteful_one_is_looked_for_among_some_at_a_time)
{
    uint32_t numbers[5];
    append_wasteful((uint32_t[]){2, 3, 5, 4, 5}, 5, numbers);
    cr_expect_eq(skv_ram_detach_wasteful(&ram, 2, ENTRY), numbers[1]);
    cr_expect_eq(skv_ram_detach_wasteful(&ram, 2, ENTRY), numbers[2], "of equal ones the first");
    cr_expect_eq(skv_ram_detach_wasteful(&ram, 2, ENTRY), numbers[4],
                 "from the last on to the first");
    cr_expect_eq(skv_ram_detach_wasteful(&ram, 1, ENTRY), 0, "it was taken before");
    cr_expect_eq(skv_ram_detach_wasteful(&ram, 2, ENTRY), numbers[3]);
    cr_expect(skv_ram_check(&ram));
}

Test(ramlog, wasteful_one_is_not_pinned)
{
    uint32_t numbers[2];
    append_wasteful((uint32_t[]){8, 6}, 2, numbers);
    skv_ram_pin(&ram, numbers[0]);
    cr_expect_eq(skv_ram_detach_wasteful(&ram, 2, ENTRY), numbers[1]);
    cr_expect_eq(skv_ram_detach_wasteful(&ram, 2, ENTRY), 0);
    skv_ram_unpin(&ram, numbers[0]);
    cr_expect_eq(skv_ram_detach_wasteful(&ram, 2, ENTRY), numbers[0]);
    cr_expect(skv_ram_check(&ram));
}

static void *pages_of(uint32_t number, size_t bytes)
{
    void *const pages = skv_budget_take_pages(&budget, SKV_MEMORY_ENTRIES, bytes);
    cr_assert_not_null(pages);
    const struct skv_entry_parts parts = ramlog_parts(number, bytes);
    skv_entry_write(pages, &parts);
    return pages;
}

Test(ramlog, entry_adopted_for_a_pin_is_charged_until_it_goes)
{
    uint32_t segment;
    const uint64_t before = atomic_load(&budget.used[SKV_MEMORY_ENTRIES]);
    void *const pages = pages_of(3, 3000);
    cr_assert_eq(skv_ram_adopt_pinned(&ram, pages, 3000, &segment), SPILLKV_OK);
    cr_expect(skv_ram_check(&ram));
    cr_expect(skv_ram_is_pinned(&ram, segment, pages, 3000));
    cr_expect_eq(skv_ram_detach_oldest(&ram, SKV_NEWCOMERS), 0, "it is in no log");
    skv_ram_clear(&ram);
    cr_expect(ramlog_holds((uint64_t)segment << SKV_RAM_OFFSET_BITS, 3));
    cr_expect_gt(atomic_load(&budget.used[SKV_MEMORY_ENTRIES]), before);
    skv_ram_unpin(&ram, segment);
    cr_expect(skv_ram_check(&ram));
    cr_expect_eq(ram.in_use, 0);
    cr_expect_eq(atomic_load(&budget.used[SKV_MEMORY_ENTRIES]), before);
}

static uint64_t adopt(enum skv_ram_log_name log, uint32_t number, size_t bytes)
{
    uint64_t locator;
    void *const pages = pages_of(number, bytes);
    cr_assert_eq(skv_ram_adopt(&ram, log, pages, bytes, &locator), SPILLKV_OK);
    cr_assert(skv_ram_check(&ram));
    return locator;
}

Test(ramlog, entry_above_a_quarter_of_a_segment_is_lone)
{
    cr_expect_not(skv_ram_is_lone(&ram, SEGMENT / 4));
    cr_expect(skv_ram_is_lone(&ram, SEGMENT / 4 + 8));
}

Test(ramlog, adopted_entry_has_a_segment_of_its_own)
{
    const uint64_t small = ramlog_append(SKV_NEWCOMERS, 1);
    const uint64_t lone = adopt(SKV_NEWCOMERS, 2, 3000);
    cr_expect(ramlog_holds(lone, 2));
    cr_expect(ram.segments[skv_ram_segment_of(lone)].lone);
    const uint64_t after = ramlog_append(SKV_NEWCOMERS, 3);
    cr_expect_eq(skv_ram_segment_of(after), skv_ram_segment_of(small),
                 "the open segment stays open");
    ramlog_forget(lone);
    cr_expect_eq(ram.in_use, 1);
    cr_expect_eq(ram.garbage, 0);
}

Test(ramlog, adopted_entries_are_in_the_order_of_age)
{
    const uint64_t first = adopt(SKV_NEWCOMERS, 1, 2000);
    const uint64_t second = adopt(SKV_NEWCOMERS, 2, 2000);
    const uint64_t third = ramlog_append(SKV_NEWCOMERS, 3);
    const uint64_t fourth = adopt(SKV_NEWCOMERS, 4, 2000);
    cr_expect_eq(skv_ram_detach_oldest(&ram, SKV_NEWCOMERS), skv_ram_segment_of(first));
    cr_expect_eq(skv_ram_detach_oldest(&ram, SKV_NEWCOMERS), skv_ram_segment_of(second));
    cr_expect_eq(skv_ram_detach_oldest(&ram, SKV_NEWCOMERS), skv_ram_segment_of(fourth));
    cr_expect_eq(skv_ram_detach_oldest(&ram, SKV_NEWCOMERS), skv_ram_segment_of(third));
}

Test(ramlog, relogged_entry_is_the_newest_but_for_the_open_segment)
{
    const uint64_t lone = adopt(SKV_NEWCOMERS, 1, 2000);
    const uint64_t small = ramlog_append(SKV_SURVIVORS, 2);
    const uint32_t segment = skv_ram_detach_oldest(&ram, SKV_NEWCOMERS);
    const uint64_t born = ram.segments[segment].born;
    cr_expect_eq(segment, skv_ram_segment_of(lone));
    skv_ram_relog(&ram, segment, SKV_SURVIVORS);
    cr_expect(skv_ram_check(&ram));
    cr_expect_gt(ram.segments[segment].born, born);
    cr_expect(ramlog_holds(lone, 1));
    cr_expect_eq(skv_ram_segment_of(ramlog_append(SKV_SURVIVORS, 3)), skv_ram_segment_of(small));
    cr_expect_eq(skv_ram_detach_oldest(&ram, SKV_SURVIVORS), segment);
}

Test(ramlog, relogged_into_an_empty_log_is_not_appended_to)
{
    const uint64_t lone = adopt(SKV_NEWCOMERS, 1, 2000);
    const uint32_t segment = skv_ram_detach_oldest(&ram, SKV_NEWCOMERS);
    skv_ram_relog(&ram, segment, SKV_SURVIVORS);
    cr_expect(skv_ram_check(&ram));
    cr_expect_neq(skv_ram_segment_of(ramlog_append(SKV_SURVIVORS, 2)), skv_ram_segment_of(lone));
}

Test(ramlog, pinned_lone_entry_can_be_relogged_and_forgotten)
{
    const uint64_t lone = adopt(SKV_NEWCOMERS, 1, 2000);
    skv_ram_pin(&ram, skv_ram_segment_of(lone));
    skv_ram_relog(&ram, skv_ram_detach_oldest(&ram, SKV_NEWCOMERS), SKV_SURVIVORS);
    ramlog_forget(lone);
    cr_expect(ramlog_holds(lone, 1));
    skv_ram_unpin(&ram, skv_ram_segment_of(lone));
    cr_expect(skv_ram_check(&ram));
    cr_expect_eq(ram.in_use, 0);
}

Test(ramlog, clear_frees_all_states_but_what_is_pinned)
{
    uint64_t locators[PER_SEGMENT];
    for (int i = 0; i < 5; i++) {
        ramlog_append_segment(SKV_NEWCOMERS, locators);
        ramlog_append_segment(SKV_SURVIVORS, NULL);
    }
    (void)adopt(SKV_SURVIVORS, 1, 2000);
    const uint32_t examined = skv_ram_detach_oldest(&ram, SKV_SURVIVORS);
    cr_expect_neq(examined, 0);
    skv_ram_pin(&ram, skv_ram_segment_of(locators[0]));
    skv_ram_clear(&ram);
    cr_expect(skv_ram_check(&ram));
    cr_expect_eq(ram.in_use, 1);
    cr_expect_eq(ram.live, 0);
    cr_expect_eq(ram.garbage, 0);
    skv_ram_unpin(&ram, skv_ram_segment_of(locators[0]));
    cr_expect_eq(ram.in_use, 0);
    (void)ramlog_append(SKV_NEWCOMERS, 1);
}

Test(ramlog, fini_frees_pinned_and_examined_segments_too)
{
    const uint64_t locator = ramlog_append(SKV_NEWCOMERS, 1);
    (void)adopt(SKV_NEWCOMERS, 2, 2000);
    skv_ram_pin(&ram, skv_ram_segment_of(locator));
    (void)skv_ram_detach_oldest(&ram, SKV_NEWCOMERS);
    skv_ram_fini(&ram);
    cr_expect_eq(atomic_load(&budget.used[SKV_MEMORY_ENTRIES]), 0);
}

Test(ramlog, age_is_counted_by_the_clock_of_the_store)
{
    atomic_store(&now, 1000);
    (void)ramlog_append(SKV_SURVIVORS, 1);
    cr_expect_eq(skv_ram_oldest_born(&ram), 1000);
    (void)ramlog_append(SKV_NEWCOMERS, 1);
    cr_expect_eq(skv_ram_oldest_born(&ram), 1001, "newcomers come first");
    cr_expect_eq(atomic_load(&now), 1002);
}
