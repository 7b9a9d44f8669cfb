/* SPDX-License-Identifier: MIT */
/*
 * DESIGN
 *
 * The guard exists because a failed transaction is undone by writes too, and SQLite forgets its
 * in-memory journal when these fail, or when a page that it spills in mid-transaction cannot be
 * written: a disk that fails for a moment would leave the file torn for good. Journal files would
 * prevent it, at the price of a second write of each overwritten segment. So:
 *
 *   - a write that the disk refuses is not reported where it happens, but when all pages have been
 *     written and the transaction is about to be committed (SKV_FCNTL_COMMIT, SQLITE_FCNTL_SYNC);
 *   - from the first refusal on, what is written inside the file as it was before the transaction
 *     goes to an overlay in RAM if the disk refuses it; what is written beyond is dropped, since
 *     the undo will cut it off;
 *   - no transaction begins before the overlay is on the disk (SKV_FCNTL_SETTLE).
 *
 * Invariant: between transactions, file plus overlay is what the last committed one left.
 */
#include "disk/guard.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/fd.h"
#include "disk/schema.h"
#include "disk/segment.h"
#include "disk/vfs.h"

#ifdef SQLITE_IOERR_CORRUPTFS
#define IOERR_CUT SQLITE_IOERR_CORRUPTFS
#else
#define IOERR_CUT SQLITE_CORRUPT
#endif

#define SECTOR_BYTES 4096

static int raw_write(void *context, int64_t offset, const void *bytes, size_t size)
{
    struct skv_guarded_file *file = context;
    const int rc = file->under != NULL
                       ? file->under->pMethods->xWrite(file->under, bytes, (int)size, offset)
                       : skv_fd_write(file->fd, bytes, size, offset);
    if (rc == SQLITE_OK && offset + (int64_t)size > file->end_bytes) {
        file->end_bytes = offset + (int64_t)size;
    }
    return rc;
}

/* A failure is the transaction's: it is reported when that is to be committed. */
static void write_gathered(struct skv_guarded_file *file)
{
    if (file->gather.size != 0) {
        const int rc = raw_write(file, file->gather.offset, file->gather.bytes, file->gather.size);
        file->gather.size = 0;
        if (file->failure == SQLITE_OK) {
            file->failure = rc;
        }
    }
}

static int raw_truncate(void *context, int64_t bytes)
{
    struct skv_guarded_file *file = context;
    int rc;

    if (file->under != NULL) {
        return file->under->pMethods->xTruncate(file->under, bytes);
    }
    do {
        rc = ftruncate(file->fd, bytes);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? SQLITE_OK : skv_fd_full_or(SQLITE_IOERR_TRUNCATE);
}

static int file_read(sqlite3_file *base, void *buffer, int size, sqlite3_int64 offset)
{
    struct skv_guarded_file *file = skv_guarded(base);
    int rc;

    if (skv_gather_reaches(&file->gather, offset, (size_t)size)) {
        write_gathered(file);
    }
    if (file->failure != SQLITE_OK && offset >= file->start_bytes) {
        /* The transaction is lost already and this page of it perhaps never written: what is there
           would look like damage. */
        memset(buffer, 0, (size_t)size);
        return file->failure;
    }
    if (file->under != NULL) {
        rc = file->under->pMethods->xRead(file->under, buffer, size, offset);
    } else {
        rc = skv_fd_read(file->fd, buffer, (size_t)size, offset);
    }
    if (!skv_overlay_is_empty(&file->overlay) &&
        (rc == SQLITE_OK || rc == SQLITE_IOERR_SHORT_READ) &&
        skv_overlay_patch(&file->overlay, offset, buffer, (size_t)size)) {
        rc = SQLITE_OK;
    }
    if (rc == SQLITE_IOERR_SHORT_READ && offset + size <= file->end_bytes) {
        /* The file was cut. SQLite would take the missing bytes for zeroes and keep them in its
           cache. */
        rc = IOERR_CUT;
    }
    return rc;
}

static int file_write(sqlite3_file *base, const void *bytes, int size, sqlite3_int64 offset)
{
    struct skv_guarded_file *file = skv_guarded(base);
    int rc = SQLITE_IOERR_WRITE;

    if (file->guarded && file->under == NULL && size == SKV_SCHEMA_PAGE_BYTES) {
        skv_row_pages_learn(&file->rows, bytes, (size_t)size, offset);
    }
    if (file->guarded && offset >= file->start_bytes && file->failure == SQLITE_OK &&
        skv_overlay_is_empty(&file->overlay)) {
        if (skv_gather_add(&file->gather, offset, bytes, (size_t)size)) {
            return SQLITE_OK;
        }
        write_gathered(file);
        if (skv_gather_add(&file->gather, offset, bytes, (size_t)size)) {
            return SQLITE_OK;
        }
    }
    /* What is owed must not be overtaken: it would overwrite this later. */
    if (skv_overlay_is_empty(&file->overlay)) {
        rc = raw_write(file, offset, bytes, (size_t)size);
        if (rc == SQLITE_OK) {
            return SQLITE_OK;
        }
    }
    if (!file->guarded) {
        return rc;
    }
    if (file->failure == SQLITE_OK) {
        file->failure = rc;
    }
    if (offset >= file->start_bytes) {
        return SQLITE_OK;
    }
    return skv_overlay_write(&file->overlay, offset, bytes, (size_t)size) ? SQLITE_OK
                                                                          : SQLITE_IOERR_NOMEM;
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 bytes)
{
    struct skv_guarded_file *file = skv_guarded(base);

    if (!file->guarded) {
        return raw_truncate(file, bytes);
    }
    write_gathered(file);
    /* Not a failure of the transaction: what is cut off does not matter to it, and SQLite truncates
       when it is committed already. */
    if (!skv_overlay_is_empty(&file->overlay) || raw_truncate(file, bytes) != SQLITE_OK) {
        skv_overlay_truncate(&file->overlay, bytes);
    }
    if (bytes < file->start_bytes) {
        file->start_bytes = bytes;
    }
    if (bytes < file->end_bytes) {
        file->end_bytes = bytes;
    }
    return SQLITE_OK;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *bytes_out)
{
    struct skv_guarded_file *file = skv_guarded(base);
    struct stat info;

    if (file->under != NULL) {
        int rc = file->under->pMethods->xFileSize(file->under, bytes_out);
        if (rc != SQLITE_OK) {
            return rc;
        }
    } else {
        if (fstat(file->fd, &info) != 0) {
            return SQLITE_IOERR_FSTAT;
        }
        *bytes_out = info.st_size;
    }
    *bytes_out = skv_overlay_file_bytes(&file->overlay, *bytes_out);
    *bytes_out = skv_gather_file_bytes(&file->gather, *bytes_out);
    return SQLITE_OK;
}

static int settle(struct skv_guarded_file *file, const uint32_t *highest_row)
{
    if (highest_row != NULL) {
        file->rows.most = *highest_row;
    }
    /* What is left of a transaction that was undone belongs to nothing. */
    file->gather.size = 0;
    int rc = skv_overlay_settle(&file->overlay, raw_truncate, raw_write, file);
    if (rc == SQLITE_OK) {
        rc = file_size(&file->base, &file->start_bytes);
    }
    if (rc == SQLITE_OK) {
        file->end_bytes = file->start_bytes;
        file->failure = SQLITE_OK;
        file->committing = false;
        file->guarded = true;
    }
    return rc;
}

static int file_close(sqlite3_file *base)
{
    struct skv_guarded_file *file = skv_guarded(base);
    int rc = SQLITE_OK;

    write_gathered(file);
    skv_gather_fini(&file->gather);
    skv_row_pages_fini(&file->rows);
    skv_overlay_fini(&file->overlay);
    if (file->under != NULL) {
        rc = file->under->pMethods->xClose(file->under);
        sqlite3_free(file->under);
    } else if (close(file->fd) != 0 && errno != EINTR) {
        rc = SQLITE_IOERR_CLOSE;
    }
    return rc;
}

static int file_sync(sqlite3_file *base, int flags)
{
    struct skv_guarded_file *file = skv_guarded(base);
    return file->under != NULL ? file->under->pMethods->xSync(file->under, flags) : SQLITE_OK;
}

static int file_lock(sqlite3_file *base, int level)
{
    struct skv_guarded_file *file = skv_guarded(base);
    return file->under != NULL ? file->under->pMethods->xLock(file->under, level) : SQLITE_OK;
}

static int file_unlock(sqlite3_file *base, int level)
{
    struct skv_guarded_file *file = skv_guarded(base);
    return file->under != NULL ? file->under->pMethods->xUnlock(file->under, level) : SQLITE_OK;
}

static int file_check_reserved_lock(sqlite3_file *base, int *locked_out)
{
    struct skv_guarded_file *file = skv_guarded(base);
    if (file->under != NULL) {
        return file->under->pMethods->xCheckReservedLock(file->under, locked_out);
    }
    *locked_out = 0;
    return SQLITE_OK;
}

static int read_row(struct skv_guarded_file *file, struct skv_vfs_row_read *read)
{
    const int64_t at = skv_row_pages_segment_at(&file->rows, read->id);
    const bool on_disk = file->under == NULL && file->failure == SQLITE_OK &&
                         file->gather.size == 0 && skv_overlay_is_empty(&file->overlay);

    if (at == 0 || !on_disk || read->offset >= SKV_SEGMENT_BYTES) {
        return SQLITE_NOTFOUND;
    }
    if (read->size > SKV_SEGMENT_BYTES - read->offset) {
        read->size = SKV_SEGMENT_BYTES - read->offset;
    }
    return skv_fd_read(file->fd, read->buffer, read->size, at + (int64_t)read->offset) == SQLITE_OK
               ? SQLITE_OK
               : SQLITE_NOTFOUND;
}

static int file_control(sqlite3_file *base, int op, void *argument)
{
    struct skv_guarded_file *file = skv_guarded(base);

    if (op == SKV_FCNTL_SETTLE) {
        return settle(file, argument);
    }
    if (op == SKV_FCNTL_COMMIT) {
        file->committing = file->failure == SQLITE_OK;
        return file->failure;
    }
    if (op == SKV_FCNTL_ANNOUNCE) {
        struct skv_vfs_places *wanted = argument;
        skv_row_pages_announce(&file->rows, file->fd, wanted->places, wanted->count, wanted->size);
        wanted->memory = skv_row_pages_bytes(&file->rows);
        return SQLITE_OK;
    }
    if (op == SKV_FCNTL_FORGET) {
        skv_row_pages_forget(&file->rows);
        return SQLITE_OK;
    }
    if (op == SKV_FCNTL_READ_ROW) {
        return read_row(file, argument);
    }
    if (op == SQLITE_FCNTL_SYNC) {
        write_gathered(file);
    }
    if (op == SQLITE_FCNTL_SYNC && file->committing) {
        /* Once: SQLite asks again at the end of the undo. */
        file->committing = false;
        if (file->failure != SQLITE_OK) {
            return file->failure;
        }
    }
    if (file->under != NULL) {
        return file->under->pMethods->xFileControl(file->under, op, argument);
    }
    return SQLITE_NOTFOUND;
}

static int file_sector_size(sqlite3_file *base)
{
    (void)base;
    return SECTOR_BYTES;
}

/* Files do not survive a crash, so none can tear a page: no page is journalled merely because it
   shares a sector with one that is written. More is not claimed, whatever VFS is under: SQLite
   would bypass the guard with its atomic batches. */
static int file_device_characteristics(sqlite3_file *base)
{
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

const sqlite3_io_methods skv_guard_methods = {
    .iVersion = 1, /* neither shared memory nor mmap */
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_device_characteristics,
};
