/* SPDX-License-Identifier: MIT */
/**
 * LevelDB by its C interface. Its log cannot be turned off, but is never synced.
 *
 * The budget goes to the block cache (three quarters) and to two memtables (an eighth each).
 */
#include <error.h>
#include <leveldb/c.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

#define BLOOM_BITS 10
#define FILES_MOST 10000

struct database {
    leveldb_t *db;
    leveldb_options_t *options;
    leveldb_cache_t *cache;
    leveldb_filterpolicy_t *filter;
    leveldb_readoptions_t *reading;
    leveldb_writeoptions_t *writing;
};

/* Frees the message. */
static bool check(char *message, const char *what)
{
    if (message == NULL) {
        return true;
    }
    error(0, 0, "leveldb: %s: %s", what, message);
    leveldb_free(message);
    return false;
}

static bool close_database(void *db)
{
    struct database *const database = db;
    if (database->db != NULL) {
        leveldb_close(database->db);
    }
    leveldb_options_destroy(database->options);
    leveldb_cache_destroy(database->cache);
    leveldb_filterpolicy_destroy(database->filter);
    leveldb_readoptions_destroy(database->reading);
    leveldb_writeoptions_destroy(database->writing);
    free(database);
    return true;
}

static void *open_database(const struct engine_options *options)
{
    struct database *const database = calloc(1, sizeof *database);
    char *message = NULL;
    if (database == NULL) {
        error(0, 0, "leveldb: out of memory");
        return NULL;
    }
    database->options = leveldb_options_create();
    database->cache = leveldb_cache_create_lru(options->max_mem / 4 * 3);
    database->filter = leveldb_filterpolicy_create_bloom(BLOOM_BITS);
    database->reading = leveldb_readoptions_create();
    database->writing = leveldb_writeoptions_create();
    leveldb_options_set_create_if_missing(database->options, 1);
    leveldb_options_set_compression(database->options, leveldb_no_compression);
    leveldb_options_set_write_buffer_size(database->options, options->max_mem / 8);
    leveldb_options_set_max_open_files(database->options, FILES_MOST);
    leveldb_options_set_cache(database->options, database->cache);
    leveldb_options_set_filter_policy(database->options, database->filter);
    database->db = leveldb_open(database->options, options->path, &message);
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
    leveldb_put(database->db, database->writing, key, key_size, value, value_size, &message);
    return check(message, "put");
}

static enum engine_answer get(void *handle, const void *key, size_t key_size, void *buffer,
                              size_t capacity, size_t *size_out)
{
    const struct database *const database = handle;
    char *message = NULL;
    char *const value =
        leveldb_get(database->db, database->reading, key, key_size, size_out, &message);
    if (!check(message, "get")) {
        return ENGINE_FAILED;
    }
    if (value == NULL) {
        return ENGINE_MISSING;
    }
    const bool fits = *size_out <= capacity;
    if (fits) {
        memcpy(buffer, value, *size_out);
    }
    leveldb_free(value);
    return fits ? ENGINE_FOUND : ENGINE_FAILED;
}

/* It does not look whether the key is there. */
static enum engine_answer del(void *handle, const void *key, size_t key_size)
{
    const struct database *const database = handle;
    char *message = NULL;
    leveldb_delete(database->db, database->writing, key, key_size, &message);
    return check(message, "delete") ? ENGINE_FOUND : ENGINE_FAILED;
}

/* There is nothing to be ended: all is in its log. */
static bool flush(void *db)
{
    (void)db;
    return true;
}

const struct engine engine_leveldb = {
    .name = "leveldb",
    .about = "block cache 3/4 and two memtables 1/8 of max-mem each, Bloom filter of 10 bits, no "
             "compression, no sync",
    .open = open_database,
    .set = set,
    .get = get,
    .del = del,
    .flush = flush,
    .close = close_database,
};
