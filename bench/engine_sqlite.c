/* SPDX-License-Identifier: MIT */
/**
 * One table keyed by BLOB behind one mutex: what one would write first, set up for speed.
 *
 * No journal, as one in memory would keep a copy of each page that a transaction touches, with
 * random keys nearly as many as entries. REPLACE, as SQLite then need not look first whether a
 * table WITHOUT ROWID has the key.
 */
#include <error.h>
#include <inttypes.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

#define SETS_PER_TRANSACTION 10000u

enum statement {
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_SET,
    STATEMENT_GET,
    STATEMENTS
};

static const char *const texts[STATEMENTS] = {
    [STATEMENT_BEGIN] = "BEGIN",
    [STATEMENT_COMMIT] = "COMMIT",
    [STATEMENT_SET] = "REPLACE INTO t(k, v) VALUES(?1, ?2)",
    [STATEMENT_GET] = "SELECT v FROM t WHERE k = ?1",
};

struct database {
    pthread_mutex_t lock;
    /* Guarded by lock. */
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    unsigned pending; /* sets of the open transaction; 0: none is open */
};

static bool check(struct database *database, int rc, const char *what)
{
    const bool fine = rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW;
    if (!fine) {
        error(0, 0, "sqlite: %s: %s", what,
              database->db != NULL ? sqlite3_errmsg(database->db) : sqlite3_errstr(rc));
    }
    return fine;
}

static bool prepare(struct database *database, const char *file, uint64_t max_mem)
{
    char settings[512];
    snprintf(settings, sizeof settings,
             "PRAGMA locking_mode=EXCLUSIVE;"
             "PRAGMA journal_mode=OFF;"
             "PRAGMA synchronous=OFF;"
             "PRAGMA page_size=4096;"
             "PRAGMA secure_delete=OFF;"
             "PRAGMA temp_store=MEMORY;"
             "PRAGMA cache_size=-%" PRIu64 ";"
             "CREATE TABLE t(k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID;",
             max_mem / 1024);
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (!check(database, sqlite3_open_v2(file, &database->db, flags, NULL), "open") ||
        !check(database, sqlite3_exec(database->db, settings, NULL, NULL, NULL), "settings")) {
        return false;
    }
    for (int i = 0; i < STATEMENTS; i++) {
        if (!check(database,
                   sqlite3_prepare_v3(database->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                      &database->statements[i], NULL),
                   texts[i])) {
            return false;
        }
    }
    return true;
}

static bool close_database(void *db)
{
    struct database *const database = db;
    for (int i = 0; i < STATEMENTS; i++) {
        sqlite3_finalize(database->statements[i]);
    }
    const bool closed = check(database, sqlite3_close(database->db), "close");
    pthread_mutex_destroy(&database->lock);
    free(database);
    return closed;
}

static void *open_database(const struct engine_options *options)
{
    struct database *const database = calloc(1, sizeof *database);
    char *file = NULL;
    if (database == NULL || asprintf(&file, "%s/table.sqlite", options->path) < 0) {
        error(0, 0, "sqlite: out of memory");
        free(database);
        return NULL;
    }
    pthread_mutex_init(&database->lock, NULL);
    const bool prepared = prepare(database, file, options->max_mem);
    free(file);
    if (!prepared) {
        close_database(database);
        return NULL;
    }
    return database;
}

/* Runs a statement that returns no rows; the lock is held. */
static bool run(struct database *database, enum statement number)
{
    sqlite3_stmt *const statement = database->statements[number];
    const int rc = sqlite3_step(statement);
    sqlite3_reset(statement);
    return rc == SQLITE_DONE || check(database, rc, texts[number]);
}

static bool commit(struct database *database)
{
    if (database->pending == 0) {
        return true;
    }
    database->pending = 0;
    return run(database, STATEMENT_COMMIT);
}

static bool set_locked(struct database *database, const void *key, size_t key_size,
                       const void *value, size_t value_size)
{
    sqlite3_stmt *const statement = database->statements[STATEMENT_SET];
    if (database->pending == 0 && !run(database, STATEMENT_BEGIN)) {
        return false;
    }
    database->pending++;
    sqlite3_bind_blob(statement, 1, key, (int)key_size, SQLITE_STATIC);
    sqlite3_bind_blob(statement, 2, value, (int)value_size, SQLITE_STATIC);
    return run(database, STATEMENT_SET) &&
           (database->pending < SETS_PER_TRANSACTION || commit(database));
}

static bool set(void *db, const void *key, size_t key_size, const void *value, size_t value_size)
{
    struct database *const database = db;
    pthread_mutex_lock(&database->lock);
    const bool stored = set_locked(database, key, key_size, value, value_size);
    pthread_mutex_unlock(&database->lock);
    return stored;
}

static enum engine_answer get_locked(struct database *database, const void *key, size_t key_size,
                                     void *buffer, size_t capacity, size_t *size_out)
{
    sqlite3_stmt *const statement = database->statements[STATEMENT_GET];
    enum engine_answer answer = ENGINE_MISSING;
    sqlite3_bind_blob(statement, 1, key, (int)key_size, SQLITE_STATIC);
    const int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        const void *const value = sqlite3_column_blob(statement, 0);
        *size_out = (size_t)sqlite3_column_bytes(statement, 0);
        answer = *size_out <= capacity ? ENGINE_FOUND : ENGINE_FAILED;
        if (answer == ENGINE_FOUND && *size_out != 0) {
            memcpy(buffer, value, *size_out);
        }
    } else if (!check(database, rc, texts[STATEMENT_GET])) {
        answer = ENGINE_FAILED;
    }
    sqlite3_reset(statement);
    return answer;
}

static enum engine_answer get(void *db, const void *key, size_t key_size, void *buffer,
                              size_t capacity, size_t *size_out)
{
    struct database *const database = db;
    pthread_mutex_lock(&database->lock);
    const enum engine_answer answer =
        get_locked(database, key, key_size, buffer, capacity, size_out);
    pthread_mutex_unlock(&database->lock);
    return answer;
}

static bool flush(void *db)
{
    struct database *const database = db;
    pthread_mutex_lock(&database->lock);
    const bool done = commit(database);
    pthread_mutex_unlock(&database->lock);
    return done;
}

const struct engine engine_sqlite = {
    .name = "sqlite",
    .about = "one table keyed by BLOB WITHOUT ROWID behind a mutex, cache_size = max-mem, "
             "journal OFF, synchronous OFF, locking EXCLUSIVE, 10 000 sets a transaction",
    .open = open_database,
    .set = set,
    .get = get,
    .flush = flush,
    .close = close_database,
};
