/* SPDX-License-Identifier: MIT */
/*
 * Keys made to collide. XXH3 is no cryptographic hash: of keys of 8 bytes it is a bijection that
 * who knows the secret can run backwards, so any number of keys can be made for one group and one
 * tag. Under a secret that is drawn at random they are keys like any others.
 *
 * Source: XXH3_len_4to8_64b() of https://xxhash.com.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "support/kv.h"
#include "support/shard.h"

#define MADE        1000000u
#define KNOWN_SEED  1
#define KEY_BYTES   8
#define VALUE_BYTES 100
/* Buckets. Of a million keys as they come the longest search takes some 10. */
#define LONGEST 32

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

/* The inverse of an odd factor, by Newton's method: each step doubles the bits that are right. */
static uint64_t inverse(uint64_t factor)
{
    uint64_t result = factor;
    for (int i = 0; i < 5; i++) {
        result *= 2 - factor * result;
    }
    return result;
}

/* Of h ^= rotl(h, 49) ^ rotl(h, 24): to the 64th power this is the identity. */
static uint64_t undo_rotations(uint64_t h)
{
    for (int i = 0; i < 63; i++) {
        h ^= rotate(h, 49) ^ rotate(h, 24);
    }
    return h;
}

/* Writes the key of 8 bytes whose hash under a secret is this one. */
static void make_key(const struct skv_secret *secret, uint64_t hash, uint8_t key[KEY_BYTES])
{
    const uint64_t unfactor = inverse(UINT64_C(0x9fb21c651e98df25));
    uint64_t words[2];
    uint64_t h = hash ^ hash >> 28 ^ hash >> 56;
    h *= unfactor;
    h ^= (h >> 35) + KEY_BYTES;
    h = undo_rotations(h * unfactor);
    memcpy(words, secret->bytes + 8, sizeof(words));
    h = rotate(h ^ words[0] ^ words[1], 32);
    memcpy(key, &h, KEY_BYTES);
}

/* Same shard, same group, same tag; they differ in the bits between, which nothing looks at. */
static void make_colliding(const struct skv_secret *secret, uint32_t number, uint8_t key[KEY_BYTES])
{
    make_key(secret, (uint64_t)number << SKV_TAG_BITS | 0x2aaaa, key);
}

static void known_secret(struct skv_secret *secret)
{
    cr_assert(skv_secret_init(secret, KNOWN_SEED));
}

/* Buckets that a search for an absent key with this hash looks at; no key is found later. */
static uint32_t probe_length(const struct skv_table *table, uint64_t hash)
{
    struct skv_probe probe = {0};
    const uint64_t *slot = skv_table_first(table, hash, &probe);
    while (slot != NULL) {
        slot = skv_table_next(&probe);
    }
    return probe.buckets == 0 ? 0 : probe.buckets - probe.left + 1;
}

typedef void key_maker(const struct skv_secret *secret, uint32_t number, uint8_t key[KEY_BYTES]);

static void make_plain(const struct skv_secret *secret, uint32_t number, uint8_t key[KEY_BYTES])
{
    const uint64_t word = number;
    (void)secret;
    memcpy(key, &word, KEY_BYTES);
}

/* Sets a million keys; the longest search of any of them, and how long all take, in buckets. */
static uint32_t longest_probe(spillkv *kv, key_maker *make, double *mean_out)
{
    struct skv_secret secret;
    uint32_t longest = 0;
    uint64_t sum = 0;
    uint8_t key[KEY_BYTES];
    known_secret(&secret);
    for (uint32_t i = 0; i < MADE; i++) {
        make(&secret, i, key);
        cr_assert_eq(spillkv_set(kv, key, sizeof(key), NULL, 0), SPILLKV_OK, "key %u", i);
    }
    cr_assert_eq(kv_count(kv), MADE);
    for (uint32_t i = 0; i < MADE; i++) {
        make(&secret, i, key);
        const struct skv_key hashed = skv_engine_key(kv, key, sizeof(key));
        const uint32_t length =
            probe_length(&skv_engine_shard(kv, hashed.hash)->table, hashed.hash);
        sum += length;
        longest = length > longest ? length : longest;
    }
    *mean_out = (double)sum / MADE;
    return longest;
}

TestSuite(collisions, .timeout = 100);

Test(collisions, keys_are_made_for_one_place_under_a_secret_that_is_known)
{
    struct skv_secret secret;
    uint8_t key[KEY_BYTES];
    known_secret(&secret);
    for (uint32_t i = 0; i < 1000; i++) {
        make_colliding(&secret, i, key);
        cr_assert_eq(skv_hash(&secret, key, sizeof(key)), (uint64_t)i << SKV_TAG_BITS | 0x2aaaa);
    }
}

Test(collisions, keys_made_for_a_known_secret_are_spread_by_a_random_one)
{
    struct kv_test made;
    struct kv_test plain;
    double made_mean;
    double plain_mean;
    kv_options(&made);
    made.options.path = NULL;
    made.options.max_mem = 0;
    made.options.hash_seed = 0;
    kv_open(&made);
    const uint32_t made_longest = longest_probe(made.kv, make_colliding, &made_mean);
    kv_close(&made);
    kv_options(&plain);
    plain.options.path = NULL;
    plain.options.max_mem = 0;
    plain.options.hash_seed = 0;
    kv_open(&plain);
    const uint32_t plain_longest = longest_probe(plain.kv, make_plain, &plain_mean);
    kv_close(&plain);
    printf("buckets, %u keys made to collide: mean %.3f, longest %u; keys as they come: %.3f, %u\n",
           MADE, made_mean, made_longest, plain_mean, plain_longest);
    cr_expect_leq(made_longest, LONGEST);
    cr_expect_leq(plain_longest, LONGEST);
    cr_expect_lt(made_mean, plain_mean * 1.1);
}

/* What a store with a known seed does. */

static uint64_t logged;

static void count_message(void *context, spillkv_log_level level, const char *message)
{
    (void)context, (void)level;
    logged += strstr(message, "made to collide") != NULL;
}

static spillkv_status set_colliding(struct kv_test *test, uint32_t number)
{
    uint8_t key[KEY_BYTES];
    uint8_t value[VALUE_BYTES];
    make_colliding(&test->kv->secret, number, key);
    kv_make_value(value, sizeof(value), number, 0);
    return spillkv_set(test->kv, key, sizeof(key), value, sizeof(value));
}

static void expect_colliding(struct kv_test *test, uint32_t number, spillkv_status wanted)
{
    uint8_t key[KEY_BYTES];
    uint8_t value[VALUE_BYTES];
    uint8_t right[VALUE_BYTES];
    size_t size;
    make_colliding(&test->kv->secret, number, key);
    kv_make_value(right, sizeof(right), number, 0);
    cr_assert_eq(spillkv_get(test->kv, key, sizeof(key), value, sizeof(value), &size), wanted);
    cr_assert(wanted != SPILLKV_OK ||
              (size == sizeof(value) && memcmp(value, right, sizeof(value)) == 0));
}

static void open_known(struct kv_test *test, bool spills, spillkv_on_full on_full)
{
    kv_options(test);
    test->options.path = spills ? test->path : NULL;
    test->options.on_full = on_full;
    test->options.hash_seed = KNOWN_SEED;
    test->options.log = count_message;
    kv_open(test);
    kv_fill(test->kv, 0, 1000);
}

/* @return how many were taken, in a row */
static uint32_t fill_the_group(struct kv_test *test)
{
    uint32_t taken = 0;
    spillkv_status status;
    while ((status = set_colliding(test, taken)) == SPILLKV_OK) {
        taken++;
        cr_assert_lt(taken, 100000);
    }
    cr_assert_eq(status, SPILLKV_EFULL, "%d", status);
    return taken;
}

static void expect_full_group_is_refused_and_the_rest_goes_on(bool spills)
{
    struct kv_test test;
    open_known(&test, spills, SPILLKV_FULL_FAIL);
    const uint32_t taken = fill_the_group(&test);
    const spillkv_counters before = kv_stats(test.kv).total;
    /* Some of the other keys are in that group. */
    const struct skv_runs *const runs = &test.kv->shards[0]->table.runs;
    const uint32_t slots = runs->classes[runs->class_count - 1].length * SKV_BUCKET_SLOTS;
    cr_expect_leq(taken, slots);
    cr_expect_geq(taken, slots - 1000);
    for (uint32_t i = 0; i < 20; i++) {
        cr_expect_eq(set_colliding(&test, taken + i), SPILLKV_EFULL);
    }
    const spillkv_counters after = kv_stats(test.kv).total;
    cr_expect_eq(logged, 1);
    /* It is not tried to make room where room is of no use. */
    cr_expect_eq(after.helped, before.helped);
    cr_expect_eq(after.entries_spilled, before.entries_spilled);
    for (uint32_t i = 0; i < taken; i += 40) {
        expect_colliding(&test, i, SPILLKV_OK);
    }
    expect_colliding(&test, taken, SPILLKV_NOT_FOUND);
    kv_fill(test.kv, 1000, 1500);
    kv_expect_filled(test.kv, 0, 1500);
    uint8_t key[KEY_BYTES];
    make_colliding(&test.kv->secret, 17, key);
    KV_OK(spillkv_del(test.kv, key, sizeof(key)));
    KV_OK(set_colliding(&test, taken));
    expect_colliding(&test, taken, SPILLKV_OK);
    expect_colliding(&test, 17, SPILLKV_NOT_FOUND);
    cr_expect(skv_engine_check(test.kv));
    kv_close(&test);
}

Test(collisions, a_full_group_is_refused_in_memory_and_the_rest_goes_on)
{
    expect_full_group_is_refused_and_the_rest_goes_on(false);
}

Test(collisions, a_full_group_is_refused_when_spilling_and_the_rest_goes_on)
{
    expect_full_group_is_refused_and_the_rest_goes_on(true);
}

Test(collisions, a_large_value_for_a_full_group_is_refused)
{
    struct kv_test test;
    uint8_t key[KEY_BYTES];
    void *const value = calloc(1, KV_TINY / 4);
    cr_assert_not_null(value);
    open_known(&test, true, SPILLKV_FULL_FAIL);
    const uint32_t taken = fill_the_group(&test);
    make_colliding(&test.kv->secret, taken, key);
    cr_expect_eq(spillkv_set(test.kv, key, sizeof(key), value, KV_TINY / 4), SPILLKV_EFULL);
    cr_expect_eq(spillkv_has(test.kv, key, sizeof(key)), SPILLKV_NOT_FOUND);
    free(value);
    kv_close(&test);
}

Test(collisions, a_store_that_drops_takes_every_key)
{
    struct kv_test test;
    open_known(&test, false, SPILLKV_FULL_DROP);
    for (uint32_t i = 0; i < 5000; i++) {
        KV_OK(set_colliding(&test, i));
        expect_colliding(&test, i, SPILLKV_OK);
    }
    cr_expect(skv_engine_check(test.kv));
    kv_close(&test);
}
