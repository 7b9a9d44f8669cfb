/* SPDX-License-Identifier: MIT */
/** Whole reads and writes at an offset of a file, with SQLite's results. */
#ifndef SKV_DISK_FD_H
#define SKV_DISK_FD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attributes.h"

/** SQLITE_FULL if errno says that the disk or the quota is full, else `rc`. */
int skv_fd_full_or(int rc);
/** SQLITE_OK; SQLITE_IOERR_SHORT_READ with the missing bytes zeroed; SQLITE_IOERR_READ. */
SKV_MUST_CHECK int skv_fd_read(int fd, uint8_t *buffer, size_t size, off_t offset);
/** SQLITE_OK, SQLITE_FULL or SQLITE_IOERR_WRITE: a part may be written then. */
SKV_MUST_CHECK int skv_fd_write(int fd, const uint8_t *bytes, size_t size, off_t offset);

#endif
