/* SPDX-License-Identifier: MIT */
/**
 * The design that spillkv replaces: one mutex, one hash map with a count of uses for each entry,
 * and one SQLite table keyed by the key's text. Every 100 ms a thread adds up the sizes of all
 * entries in the map and, if they exceed the budget, moves those that were used least to the table,
 * all of it under the mutex. Between two of these rounds the map grows beyond the budget as fast as
 * entries come. An entry that is read from the table comes back to the map, and is written again
 * when it leaves it.
 *
 * Where the original lost entries, brought deleted ones back or evicted those that were used most,
 * this does what was meant. The budget is compared with the bytes of keys and values, as there; the
 * page cache of SQLite is beside it.
 */
#include <errno.h>
#include <error.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "chain_map.h"
#include "sqlite_base.h"

#define ROUND_NS  100000000L
#define SECOND_NS 1000000000L
#define KEY_MOST  ((size_t)1024)
#define TEXT_MOST (2 * KEY_MOST)

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
    [STATEMENT_SET] = "REPLACE INTO cache(key, value) VALUES(?1, ?2)",
    [STATEMENT_GET] = "SELECT value FROM cache WHERE key = ?1",
    [STATEMENT_DELETE] = "DELETE FROM cache WHERE key = ?1",
};

struct database {
    /* Constant after open. */
    uint64_t max_mem;
    pthread_t evictor;
    bool evicts;

    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* Guarded by lock. */
    struct chain_map map;
    struct sqlite_base base;
    sqlite3_stmt *statements[STATEMENTS];
    bool failed;
    bool ended;
};

/* A key in hexadecimal digits. */
struct text {
    size_t size;
    uint64_t hash;
    char digits[TEXT_MOST];
};

static void make_text(struct text *text, const void *key, size_t key_size)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *const bytes = key;
    for (size_t i = 0; i < key_size; i++) {
        text->digits[2 * i] = digits[bytes[i] >> 4];
        text->digits[2 * i + 1] = digits[bytes[i] & 15];
    }
    text->size = 2 * key_size;
    text->hash = chain_map_hash(text->digits, text->size);
}

/* A statement with the key bound to it; the lock is held. */
static sqlite3_stmt *bind_key(struct database *database, enum statement number, const void *digits,
                              size_t size)
{
    sqlite3_stmt *const statement = database->statements[number];
    sqlite3_bind_text(statement, 1, digits, (int)size, SQLITE_STATIC);
    return statement;
}

static bool spill(struct database *database, const struct chain_node *node)
{
    sqlite3_stmt *const statement = bind_key(database, STATEMENT_SET, node->bytes, node->key_size);
    sqlite3_bind_blob(statement, 2, chain_node_value(node), (int)node->value_size, SQLITE_STATIC);
    return sqlite_base_run(&database->base, statement);
}

static int by_uses(const void *a, const void *b)
{
    const uint32_t x = (*(struct chain_node *const *)a)->uses;
    const uint32_t y = (*(struct chain_node *const *)b)->uses;
    return (x > y) - (x < y);
}

static uint64_t node_bytes(const struct chain_node *node)
{
    return (uint64_t)node->key_size + node->value_size;
}

/* Fills an array with all nodes and returns the sum of their sizes. */
static uint64_t collect(const struct chain_map *map, struct chain_node **nodes)
{
    uint64_t bytes = 0;
    size_t count = 0;
    for (size_t i = 0; i <= map->mask; i++) {
        for (struct chain_node *node = map->chains[i]; node != NULL; node = node->next) {
            bytes += node_bytes(node);
            nodes[count++] = node;
        }
    }
    return bytes;
}

/* Spills until the rest fits; the lock is held. */
static bool evict(struct database *database)
{
    struct chain_map *const map = &database->map;
    struct chain_node **const nodes = malloc((map->count + 1) * sizeof(struct chain_node *));
    if (nodes == NULL) {
        error(0, 0, "predecessor: out of memory");
        return false;
    }
    const size_t count = map->count;
    uint64_t bytes = collect(map, nodes);
    bool done = true;
    if (bytes > database->max_mem) {
        qsort(nodes, count, sizeof(struct chain_node *), by_uses);
        done = sqlite_base_run(&database->base, database->statements[STATEMENT_BEGIN]);
        for (size_t i = 0; i < count && bytes > database->max_mem && done; i++) {
            struct chain_node *const node = nodes[i];
            bytes -= node_bytes(node);
            done = spill(database, node) &&
                   chain_map_remove(map, node->hash, node->bytes, node->key_size);
        }
        done = sqlite_base_run(&database->base, database->statements[STATEMENT_COMMIT]) && done;
    }
    free(nodes);
    return done;
}

static void *evict_often(void *context)
{
    struct database *const database = context;
    pthread_mutex_lock(&database->lock);
    while (!database->ended && !database->failed) {
        struct timespec time;
        clock_gettime(CLOCK_REALTIME, &time);
        time.tv_nsec += ROUND_NS;
        time.tv_sec += time.tv_nsec / SECOND_NS;
        time.tv_nsec %= SECOND_NS;
        while (!database->ended &&
               pthread_cond_timedwait(&database->wake, &database->lock, &time) != ETIMEDOUT) {
        }
        database->failed = !database->ended && !evict(database);
    }
    pthread_mutex_unlock(&database->lock);
    return NULL;
}

static bool prepare(struct database *database, const struct engine_options *options)
{
    static const char settings[] =
        "PRAGMA locking_mode=EXCLUSIVE;"
        "PRAGMA journal_mode=OFF;"
        "PRAGMA synchronous=OFF;"
        "PRAGMA secure_delete=OFF;"
        "CREATE TABLE cache(key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;";
    if (!chain_map_init(&database->map) ||
        !sqlite_base_open(&database->base, "predecessor", options->path, settings)) {
        return false;
    }
    for (int i = 0; i < STATEMENTS; i++) {
        database->statements[i] = sqlite_base_prepare(&database->base, texts[i]);
        if (database->statements[i] == NULL) {
            return false;
        }
    }
    const int failure = pthread_create(&database->evictor, NULL, evict_often, database);
    if (failure != 0) {
        error(0, failure, "predecessor: cannot start a thread");
    }
    database->evicts = failure == 0;
    return database->evicts;
}

static bool close_database(void *db)
{
    struct database *const database = db;
    pthread_mutex_lock(&database->lock);
    database->ended = true;
    pthread_cond_signal(&database->wake);
    pthread_mutex_unlock(&database->lock);
    if (database->evicts) {
        pthread_join(database->evictor, NULL);
    }
    for (int i = 0; i < STATEMENTS; i++) {
        sqlite3_finalize(database->statements[i]);
    }
    const bool closed = sqlite_base_close(&database->base) && !database->failed;
    chain_map_fini(&database->map);
    pthread_cond_destroy(&database->wake);
    pthread_mutex_destroy(&database->lock);
    free(database);
    return closed;
}

static void *open_database(const struct engine_options *options)
{
    struct database *const database = calloc(1, sizeof *database);
    if (database == NULL) {
        error(0, 0, "predecessor: out of memory");
        return NULL;
    }
    database->max_mem = options->max_mem;
    pthread_mutex_init(&database->lock, NULL);
    pthread_cond_init(&database->wake, NULL);
    if (!prepare(database, options)) {
        close_database(database);
        return NULL;
    }
    return database;
}

static bool set(void *handle, const void *key, size_t key_size, const void *value,
                size_t value_size)
{
    struct database *const database = handle;
    struct text text;
    make_text(&text, key, key_size);
    pthread_mutex_lock(&database->lock);
    const bool stored = !database->failed && chain_map_set(&database->map, text.hash, text.digits,
                                                           text.size, value, value_size) != NULL;
    pthread_mutex_unlock(&database->lock);
    return stored;
}

/* Reads from the table, and brings to the map what is found; the lock is held. */
static enum engine_answer promote(struct database *database, const struct text *text, void *buffer,
                                  size_t capacity, size_t *size_out)
{
    const enum engine_answer answer = sqlite_base_read(
        &database->base, bind_key(database, STATEMENT_GET, text->digits, text->size), buffer,
        capacity, size_out);
    if (answer != ENGINE_FOUND) {
        return answer;
    }
    struct chain_node *const node =
        chain_map_set(&database->map, text->hash, text->digits, text->size, buffer, *size_out);
    if (node == NULL) {
        error(0, 0, "predecessor: out of memory");
        return ENGINE_FAILED;
    }
    node->uses++;
    return ENGINE_FOUND;
}

static enum engine_answer get(void *handle, const void *key, size_t key_size, void *buffer,
                              size_t capacity, size_t *size_out)
{
    struct database *const database = handle;
    struct text text;
    make_text(&text, key, key_size);
    pthread_mutex_lock(&database->lock);
    struct chain_node *const node =
        chain_map_find(&database->map, text.hash, text.digits, text.size);
    enum engine_answer answer = ENGINE_FAILED;
    if (node == NULL && !database->failed) {
        answer = promote(database, &text, buffer, capacity, size_out);
    } else if (node != NULL && node->value_size <= capacity) {
        node->uses++;
        *size_out = node->value_size;
        memcpy(buffer, chain_node_value(node), node->value_size);
        answer = ENGINE_FOUND;
    }
    pthread_mutex_unlock(&database->lock);
    return answer;
}

static enum engine_answer del(void *handle, const void *key, size_t key_size)
{
    struct database *const database = handle;
    struct text text;
    make_text(&text, key, key_size);
    pthread_mutex_lock(&database->lock);
    bool found = chain_map_remove(&database->map, text.hash, text.digits, text.size);
    const bool done = sqlite_base_run(&database->base,
                                      bind_key(database, STATEMENT_DELETE, text.digits, text.size));
    found = sqlite3_changes(database->base.db) != 0 || found;
    pthread_mutex_unlock(&database->lock);
    if (!done) {
        return ENGINE_FAILED;
    }
    return found ? ENGINE_FOUND : ENGINE_MISSING;
}

static bool flush(void *db)
{
    struct database *const database = db;
    pthread_mutex_lock(&database->lock);
    database->failed = database->failed || !evict(database);
    const bool done = !database->failed;
    pthread_mutex_unlock(&database->lock);
    return done;
}

const struct engine engine_predecessor = {
    .name = "predecessor",
    .about = "one mutex, one map, evicted every 100 ms into one table keyed by the key's text; "
             "max-mem of keys and values in the map",
    .open = open_database,
    .set = set,
    .get = get,
    .del = del,
    .flush = flush,
    .close = close_database,
};
