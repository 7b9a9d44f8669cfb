/* SPDX-License-Identifier: MIT */
/* A signed overflow, which UndefinedBehaviorSanitizer must turn into a failed test. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <limits.h>

static volatile int number;

Test(planted, quiet)
{
    number = INT_MAX - 1;
    number = number + 1;
    cr_expect(eq(int, number, INT_MAX));
}

Test(planted, error)
{
    number = INT_MAX;
    number = number + 1;
    cr_expect(ne(int, number, INT_MAX));
}
