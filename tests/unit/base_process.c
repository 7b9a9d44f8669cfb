/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/process.h"

#define MIB ((uint64_t)1 << 20)

Test(process, rss_grows_by_what_is_touched_and_shrinks_by_what_is_given_back)
{
    const uint64_t before = skv_process_rss();
    cr_assert_gt(before, 0);
    uint8_t *const memory =
        mmap(NULL, 64 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert(memory != MAP_FAILED);
    memset(memory, 1, 64 * MIB);
    const uint64_t touched = skv_process_rss();
    cr_expect_geq(touched, before + 60 * MIB);
    /* A sanitizer keeps memory of its own beside what is touched. */
    cr_expect(TEST_SANITIZED || touched <= before + 68 * MIB);
    cr_assert_eq(munmap(memory, 64 * MIB), 0);
    cr_expect_leq(skv_process_rss(), touched - 60 * MIB);
}
