/* SPDX-License-Identifier: MIT */
/* A leak, which AddressSanitizer (with LeakSanitizer) must turn into a failed test. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

static void *volatile block;

Test(planted, quiet)
{
    block = malloc(32);
    cr_expect(ne(ptr, block, NULL));
    free(block);
}

Test(planted, error)
{
    block = malloc(32);
    cr_expect(ne(ptr, block, NULL));
    block = NULL;
}
