/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. XXH3 wants a secret of high entropy. A random one is 192 bytes of the system's random
 * numbers; a reproducible one is the seed stretched by SplitMix64. XXH3's own generator is not
 * used: its signature changed between xxHash 0.8.0 and 0.8.1.
 *
 * Source: Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195 (SplitMix64).
 */
#include "base/hash.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

_Static_assert(SKV_SECRET_BYTES >= XXH3_SECRET_SIZE_MIN, "long enough for XXH3");
_Static_assert(SKV_SECRET_BYTES % sizeof(uint64_t) == 0, "filled by words");

static bool fill_random(uint8_t *bytes, size_t size)
{
    size_t filled = 0;
    while (filled < size) {
        const ssize_t got = getrandom(bytes + filled, size - filled, 0);
        if (got < 0 && errno != EINTR) {
            return false;
        }
        filled += got > 0 ? (size_t)got : 0;
    }
    return true;
}

static uint64_t splitmix64(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

bool skv_secret_init(struct skv_secret *secret, uint64_t seed)
{
    if (seed == 0) {
        return fill_random(secret->bytes, sizeof(secret->bytes));
    }
    uint64_t state = seed;
    for (size_t i = 0; i < sizeof(secret->bytes); i += sizeof(uint64_t)) {
        const uint64_t word = splitmix64(&state);
        memcpy(secret->bytes + i, &word, sizeof(word));
    }
    return true;
}
