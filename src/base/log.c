/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. A message is formatted on the stack, so that one about memory running out can be written.
 * Line breaks (SQLite's texts may hold some) become spaces: the host is promised one line.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mutex.h"

#define LINE_BYTES 512

void skv_log_write(const struct skv_log *log, spillkv_log_level level, const char *format, ...)
{
    /* The host may call the store from its log function. */
    for (unsigned rank = SKV_RANK_ENGINE; rank <= SKV_RANK_LEAF; rank++) {
        skv_mutex_assert_none_held((enum skv_lock_rank)rank);
    }
    if (log == NULL || log->write == NULL) {
        return;
    }
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (length < 0) {
        return;
    }
    for (char *c = line; *c != '\0'; c++) {
        if (*c == '\n' || *c == '\r') {
            *c = ' ';
        }
    }
    log->write(log->context, level, line);
}
