/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include "base/hash.h"

static struct skv_secret secret_of(uint64_t seed)
{
    struct skv_secret secret;
    cr_assert(skv_secret_init(&secret, seed));
    return secret;
}

Test(hash, is_reproducible_for_equal_seeds)
{
    const struct skv_secret a = secret_of(42);
    const struct skv_secret b = secret_of(42);
    uint8_t key[300];
    memset(key, 5, sizeof(key));
    for (size_t size = 1; size <= sizeof(key); size++) {
        cr_expect_eq(skv_hash(&a, key, size), skv_hash(&b, key, size));
    }
    cr_expect_eq(skv_secret_seed(&a), skv_secret_seed(&b));
}

Test(hash, differs_for_neighbouring_seeds)
{
    const struct skv_secret a = secret_of(1);
    const struct skv_secret b = secret_of(2);
    cr_expect_neq(skv_hash(&a, "key", 3), skv_hash(&b, "key", 3));
    cr_expect_neq(skv_secret_seed(&a), skv_secret_seed(&b));
}

Test(hash, differs_from_store_to_store_without_a_seed)
{
    const struct skv_secret a = secret_of(0);
    const struct skv_secret b = secret_of(0);
    cr_expect_neq(memcmp(a.bytes, b.bytes, sizeof(a.bytes)), 0);
    cr_expect_neq(skv_hash(&a, "key", 3), skv_hash(&b, "key", 3));
    cr_expect_neq(skv_secret_seed(&a), skv_secret_seed(&b));
}

Test(hash, spreads_counting_keys_over_every_bit)
{
    enum {
        KEYS = 20000
    };
    const struct skv_secret secret = secret_of(1);
    unsigned ones[64] = {0};
    for (uint64_t key = 0; key < KEYS; key++) {
        const uint64_t hash = skv_hash(&secret, &key, sizeof(key));
        for (unsigned bit = 0; bit < 64; bit++) {
            ones[bit] += (unsigned)(hash >> bit & 1);
        }
    }
    for (unsigned bit = 0; bit < 64; bit++) {
        cr_expect_gt(ones[bit], KEYS / 2 - 500, "bit %u", bit); /* 7 standard deviations */
        cr_expect_lt(ones[bit], KEYS / 2 + 500, "bit %u", bit);
    }
}

Test(hash, tells_keys_of_different_lengths_apart)
{
    const struct skv_secret secret = secret_of(1);
    const uint8_t zeros[64] = {0};
    for (size_t a = 1; a < sizeof(zeros); a++) {
        for (size_t b = a + 1; b <= sizeof(zeros); b++) {
            cr_expect_neq(skv_hash(&secret, zeros, a), skv_hash(&secret, zeros, b));
        }
    }
}
