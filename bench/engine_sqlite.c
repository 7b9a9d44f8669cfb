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
#include <stdio.h>
#include <stdlib.h>

#include "sqlite_base.h"

#define CHANGES_PER_TRANSACTION 10000u

enum statement {
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_SET,
    STATEMENT_GET,
    STATEMENT_DELETE,
    STATEMENTS
};

static const char *const texts[STATEMENTS] = {
    [STATEMENT_BEGIN] = "BEGIN",
    [STATEMENT_COMMIT] = "COMMIT",
    [STATEMENT_SET] = "REPLACE INTO t(k, v) VALUES(?1, ?2)",
    [STATEMENT_GET] = "SELECT v FROM t WHERE k = ?1",
    [STATEMENT_DELETE] = "DELETE FROM t WHERE k = ?1",
};

struct database {
    pthread_mutex_t lock;
    /* Guarded by lock. */
    struct sqlite_base base;
    sqlite3_stmt *statements[STATEMENTS];
    unsigned pending; /* changes of the open transaction; 0: none is open */
};

static bool prepare(struct database *database, const struct engine_options *options)
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
             options->max_mem / 1024);
    if (!sqlite_base_open(&database->base, "sqlite", options->path, settings)) {
        return false;
    }
    for (int i = 0; i < STATEMENTS; i++) {
        database->statements[i] = sqlite_base_prepare(&database->base, texts[i]);
        if (database->statements[i] == NULL) {
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
    const bool closed = sqlite_base_close(&database->base);
    pthread_mutex_destroy(&database->lock);
    free(database);
    return closed;
}

static void *open_database(const struct engine_options *options)
{
    struct database *const database = calloc(1, sizeof *database);
    if (database == NULL) {
        error(0, 0, "sqlite: out of memory");
        return NULL;
    }
    pthread_mutex_init(&database->lock, NULL);
    if (!prepare(database, options)) {
        close_database(database);
        return NULL;
    }
    return database;
}

/* Runs a statement that returns no rows; the lock is held. */
static bool run(struct database *database, enum statement number)
{
    return sqlite_base_run(&database->base, database->statements[number]);
}

static bool commit(struct database *database)
{
    if (database->pending == 0) {
        return true;
    }
    database->pending = 0;
    return run(database, STATEMENT_COMMIT);
}

/* Runs a statement that changes something, in the open transaction; the lock is held. */
static bool change(struct database *database, enum statement number, const void *key,
                   size_t key_size)
{
    sqlite3_stmt *const statement = database->statements[number];
    if (database->pending == 0 && !run(database, STATEMENT_BEGIN)) {
        return false;
    }
    database->pending++;
    sqlite3_bind_blob(statement, 1, key, (int)key_size, SQLITE_STATIC);
    return run(database, number);
}

static bool commit_often(struct database *database)
{
    return database->pending < CHANGES_PER_TRANSACTION || commit(database);
}

static bool set(void *db, const void *key, size_t key_size, const void *value, size_t value_size)
{
    struct database *const database = db;
    pthread_mutex_lock(&database->lock);
    sqlite3_bind_blob(database->statements[STATEMENT_SET], 2, value, (int)value_size,
                      SQLITE_STATIC);
    const bool stored = change(database, STATEMENT_SET, key, key_size) && commit_often(database);
    pthread_mutex_unlock(&database->lock);
    return stored;
}

static enum engine_answer del(void *db, const void *key, size_t key_size)
{
    struct database *const database = db;
    pthread_mutex_lock(&database->lock);
    bool done = change(database, STATEMENT_DELETE, key, key_size);
    const bool found = sqlite3_changes(database->base.db) != 0;
    done = done && commit_often(database);
    pthread_mutex_unlock(&database->lock);
    if (!done) {
        return ENGINE_FAILED;
    }
    return found ? ENGINE_FOUND : ENGINE_MISSING;
}

static enum engine_answer get(void *db, const void *key, size_t key_size, void *buffer,
                              size_t capacity, size_t *size_out)
{
    struct database *const database = db;
    sqlite3_stmt *const statement = database->statements[STATEMENT_GET];
    pthread_mutex_lock(&database->lock);
    sqlite3_bind_blob(statement, 1, key, (int)key_size, SQLITE_STATIC);
    const enum engine_answer answer =
        sqlite_base_read(&database->base, statement, buffer, capacity, size_out);
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
             "journal OFF, synchronous OFF, locking EXCLUSIVE, 10 000 changes a transaction",
    .open = open_database,
    .set = set,
    .get = get,
    .del = del,
    .flush = flush,
    .close = close_database,
};
