/* SPDX-License-Identifier: MIT */
/**
 * A file as SQLite sees it, with the guard against a disk that fails: see guard.c.
 *
 * Threads: the connection's.
 */
#ifndef SKV_DISK_GUARD_H
#define SKV_DISK_GUARD_H

#include <sqlite3.h>
#include <stdbool.h>

#include "disk/gather.h"
#include "disk/overlay.h"
#include "disk/row_pages.h"

struct skv_guarded_file {
    sqlite3_file base;
    int fd;                     /* -1 when `under` is used */
    sqlite3_file *under;        /* of the VFS that the host chose; owned */
    bool guarded;               /* from the first SKV_FCNTL_SETTLE on */
    bool committing;            /* the next SQLITE_FCNTL_SYNC is the commit's */
    int failure;                /* why the transaction cannot be committed, SQLITE_OK if it can */
    sqlite3_int64 start_bytes;  /* of the file when the transaction began */
    sqlite3_int64 end_bytes;    /* of the file, at least: what was written since is there too */
    struct skv_overlay overlay; /* what the disk refused */
    struct skv_gather gather;   /* new pages of the transaction that are not written yet */
    struct skv_row_pages rows;  /* what the pages written hold */
};

/** What the VFS gives to a file that it opened: `fd` or `under`, everything else zeroed. */
extern const sqlite3_io_methods skv_guard_methods;

static inline struct skv_guarded_file *skv_guarded(sqlite3_file *file)
{
    return (struct skv_guarded_file *)(void *)file;
}

#endif
