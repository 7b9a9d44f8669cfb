/* SPDX-License-Identifier: MIT */
/**
 * A thread that switches faults on and off: of the disk, of memory, of both.
 */
#ifndef SOAK_TROUBLE_H
#define SOAK_TROUBLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct trouble {
    atomic_uint_fast64_t *epoch;  /* made odd while something is made to fail */
    atomic_uint_fast64_t *faults; /* that came are added */
    atomic_bool *over;            /* ends the thread */
    uint64_t random;
};

/** Body of the thread; the context is a struct trouble. Nothing fails any more when it returns. */
void *trouble_run(void *context);

#endif
