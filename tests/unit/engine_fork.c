/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/engine.h"
#include "engine/fork.h"

TestSuite(fork_count, .timeout = 20);

static uint32_t count_now(void)
{
    return atomic_load(&skv_fork_count);
}

/* Exit status of a child that does something; -1 when it did not exit. */
static int in_child(int (*run)(void *), void *argument)
{
    const pid_t child = fork();
    if (child == 0) {
        _exit(run(argument));
    }
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int tell_count(void *argument)
{
    (void)argument;
    return (int)count_now();
}

static int tell_grandchild_count(void *argument)
{
    return in_child(tell_count, argument);
}

Test(fork_count, counts_in_the_child_only)
{
    cr_assert(skv_fork_watch());
    const uint32_t before = count_now();
    cr_expect_eq(in_child(tell_count, NULL), before + 1);
    cr_expect_eq(count_now(), before);
    cr_expect_eq(in_child(tell_grandchild_count, NULL), before + 2);
}

Test(fork_count, watching_twice_counts_once)
{
    cr_assert(skv_fork_watch());
    cr_assert(skv_fork_watch());
    cr_expect_eq(in_child(tell_count, NULL), count_now() + 1);
}

static int tell_forked(void *kv)
{
    return skv_engine_is_forked(kv);
}

Test(fork_count, store_knows_that_it_is_in_a_child)
{
    spillkv *kv;
    cr_assert_eq(spillkv_open(NULL, &kv), SPILLKV_OK);
    cr_expect_not(skv_engine_is_forked(kv));
    cr_expect_eq(in_child(tell_forked, kv), 1);
    cr_expect_not(skv_engine_is_forked(kv));
    cr_expect_eq(spillkv_close(kv), SPILLKV_OK);
}

static int open_of_its_own(void *argument)
{
    (void)argument;
    spillkv *kv;
    if (spillkv_open(NULL, &kv) != SPILLKV_OK || skv_engine_is_forked(kv)) {
        return 1;
    }
    return spillkv_set(kv, "k", 1, "v", 1) != SPILLKV_OK || spillkv_close(kv) != SPILLKV_OK;
}

Test(fork_count, child_may_open_a_store_of_its_own)
{
    spillkv *kv;
    cr_assert_eq(spillkv_open(NULL, &kv), SPILLKV_OK);
    cr_expect_eq(in_child(open_of_its_own, NULL), 0);
    cr_expect_eq(spillkv_close(kv), SPILLKV_OK);
}
