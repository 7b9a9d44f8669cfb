/* SPDX-License-Identifier: MIT */
/**
 * RocksDB by its C interface, without a write-ahead log and without compression.
 *
 * The budget goes to the block cache (three quarters) and to two memtables (an eighth each). Index
 * and filter blocks are left where RocksDB keeps them by default, beside the block cache, so it
 * takes somewhat more than its budget.
 */
#include <error.h>
#include <rocksdb/c.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine.h"

#define BLOOM_BITS 10
/* How long compactions are waited for. */
#define PATIENCE 6000u
#define PAUSE_NS 10000000

struct database {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_cache_t *cache;
    rocksdb_readoptions_t *reading;
    rocksdb_writeoptions_t *writing;
};

/* Frees the message. */
static bool check(char *message, const char *what)
{
    if (message == NULL) {
        return true;
    }
    error(0, 0, "rocksdb: %s: %s", what, message);
    rocksdb_free(message);
    return false;
}

static void set_options(struct database *database, uint64_t max_mem)
{
    rocksdb_block_based_table_options_t *const table = rocksdb_block_based_options_create();
    database->cache = rocksdb_cache_create_lru(max_mem / 4 * 3);
    rocksdb_block_based_options_set_block_cache(table, database->cache);
    /* The table's options own the filter. */
    rocksdb_block_based_options_set_filter_policy(
        table, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
    database->options = rocksdb_options_create();
    rocksdb_options_set_block_based_table_factory(database->options, table);
    rocksdb_block_based_options_destroy(table);
    rocksdb_options_set_create_if_missing(database->options, 1);
    rocksdb_options_set_compression(database->options, rocksdb_no_compression);
    rocksdb_options_set_write_buffer_size(database->options, max_mem / 8);
    rocksdb_options_set_max_write_buffer_number(database->options, 2);
    rocksdb_options_set_max_background_jobs(database->options, 2);
}

static bool close_database(void *db)
{
    struct database *const database = db;
    if (database->db != NULL) {
        rocksdb_close(database->db);
    }
    rocksdb_options_destroy(database->options);
    rocksdb_cache_destroy(database->cache);
    rocksdb_readoptions_destroy(database->reading);
    rocksdb_writeoptions_destroy(database->writing);
    free(database);
    return true;
}

static void *open_database(const struct engine_options *options)
{
    struct database *const database = calloc(1, sizeof *database);
    char *message = NULL;
    if (database == NULL) {
        error(0, 0, "rocksdb: out of memory");
        return NULL;
    }
    set_options(database, options->max_mem);
    database->reading = rocksdb_readoptions_create();
    database->writing = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(database->writing, 1);
    database->db = rocksdb_open(database->options, options->path, &message);
    if (!check(message, "open")) {
        database->db = NULL;
        close_database(database);
        return NULL;
    }
    return database;
}

static bool set(void *handle, const void *key, size_t key_size, const void *value,
                size_t value_size)
{
    const struct database *const database = handle;
    char *message = NULL;
    rocksdb_put(database->db, database->writing, key, key_size, value, value_size, &message);
    return check(message, "put");
}

static enum engine_answer get(void *handle, const void *key, size_t key_size, void *buffer,
                              size_t capacity, size_t *size_out)
{
    const struct database *const database = handle;
    char *message = NULL;
    rocksdb_pinnableslice_t *const slice =
        rocksdb_get_pinned(database->db, database->reading, key, key_size, &message);
    if (!check(message, "get")) {
        return ENGINE_FAILED;
    }
    if (slice == NULL) {
        return ENGINE_MISSING;
    }
    const char *const value = rocksdb_pinnableslice_value(slice, size_out);
    const bool fits = *size_out <= capacity;
    if (fits) {
        memcpy(buffer, value, *size_out);
    }
    rocksdb_pinnableslice_destroy(slice);
    return fits ? ENGINE_FOUND : ENGINE_FAILED;
}

/* It does not look whether the key is there. */
static enum engine_answer del(void *handle, const void *key, size_t key_size)
{
    const struct database *const database = handle;
    char *message = NULL;
    rocksdb_delete(database->db, database->writing, key, key_size, &message);
    return check(message, "delete") ? ENGINE_FOUND : ENGINE_FAILED;
}

static bool flush(void *db)
{
    const struct database *const database = db;
    char *message = NULL;
    rocksdb_flushoptions_t *const options = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(options, 1);
    rocksdb_flush(database->db, options, &message);
    rocksdb_flushoptions_destroy(options);
    return check(message, "flush");
}

static bool is_busy(const struct database *database)
{
    static const char *const properties[] = {"rocksdb.num-running-compactions",
                                             "rocksdb.compaction-pending",
                                             "rocksdb.num-running-flushes"};
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++) {
        uint64_t number = 0;
        if (rocksdb_property_int(database->db, properties[i], &number) == 0 && number != 0) {
            return true;
        }
    }
    return false;
}

static void settle(void *db)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    for (unsigned i = 0; i < PATIENCE && is_busy(db); i++) {
        nanosleep(&pause, NULL);
    }
}

const struct engine engine_rocksdb = {
    .name = "rocksdb",
    .about = "block cache 3/4 and two memtables 1/8 of max-mem each, no log, Bloom filter of 10 "
             "bits, no compression",
    .open = open_database,
    .set = set,
    .get = get,
    .del = del,
    .flush = flush,
    .settle = settle,
    .close = close_database,
};
