/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include "support/memory.h"
#include "support/shard.h"

static struct skv_budget budget;
static struct skv_secret secret;
static struct skv_log log_none;
static _Atomic uint64_t ticks;
static struct tempdir dir;
static struct skv_shard_options options;

static void prepare(void)
{
    static char file[PATH_MAX + 256];
    tempdir_make(&dir);
    snprintf(file, sizeof(file), "%s/shard.db", dir.path);
    cr_assert(skv_secret_init(&secret, ONE_SHARD_SEED));
    options = (struct skv_shard_options){.budget = &budget,
                                         .secret = &secret,
                                         .log = &log_none,
                                         .clock = &ticks,
                                         .file = file,
                                         .mode = SKV_SHARD_SPILL,
                                         .group_count = 64,
                                         .batch_segments = 8,
                                         .cache_bytes = 128 << 10};
}

static void clean_up(void)
{
    tempdir_remove(&dir);
}

TestSuite(shard_open, .init = prepare, .fini = clean_up, .timeout = 60);

/* Opens and closes a shard under a budget, and expects that nothing stays of it. */
static spillkv_status open_under(uint64_t limit)
{
    struct skv_shard *shard;
    cr_assert(skv_budget_init(&budget, limit, 16 << 10));
    const uint64_t before = atomic_load(&budget.used_total);
    const spillkv_status status = skv_shard_open(&options, &shard);
    cr_assert_eq(status == SPILLKV_OK, shard != NULL);
    cr_assert_eq(skv_shard_close(&shard), SPILLKV_OK);
    cr_assert_not(tempdir_has(&dir, "shard.db"));
    cr_assert_eq(atomic_load(&budget.used_total) - skv_pieces_overhead_bytes(&budget.pieces),
                 before - skv_pieces_overhead_bytes(&budget.pieces));
    skv_budget_fini(&budget);
    return status;
}

Test(shard_open, budget_too_small_at_any_point_is_told_and_nothing_stays)
{
    unsigned refused = 0;
    spillkv_status status = SPILLKV_EFULL;
    for (uint64_t limit = 1 << 10; status != SPILLKV_OK; limit += 8 << 10) {
        status = open_under(limit);
        cr_assert(status == SPILLKV_OK || status == SPILLKV_EFULL, "%d", status);
        refused += status == SPILLKV_EFULL;
        cr_assert_lt(limit, 64 << 20);
    }
    cr_expect_gt(refused, 10);
}

Test(shard_open, budget_too_small_for_the_simulation_of_other_sizes_is_told)
{
    options.advise_records = 1024;
    const uint64_t least = sizeof(struct skv_shard) + (16 << 10);
    const uint64_t simulation = skv_advise_bytes(1024, true);
    cr_assert_gt(simulation, 32 << 10);
    cr_expect_eq(open_under(least + simulation / 2), SPILLKV_EFULL);
    cr_expect_eq(open_under(8 << 20), SPILLKV_OK);
}

Test(shard_open, none_can_be_closed)
{
    struct skv_shard *none = NULL;
    cr_expect_eq(skv_shard_close(&none), SPILLKV_OK);
}

Test(shard_open, large_batches_and_other_policies_work)
{
    options.batch_segments = 64;
    options.policy = SPILLKV_POLICY_LRU;
    cr_expect_eq(open_under(8 << 20), SPILLKV_OK);
}
