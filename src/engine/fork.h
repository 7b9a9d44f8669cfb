/* SPDX-License-Identifier: MIT */
/** Tells a process from a child that was forked off it, without a system call. */
#ifndef SKV_ENGINE_FORK_H
#define SKV_ENGINE_FORK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"

/** How many forks lie between the first open in any ancestor and this process. */
extern _Atomic uint32_t skv_fork_count;

/** Watches for forks from now on; false when the system has no room for the handler. Any thread. */
SKV_MUST_CHECK bool skv_fork_watch(void);

#endif
