/* SPDX-License-Identifier: MIT */
/**
 * LMDB, which maps its file: it takes no budget but that of the page cache.
 *
 * NOSYNC and WRITEMAP; changes are batched, as a transaction for each would copy all pages down to
 * its leaf. LMDB's own locks tie the transaction that writes to one thread, hence NOLOCK and a lock
 * of ours: who changes something has it alone, gets share it. As long as there are changes that are
 * not committed, gets use the transaction that writes (in a map that is written to directly they
 * change nothing of it) and otherwise one of their thread. So no reader is active when pages are
 * given back, which is what NOLOCK asks for.
 */
#include <error.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

#define CHANGES_PER_TRANSACTION 10000u
#define MAP_SIZE                ((size_t)1 << 38)
#define FILE_MODE               0600

struct database {
    MDB_env *env;
    MDB_dbi dbi;
    pthread_rwlock_t lock;
    /* Guarded by lock. */
    MDB_txn *writing; /* NULL: no changes are pending */
    unsigned pending;
};

/* Of a thread. */
struct reader {
    struct database *database;
    MDB_txn *txn; /* reset when it is not in use */
};

static bool check(int rc, const char *what)
{
    if (rc != MDB_SUCCESS) {
        error(0, 0, "lmdb: %s: %s", what, mdb_strerror(rc));
    }
    return rc == MDB_SUCCESS;
}

static bool prepare(struct database *database, const char *path)
{
    const unsigned flags =
        MDB_NOSYNC | MDB_NOMETASYNC | MDB_WRITEMAP | MDB_NOLOCK | MDB_NORDAHEAD | MDB_NOTLS;
    MDB_txn *txn;
    return check(mdb_env_create(&database->env), "create") &&
           check(mdb_env_set_mapsize(database->env, MAP_SIZE), "map size") &&
           check(mdb_env_open(database->env, path, flags, FILE_MODE), "open") &&
           check(mdb_txn_begin(database->env, NULL, 0, &txn), "begin") &&
           check(mdb_dbi_open(txn, NULL, 0, &database->dbi), "table") &&
           check(mdb_txn_commit(txn), "commit");
}

/* The lock is held. */
static bool commit(struct database *database)
{
    MDB_txn *const txn = database->writing;
    database->writing = NULL;
    database->pending = 0;
    return txn == NULL || check(mdb_txn_commit(txn), "commit");
}

static bool close_database(void *db)
{
    struct database *const database = db;
    const bool done = commit(database);
    mdb_env_close(database->env);
    pthread_rwlock_destroy(&database->lock);
    free(database);
    return done;
}

static void *open_database(const struct engine_options *options)
{
    struct database *const database = calloc(1, sizeof *database);
    if (database == NULL) {
        error(0, 0, "lmdb: out of memory");
        return NULL;
    }
    pthread_rwlock_init(&database->lock, NULL);
    if (!prepare(database, options->path)) {
        close_database(database);
        return NULL;
    }
    return database;
}

static void detach(void *handle)
{
    struct reader *const reader = handle;
    if (reader->txn != NULL) {
        mdb_txn_abort(reader->txn);
    }
    free(reader);
}

static void *attach(void *db)
{
    struct database *const database = db;
    struct reader *const reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        error(0, 0, "lmdb: out of memory");
        return NULL;
    }
    reader->database = database;
    if (!check(mdb_txn_begin(database->env, NULL, MDB_RDONLY, &reader->txn), "begin")) {
        reader->txn = NULL;
        detach(reader);
        return NULL;
    }
    mdb_txn_reset(reader->txn);
    return reader;
}

/* The transaction for a change; NULL after a message; the lock is held. */
static MDB_txn *writer(struct database *database)
{
    if (database->writing == NULL &&
        !check(mdb_txn_begin(database->env, NULL, 0, &database->writing), "begin")) {
        database->writing = NULL;
    }
    return database->writing;
}

static bool note_change(struct database *database)
{
    return ++database->pending < CHANGES_PER_TRANSACTION || commit(database);
}

static MDB_val view(const void *bytes, size_t size)
{
    return (MDB_val){.mv_size = size, .mv_data = (void *)(uintptr_t)bytes};
}

static bool set(void *handle, const void *key, size_t key_size, const void *value,
                size_t value_size)
{
    struct database *const database = ((struct reader *)handle)->database;
    MDB_val name = view(key, key_size);
    MDB_val data = view(value, value_size);
    pthread_rwlock_wrlock(&database->lock);
    MDB_txn *const txn = writer(database);
    const bool stored = txn != NULL && check(mdb_put(txn, database->dbi, &name, &data, 0), "put") &&
                        note_change(database);
    pthread_rwlock_unlock(&database->lock);
    return stored;
}

static enum engine_answer del(void *handle, const void *key, size_t key_size)
{
    struct database *const database = ((struct reader *)handle)->database;
    MDB_val name = view(key, key_size);
    enum engine_answer answer = ENGINE_FAILED;
    pthread_rwlock_wrlock(&database->lock);
    MDB_txn *const txn = writer(database);
    const int rc = txn != NULL ? mdb_del(txn, database->dbi, &name, NULL) : MDB_PANIC;
    if (rc == MDB_NOTFOUND) {
        answer = ENGINE_MISSING;
    } else if (check(rc, "del") && note_change(database)) {
        answer = ENGINE_FOUND;
    }
    pthread_rwlock_unlock(&database->lock);
    return answer;
}

/* The lock is held, perhaps by others too. */
static enum engine_answer copy_value(MDB_txn *txn, MDB_dbi dbi, MDB_val *name, void *buffer,
                                     size_t capacity, size_t *size_out)
{
    MDB_val data;
    const int rc = mdb_get(txn, dbi, name, &data);
    if (rc == MDB_NOTFOUND) {
        return ENGINE_MISSING;
    }
    if (!check(rc, "get") || data.mv_size > capacity) {
        return ENGINE_FAILED;
    }
    *size_out = data.mv_size;
    memcpy(buffer, data.mv_data, data.mv_size);
    return ENGINE_FOUND;
}

static enum engine_answer get(void *handle, const void *key, size_t key_size, void *buffer,
                              size_t capacity, size_t *size_out)
{
    struct reader *const reader = handle;
    struct database *const database = reader->database;
    MDB_val name = view(key, key_size);
    enum engine_answer answer = ENGINE_FAILED;
    pthread_rwlock_rdlock(&database->lock);
    if (database->writing != NULL) {
        answer = copy_value(database->writing, database->dbi, &name, buffer, capacity, size_out);
    } else if (check(mdb_txn_renew(reader->txn), "renew")) {
        answer = copy_value(reader->txn, database->dbi, &name, buffer, capacity, size_out);
        mdb_txn_reset(reader->txn);
    }
    pthread_rwlock_unlock(&database->lock);
    return answer;
}

static bool flush(void *db)
{
    struct database *const database = db;
    pthread_rwlock_wrlock(&database->lock);
    const bool done = commit(database);
    pthread_rwlock_unlock(&database->lock);
    return done;
}

const struct engine engine_lmdb = {
    .name = "lmdb",
    .about = "NOSYNC, WRITEMAP, 10 000 changes a transaction; no budget: the file is mapped",
    .unbounded = true,
    .open = open_database,
    .attach = attach,
    .detach = detach,
    .set = set,
    .get = get,
    .del = del,
    .flush = flush,
    .close = close_database,
};
