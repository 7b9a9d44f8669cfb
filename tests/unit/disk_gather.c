/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include "base/alloc.h"
#include "disk/gather.h"
#include "support/memory.h"

static struct skv_gather gather;

static void tear_down(void)
{
    skv_gather_fini(&gather);
}

TestSuite(gather, .fini = tear_down);

Test(gather, takes_writes_that_follow_each_other)
{
    cr_expect(skv_gather_add(&gather, 100, "abc", 3));
    cr_expect(skv_gather_add(&gather, 103, "de", 2));
    cr_expect_eq(gather.offset, 100);
    cr_expect_eq(gather.size, 5);
    cr_expect_eq(memcmp(gather.bytes, "abcde", 5), 0);
}

Test(gather, refuses_writes_elsewhere_and_what_does_not_fit)
{
    static uint8_t much[SKV_GATHER_BYTES];
    cr_expect(skv_gather_add(&gather, 0, "a", 1));
    cr_expect_not(skv_gather_add(&gather, 0, "b", 1));
    cr_expect_not(skv_gather_add(&gather, 2, "b", 1));
    cr_expect_not(skv_gather_add(&gather, 1, much, sizeof(much)));
    cr_expect_eq(gather.size, 1);
    cr_expect(skv_gather_add(&gather, 1, much, sizeof(much) - 1));
}

Test(gather, knows_what_it_reaches_and_where_the_file_will_end)
{
    cr_expect_not(skv_gather_reaches(&gather, 0, 1000));
    cr_expect_eq(skv_gather_file_bytes(&gather, 50), 50);
    cr_assert(skv_gather_add(&gather, 100, "abc", 3));
    cr_expect_not(skv_gather_reaches(&gather, 0, 100));
    cr_expect(skv_gather_reaches(&gather, 0, 101));
    cr_expect(skv_gather_reaches(&gather, 102, 1));
    cr_expect_eq(skv_gather_file_bytes(&gather, 50), 103);
    cr_expect_eq(skv_gather_file_bytes(&gather, 200), 200);
}

Test(gather, gathers_nothing_without_memory)
{
    struct failing_alloc failing = {.fail_at = 1};
    skv_alloc_set_hook(failing_alloc_hook, &failing);
    const bool added = skv_gather_add(&gather, 0, "a", 1);
    skv_alloc_set_hook(NULL, NULL);
    cr_expect_not(added);
    cr_expect_eq(gather.size, 0);
}
