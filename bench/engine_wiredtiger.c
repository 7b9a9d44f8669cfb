/* SPDX-License-Identifier: MIT */
/**
 * WiredTiger as a B-tree without a log. The budget is its cache_size.
 *
 * Each thread has a session and a cursor. Leaves of 4 KiB instead of 32: a get that finds nothing
 * in the cache reads a leaf.
 */
#include <error.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wiredtiger.h>

#include "engine.h"

#define TABLE "table:entries"

struct reader {
    WT_SESSION *session;
    WT_CURSOR *cursor;
};

static bool check(int rc, const char *what)
{
    if (rc != 0) {
        error(0, 0, "wiredtiger: %s: %s", what, wiredtiger_strerror(rc));
    }
    return rc == 0;
}

static bool close_database(void *db)
{
    WT_CONNECTION *const connection = db;
    return check(connection->close(connection, "leak_memory=false"), "close");
}

static void *open_database(const struct engine_options *options)
{
    WT_CONNECTION *connection;
    WT_SESSION *session;
    char settings[256];
    snprintf(settings, sizeof settings,
             "create,cache_size=%" PRIu64 ",log=(enabled=false),checkpoint=(wait=0),"
             "statistics=(none),session_max=512,checkpoint_sync=false",
             options->max_mem);
    if (!check(wiredtiger_open(options->path, NULL, settings, &connection), "open")) {
        return NULL;
    }
    if (!check(connection->open_session(connection, NULL, NULL, &session), "session") ||
        !check(session->create(session, TABLE,
                               "key_format=u,value_format=u,leaf_page_max=4KB,checksum=off,"
                               "block_compressor=none"),
               "create") ||
        !check(session->close(session, NULL), "session")) {
        close_database(connection);
        return NULL;
    }
    return connection;
}

static void detach(void *handle)
{
    struct reader *const reader = handle;
    if (reader->session != NULL) {
        check(reader->session->close(reader->session, NULL), "session");
    }
    free(reader);
}

static void *attach(void *db)
{
    WT_CONNECTION *const connection = db;
    struct reader *const reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        error(0, 0, "wiredtiger: out of memory");
        return NULL;
    }
    if (!check(connection->open_session(connection, NULL, NULL, &reader->session), "session") ||
        !check(reader->session->open_cursor(reader->session, TABLE, NULL, "overwrite=true",
                                            &reader->cursor),
               "cursor")) {
        detach(reader);
        return NULL;
    }
    return reader;
}

static WT_CURSOR *cursor_at(void *handle, const void *key, size_t key_size)
{
    WT_CURSOR *const cursor = ((struct reader *)handle)->cursor;
    const WT_ITEM name = {.data = key, .size = key_size};
    cursor->set_key(cursor, &name);
    return cursor;
}

/* Its memory is full of changes for a moment when it asks for the same again. */
static bool set(void *handle, const void *key, size_t key_size, const void *value,
                size_t value_size)
{
    const WT_ITEM data = {.data = value, .size = value_size};
    int rc;
    do {
        WT_CURSOR *const cursor = cursor_at(handle, key, key_size);
        cursor->set_value(cursor, &data);
        rc = cursor->insert(cursor);
    } while (rc == WT_ROLLBACK);
    return check(rc, "insert");
}

static enum engine_answer copy_value(WT_CURSOR *cursor, void *buffer, size_t capacity,
                                     size_t *size_out)
{
    WT_ITEM data;
    if (!check(cursor->get_value(cursor, &data), "value") || data.size > capacity) {
        return ENGINE_FAILED;
    }
    *size_out = data.size;
    memcpy(buffer, data.data, data.size);
    return ENGINE_FOUND;
}

static enum engine_answer get(void *handle, const void *key, size_t key_size, void *buffer,
                              size_t capacity, size_t *size_out)
{
    WT_CURSOR *const cursor = cursor_at(handle, key, key_size);
    const int rc = cursor->search(cursor);
    if (rc == WT_NOTFOUND) {
        return ENGINE_MISSING;
    }
    const enum engine_answer answer =
        check(rc, "search") ? copy_value(cursor, buffer, capacity, size_out) : ENGINE_FAILED;
    cursor->reset(cursor);
    return answer;
}

/* It does not say whether the key was there. */
static enum engine_answer del(void *handle, const void *key, size_t key_size)
{
    int rc;
    do {
        WT_CURSOR *const cursor = cursor_at(handle, key, key_size);
        rc = cursor->remove(cursor);
    } while (rc == WT_ROLLBACK);
    return check(rc, "remove") ? ENGINE_FOUND : ENGINE_FAILED;
}

static bool flush(void *db)
{
    (void)db;
    return true;
}

const struct engine engine_wiredtiger = {
    .name = "wiredtiger",
    .about = "B-tree, cache_size = max-mem, no log, no checkpoints, leaves of 4 KiB, no checksums",
    .open = open_database,
    .attach = attach,
    .detach = detach,
    .set = set,
    .get = get,
    .del = del,
    .flush = flush,
    .close = close_database,
};
