/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "ram/inbox.h"

static struct skv_inbox inbox;

static void add(uint64_t hash, const char *key, const char *value)
{
    const struct skv_entry_parts parts = {
        .key = key,
        .value = value,
        .key_size = strlen(key),
        .value_size = strlen(value),
        .copy = SKV_NO_COPY,
    };
    skv_inbox_add(&inbox, hash, &parts);
    cr_assert(skv_inbox_check(&inbox));
}

static void expect(uint64_t hash, const char *key, const char *value)
{
    const uint8_t *const entry = skv_inbox_find(&inbox, hash, key, strlen(key));
    cr_assert_neq(entry, NULL, "%s", key);
    const uint64_t header = skv_entry_header(entry);
    cr_expect_eq(skv_header_value_size(header), strlen(value));
    cr_expect_arr_eq(skv_entry_key(entry, header) + strlen(key), value, strlen(value));
}

static uint32_t drop(uint64_t hash, const char *key, uint64_t last)
{
    const uint32_t removed = skv_inbox_remove(&inbox, hash, key, strlen(key), last);
    cr_assert(skv_inbox_check(&inbox));
    return removed;
}

static void set_up(void)
{
    memset(&inbox, 0, sizeof(inbox));
}

TestSuite(inbox, .init = set_up);

Test(inbox, newest_set_of_a_key_is_found)
{
    add(1, "one", "a");
    add(2, "two", "b");
    add(1, "one", "longer than before");
    add(1, "uno", "same hash, another key");
    expect(1, "one", "longer than before");
    expect(2, "two", "b");
    expect(1, "uno", "same hash, another key");
    cr_expect_eq(skv_inbox_find(&inbox, 2, "one", 3), NULL);
    cr_expect_eq(skv_inbox_find(&inbox, 3, "two", 3), NULL);
}

Test(inbox, removing_takes_the_sets_of_one_key_up_to_a_number)
{
    add(1, "one", "a");
    add(2, "two", "b");
    add(1, "one", "c");
    add(1, "one", "d");
    cr_expect(skv_inbox_holds(&inbox, 1));
    cr_expect_eq(drop(1, "one", 3), 2);
    cr_expect_not(skv_inbox_holds(&inbox, 1));
    cr_expect(skv_inbox_holds(&inbox, 4));
    expect(1, "one", "d");
    expect(2, "two", "b");
    cr_expect_eq(drop(1, "one", UINT64_MAX), 1);
    cr_expect_eq(drop(1, "one", UINT64_MAX), 0);
    expect(2, "two", "b");
    cr_expect_eq(inbox.count, 1);
}

Test(inbox, kept_sets_wait_in_their_order)
{
    char key[2] = "a";
    for (uint32_t i = 0; i < SKV_INBOX_SETS; i++, key[0]++) {
        add(i, key, "value");
    }
    cr_expect_not(skv_inbox_has_room(&inbox, 24));
    skv_inbox_keep(&inbox, 1u << 3 | 1u << 4 | 1u << 15);
    cr_assert(skv_inbox_check(&inbox));
    cr_expect_eq(inbox.waiting, 3);
    cr_expect_not(skv_inbox_is_fresh(&inbox));
    expect(3, "d", "value");
    expect(4, "e", "value");
    expect(15, "p", "value");
    add(20, "new", "");
    cr_expect(skv_inbox_is_fresh(&inbox));
    cr_expect_eq(drop(4, "e", UINT64_MAX), 1);
    cr_expect_eq(inbox.waiting, 2);
    expect(20, "new", "");
}

Test(inbox, room_is_counted_in_bytes_too)
{
    static char value[SKV_INBOX_ENTRY_MOST - 16];
    memset(value, 'v', sizeof(value) - 1);
    uint32_t sets = 0;
    while (skv_inbox_has_room(&inbox, SKV_INBOX_ENTRY_MOST)) {
        add(sets++, "key", value);
    }
    cr_expect_eq(sets, SKV_INBOX_BYTES / SKV_INBOX_ENTRY_MOST);
    skv_inbox_clear(&inbox);
    cr_expect_eq(inbox.count, 0);
    cr_expect(skv_inbox_has_room(&inbox, SKV_INBOX_BYTES));
}
