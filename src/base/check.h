/* SPDX-License-Identifier: MIT */
/**
 * Invariants that hold or the program stops.
 *
 * SKV_CHECK stays on in release builds, for what would lose or corrupt data. SKV_CHECK_CHEAP is for
 * debug builds, SKV_CHECK_FULL for walks over whole structures (-Ddebug_checks=cheap, full).
 */
#ifndef SKV_BASE_CHECK_H
#define SKV_BASE_CHECK_H

#include "base/attributes.h"

#ifndef SKV_DEBUG_LEVEL
#define SKV_DEBUG_LEVEL 0
#endif

/** Prints the broken invariant to standard error and aborts. */
_Noreturn void skv_check_failed(const char *expression, const char *file, int line);

#define SKV_CHECK(c) (SKV_LIKELY(c) ? (void)0 : skv_check_failed(#c, __FILE__, __LINE__))

#if SKV_DEBUG_LEVEL >= 1
#define SKV_CHECK_CHEAP(c) SKV_CHECK(c)
#else
#define SKV_CHECK_CHEAP(c) ((void)sizeof(c))
#endif

#if SKV_DEBUG_LEVEL >= 2
#define SKV_CHECK_FULL(c) SKV_CHECK(c)
#else
#define SKV_CHECK_FULL(c) ((void)sizeof(c))
#endif

#endif
