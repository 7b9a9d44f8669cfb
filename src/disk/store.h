/* SPDX-License-Identifier: MIT */
/**
 * One shard's SQLite file: a table of segments, written in transactions, read in place.
 *
 *     CREATE TABLE segment(id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)
 *
 * Every SQLite result becomes a spillkv_status here; the detail is kept in `message` for the log.
 * This folder is the only one that includes sqlite3.h.
 *
 * Threads: the caller serialises (the shard's I/O lock); never call it under a table lock. The
 * counters marked atomic may be read at any time.
 */
#ifndef SKV_DISK_STORE_H
#define SKV_DISK_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "disk/segment.h"

struct skv_store; /* store.c */

struct skv_store_options {
    const char *file; /* created 0600; must not exist */
    const char *vfs;  /* SQLite VFS; NULL: our own (vfs.h) */
    uint64_t checksum_seed;
    uint64_t cache_bytes; /* the most the page cache may grow to */
};

/** Opens a new file. On failure nothing is left behind and *store_out is NULL. `message` (may be
 *  NULL) receives the reason. */
SKV_MUST_CHECK spillkv_status skv_store_open(const struct skv_store_options *options,
                                             struct skv_store **store_out, char *message,
                                             size_t message_size);
/** Closes and removes the file; clears *store; NULL and half-open stores are fine. */
spillkv_status skv_store_close(struct skv_store **store);

/** A packed segment to be written: SKV_SEGMENT_BYTES at `bytes`. */
struct skv_store_segment {
    uint32_t id;
    const uint8_t *bytes;
};

/** An entry to be written to a row of its own, from the caller's memory. */
struct skv_store_lone {
    uint64_t address; /* of the segment that it is all of */
    const void *key;
    const void *value;
    size_t key_size;
    size_t value_size;
};

struct skv_store_batch {
    const struct skv_store_segment *segments;
    uint32_t segment_count;
    const struct skv_store_lone *lone;
    uint32_t lone_count;
    const uint32_t *deleted; /* ids of rows to delete */
    uint32_t deleted_count;
};

/**
 * Writes a batch in one transaction: all of it or nothing. Rows with ids that exist are
 * overwritten.
 *
 * @return SPILLKV_OK; SPILLKV_ENOSPC; SPILLKV_EIO; SPILLKV_ENOMEM; SPILLKV_ECORRUPT. After a
 *         failure the rows are as before and the store usable, reading at once and writing when the
 *         fault has gone, even if the disk refused to undo what had been written
 * Cost:   one page write for a segment; two for each page of a lone row, and no copy of it. What is
 *         overwritten is kept in memory until the end, 8 KiB a row.
 */
SKV_MUST_CHECK spillkv_status skv_store_write(struct skv_store *store,
                                              const struct skv_store_batch *batch);

/**
 * Reads up to `size` bytes of segment `id` from `offset` on.
 *
 * @param size_out  bytes read: less than `size` only at the segment's end
 * @return SPILLKV_OK; SPILLKV_ECORRUPT (no such segment or offset, or SQLite says so);
 *         SPILLKV_EIO; SPILLKV_ENOMEM
 * Cost:   sqlite3_blob_reopen() and sqlite3_blob_read(): one page read when it is not cached.
 */
SKV_MUST_CHECK spillkv_status skv_store_read(struct skv_store *store, uint32_t id, size_t offset,
                                             void *buffer, size_t size, size_t *size_out);

/**
 * The same for a segment that fills its row, past SQLite: from the page where the row was seen to
 * be written. One system call and no copy of a whole page: less than half of the time.
 *
 * What was seen last is what is there, but nothing proves that: the caller must be able to tell the
 * bytes from any others, and call skv_store_read() if they are not right.
 *
 * @return bytes read; 0 when the page is not known or cannot be read
 */
size_t skv_store_read_seen(struct skv_store *store, uint32_t id, size_t offset, void *buffer,
                           size_t size);

/** The file is damaged: until it is cleared SQLite alone reads, for an old version of a segment may
 *  be where a new one was seen. Any thread, no lock. */
void skv_store_distrust(struct skv_store *store);

/**
 * Asks the disk for `size` bytes at some places that will be read next, all at once, and does not
 * wait for them. The file's pages need not be in the order of the places.
 *
 * Cost: a system call for each place: some 300 ns when it is in the page cache already.
 */
void skv_store_announce(struct skv_store *store, const uint64_t *places, uint32_t count,
                        size_t size);

/**
 * Deletes all rows by starting a new file: SQLite would read every page to empty the old one. On a
 * failure the old file and its rows are still there.
 */
SKV_MUST_CHECK spillkv_status skv_store_clear(struct skv_store *store);

/** Whether more than a quarter of the file's pages hold nothing, as of the last write. Any thread,
 *  no lock. */
bool skv_store_is_hollow(const struct skv_store *store);
/** Gives some of those pages back to the file system: a bounded step. */
SKV_MUST_CHECK spillkv_status skv_store_shrink(struct skv_store *store);

/** The seed for checksums. */
uint64_t skv_store_seed(const struct skv_store *store);
/** Size of the file in bytes, as of the last write. Any thread, no lock. */
uint64_t skv_store_file_bytes(const struct skv_store *store);
/** Memory that the connection and its VFS hold at the moment. */
uint64_t skv_store_memory_bytes(struct skv_store *store);
/** What SQLite said about the last failure. */
const char *skv_store_message(const struct skv_store *store);

#endif
