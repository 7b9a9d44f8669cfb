/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. One line to standard error, then abort(): the state can no longer be trusted, so nothing
 * of the library runs any more, not even the host's log callback.
 */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void skv_check_failed(const char *expression, const char *file, int line)
{
    (void)fprintf(stderr, "spillkv: %s:%d: broken invariant: %s\n", file, line, expression);
    abort();
}
