/* SPDX-License-Identifier: MIT */
/** What a process computes once, whichever thread comes first. */
#ifndef SKV_BASE_ONCE_H
#define SKV_BASE_ONCE_H

#include <pthread.h>

#define SKV_ONCE_INIT                                                                              \
    {                                                                                              \
        PTHREAD_ONCE_INIT                                                                          \
    }

/** Static storage, initialised with SKV_ONCE_INIT. */
struct skv_once {
    pthread_once_t raw;
};

/** Returns after `run` has been called and has returned, in this thread or another one. */
static inline void skv_once(struct skv_once *once, void (*run)(void))
{
    (void)pthread_once(&once->raw, run);
}

#endif
