/* SPDX-License-Identifier: MIT */
#include "lock_count.h"

#include <pthread.h>
#include <stdatomic.h>

static _Atomic uint64_t contended;

/* Names that the linker gives. */
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    if (pthread_mutex_trylock(mutex) == 0) {
        return 0;
    }
    atomic_fetch_add_explicit(&contended, 1, memory_order_relaxed);
    return __real_pthread_mutex_lock(mutex);
}

uint64_t lock_count_contended(void)
{
    return atomic_load_explicit(&contended, memory_order_relaxed);
}
