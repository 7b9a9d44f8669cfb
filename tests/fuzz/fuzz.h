/* SPDX-License-Identifier: MIT */
/**
 * What a fuzz target is: one function that takes bytes and must come back, whatever they are.
 *
 * Linked with libFuzzer (-Dfuzz=enabled) it is searched for bytes that break it; linked with
 * replay.c it runs files, in every build. The bytes are instructions, taken from the front.
 */
#ifndef SKV_TESTS_FUZZ_FUZZ_H
#define SKV_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/** The target. @return 0 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** What must be true of any input. */
#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            dprintf(STDERR_FILENO, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);       \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/** Has the messages of the module under test go nowhere; what the fuzzer says does not. */
static inline void fuzz_hush(void)
{
    static bool hushed;
    if (!hushed) {
        hushed = true;
        stderr = fopen("/dev/null", "w");
        FUZZ_CHECK(stderr != NULL);
    }
}

/** The bytes that are left. */
struct fuzz_bytes {
    const uint8_t *at;
    size_t size;
};

/** The next byte, 0 at the end. */
static inline uint8_t fuzz_u8(struct fuzz_bytes *bytes)
{
    if (bytes->size == 0) {
        return 0;
    }
    bytes->size--;
    return *bytes->at++;
}

static inline uint16_t fuzz_u16(struct fuzz_bytes *bytes)
{
    const uint8_t low = fuzz_u8(bytes);
    return (uint16_t)(fuzz_u8(bytes) << 8 | low);
}

static inline uint32_t fuzz_u32(struct fuzz_bytes *bytes)
{
    const uint16_t low = fuzz_u16(bytes);
    return (uint32_t)fuzz_u16(bytes) << 16 | low;
}

/** Up to so many of the next bytes, in memory of their own that ends where they do. free() it. */
static inline uint8_t *fuzz_take(struct fuzz_bytes *bytes, size_t most, size_t *size_out)
{
    const size_t size = most < bytes->size ? most : bytes->size;
    uint8_t *const copy = malloc(size + (size == 0));
    FUZZ_CHECK(copy != NULL);
    for (size_t i = 0; i < size; i++) {
        copy[i] = fuzz_u8(bytes);
    }
    *size_out = size;
    return copy;
}

#endif
