/* SPDX-License-Identifier: MIT */
/*
 * DESIGN
 *
 * SQLite ignores a setting it does not know or cannot use without an error, so each is read back
 * after the table exists, when page_size and auto_vacuum have become facts of the file.
 *
 * The file never outlives the store, so nothing is synced and there is no journal file; the journal
 * in memory is what makes a transaction that fails half-way undo itself. auto_vacuum INCREMENTAL is
 * what lets the file get shorter.
 *
 * Invariant: after SPILLKV_OK every setting of the table below is in force.
 */
#include "disk/schema.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "disk/sqlite_rc.h"
#include "disk/vfs.h"

#define QUOTE(x)     QUOTE_RAW(x)
#define QUOTE_RAW(x) #x

/* In the order in which they are set: journal_mode before anything is written, page_size and
   auto_vacuum before the table; from auto_vacuum on in one transaction, so that a file with content
   has our application_id whenever the process is killed. */
static const struct setting {
    const char *set;
    const char *get;
    const char *value;
    int may_be_absent; /* an SQLite without the feature answers with no row at all */
} settings[] = {
    {"PRAGMA locking_mode=EXCLUSIVE", "PRAGMA locking_mode", "exclusive", 0},
    {"PRAGMA journal_mode=MEMORY", "PRAGMA journal_mode", "memory", 0},
    {"PRAGMA page_size=8192", "PRAGMA page_size", "8192", 0},
    {"PRAGMA synchronous=OFF", "PRAGMA synchronous", "0", 0},
    {"PRAGMA secure_delete=OFF", "PRAGMA secure_delete", "0", 0},
    {"PRAGMA trusted_schema=OFF", "PRAGMA trusted_schema", "0", 0},
    {"PRAGMA temp_store=MEMORY", "PRAGMA temp_store", "2", 0},
    {"PRAGMA mmap_size=0", "PRAGMA mmap_size", "0", 1},
    {"PRAGMA cache_size=" QUOTE(SKV_SCHEMA_CACHE_PAGES), "PRAGMA cache_size",
     QUOTE(SKV_SCHEMA_CACHE_PAGES), 0},
    {"PRAGMA auto_vacuum=INCREMENTAL", "PRAGMA auto_vacuum", "2", 0},
    {"PRAGMA application_id=0x53504b56", "PRAGMA application_id", "1397771094", 0},
};

/* Index of the first setting that is written to the file. */
#define FIRST_IN_FILE 9

_Static_assert(sizeof(settings) / sizeof(settings[0]) == FIRST_IN_FILE + 2, "the last two");
_Static_assert(SKV_SCHEMA_PAGE_BYTES == 8192, "as set above");
_Static_assert(SKV_SCHEMA_APPLICATION_ID == 1397771094, "as set above");

static spillkv_status fail_with(sqlite3 *db, const char *sql, char *message, size_t message_size)
{
    if (message != NULL) {
        snprintf(message, message_size, "%s: %s", sql, sqlite3_errmsg(db));
    }
    return skv_status_of_sqlite(sqlite3_extended_errcode(db));
}

static spillkv_status run(sqlite3 *db, const char *sql, char *message, size_t message_size)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        return fail_with(db, sql, message, message_size);
    }
    return SPILLKV_OK;
}

static spillkv_status read_back(sqlite3 *db, const struct setting *setting, char *message,
                                size_t message_size)
{
    spillkv_status status = SPILLKV_OK;
    sqlite3_stmt *statement = NULL;
    const char *found = NULL;
    int rc = sqlite3_prepare_v2(db, setting->get, -1, &statement, NULL);

    if (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
    }
    if (rc == SQLITE_ROW) {
        found = (const char *)sqlite3_column_text(statement, 0);
    } else if (rc != SQLITE_DONE) {
        status = fail_with(db, setting->get, message, message_size);
        goto out;
    } else if (setting->may_be_absent) {
        goto out;
    }
    if (found == NULL || strcmp(found, setting->value) != 0) {
        if (message != NULL) {
            snprintf(message, message_size, "this SQLite refuses \"%s\": it is %s", setting->set,
                     found != NULL ? found : "unknown");
        }
        status = SPILLKV_ESYSTEM;
    }
out:
    sqlite3_finalize(statement);
    return status;
}

spillkv_status skv_schema_create(sqlite3 *db, char *message, size_t message_size)
{
    const size_t count = sizeof(settings) / sizeof(settings[0]);
    spillkv_status status = SPILLKV_OK;

    for (size_t i = 0; i < count && status == SPILLKV_OK; i++) {
        if (i == FIRST_IN_FILE) {
            status = run(db, "BEGIN", message, message_size);
        }
        if (status == SPILLKV_OK) {
            status = run(db, settings[i].set, message, message_size);
        }
    }
    if (status == SPILLKV_OK) {
        status = run(db, "CREATE TABLE segment(id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)",
                     message, message_size);
    }
    if (status == SPILLKV_OK) {
        status = skv_status_of_sqlite(sqlite3_file_control(db, "main", SKV_FCNTL_COMMIT, NULL));
    }
    if (status == SPILLKV_OK) {
        status = run(db, "COMMIT", message, message_size);
    }
    for (size_t i = 0; i < count && status == SPILLKV_OK; i++) {
        status = read_back(db, &settings[i], message, message_size);
    }
    return status;
}
