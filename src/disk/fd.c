/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. System calls may do a part of what they are asked for or be interrupted; SQLite wants all
 * of it or a reason.
 */
#include "disk/fd.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

int skv_fd_full_or(int rc)
{
    return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? SQLITE_FULL : rc;
}

int skv_fd_read(int fd, uint8_t *buffer, size_t size, off_t offset)
{
    while (size != 0) {
        ssize_t done = pread(fd, buffer, size, offset);
        if (done < 0) {
            if (errno == EINTR) {
                continue;
            }
            return SQLITE_IOERR_READ;
        }
        if (done == 0) {
            memset(buffer, 0, size);
            return SQLITE_IOERR_SHORT_READ;
        }
        buffer += done;
        size -= (size_t)done;
        offset += done;
    }
    return SQLITE_OK;
}

int skv_fd_write(int fd, const uint8_t *bytes, size_t size, off_t offset)
{
    while (size != 0) {
        ssize_t done = pwrite(fd, bytes, size, offset);
        if (done < 0) {
            if (errno == EINTR) {
                continue;
            }
            return skv_fd_full_or(SQLITE_IOERR_WRITE);
        }
        if (done == 0) {
            return SQLITE_FULL;
        }
        bytes += done;
        size -= (size_t)done;
        offset += done;
    }
    return SQLITE_OK;
}
