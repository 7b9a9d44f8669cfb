/* SPDX-License-Identifier: MIT */
#include "sqlite_base.h"

#include <error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool sqlite_base_check(const struct sqlite_base *base, int rc, const char *what)
{
    const bool fine = rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW;
    if (!fine) {
        error(0, 0, "%s: %s: %s", base->name, what,
              base->db != NULL ? sqlite3_errmsg(base->db) : sqlite3_errstr(rc));
    }
    return fine;
}

bool sqlite_base_open(struct sqlite_base *base, const char *name, const char *folder,
                      const char *settings)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    char *file = NULL;
    *base = (struct sqlite_base){.name = name};
    if (asprintf(&file, "%s/table.sqlite", folder) < 0) {
        error(0, 0, "%s: out of memory", name);
        return false;
    }
    const bool opened =
        sqlite_base_check(base, sqlite3_open_v2(file, &base->db, flags, NULL), "open");
    free(file);
    return opened &&
           sqlite_base_check(base, sqlite3_exec(base->db, settings, NULL, NULL, NULL), "settings");
}

bool sqlite_base_close(struct sqlite_base *base)
{
    return sqlite_base_check(base, sqlite3_close(base->db), "close");
}

sqlite3_stmt *sqlite_base_prepare(const struct sqlite_base *base, const char *text)
{
    sqlite3_stmt *statement = NULL;
    sqlite_base_check(
        base, sqlite3_prepare_v3(base->db, text, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL),
        text);
    return statement;
}

bool sqlite_base_run(const struct sqlite_base *base, sqlite3_stmt *statement)
{
    const int rc = sqlite3_step(statement);
    sqlite3_reset(statement);
    return rc == SQLITE_DONE || sqlite_base_check(base, rc, sqlite3_sql(statement));
}

enum engine_answer sqlite_base_read(const struct sqlite_base *base, sqlite3_stmt *statement,
                                    void *buffer, size_t capacity, size_t *size_out)
{
    enum engine_answer answer = ENGINE_MISSING;
    const int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        const void *const value = sqlite3_column_blob(statement, 0);
        *size_out = (size_t)sqlite3_column_bytes(statement, 0);
        answer = *size_out <= capacity ? ENGINE_FOUND : ENGINE_FAILED;
        if (answer == ENGINE_FOUND && *size_out != 0) {
            memcpy(buffer, value, *size_out);
        }
    } else if (!sqlite_base_check(base, rc, sqlite3_sql(statement))) {
        answer = ENGINE_FAILED;
    }
    sqlite3_reset(statement);
    return answer;
}
