/* SPDX-License-Identifier: MIT */
/*
 * DESIGN
 *
 * A file is either a descriptor of our own or, when the host chose a VFS, a file of that one.
 * Either way the same guard (guard.c) is above it, which is why the store always opens our VFS and
 * names the other in a parameter.
 *
 * The only files are databases: journals and temporary tables are in memory.
 */
#include "disk/vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "disk/guard.h"

#define PATH_BYTES_MAX 4096

static pthread_once_t register_once = PTHREAD_ONCE_INIT;
static int register_rc = SQLITE_ERROR;
static sqlite3_vfs the_vfs;

/* The chosen VFS may itself open files through ours: these must not ask for it again. */
static _Thread_local bool opening_under;

static sqlite3_vfs *default_of(sqlite3_vfs *vfs)
{
    return vfs->pAppData;
}

static int open_under(struct skv_guarded_file *file, sqlite3_vfs *under, const char *name,
                      int flags, int *flags_out)
{
    int rc;

    file->under = sqlite3_malloc(under->szOsFile);
    if (file->under == NULL) {
        return SQLITE_NOMEM;
    }
    memset(file->under, 0, (size_t)under->szOsFile);
    opening_under = true;
    rc = under->xOpen(under, name, file->under, flags, flags_out);
    opening_under = false;
    if (rc != SQLITE_OK) {
        /* A VFS may fail and yet leave a file that has to be closed. */
        if (file->under->pMethods != NULL) {
            file->under->pMethods->xClose(file->under);
        }
        sqlite3_free(file->under);
    }
    return rc;
}

static int open_fd(struct skv_guarded_file *file, const char *name, int flags, int *flags_out)
{
    int mode = O_RDWR | O_NOFOLLOW | O_CLOEXEC | (flags & SQLITE_OPEN_CREATE ? O_CREAT : 0);

    do {
        file->fd = open(name, mode, 0600);
    } while (file->fd < 0 && errno == EINTR);
    if (file->fd < 0) {
        return errno == ENOSPC || errno == EDQUOT ? SQLITE_FULL : SQLITE_CANTOPEN;
    }
    /* Advice only: without it reads are as right, if slower. */
    (void)posix_fadvise(file->fd, 0, 0, POSIX_FADV_RANDOM);
    if (flags_out != NULL) {
        *flags_out = flags;
    }
    return SQLITE_OK;
}

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags,
                    int *flags_out)
{
    struct skv_guarded_file *file = skv_guarded(base);
    sqlite3_vfs *under = NULL;
    int rc;

    /* SQLite calls xClose when methods are set, even if this fails. */
    memset(file, 0, sizeof(*file));
    file->fd = -1;
    skv_overlay_init(&file->overlay);
    if (name == NULL || (flags & SQLITE_OPEN_MAIN_DB) == 0) {
        return SQLITE_CANTOPEN;
    }
    if (!opening_under) {
        const char *chosen = sqlite3_uri_parameter(name, SKV_VFS_UNDER);
        under = chosen != NULL ? sqlite3_vfs_find(chosen) : NULL;
        if (chosen != NULL && under == NULL) {
            return SQLITE_CANTOPEN;
        }
    }
    if (under != NULL && under != vfs) {
        rc = open_under(file, under, name, flags, flags_out);
    } else {
        rc = open_fd(file, name, flags, flags_out);
    }
    if (rc == SQLITE_OK) {
        file->base.pMethods = &skv_guard_methods;
    }
    return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_directory)
{
    (void)vfs, (void)name, (void)sync_directory;
    return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *result_out)
{
    (void)vfs, (void)name, (void)flags;
    *result_out = 0;
    return SQLITE_OK;
}

static int vfs_full_pathname(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    size_t length = strlen(name);

    (void)vfs;
    if (name[0] != '/' || length >= (size_t)size) {
        return SQLITE_CANTOPEN;
    }
    memcpy(out, name, length + 1);
    return SQLITE_OK;
}

static int vfs_randomness(sqlite3_vfs *vfs, int size, char *out)
{
    return default_of(vfs)->xRandomness(default_of(vfs), size, out);
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
    return default_of(vfs)->xSleep(default_of(vfs), microseconds);
}

static int vfs_current_time(sqlite3_vfs *vfs, double *out)
{
    return default_of(vfs)->xCurrentTime(default_of(vfs), out);
}

static int vfs_get_last_error(sqlite3_vfs *vfs, int size, char *out)
{
    return default_of(vfs)->xGetLastError(default_of(vfs), size, out);
}

static void register_vfs(void)
{
    sqlite3_vfs *standard = sqlite3_vfs_find(NULL);

    if (standard == NULL) {
        return;
    }
    /* The loading of extensions is off, as it is by default: no xDlOpen is needed. */
    the_vfs = (sqlite3_vfs){
        .iVersion = 1,
        .szOsFile = (int)sizeof(struct skv_guarded_file),
        .mxPathname = PATH_BYTES_MAX,
        .zName = SKV_VFS_NAME,
        .pAppData = standard,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_pathname,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_current_time,
        .xGetLastError = vfs_get_last_error,
    };
    register_rc = sqlite3_vfs_register(&the_vfs, 0);
}

spillkv_status skv_vfs_register(void)
{
    pthread_once(&register_once, register_vfs);
    return register_rc == SQLITE_OK ? SPILLKV_OK : SPILLKV_ESYSTEM;
}
