/* SPDX-License-Identifier: MIT */
#include "support/latch_vfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>

#include "support/model.h"

enum latch_state {
    LATCH_OFF,
    LATCH_ARMED,
    LATCH_STOPPED,
    LATCH_RELEASED
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static enum latch_state state;
static bool failing;

static _Atomic int broken; /* enum latch_break */
static _Atomic uint32_t broken_one_in;
static _Atomic uint64_t calls; /* since that was set */

static bool is_broken(enum latch_break what)
{
    const uint32_t one_in = atomic_load(&broken_one_in);
    if (one_in != 0) {
        uint64_t dice = atomic_fetch_add(&calls, 1);
        if (model_random(&dice) % one_in == 0) {
            return true;
        }
    }
    return (atomic_load(&broken) & (int)what) != 0;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static sqlite3_io_methods latch_methods; /* constant after the first file was opened */
static int (*write_under)(sqlite3_file *, const void *, int, sqlite3_int64);
static int (*read_under)(sqlite3_file *, void *, int, sqlite3_int64);

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
    if (is_broken(LATCH_WRITES)) {
        return SQLITE_FULL;
    }
    return stop_here() ? SQLITE_IOERR_WRITE : write_under(file, bytes, size, offset);
}

static int latch_read(sqlite3_file *file, void *bytes, int size, sqlite3_int64 offset)
{
    if (is_broken(LATCH_READS)) {
        return SQLITE_IOERR_READ;
    }
    return read_under(file, bytes, size, offset);
}

static const sqlite3_io_methods *methods_under;

static void make_methods(void)
{
    write_under = methods_under->xWrite;
    read_under = methods_under->xRead;
    latch_methods = *methods_under;
    latch_methods.xWrite = latch_write;
    latch_methods.xRead = latch_read;
}

/* The file is the default VFS's own, with two methods changed. */
static int latch_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                      int *flags_out)
{
    sqlite3_vfs *const under = vfs->pAppData;
    const int rc = under->xOpen(under, name, file, flags, flags_out);
    if (rc == SQLITE_OK && (flags & SQLITE_OPEN_MAIN_DB) != 0) {
        (void)pthread_mutex_lock(&lock);
        methods_under = file->pMethods;
        (void)pthread_once(&once, make_methods);
        (void)pthread_mutex_unlock(&lock);
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

void latch_vfs_break(int what)
{
    atomic_store(&broken, what);
}

void latch_vfs_break_some(uint32_t one_in)
{
    atomic_store(&calls, 0);
    atomic_store(&broken_one_in, one_in);
}
