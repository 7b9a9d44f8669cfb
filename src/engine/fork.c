/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. A child inherits the store's memory but none of its threads, and its locks as they were
 * at the fork. So no call may go on there. A handler counts forks in the child; every call compares
 * one word. Rejected: getpid(), a system call on the path of every get.
 */
#include "engine/fork.h"

#include <pthread.h>

_Atomic uint32_t skv_fork_count;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool watching;

static void count_fork(void)
{
    atomic_fetch_add_explicit(&skv_fork_count, 1, memory_order_relaxed);
}

static void watch(void)
{
    watching = pthread_atfork(NULL, NULL, count_fork) == 0;
}

bool skv_fork_watch(void)
{
    return pthread_once(&once, watch) == 0 && watching;
}
