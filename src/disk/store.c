/* SPDX-License-Identifier: MIT */
/*
 * DESIGN
 *
 * A segment is a row that fills one page, so SQLite's B-tree is an index from id to page and
 * nothing more: appending costs a copy and a page write, reading costs two cached interior pages
 * and one page. One row per entry was measured at 600 ns to write where this takes about 100.
 *
 * Reading goes through one incremental BLOB handle that is moved from row to row. It stays open
 * across writes: to open one costs more than a read. SQLite expires it when its own row is
 * overwritten or a transaction is undone; then the next read opens a new one. After a failure it is
 * closed at once, because the pages that it holds would keep SQLite from leaving its error state.
 *
 * Emptying the whole file is done by starting a new one: SQLite would read every page of the old.
 *
 * Invariant: outside of these functions no transaction is open and no statement is running but the
 * read handle's.
 */
#include "disk/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "disk/connection.h"
#include "disk/gather.h"
#include "disk/schema.h"
#include "disk/sqlite_rc.h"
#include "disk/vfs.h"

/* Transactions of one step of shrinking: each keeps what it overwrites in memory until it is
   committed, 8 KiB a page, so there are several small ones. */
#define SHRINK_TRANSACTIONS 8
/* Free pages that are left alone however small the file is. */
#define HOLLOW_PAGES 32

/* Leaves below an interior page of SQLite's B-tree: a cell takes 10 bytes, and appending leaves
   pages full. */
#define LEAVES_PER_PAGE 700

struct skv_store {
    /* Guarded by the caller's lock. */
    struct skv_connection connection;
    uint32_t highest; /* id ever written since the file was new */
    uint32_t cache_pages;

    /* Constant after open. */
    uint32_t cache_pages_max;
    uint64_t seed;
    char *file;
    char *vfs; /* NULL: our own */

    /* Atomic: a number for statistics, ordered with nothing. */
    _Atomic uint64_t file_bytes;
    _Atomic uint64_t free_pages;
    /* Atomic: set by whoever finds damage. */
    _Atomic bool distrusted;

    char message[256];
};

static spillkv_status fail(struct skv_store *store, int rc)
{
    sqlite3 *db = store->connection.db;

    snprintf(store->message, sizeof(store->message), "%s: %s (%d)", store->file,
             sqlite3_extended_errcode(db) == rc ? sqlite3_errmsg(db) : sqlite3_errstr(rc), rc);
    return skv_status_of_sqlite(rc);
}

static char *copy_text(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = skv_alloc(size);
    return copy != NULL ? memcpy(copy, text, size) : NULL;
}

static void free_store(struct skv_store *store)
{
    skv_free(store->file);
    skv_free(store->vfs);
    skv_free(store);
}

/* What the file has become; where SQLite cannot say, the old numbers stand. */
static void note_file_bytes(struct skv_store *store)
{
    sqlite3_stmt *count = store->connection.statements[SKV_STATEMENT_FREE_PAGES];
    if (sqlite3_step(count) == SQLITE_ROW) {
        atomic_store_explicit(&store->free_pages, (uint64_t)sqlite3_column_int64(count, 0),
                              memory_order_relaxed);
    }
    (void)sqlite3_reset(count);
    atomic_store_explicit(&store->file_bytes, skv_connection_file_bytes(&store->connection),
                          memory_order_relaxed);
}

spillkv_status skv_store_open(const struct skv_store_options *options, struct skv_store **store_out,
                              char *message, size_t message_size)
{
    uint64_t cache_pages = options->cache_bytes / SKV_SCHEMA_PAGE_BYTES;
    struct skv_store *store = skv_alloc_zeroed(sizeof(*store));
    spillkv_status status = SPILLKV_ENOMEM;

    *store_out = NULL;
    if (message != NULL && message_size != 0) {
        message[0] = '\0';
    }
    if (store == NULL) {
        return SPILLKV_ENOMEM;
    }
    store->seed = options->checksum_seed;
    store->cache_pages = SKV_SCHEMA_CACHE_PAGES;
    store->cache_pages_max = cache_pages < INT32_MAX ? (uint32_t)cache_pages : INT32_MAX;
    store->file = copy_text(options->file);
    store->vfs = options->vfs != NULL ? copy_text(options->vfs) : NULL;
    if (store->file != NULL && (store->vfs != NULL || options->vfs == NULL)) {
        status =
            skv_connection_open(&store->connection, store->file, store->vfs, message, message_size);
    }
    if (status != SPILLKV_OK) {
        free_store(store);
        return status;
    }
    note_file_bytes(store);
    *store_out = store;
    return SPILLKV_OK;
}

spillkv_status skv_store_close(struct skv_store **store)
{
    struct skv_store *closed = *store;
    spillkv_status status = SPILLKV_OK;

    if (closed == NULL) {
        return SPILLKV_OK;
    }
    *store = NULL;
    status = skv_connection_remove(&closed->connection, closed->file);
    skv_connection_close(&closed->connection);
    free_store(closed);
    return status;
}

/* Lets the cache hold the interior pages, three times over: random leaves push them out otherwise.
   Failing to is no failure: reading is slower then. */
static void tune_cache(struct skv_store *store)
{
    uint32_t wanted = SKV_SCHEMA_CACHE_PAGES + 3 * (store->highest / LEAVES_PER_PAGE);
    char text[48];

    wanted = wanted < store->cache_pages_max ? wanted : store->cache_pages_max;
    if (wanted < SKV_SCHEMA_CACHE_PAGES ||
        (wanted >= store->cache_pages && wanted <= store->cache_pages + store->cache_pages / 4)) {
        return;
    }
    snprintf(text, sizeof(text), "PRAGMA cache_size=%u", (unsigned)wanted);
    if (sqlite3_exec(store->connection.db, text, NULL, NULL, NULL) == SQLITE_OK) {
        store->cache_pages = wanted;
    }
}

/* Begins a transaction in which no row above `highest` is written. */
static int begin(struct skv_store *store, uint32_t highest)
{
    int rc = sqlite3_file_control(store->connection.db, "main", SKV_FCNTL_SETTLE, &highest);

    return rc == SQLITE_OK ? skv_connection_run(&store->connection, SKV_STATEMENT_BEGIN) : rc;
}

/* Ends the transaction: commits it, or undoes it when `rc` or committing is a failure. */
static spillkv_status end(struct skv_store *store, int rc)
{
    struct skv_connection *connection = &store->connection;
    spillkv_status status;

    if (rc == SQLITE_OK) {
        rc = sqlite3_file_control(connection->db, "main", SKV_FCNTL_COMMIT, NULL);
    }
    if (rc == SQLITE_OK) {
        rc = skv_connection_run(connection, SKV_STATEMENT_COMMIT);
    }
    if (rc == SQLITE_OK) {
        return SPILLKV_OK;
    }
    status = fail(store, rc);
    skv_connection_close_reader(connection);
    if (!sqlite3_get_autocommit(connection->db)) {
        /* SQLite leaves the transaction also when the disk fails in this. */
        (void)skv_connection_run(connection, SKV_STATEMENT_ROLLBACK);
    }
    (void)sqlite3_file_control(connection->db, "main", SKV_FCNTL_FORGET, NULL);
    (void)sqlite3_file_control(connection->db, "main", SKV_FCNTL_SETTLE, NULL);
    return status;
}

static int write_segment(struct skv_connection *connection, const struct skv_store_segment *segment)
{
    sqlite3_stmt *replace = connection->statements[SKV_STATEMENT_REPLACE];
    int rc = sqlite3_bind_int64(replace, 1, segment->id);

    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_blob(replace, 2, segment->bytes, (int)SKV_SEGMENT_BYTES, SQLITE_STATIC);
    }
    return rc == SQLITE_OK ? skv_connection_run(connection, SKV_STATEMENT_REPLACE) : rc;
}

/* Writes the parts of a lone row one after the other. */
static int fill_lone(const struct skv_store *store, sqlite3_blob *blob,
                     const struct skv_store_lone *lone)
{
    uint64_t header = skv_header_make(lone->key_size, lone->value_size) | SKV_ENTRY_FLAG_LONE;
    uint32_t key_sum = skv_lone_key_checksum(store->seed, lone->address, header, lone->key);
    uint32_t value_sum =
        skv_lone_value_checksum(store->seed, lone->address, lone->value, lone->value_size);

    const struct {
        const void *bytes;
        size_t size;
    } parts[] = {
        {&header, sizeof(header)},       {lone->key, lone->key_size},
        {&key_sum, sizeof(key_sum)},     {lone->value, lone->value_size},
        {&value_sum, sizeof(value_sum)},
    };

    int offset = 0;
    int rc = SQLITE_OK;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && rc == SQLITE_OK; i++) {
        rc = sqlite3_blob_write(blob, parts[i].bytes, (int)parts[i].size, offset);
        offset += (int)parts[i].size;
    }
    return rc;
}

static int write_lone(struct skv_store *store, const struct skv_store_lone *lone)
{
    struct skv_connection *connection = &store->connection;
    sqlite3_stmt *replace = connection->statements[SKV_STATEMENT_REPLACE];
    sqlite3_blob *blob = NULL;
    int close_rc;
    uint32_t id = skv_address_id(lone->address);
    int rc = sqlite3_bind_int64(replace, 1, id);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_zeroblob64(replace, 2, skv_lone_bytes(lone->key_size, lone->value_size));
    }
    if (rc == SQLITE_OK) {
        rc = skv_connection_run(connection, SKV_STATEMENT_REPLACE);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_blob_open(connection->db, "main", "segment", "bytes", id, 1, &blob);
    }
    if (rc == SQLITE_OK) {
        rc = fill_lone(store, blob, lone);
    }
    close_rc = sqlite3_blob_close(blob);
    return rc == SQLITE_OK ? close_rc : rc;
}

static int delete_row(struct skv_connection *connection, uint32_t id)
{
    int rc = sqlite3_bind_int64(connection->statements[SKV_STATEMENT_DELETE], 1, id);

    return rc == SQLITE_OK ? skv_connection_run(connection, SKV_STATEMENT_DELETE) : rc;
}

/* The highest id that was ever written, with a batch. */
static uint32_t highest_of(const struct skv_store *store, const struct skv_store_batch *batch)
{
    uint32_t highest = store->highest;

    for (uint32_t i = 0; i < batch->segment_count; i++) {
        highest = batch->segments[i].id > highest ? batch->segments[i].id : highest;
    }
    for (uint32_t i = 0; i < batch->lone_count; i++) {
        const uint32_t id = skv_address_id(batch->lone[i].address);
        highest = id > highest ? id : highest;
    }
    return highest;
}

spillkv_status skv_store_write(struct skv_store *store, const struct skv_store_batch *batch)
{
    const uint32_t highest = highest_of(store, batch);
    int rc = begin(store, highest);
    spillkv_status status;

    /* Deletes go first: the rows written after them reuse their pages. */
    for (uint32_t i = 0; i < batch->deleted_count && rc == SQLITE_OK; i++) {
        rc = delete_row(&store->connection, batch->deleted[i]);
    }
    for (uint32_t i = 0; i < batch->segment_count && rc == SQLITE_OK; i++) {
        rc = write_segment(&store->connection, &batch->segments[i]);
    }
    for (uint32_t i = 0; i < batch->lone_count && rc == SQLITE_OK; i++) {
        rc = write_lone(store, &batch->lone[i]);
    }
    status = end(store, rc);
    if (status == SPILLKV_OK) {
        store->highest = highest;
        tune_cache(store);
    }
    note_file_bytes(store);
    return status;
}

/* Makes the read handle point at a row, opening it if need be. */
static int aim_reader(struct skv_connection *connection, uint32_t id)
{
    int rc = SQLITE_ABORT;

    if (connection->reader != NULL && connection->reader_id != id) {
        rc = sqlite3_blob_reopen(connection->reader, id);
    } else if (connection->reader != NULL) {
        return SQLITE_OK;
    }
    if (rc != SQLITE_OK) {
        skv_connection_close_reader(connection);
        rc = sqlite3_blob_open(connection->db, "main", "segment", "bytes", id, 0,
                               &connection->reader);
    }
    connection->reader_id = id;
    return rc;
}

static int read_at(struct skv_connection *connection, uint32_t id, size_t offset, void *buffer,
                   size_t size, size_t *size_out)
{
    int rc = aim_reader(connection, id);
    size_t bytes;

    if (rc != SQLITE_OK) {
        /* SQLite's word for a row that is not there, or holds no BLOB. */
        return (rc & 0xff) == SQLITE_ERROR ? SQLITE_CORRUPT : rc;
    }
    bytes = (size_t)sqlite3_blob_bytes(connection->reader);
    if (bytes == 0) {
        return SQLITE_ABORT;
    }
    if (offset >= bytes) {
        return SQLITE_CORRUPT;
    }
    size = size < bytes - offset ? size : bytes - offset;
    rc = sqlite3_blob_read(connection->reader, buffer, (int)size, (int)offset);
    *size_out = rc == SQLITE_OK ? size : 0;
    return rc;
}

spillkv_status skv_store_read(struct skv_store *store, uint32_t id, size_t offset, void *buffer,
                              size_t size, size_t *size_out)
{
    struct skv_connection *connection = &store->connection;
    spillkv_status status;
    int rc;

    *size_out = 0;
    rc = read_at(connection, id, offset, buffer, size, size_out);
    if ((rc & 0xff) == SQLITE_ABORT) {
        skv_connection_close_reader(connection);
        rc = read_at(connection, id, offset, buffer, size, size_out);
    }
    if (rc == SQLITE_OK) {
        return SPILLKV_OK;
    }
    status = (rc & 0xff) == SQLITE_ABORT ? fail(store, SQLITE_CORRUPT) : fail(store, rc);
    skv_connection_close_reader(connection);
    return status;
}

static int control(const struct skv_store *store, int op, void *argument)
{
    sqlite3_file *file = store->connection.file;
    return file->pMethods != NULL ? file->pMethods->xFileControl(file, op, argument)
                                  : SQLITE_NOTFOUND;
}

size_t skv_store_read_seen(struct skv_store *store, uint32_t id, size_t offset, void *buffer,
                           size_t size)
{
    struct skv_vfs_row_read read = {.id = id, .offset = offset, .buffer = buffer, .size = size};

    return !atomic_load_explicit(&store->distrusted, memory_order_relaxed) &&
                   control(store, SKV_FCNTL_READ_ROW, &read) == SQLITE_OK
               ? read.size
               : 0;
}

void skv_store_distrust(struct skv_store *store)
{
    atomic_store_explicit(&store->distrusted, true, memory_order_relaxed);
}

void skv_store_announce(struct skv_store *store, const uint64_t *places, uint32_t count,
                        size_t size)
{
    struct skv_vfs_places wanted = {.places = places, .count = count, .size = size};
    /* Advice: nothing depends on it. */
    (void)control(store, SKV_FCNTL_ANNOUNCE, &wanted);
}

/* Starts a new file in the place of the old one, which lives on nameless until it is closed. */
static spillkv_status start_anew(struct skv_store *store)
{
    struct skv_connection fresh;
    spillkv_status status;

    if (skv_connection_remove(&store->connection, store->file) != SPILLKV_OK) {
        snprintf(store->message, sizeof(store->message), "%s: %s", store->file, strerror(errno));
        return SPILLKV_EIO;
    }
    status = skv_connection_open(&fresh, store->file, store->vfs, store->message,
                                 sizeof(store->message));
    if (status != SPILLKV_OK) {
        return status;
    }
    skv_connection_close(&store->connection);
    store->connection = fresh;
    store->highest = 0;
    store->cache_pages = SKV_SCHEMA_CACHE_PAGES;
    atomic_store_explicit(&store->distrusted, false, memory_order_relaxed);
    return SPILLKV_OK;
}

spillkv_status skv_store_clear(struct skv_store *store)
{
    const spillkv_status status = start_anew(store);
    note_file_bytes(store);
    return status;
}

/* Gives some free pages back. */
static spillkv_status vacuum(struct skv_store *store)
{
    int rc = begin(store, store->highest);
    if (rc == SQLITE_OK) {
        rc = skv_connection_run(&store->connection, SKV_STATEMENT_VACUUM);
    }
    return end(store, rc);
}

bool skv_store_is_hollow(const struct skv_store *store)
{
    const uint64_t pages =
        atomic_load_explicit(&store->file_bytes, memory_order_relaxed) / SKV_SCHEMA_PAGE_BYTES;
    return atomic_load_explicit(&store->free_pages, memory_order_relaxed) >
           pages / 4 + HOLLOW_PAGES;
}

spillkv_status skv_store_shrink(struct skv_store *store)
{
    spillkv_status status = SPILLKV_OK;
    for (int i = 0; i < SHRINK_TRANSACTIONS && status == SPILLKV_OK && skv_store_is_hollow(store);
         i++) {
        const uint64_t before = skv_store_file_bytes(store);
        status = vacuum(store);
        note_file_bytes(store);
        if (skv_store_file_bytes(store) >= before) {
            break;
        }
    }
    return status;
}

uint64_t skv_store_seed(const struct skv_store *store)
{
    return store->seed;
}

uint64_t skv_store_file_bytes(const struct skv_store *store)
{
    return atomic_load_explicit(&store->file_bytes, memory_order_relaxed);
}

uint64_t skv_store_memory_bytes(struct skv_store *store)
{
    static const int kinds[] = {SQLITE_DBSTATUS_CACHE_USED, SQLITE_DBSTATUS_SCHEMA_USED,
                                SQLITE_DBSTATUS_STMT_USED};
    uint64_t bytes = sizeof(*store) + SKV_GATHER_BYTES;
    struct skv_vfs_places none = {0};

    (void)control(store, SKV_FCNTL_ANNOUNCE, &none);
    bytes += none.memory;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        int used = 0;
        int most = 0;
        if (sqlite3_db_status(store->connection.db, kinds[i], &used, &most, 0) == SQLITE_OK) {
            bytes += (uint64_t)used;
        }
    }
    return bytes;
}

const char *skv_store_message(const struct skv_store *store)
{
    return store->message;
}
