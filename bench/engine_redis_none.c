/* SPDX-License-Identifier: MIT */
/**
 * In the place of engine_redis.c where hiredis was not found.
 */
#include <stddef.h>

#include "engine.h"

static const char *lacks(void)
{
    return "built without hiredis (libhiredis-dev)";
}

const struct engine engine_redis = {.name = "redis", .lacks = lacks};
