/* SPDX-License-Identifier: MIT */
/**
 * What the engines that call SQLite directly have in common. Threads: the caller serialises.
 */
#ifndef BENCH_SQLITE_BASE_H
#define BENCH_SQLITE_BASE_H

#include <sqlite3.h>

#include "engine.h"

struct sqlite_base {
    const char *name; /* of the engine, for messages */
    sqlite3 *db;
};

/** Opens `folder`/table.sqlite and runs the settings; false after a message, and a close is due. */
bool sqlite_base_open(struct sqlite_base *base, const char *name, const char *folder,
                      const char *settings);
bool sqlite_base_close(struct sqlite_base *base);

/** False after a message, unless a result is one of success. */
bool sqlite_base_check(const struct sqlite_base *base, int rc, const char *what);

/** NULL after a message. */
sqlite3_stmt *sqlite_base_prepare(const struct sqlite_base *base, const char *text);

/** Runs a statement that returns no rows; false after a message. */
bool sqlite_base_run(const struct sqlite_base *base, sqlite3_stmt *statement);

/** Runs a statement that returns a BLOB or nothing, and copies it. */
enum engine_answer sqlite_base_read(const struct sqlite_base *base, sqlite3_stmt *statement,
                                    void *buffer, size_t capacity, size_t *size_out);

#endif
