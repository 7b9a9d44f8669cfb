/* SPDX-License-Identifier: MIT */
/* One shard may hold more of the memory than its part: the hit ratio is that of one shard. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "engine/engine.h"
#include "support/memory.h"
#include "support/model.h"
#include "support/tempdir.h"

#define SHARDS     4u
#define SHARD_BITS 2
#define MAX_MEM    ((uint64_t)32 << 20)
#define GETS       300000u

/** What a store is filled with, and what is asked for. */
struct skew {
    uint32_t keys[2];  /* in the first shard; in all the others together */
    uint32_t sizes[2]; /* of their values */
    uint32_t heat;     /* of 100 gets so many ask for a key of the first shard */
};

static struct tempdir dir;
static spillkv *kv;
static uint32_t *numbers[2]; /* the keys of struct skew, the hottest first */

static void set_up(void)
{
    tempdir_make(&dir);
}

static void tear_down(void)
{
    tempdir_remove(&dir);
}

TestSuite(borrow, .init = set_up, .fini = tear_down, .timeout = 120);

static struct skv_key key_of(uint32_t number)
{
    static uint8_t bytes[MODEL_KEY_MAX];
    return skv_engine_key(kv, bytes, model_key(number, bytes));
}

static void open_store(uint32_t shards, uint64_t max_mem)
{
    spillkv_options options;
    spillkv_options_init(&options);
    options.path = tempdir_file(&dir, "store");
    options.max_mem = max_mem;
    options.shards = shards;
    options.spillers = 1;
    options.hash_seed = 7;
    cr_assert_eq(skv_engine_open(&options, &kv), SPILLKV_OK);
}

static void close_store(void)
{
    cr_expect(skv_engine_check(kv));
    cr_expect_eq(skv_engine_close(kv), SPILLKV_OK);
}

/** Finds keys of the first of SHARDS shards, and of the others. */
static void choose_keys(const struct skew *skew)
{
    uint32_t found[2] = {0, 0};
    for (int part = 0; part < 2; part++) {
        numbers[part] = malloc(skew->keys[part] * sizeof(*numbers[part]));
        cr_assert_not_null(numbers[part]);
    }
    for (uint32_t number = 0; found[0] < skew->keys[0] || found[1] < skew->keys[1]; number++) {
        const int part = key_of(number).hash >> (64 - SHARD_BITS) != 0;
        if (found[part] < skew->keys[part]) {
            numbers[part][found[part]++] = number;
        }
    }
}

static void fill(const struct skew *skew)
{
    static uint8_t value[1 << 16];
    const uint32_t all = skew->keys[0] + skew->keys[1];
    uint32_t done[2] = {0, 0};
    for (uint32_t i = 0; i < all; i++) {
        /* Both parts at their pace, the coldest first. */
        const int part = (uint64_t)done[0] * skew->keys[1] > (uint64_t)done[1] * skew->keys[0];
        const uint32_t number = numbers[part][skew->keys[part] - ++done[part]];
        const struct skv_key key = key_of(number);
        model_value(number, 1, value, skew->sizes[part]);
        cr_assert_eq(skv_engine_set(kv, &key, value, skew->sizes[part]), SPILLKV_OK);
    }
}

/** A key of the part, by a law of powers: a thousandth of the keys is asked for by a tenth of
 *  the gets. */
static uint32_t draw(const struct skew *skew, int part, struct skv_rng *rng)
{
    const double at = (double)(skv_rng_next(rng) >> 11) * 0x1p-53;
    return numbers[part][(uint32_t)(at * at * at * skew->keys[part])];
}

static void get_many(const struct skew *skew, uint32_t gets, struct skv_rng *rng)
{
    static uint8_t value[1 << 16];
    for (uint32_t i = 0; i < gets; i++) {
        const int part = (skv_rng_next(rng) >> 32) % 100 >= skew->heat;
        const struct skv_key key = key_of(draw(skew, part, rng));
        struct skv_sink sink = {.buffer = value, .capacity = sizeof(value)};
        cr_assert_eq(skv_shard_get(skv_engine_shard(kv, key.hash), &key, &sink), SPILLKV_OK);
        /* As the spillers do, but at once: how fast they are is not the question here. */
        if (skv_spillers_are_wanted(&kv->spillers)) {
            cr_assert_eq(skv_spillers_free(&kv->spillers, (uint64_t)512 << 10), SPILLKV_OK);
        }
    }
}

/** The percentage of gets answered from RAM in the second half of them. */
static double hit_percent(const struct skew *skew, uint32_t shards, uint64_t max_mem)
{
    struct skv_rng rng;
    spillkv_stats_data before;
    spillkv_stats_data after;
    skv_rng_init(&rng, 11);
    open_store(shards, max_mem);
    choose_keys(skew);
    fill(skew);
    get_many(skew, GETS / 2, &rng);
    skv_engine_stats(kv, &before);
    get_many(skew, GETS / 2, &rng);
    skv_engine_stats(kv, &after);
    cr_expect_gt(after.total.spilled_reads - before.total.spilled_reads, GETS / 100);
    close_store();
    free(numbers[0]);
    free(numbers[1]);
    return 100 * (double)(after.total.hits - before.total.hits) / (GETS / 2);
}

/** What an empty store takes. */
static uint64_t own_bytes(uint32_t shards)
{
    spillkv_stats_data stats;
    open_store(shards, MAX_MEM);
    skv_engine_stats(kv, &stats);
    close_store();
    return stats.memory.total - stats.memory.unused;
}

/** The one shard gets the whole budget but for what more shards take whatever they hold. */
static void expect_no_loss(const struct skew *skew)
{
    if (is_memchecked()) {
        cr_skip_test("hundreds of thousands of gets, for a ratio that is the same under valgrind");
    }
    const uint64_t more = own_bytes(SHARDS) - own_bytes(1);
    const double one = hit_percent(skew, 1, MAX_MEM - more);
    const double many = hit_percent(skew, SHARDS, MAX_MEM);
    cr_expect_geq(many, one - 0.5, "%.2f %% of hits, with one shard %.2f %%", many, one);
}

Test(borrow, a_shard_with_most_of_the_keys_costs_no_hits)
{
    expect_no_loss(&(struct skew){.keys = {90000, 10000}, .sizes = {500, 500}, .heat = 90});
}

Test(borrow, a_shard_with_bigger_values_costs_no_hits)
{
    expect_no_loss(&(struct skew){.keys = {6000, 18000}, .sizes = {8000, 300}, .heat = 50});
}

Test(borrow, a_shard_that_gets_most_of_the_gets_costs_no_hits)
{
    expect_no_loss(&(struct skew){.keys = {25000, 75000}, .sizes = {500, 500}, .heat = 90});
}

Test(borrow, a_hot_shard_with_half_of_the_keys_costs_no_hits)
{
    expect_no_loss(&(struct skew){.keys = {50000, 50000}, .sizes = {500, 500}, .heat = 90});
}
