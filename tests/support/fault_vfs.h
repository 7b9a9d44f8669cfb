/* SPDX-License-Identifier: MIT */
/**
 * A SQLite VFS that fails or waits on demand. Above the library's own VFS if that is registered,
 * else above SQLite's default one.
 *
 * Threads: safe from any thread; a call that has begun may still miss a fault that is set
 * meanwhile.
 */
#ifndef SKV_TESTS_FAULT_VFS_H
#define SKV_TESTS_FAULT_VFS_H

#include <stdbool.h>
#include <stdint.h>

#define FAULT_VFS_NAME "fault"

enum fault_kind {
    FAULT_OPEN,
    FAULT_READ,
    FAULT_WRITE,
    FAULT_TRUNCATE,
    FAULT_SIZE,
    FAULT_CLOSE, /* the file is closed all the same */
    FAULT_LOCK,
    FAULT_SYNC,
    FAULT_KINDS
};

/** Registers the VFS; may be called again. */
void fault_vfs_register(void);

/**
 * Makes the n-th call of a kind from now on fail; n counts from 1.
 *
 * @param rc    what it fails with; a read that fails with SQLITE_IOERR_SHORT_READ yields zeroes,
 *              and a write that fails with SQLITE_FULL has written its first half
 * @param ever  all later calls of the kind fail too
 */
void fault_vfs_set(enum fault_kind kind, int n, int rc, bool ever);
/** Makes one call of a kind in so many fail, chosen by dice; `rc` as above. */
void fault_vfs_set_some(enum fault_kind kind, uint32_t one_in, int rc);
/** Ends all faults. */
void fault_vfs_clear(void);
/** How many calls have failed since the last fault_vfs_clear(). */
int fault_vfs_failures(void);
/** How many calls of a kind there were in this process. */
uint64_t fault_vfs_calls(enum fault_kind kind);
/** How often a part of a file was asked for as mapped memory. */
uint64_t fault_vfs_mappings(void);

/** One read or write in so many lets other threads go first; 0: none. */
void fault_vfs_set_yield(uint32_t one_in);

/** Makes calls of a kind wait, until fault_vfs_release(). */
void fault_vfs_hold(enum fault_kind kind);
/** Returns when a call waits. */
void fault_vfs_wait_held(void);
/** Whether a call waits; looks for at most so many milliseconds. */
bool fault_vfs_is_held(int ms);
/** Lets the waiting calls go on, and all later ones pass. */
void fault_vfs_release(void);

#endif
