/* SPDX-License-Identifier: MIT */
/**
 * The directory of a store: created, locked against other stores, cleared of leftovers.
 *
 * The lock is flock() on the file `spillkv.lock`, so it ends with the process whatever happens to
 * it. Leftovers are files named shard-NNN.db that carry our application_id in SQLite's header (or
 * are still empty, next to a lock file of ours); any other file of that name makes the directory
 * foreign and nothing in it is touched.
 *
 * Threads: open and close from any thread; a handle belongs to one owner.
 */
#ifndef SKV_DISK_DIRECTORY_H
#define SKV_DISK_DIRECTORY_H

#include <stddef.h>
#include <stdint.h>

#include <spillkv/spillkv.h>

#include "base/attributes.h"

struct skv_directory; /* directory.c */

/**
 * @param path  not empty; its parent must exist; neither it nor the files in it may be symlinks
 * @return SPILLKV_OK; SPILLKV_EINVAL (not a directory, too long, parent missing); SPILLKV_EBUSY;
 *         SPILLKV_EFOREIGN; SPILLKV_EIO (not writable ...); SPILLKV_ENOSPC; SPILLKV_ENOMEM.
 *         After a failure nothing is left behind and nothing of others was changed.
 */
SKV_MUST_CHECK spillkv_status skv_directory_open(const char *path,
                                                 struct skv_directory **directory_out,
                                                 char *message, size_t message_size);
/** The path of a shard's file: PATH/shard-NNN.db; owned by the caller (skv_free()), NULL when out
 * of memory. */
char *skv_directory_shard_file(const struct skv_directory *directory, uint32_t shard);
/** Removes the lock file, and the directory if open had created it and it is empty; clears
 *  *directory; NULL is fine. Shard files must be closed before. */
spillkv_status skv_directory_close(struct skv_directory **directory);

#endif
