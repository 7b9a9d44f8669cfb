/* SPDX-License-Identifier: MIT */
#include "support/latch_vfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <string.h>

enum latch_state { LATCH_OFF, LATCH_ARMED, LATCH_STOPPED, LATCH_RELEASED };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static enum latch_state state;
static bool failing;

static sqlite3_io_methods latch_methods;
static int (*write_under)(sqlite3_file *, const void *, int, sqlite3_int64);

static void change(enum latch_state to)
{
    state = to;
    (void)pthread_cond_broadcast(&changed);
}

/* Whether the write is to fail. */
static bool stop_here(void)
{
    bool fails = false;
    (void)pthread_mutex_lock(&lock);
    if (state == LATCH_ARMED) {
        change(LATCH_STOPPED);
        while (state == LATCH_STOPPED) {
            (void)pthread_cond_wait(&changed, &lock);
        }
        state = LATCH_OFF;
        fails = failing;
    }
    (void)pthread_mutex_unlock(&lock);
    return fails;
}

static int latch_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 offset)
{
    return stop_here() ? SQLITE_IOERR_WRITE : write_under(file, bytes, size, offset);
}

/* The file is the default VFS's own, with one method changed. */
static int latch_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                      int *flags_out)
{
    sqlite3_vfs *const under = vfs->pAppData;
    const int rc = under->xOpen(under, name, file, flags, flags_out);
    if (rc == SQLITE_OK && (flags & SQLITE_OPEN_MAIN_DB) != 0) {
        write_under = file->pMethods->xWrite;
        latch_methods = *file->pMethods;
        latch_methods.xWrite = latch_write;
        file->pMethods = &latch_methods;
    }
    return rc;
}

void latch_vfs_register(void)
{
    static sqlite3_vfs vfs;
    sqlite3_vfs *const under = sqlite3_vfs_find(NULL);
    if (vfs.zName != NULL) {
        return;
    }
    vfs = *under;
    vfs.zName = LATCH_VFS_NAME;
    vfs.pAppData = under;
    vfs.xOpen = latch_open;
    vfs.pNext = NULL;
    (void)sqlite3_vfs_register(&vfs, 0);
}

void latch_vfs_arm(bool fails)
{
    (void)pthread_mutex_lock(&lock);
    failing = fails;
    change(LATCH_ARMED);
    (void)pthread_mutex_unlock(&lock);
}

void latch_vfs_wait(void)
{
    (void)pthread_mutex_lock(&lock);
    while (state != LATCH_STOPPED) {
        (void)pthread_cond_wait(&changed, &lock);
    }
    (void)pthread_mutex_unlock(&lock);
}

void latch_vfs_release(void)
{
    (void)pthread_mutex_lock(&lock);
    change(LATCH_RELEASED);
    (void)pthread_mutex_unlock(&lock);
}
