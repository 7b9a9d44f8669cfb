/* SPDX-License-Identifier: MIT */
/**
 * A SQLite connection to a shard file with its prepared statements.
 *
 * Part of store.c, apart from it because a store changes its connection when it is emptied.
 * Threads: the caller serialises.
 */
#ifndef SKV_DISK_CONNECTION_H
#define SKV_DISK_CONNECTION_H

#include <stddef.h>
#include <stdint.h>

#include <spillkv/spillkv.h>

#include "base/attributes.h"

struct sqlite3;
struct sqlite3_blob;
struct sqlite3_file;
struct sqlite3_stmt;

enum skv_statement {
    SKV_STATEMENT_BEGIN,
    SKV_STATEMENT_COMMIT,
    SKV_STATEMENT_ROLLBACK,
    SKV_STATEMENT_REPLACE,    /* id, bytes */
    SKV_STATEMENT_DELETE,     /* id */
    SKV_STATEMENT_FREE_PAGES, /* one row: pages of the file that hold nothing */
    SKV_STATEMENT_VACUUM,     /* one row per page given back, at most SKV_VACUUM_PAGES */
    SKV_STATEMENT_COUNT
};

#define SKV_VACUUM_PAGES 64

struct skv_connection {
    struct sqlite3 *db;
    struct sqlite3_stmt *statements[SKV_STATEMENT_COUNT];
    struct sqlite3_file *file;   /* of the main database; owned by db */
    struct sqlite3_blob *reader; /* NULL until something is read */
    uint32_t reader_id;
    uint64_t device; /* of the file that was created: another one of its name is not ours */
    uint64_t inode;
};

/**
 * Creates the file and opens it.
 *
 * @param file     absolute; created 0600; must not exist
 * @param vfs      the VFS to read and write with; NULL: our own
 * @param message  receives what went wrong; may be NULL
 * @return as skv_store_open(); on failure nothing is left behind and *connection is zeroed
 */
SKV_MUST_CHECK spillkv_status skv_connection_open(struct skv_connection *connection,
                                                  const char *file, const char *vfs, char *message,
                                                  size_t message_size);
/** Closes, but does not remove the file; a zeroed connection is fine. */
void skv_connection_close(struct skv_connection *connection);
/**
 * Removes the file if it still has this name; what somebody else put there stays.
 *
 * @return SPILLKV_OK: nothing of ours has the name any more; SPILLKV_EIO, with errno
 */
SKV_MUST_CHECK spillkv_status skv_connection_remove(const struct skv_connection *connection,
                                                    const char *file);

/** Runs a statement to its end, ignoring rows, and resets it. @return an SQLite result, extended */
int skv_connection_run(struct skv_connection *connection, enum skv_statement statement);

/** Closes the read handle if there is one. */
void skv_connection_close_reader(struct skv_connection *connection);

/** Size of the file as SQLite sees it, 0 when it cannot be had. */
uint64_t skv_connection_file_bytes(const struct skv_connection *connection);

#endif
