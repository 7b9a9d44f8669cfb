/* SPDX-License-Identifier: MIT */
/**
 * A SQLite VFS that stops a thread in the middle of a write until it is told to go on: what happens
 * between the packing of a batch and its settling can be tested without luck and without sleeping.
 */
#ifndef SKV_TESTS_SUPPORT_LATCH_VFS_H
#define SKV_TESTS_SUPPORT_LATCH_VFS_H

#include <stdbool.h>
#include <stdint.h>

#define LATCH_VFS_NAME "latch"

enum latch_break {
    LATCH_WRITES = 1,
    LATCH_READS = 2
};

/** Registers the VFS; may be called again. */
void latch_vfs_register(void);
/** The next write will stop, once; with `fails` it fails when it goes on. */
void latch_vfs_arm(bool fails);
/** Waits until a write has stopped. */
void latch_vfs_wait(void);
/** Lets it go on. */
void latch_vfs_release(void);

/** From now on all writes fail with SQLITE_FULL, all reads with SQLITE_IOERR_READ, as the bits of
 *  enum latch_break say; 0 mends the disk. Any thread at any time. */
void latch_vfs_break(int what);
/** The same for one call in so many, chosen by dice, wherever that is in a transaction; 0: none.
 *  The dice begin anew with every call of this. */
void latch_vfs_break_some(uint32_t one_in);

#endif
