/* SPDX-License-Identifier: MIT */
#include "threads.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "interrupt.h"
#include "progress.h"

unsigned threads_default(void)
{
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    return cpus < 1 ? 1 : (cpus > (long)THREADS_MAX ? THREADS_MAX : (unsigned)cpus);
}

bool threads_run(unsigned count, void *(*function)(void *context), void *contexts,
                 size_t context_size, atomic_bool *stop)
{
    pthread_t threads[THREADS_MAX];
    unsigned started = 0;
    for (; started < count; started++) {
        char *const context = (char *)contexts + started * context_size;
        const int failure = pthread_create(&threads[started], NULL, function, context);
        if (failure != 0) {
            progress_say("cannot start a thread: %s", strerror(failure));
            atomic_store(stop, true);
            break;
        }
    }
    for (unsigned i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    if (interrupt_seen()) {
        progress_say("interrupted");
    }
    return !atomic_load(stop);
}

bool threads_told_to_stop(atomic_bool *stop)
{
    if (interrupt_seen()) {
        atomic_store(stop, true);
    }
    return atomic_load_explicit(stop, memory_order_relaxed);
}
