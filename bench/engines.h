/* SPDX-License-Identifier: MIT */
/**
 * The engines that there are, of which a program links all or some.
 */
#ifndef BENCH_ENGINES_H
#define BENCH_ENGINES_H

#include "engine.h"

enum engines_found {
    ENGINES_FOUND,
    ENGINES_LEFT_OUT, /* after a message: it was not built, or cannot be used here */
    ENGINES_UNKNOWN   /* after a message */
};

/** Looks for the engine of that name; *engine_out is NULL if it cannot be used. */
enum engines_found engines_find(const char *name, const struct engine **engine_out);

/** Engines that are linked by number, from 0 on; NULL after the last. */
const struct engine *engines_at(unsigned number);

#endif
