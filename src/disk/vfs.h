/* SPDX-License-Identifier: MIT */
/**
 * The SQLite VFS of the shard files: plain reads and writes at an offset.
 *
 * It exists because the default VFS hides the file descriptor: read-ahead is switched off
 * (posix_fadvise RANDOM) so that a random read does not drag in megabytes when the page cache is
 * short; symlinks are never followed; files are 0600. Shard files are private to one connection and
 * never synced, so locks and syncs do nothing. Everything that is not about files goes to the
 * default VFS. It is registered by name, never as the default.
 *
 * It also keeps a failing disk from tearing a file: see SKV_FCNTL_SETTLE.
 */
#ifndef SKV_DISK_VFS_H
#define SKV_DISK_VFS_H

#include <stddef.h>
#include <stdint.h>

#include <spillkv/spillkv.h>

#include "base/attributes.h"

#define SKV_VFS_NAME "spillkv"

/** URI parameter of a file: the name of the VFS that reads and writes instead of ours. */
#define SKV_VFS_UNDER "under"

/**
 * File control, to be called before every transaction: does what the disk refused while an earlier
 * one was undone. SQLITE_OK, or the reason why it is still refused: then no transaction may begin,
 * but reading goes on.
 * The argument is a `const uint32_t *`: the highest row that was written or will be, which does not
 * grow less; NULL: as before, at first 0.
 *
 * The guard against torn files works from the first such call on: one who knows nothing of it has
 * an ordinary file.
 */
#define SKV_FCNTL_SETTLE 0x53504b01
/** File control, to be called before every COMMIT: SQLITE_OK, or why the transaction must be rolled
 *  back instead. */
#define SKV_FCNTL_COMMIT 0x53504b02

/**
 * File control: asks the disk for the bytes at some places, all at once, and does not wait for
 * them; argument `struct skv_vfs_places`. What is not known is not asked for, and nothing is where
 * the host chose the VFS.
 */
#define SKV_FCNTL_ANNOUNCE 0x53504b03

struct skv_vfs_places {
    const uint64_t *places;
    uint32_t count;
    size_t size;   /* wanted of each */
    size_t memory; /* out: what the VFS remembers of the rows' pages, in bytes */
};

/** File control: a transaction was undone; what was seen of rows since may not be there. */
#define SKV_FCNTL_FORGET 0x53504b04

/**
 * File control: reads from a segment's row where it was seen to be written; argument `struct
 * skv_vfs_row_read`. SQLITE_NOTFOUND where that is not known, or is not on the disk.
 */
#define SKV_FCNTL_READ_ROW 0x53504b05

struct skv_vfs_row_read {
    uint32_t id;
    size_t offset; /* in the row */
    void *buffer;
    size_t size; /* in: wanted; out: read */
};

/** Registers the VFS once in the process. SPILLKV_ESYSTEM when SQLite refuses. Any thread. */
SKV_MUST_CHECK spillkv_status skv_vfs_register(void);

#endif
