/* SPDX-License-Identifier: MIT */
#include "interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

static atomic_bool seen;
static int nothing = -1; /* /dev/null */

/*
 * Ends the standard input as well: a read that is about to begin would otherwise wait on, since
 * only one that has begun is broken off.
 */
static void note_signal(int number)
{
    (void)number;
    const int saved = errno;
    atomic_store(&seen, true);
    if (nothing >= 0) {
        dup2(nothing, STDIN_FILENO);
    }
    errno = saved;
}

void interrupt_catch(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = (int)SA_RESETHAND};
    nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        sigaction(signals[i], &action, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
}

bool interrupt_seen(void)
{
    return atomic_load_explicit(&seen, memory_order_relaxed);
}
