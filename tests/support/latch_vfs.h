/* SPDX-License-Identifier: MIT */
/**
 * A SQLite VFS that stops a thread in the middle of a write until it is told to go on: what happens
 * between the packing of a batch and its settling can be tested without luck and without sleeping.
 */
#ifndef SKV_TESTS_SUPPORT_LATCH_VFS_H
#define SKV_TESTS_SUPPORT_LATCH_VFS_H

#include <stdbool.h>

#define LATCH_VFS_NAME "latch"

/** Registers the VFS; may be called again. */
void latch_vfs_register(void);
/** The next write will stop, once; with `fails` it fails when it goes on. */
void latch_vfs_arm(bool fails);
/** Waits until a write has stopped. */
void latch_vfs_wait(void);
/** Lets it go on. */
void latch_vfs_release(void);

#endif
