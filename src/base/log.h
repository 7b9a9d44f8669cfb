/* SPDX-License-Identifier: MIT */
/** Messages to the host program; never called with a lock held. */
#ifndef SKV_BASE_LOG_H
#define SKV_BASE_LOG_H

#include <spillkv/spillkv.h>

#include "base/attributes.h"

struct skv_log {
    spillkv_log *write; /* NULL: messages are dropped; constant after open */
    void *context;
};

/** Formats one line of at most 511 bytes and hands it to the host; `log` may be NULL. */
void skv_log_write(const struct skv_log *log, spillkv_log_level level, const char *format, ...)
    SKV_PRINTF(3, 4);

#endif
