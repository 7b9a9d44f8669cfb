/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <sched.h>
#include <signal.h>

#include "engine/spiller.h"
#include "support/latch_vfs.h"
#include "support/model.h"
#include "support/shard.h"

static struct one_shard one;
static struct skv_spillers spillers;

static void open_spillers(void)
{
    memset(&spillers, 0, sizeof(spillers));
    cr_assert(skv_spillers_init(&spillers, &one.budget, &one.shard, 1));
}

static void set_up(void)
{
    latch_vfs_register();
    one_shard_open(&one, &(struct one_shard_options){.vfs = LATCH_VFS_NAME});
    open_spillers();
}

static void tear_down(void)
{
    skv_spillers_fini(&spillers);
    shard_check_deeply(one.shard);
    one_shard_close(&one);
}

TestSuite(spillers, .init = set_up, .fini = tear_down, .timeout = 30);

static uint32_t fill_without_spilling(void)
{
    uint32_t count = 0;
    while (one_shard_set(&one, count, 1, 100) == SPILLKV_OK) {
        count++;
    }
    return count;
}

Test(spillers, target_is_a_little_room_below_the_limit)
{
    const size_t segment = 64 << 10;
    cr_expect_eq(skv_spillers_target(UINT64_MAX, segment), 0, "without a limit there is none");
    cr_expect_eq(skv_spillers_target(1 << 20, segment), 4 * segment);
    cr_expect_eq(skv_spillers_target(UINT64_C(1) << 30, segment), (1 << 30) / 128);
    cr_expect_eq(skv_spillers_target(UINT64_C(1) << 40, segment), 64 << 20);
}

Test(spillers, help_says_when_there_is_nothing_to_free)
{
    cr_expect_eq(skv_spillers_help(&spillers), SPILLKV_EFULL);
}

Test(spillers, help_frees_a_bounded_part)
{
    const uint32_t count = fill_without_spilling();
    cr_assert_eq(skv_spillers_help(&spillers), SPILLKV_OK);
    const spillkv_counters counters = one_shard_counters(&one);
    cr_expect_gt(counters.entries_spilled, 0);
    cr_expect_gt(counters.entries_ram, count / 2);
    cr_expect_eq(one_shard_set(&one, count, 1, 100), SPILLKV_OK);
}

Test(spillers, help_reports_why_nothing_could_be_freed)
{
    fill_without_spilling();
    latch_vfs_break(LATCH_WRITES);
    cr_expect_eq(skv_spillers_help(&spillers), SPILLKV_ENOSPC);
    latch_vfs_break(0);
    cr_expect_eq(skv_spillers_help(&spillers), SPILLKV_OK);
}

Test(spillers, threads_start_and_stop_without_work)
{
    cr_assert(skv_spillers_start(&spillers, 4));
    cr_expect_eq(spillers.thread_count, 4);
}

static bool is_at_target(void)
{
    return skv_budget_room(&one.budget) >= spillers.target_room;
}

/* The spillers get there by themselves; the suite's time-out is the limit. */
static void wait_for_target(void)
{
    while (!is_at_target()) {
        (void)sched_yield();
    }
}

Test(spillers, nudge_wakes_a_thread_that_works_until_the_target)
{
    const uint32_t count = fill_without_spilling();
    cr_assert_not(is_at_target());
    cr_assert(skv_spillers_start(&spillers, 2));
    skv_spillers_nudge(&spillers);
    wait_for_target();
    for (uint32_t i = 0; i < count; i++) {
        cr_expect_eq(one_shard_peek(&one, i, 1, 100), SPILLKV_OK);
    }
}

Test(spillers, room_that_was_asked_for_is_made_though_it_is_more_than_the_target)
{
    const uint64_t asked = 4 * atomic_load(&spillers.target_room);
    const uint32_t count = fill_without_spilling();
    cr_assert(skv_spillers_start(&spillers, 1));
    skv_spillers_ask(&spillers, asked);
    while (skv_budget_room(&one.budget) < asked) {
        (void)sched_yield();
    }
    for (uint32_t i = 0; i < count; i++) {
        cr_expect_eq(one_shard_peek(&one, i, 1, 100), SPILLKV_OK);
    }
}

Test(spillers, of_several_wishes_for_room_the_largest_counts)
{
    skv_spillers_ask(&spillers, 1000);
    skv_spillers_ask(&spillers, 10);
    cr_expect_eq(atomic_load(&spillers.asked), 1000);
    skv_spillers_ask(&spillers, 2000);
    cr_expect_eq(atomic_load(&spillers.asked), 2000);
}

Test(spillers, nudge_does_nothing_while_there_is_room)
{
    cr_assert_eq(one_shard_set(&one, 1, 1, 100), SPILLKV_OK);
    skv_spillers_nudge(&spillers);
    cr_expect_not(atomic_load(&spillers.wanted));
}

Test(spillers, work_goes_on_by_itself_when_the_disk_is_well_again)
{
    fill_without_spilling();
    latch_vfs_break(LATCH_WRITES);
    cr_assert(skv_spillers_start(&spillers, 1));
    skv_spillers_nudge(&spillers);
    while (skv_shard_last_write(one.shard) == SPILLKV_OK) {
        (void)sched_yield();
    }
    cr_expect_not(is_at_target());
    latch_vfs_break(0);
    wait_for_target();
    cr_expect_eq(skv_shard_settle(one.shard), SPILLKV_OK);
}

Test(spillers, stop_does_not_wait_for_a_pause_after_a_failure)
{
    fill_without_spilling();
    latch_vfs_break(LATCH_WRITES);
    cr_assert(skv_spillers_start(&spillers, 1));
    skv_spillers_nudge(&spillers);
    while (skv_shard_last_write(one.shard) == SPILLKV_OK) {
        (void)sched_yield();
    }
    skv_spillers_fini(&spillers);
    latch_vfs_break(0);
    open_spillers();
}

static _Atomic int delivered;

static void note_signal(int number)
{
    (void)number;
    atomic_store(&delivered, 1);
}

Test(spillers, threads_take_no_signals)
{
    sigset_t set;
    sigset_t before;
    const struct sigaction action = {.sa_handler = note_signal};
    cr_assert_eq(sigaction(SIGUSR2, &action, NULL), 0);
    cr_assert(skv_spillers_start(&spillers, 2));
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    cr_assert_eq(pthread_sigmask(SIG_BLOCK, &set, &before), 0);
    cr_expect_not(sigismember(&before, SIGUSR2), "the caller's mask is as it was");
    /* Nobody but this thread could take it, and it does not. */
    cr_assert_eq(kill(getpid(), SIGUSR2), 0);
    sigset_t pending;
    cr_assert_eq(sigpending(&pending), 0);
    cr_expect(sigismember(&pending, SIGUSR2));
    cr_expect_eq(atomic_load(&delivered), 0);
    cr_assert_eq(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    cr_expect_eq(atomic_load(&delivered), 1);
}

Test(spillers, deletions_wake_a_thread_for_compaction)
{
    for (uint32_t i = 0; i < 10000; i++) {
        cr_assert_eq(one_shard_put(&one, i, 1, 200), SPILLKV_OK);
    }
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    cr_assert(skv_spillers_start(&spillers, 1));
    for (uint32_t i = 0; i < 10000; i++) {
        if (i % 10 != 0) {
            cr_assert_eq(one_shard_del(&one, i), SPILLKV_OK);
            skv_spillers_nudge_compaction(&spillers, one.shard);
        }
    }
    while (skv_shard_wants_compaction(one.shard)) {
        (void)sched_yield();
    }
    cr_expect_gt(one_shard_counters(&one).compactions, 0);
    for (uint32_t i = 0; i < 10000; i += 10) {
        cr_expect_eq(one_shard_peek(&one, i, 1, 200), SPILLKV_OK);
    }
}

/* Two shards: while a spill of the older one is stopped in a write, memory is freed in the other or
   not at all. */

static struct one_shard other;
static struct skv_shard *both[2];

static void open_both(void)
{
    latch_vfs_register();
    one_shard_open(&one, &(struct one_shard_options){.vfs = LATCH_VFS_NAME});
    one_shard_open(&other, &(struct one_shard_options){.vfs = LATCH_VFS_NAME});
    both[0] = one.shard;
    both[1] = other.shard;
    memset(&spillers, 0, sizeof(spillers));
    cr_assert(skv_spillers_init(&spillers, &one.budget, both, 2));
}

static void close_both(void)
{
    tear_down();
    shard_check_deeply(other.shard);
    one_shard_close(&other);
}

TestSuite(side_by_side, .init = open_both, .fini = close_both, .timeout = 30);

static void *free_some(void *status_out)
{
    *(spillkv_status *)status_out = skv_spillers_free(&spillers, 1);
    return NULL;
}

struct freeing {
    pthread_t thread;
    spillkv_status status;
};

static void start_freeing(struct freeing *freeing)
{
    cr_assert_eq(pthread_create(&freeing->thread, NULL, free_some, &freeing->status), 0);
}

static void join_freeing(struct freeing *freeing)
{
    cr_assert_eq(pthread_join(freeing->thread, NULL), 0);
    cr_expect_eq(freeing->status, SPILLKV_OK);
}

/* Fills both, the other one with segments that much younger, and stops a spill of the first. */
static void stop_in_the_first(struct freeing *freeing, uint64_t younger)
{
    atomic_store(&other.clock, younger);
    for (uint32_t i = 0; i < 3000; i++) {
        cr_assert_eq(one_shard_set(&one, i, 1, 100), SPILLKV_OK);
        cr_assert_eq(one_shard_set(&other, i, 1, 100), SPILLKV_OK);
    }
    cr_assert_eq(skv_shard_oldest(other.shard), skv_shard_oldest(one.shard) + younger);
    latch_vfs_arm(false);
    start_freeing(freeing);
    latch_vfs_wait();
}

Test(side_by_side, while_a_shard_is_written_one_nearly_as_old_is_freed)
{
    struct freeing first;
    stop_in_the_first(&first, 8);
    cr_expect_eq(skv_spillers_free(&spillers, 1), SPILLKV_OK);
    cr_expect_gt(one_shard_counters(&other).entries_spilled, 0);
    cr_expect_eq(one_shard_counters(&one).entries_spilled, 0, "it is still being written");
    latch_vfs_release();
    join_freeing(&first);
    cr_expect_gt(one_shard_counters(&one).entries_spilled, 0);
}

Test(side_by_side, a_much_younger_one_is_left_alone_and_the_write_is_waited_for)
{
    struct freeing first;
    struct freeing second;
    stop_in_the_first(&first, 100);
    start_freeing(&second);
    latch_vfs_release();
    join_freeing(&first);
    join_freeing(&second);
    cr_expect_gt(one_shard_counters(&one).entries_spilled, 0);
    cr_expect_eq(one_shard_counters(&other).examined, 0);
}
