/* SPDX-License-Identifier: MIT */
/**
 * Redis as a cache of max_mem bytes, in a process of its own.
 *
 * One connection behind a mutex, on which sets and deletes are sent without waiting for their
 * replies: Redis has one thread for commands, and what is measured is its memory.
 */
#include <error.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine.h"
#include "redis_server.h"

/* Replies that are outstanding at most. */
#define PENDING_MAX 512u
/* How long it may take to start. */
#define PATIENCE 1000u
#define PAUSE_NS 10000000

struct database {
    pid_t server;
    char *socket;
    pthread_mutex_t lock;
    /* Guarded by lock. */
    redisContext *connection;
    unsigned pending; /* replies that are outstanding */
    bool broken;      /* a call failed, which was said: so do all that follow */
};

static const char *lacks(void)
{
    return redis_server_found() ? NULL : "redis-server is not installed";
}

/* Waits for the server to answer; false after a message. */
static bool connect_server(struct database *database)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    for (unsigned i = 0; i < PATIENCE && redis_server_runs(database->server); i++) {
        database->connection = redisConnectUnix(database->socket);
        if (database->connection != NULL && database->connection->err == 0) {
            return true;
        }
        redisFree(database->connection);
        database->connection = NULL;
        nanosleep(&pause, NULL);
    }
    error(0, 0, "redis: the server does not answer");
    return false;
}

static bool close_database(void *db)
{
    struct database *const database = db;
    redisFree(database->connection);
    if (database->server > 0) {
        redis_server_stop(database->server);
    }
    pthread_mutex_destroy(&database->lock);
    free(database->socket);
    free(database);
    return true;
}

static void *open_database(const struct engine_options *options)
{
    struct database *const database = calloc(1, sizeof *database);
    if (database == NULL || asprintf(&database->socket, "%s/socket", options->path) < 0) {
        error(0, 0, "redis: out of memory");
        free(database);
        return NULL;
    }
    pthread_mutex_init(&database->lock, NULL);
    database->server = redis_server_start(options->path, database->socket, options->max_mem);
    if (database->server < 0 || !connect_server(database)) {
        close_database(database);
        return NULL;
    }
    return database;
}

/* Waits for one reply; NULL after a message; the lock is held. */
static redisReply *next_reply(struct database *database)
{
    void *reply = NULL;
    if (database->broken) {
        return NULL;
    }
    const int state = redisGetReply(database->connection, &reply);
    redisReply *const answer = reply;
    if (state == REDIS_OK && answer->type != REDIS_REPLY_ERROR) {
        return answer;
    }
    error(0, 0, "redis: %s", state == REDIS_OK ? answer->str : database->connection->errstr);
    database->broken = true;
    freeReplyObject(answer);
    return NULL;
}

/* Waits for the replies that are outstanding; the lock is held. */
static bool drain(struct database *database)
{
    bool fine = true;
    for (; database->pending != 0 && fine; database->pending--) {
        redisReply *const reply = next_reply(database);
        fine = reply != NULL;
        freeReplyObject(reply);
    }
    return fine;
}

static bool drain_some(struct database *database)
{
    return ++database->pending < PENDING_MAX || drain(database);
}

static bool set(void *db, const void *key, size_t key_size, const void *value, size_t value_size)
{
    struct database *const database = db;
    pthread_mutex_lock(&database->lock);
    const bool stored = redisAppendCommand(database->connection, "SET %b %b", key, key_size, value,
                                           value_size) == REDIS_OK &&
                        drain_some(database);
    pthread_mutex_unlock(&database->lock);
    return stored;
}

static enum engine_answer del(void *db, const void *key, size_t key_size)
{
    struct database *const database = db;
    pthread_mutex_lock(&database->lock);
    const bool sent =
        redisAppendCommand(database->connection, "DEL %b", key, key_size) == REDIS_OK &&
        drain_some(database);
    pthread_mutex_unlock(&database->lock);
    return sent ? ENGINE_FOUND : ENGINE_FAILED;
}

static enum engine_answer get_locked(struct database *database, const void *key, size_t key_size,
                                     void *buffer, size_t capacity, size_t *size_out)
{
    if (!drain(database) ||
        redisAppendCommand(database->connection, "GET %b", key, key_size) != REDIS_OK) {
        return ENGINE_FAILED;
    }
    redisReply *const reply = next_reply(database);
    if (reply == NULL) {
        return ENGINE_FAILED;
    }
    enum engine_answer answer = ENGINE_MISSING;
    if (reply->type == REDIS_REPLY_STRING) {
        *size_out = (size_t)reply->len;
        answer = *size_out <= capacity ? ENGINE_FOUND : ENGINE_FAILED;
        if (answer == ENGINE_FOUND) {
            memcpy(buffer, reply->str, *size_out);
        }
    }
    freeReplyObject(reply);
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
    const bool done = drain(database);
    pthread_mutex_unlock(&database->lock);
    return done;
}

/* A number of what INFO says; 0 if it does not. */
static uint64_t info_number(const char *text, const char *name)
{
    const char *const found = strstr(text, name);
    return found != NULL ? strtoull(found + strlen(name), NULL, 10) : 0;
}

/* Its dictionaries are in the overhead, with little else. */
static bool account(void *db, struct engine_account *out)
{
    struct database *const database = db;
    *out = (struct engine_account){0};
    pthread_mutex_lock(&database->lock);
    redisReply *reply = NULL;
    if (drain(database) && redisAppendCommand(database->connection, "INFO memory") == REDIS_OK) {
        reply = next_reply(database);
    }
    pthread_mutex_unlock(&database->lock);
    if (reply == NULL || reply->str == NULL) {
        freeReplyObject(reply);
        return false;
    }
    const uint64_t start = info_number(reply->str, "\nused_memory_startup:");
    const uint64_t overhead = info_number(reply->str, "\nused_memory_overhead:");
    out->charged = info_number(reply->str, "\nused_memory:");
    out->entries = info_number(reply->str, "\nused_memory_dataset:");
    out->table = overhead > start ? overhead - start : 0;
    freeReplyObject(reply);
    return true;
}

static pid_t process(void *db)
{
    return ((struct database *)db)->server;
}

const struct engine engine_redis = {
    .name = "redis",
    .about = "maxmemory = max-mem, allkeys-lfu, nothing saved, one connection, pipelined",
    .evicts = true,
    .open = open_database,
    .set = set,
    .get = get,
    .flush = flush,
    .close = close_database,
    .lacks = lacks,
    .del = del,
    .account = account,
    .process = process,
};
