/* SPDX-License-Identifier: MIT */
/*
 * DESIGN
 *
 * Every statement is prepared when the connection is opened, so that nothing is parsed later and a
 * statement that this SQLite does not understand shows at once. The connection is private:
 * serialized by SQLite itself too (FULLMUTEX), no shared cache, and deaf to hostile schemas
 * (defensive, trusted_schema), for a file that someone tampers with must be no more than damaged.
 *
 * The file is created here with O_EXCL before SQLite opens it: SQLite's own VFS would open an
 * existing file, and give a new one the wrong mode.
 *
 * Invariant: a connection is either open with all its statements, or all zeroes.
 */
#include "disk/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "disk/schema.h"
#include "disk/sqlite_rc.h"
#include "disk/vfs.h"

#define QUOTE(x)     QUOTE_RAW(x)
#define QUOTE_RAW(x) #x

static const char *const statement_texts[SKV_STATEMENT_COUNT] = {
    [SKV_STATEMENT_BEGIN] = "BEGIN",
    [SKV_STATEMENT_COMMIT] = "COMMIT",
    [SKV_STATEMENT_ROLLBACK] = "ROLLBACK",
    [SKV_STATEMENT_REPLACE] = "REPLACE INTO segment(id, bytes) VALUES(?1, ?2)",
    [SKV_STATEMENT_DELETE] = "DELETE FROM segment WHERE id = ?1",
    [SKV_STATEMENT_FREE_PAGES] = "PRAGMA freelist_count",
    [SKV_STATEMENT_VACUUM] = "PRAGMA incremental_vacuum(" QUOTE(SKV_VACUUM_PAGES) ")",
};

static void say(char *message, size_t message_size, const char *what, const char *why)
{
    if (message != NULL) {
        snprintf(message, message_size, "%s: %s", what, why);
    }
}

static spillkv_status create_file(struct skv_connection *connection, const char *file,
                                  char *message, size_t message_size)
{
    spillkv_status status = SPILLKV_OK;
    struct stat info;
    int fd;

    do {
        fd = open(file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        status = errno == ENOSPC || errno == EDQUOT ? SPILLKV_ENOSPC
                 : errno == ENOMEM                  ? SPILLKV_ENOMEM
                 : errno == EEXIST                  ? SPILLKV_EFOREIGN
                                                    : SPILLKV_EIO;
        say(message, message_size, file, strerror(errno));
        return status;
    }
    if (fstat(fd, &info) == 0) {
        connection->device = info.st_dev;
        connection->inode = info.st_ino;
    } else {
        status = SPILLKV_EIO;
        say(message, message_size, file, strerror(errno));
        unlink(file);
    }
    close(fd);
    return status;
}

/* "file:" PATH "?under=" VFS with everything escaped that could mean something in a URI. */
static char *make_uri(const char *file, const char *vfs)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/-_.";
    const char *const parts[] = {"file:", file, "?" SKV_VFS_UNDER "=", vfs};
    char *uri = skv_alloc(3 * (strlen(file) + strlen(vfs)) + 32);
    char *end = uri;

    if (uri == NULL) {
        return NULL;
    }
    for (size_t part = 0; part < sizeof(parts) / sizeof(parts[0]); part++) {
        for (const char *at = parts[part]; *at != '\0'; at++) {
            if (part % 2 == 0 || strchr(plain, *at) != NULL) {
                *end++ = *at;
            } else {
                end += snprintf(end, 4, "%%%02X", (unsigned)(unsigned char)*at);
            }
        }
    }
    *end = '\0';
    return uri;
}

static int open_db(struct skv_connection *connection, const char *file, const char *vfs)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_PRIVATECACHE |
                SQLITE_OPEN_NOFOLLOW;
    char *uri = NULL;
    int rc;

    if (vfs != NULL) {
        uri = make_uri(file, vfs);
        if (uri == NULL) {
            return SQLITE_NOMEM;
        }
        flags |= SQLITE_OPEN_URI;
    }
    rc = sqlite3_open_v2(uri != NULL ? uri : file, &connection->db, flags, SKV_VFS_NAME);
    skv_free(uri);
    if (rc == SQLITE_OK) {
        sqlite3_extended_result_codes(connection->db, 1);
        /* Lookaside is memory for many small statements: 48 KB that would buy nothing here. */
        rc = sqlite3_db_config(connection->db, SQLITE_DBCONFIG_LOOKASIDE, NULL, 0, 0);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_file_control(connection->db, "main", SKV_FCNTL_SETTLE, NULL);
    }
    return rc;
}

static int prepare_all(struct skv_connection *connection)
{
    int defensive = 0;
    int rc;

    rc = sqlite3_db_config(connection->db, SQLITE_DBCONFIG_DEFENSIVE, 1, &defensive);
    if (rc == SQLITE_OK && !defensive) {
        rc = SQLITE_ERROR;
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_busy_timeout(connection->db, 0);
    }
    for (int i = 0; i < SKV_STATEMENT_COUNT && rc == SQLITE_OK; i++) {
        rc = sqlite3_prepare_v3(connection->db, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                &connection->statements[i], NULL);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_file_control(connection->db, "main", SQLITE_FCNTL_FILE_POINTER,
                                  &connection->file);
    }
    return rc;
}

spillkv_status skv_connection_open(struct skv_connection *connection, const char *file,
                                   const char *vfs, char *message, size_t message_size)
{
    spillkv_status status;
    int rc;

    *connection = (struct skv_connection){0};
    if (sqlite3_threadsafe() == 0) {
        say(message, message_size, "SQLite", "built without threads");
        return SPILLKV_ESYSTEM;
    }
    status = skv_vfs_register();
    if (status != SPILLKV_OK) {
        say(message, message_size, "SQLite", "refuses our VFS");
        return status;
    }
    status = create_file(connection, file, message, message_size);
    if (status != SPILLKV_OK) {
        return status;
    }
    rc = open_db(connection, file, vfs);
    if (rc == SQLITE_OK) {
        status = skv_schema_create(connection->db, message, message_size);
        if (status != SPILLKV_OK) {
            goto fail;
        }
        rc = prepare_all(connection);
    }
    if (rc == SQLITE_OK) {
        return SPILLKV_OK;
    }
    status = skv_status_of_sqlite(rc);
    say(message, message_size, file,
        connection->db != NULL ? sqlite3_errmsg(connection->db) : sqlite3_errstr(rc));
fail:
    skv_connection_close(connection);
    unlink(file);
    return status;
}

void skv_connection_close_reader(struct skv_connection *connection)
{
    /* It reports the handle's last failure, which has been dealt with. */
    (void)sqlite3_blob_close(connection->reader);
    connection->reader = NULL;
}

void skv_connection_close(struct skv_connection *connection)
{
    skv_connection_close_reader(connection);
    for (int i = 0; i < SKV_STATEMENT_COUNT; i++) {
        sqlite3_finalize(connection->statements[i]);
    }
    /* Nothing is left that could keep it from closing; _v2 copes even so. */
    (void)sqlite3_close_v2(connection->db);
    *connection = (struct skv_connection){0};
}

spillkv_status skv_connection_remove(const struct skv_connection *connection, const char *file)
{
    struct stat info;

    if (lstat(file, &info) != 0) {
        return errno == ENOENT || errno == ENOTDIR ? SPILLKV_OK : SPILLKV_EIO;
    }
    if (info.st_dev != connection->device || info.st_ino != connection->inode) {
        return SPILLKV_OK;
    }
    return unlink(file) == 0 || errno == ENOENT ? SPILLKV_OK : SPILLKV_EIO;
}

int skv_connection_run(struct skv_connection *connection, enum skv_statement statement)
{
    sqlite3_stmt *prepared = connection->statements[statement];
    int rc;

    do {
        rc = sqlite3_step(prepared);
    } while (rc == SQLITE_ROW);
    if (rc == SQLITE_DONE) {
        rc = SQLITE_OK;
    }
    /* It repeats the result of the step. */
    (void)sqlite3_reset(prepared);
    return rc;
}

uint64_t skv_connection_file_bytes(const struct skv_connection *connection)
{
    sqlite3_int64 bytes = 0;

    if (connection->file->pMethods == NULL ||
        connection->file->pMethods->xFileSize(connection->file, &bytes) != SQLITE_OK) {
        return 0;
    }
    return (uint64_t)bytes;
}
