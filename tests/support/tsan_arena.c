/* SPDX-License-Identifier: MIT */
/**
 * Lets Criterion 2.4 start under ThreadSanitizer (x86-64 Linux only).
 *
 * Criterion's sandbox, BoxFort, maps its arena at the fixed address
 *     0x200000000000 + (rand_r() & 0x3fffff) * 16 MiB
 * which ThreadSanitizer has nearly all reserved for its shadow: every test would die with "Could
 * not initialize inheritable arena". This rand_r() takes the place of the C library's and returns
 * 0x367000 .. 0x3677ff only, that is addresses from 0x567000000000 up: there ThreadSanitizer lets
 * programs map, above where executables are loaded.
 *
 * Linked as an object into each test executable; nothing in the library calls rand_r().
 * Source: BoxFort src/arena.c; https://github.com/Snaipe/Criterion/issues/274
 */
#include <stdlib.h>

#define ARENA_FIRST 0x367000
#define ARENA_MASK  0x7ff

int rand_r(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return ARENA_FIRST + (int)((*seed >> 16) & ARENA_MASK);
}
