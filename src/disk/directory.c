/* SPDX-License-Identifier: MIT */
/*
 * DESIGN
 *
 * The lock is flock() on a small file: it ends with the process, works on every local file system,
 * and unlike fcntl() locks it is not lost when some other descriptor of the file is closed. It
 * belongs to the open file, which a child made by fork() would share: handlers close it in the
 * child, or else a child that outlives its parent would keep the directory locked.
 *
 * Whoever closes a store removes the lock file. One who waits with that file open would then hold a
 * lock on a file without a name, beside one who creates a new file: so after locking the file must
 * still be the one of that name, else it is tried again.
 *
 * Everything in the directory is reached through its descriptor and never through a symlink.
 *
 * Invariant: nothing is removed before all shard files were found to be ours.
 */
#include "disk/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "disk/schema.h"

#define LOCK_NAME    "spillkv.lock"
#define LOCK_CONTENT "spillkv: this directory belongs to an open store\n"
#define NAME_BYTES   32

/* Where SQLite keeps PRAGMA application_id in a file's header, big-endian.
   Source: https://www.sqlite.org/fileformat.html */
#define HEADER_BYTES          100
#define HEADER_MAGIC          "SQLite format 3"
#define HEADER_APPLICATION_ID 68

/* Times that the lock file or the directory may vanish under our hands by others' closing. */
#define ATTEMPTS 1000

struct skv_directory {
    struct skv_directory *next; /* in open_directories; guarded by its lock */
    int fd;
    int lock_fd;
    bool created;      /* the directory is ours to remove */
    bool lock_created; /* by this open */
    bool lock_ours;    /* had our content before */
    bool inherited;    /* by a child: the files are the parent's */
    char *path;        /* absolute, without symlinks */
};

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct skv_directory *open_directories;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void before_fork(void)
{
    pthread_mutex_lock(&list_lock);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&list_lock);
}

static void after_fork_in_child(void)
{
    for (struct skv_directory *at = open_directories; at != NULL; at = at->next) {
        close(at->lock_fd);
        at->lock_fd = -1;
        at->inherited = true;
    }
    pthread_mutex_unlock(&list_lock);
}

static void register_fork_handlers(void)
{
    /* It fails for want of memory only; then children may keep directories locked. */
    (void)pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

static spillkv_status status_of_errno(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ELOOP:
    case EINVAL:
        return SPILLKV_EINVAL;
    case ENOSPC:
    case EDQUOT:
        return SPILLKV_ENOSPC;
    case ENOMEM:
        return SPILLKV_ENOMEM;
    default:
        return SPILLKV_EIO;
    }
}

/* Where the reason of a failure goes. */
struct report {
    char *message;
    size_t size;
};

static spillkv_status fail(const struct report *report, spillkv_status status, const char *what,
                           const char *why)
{
    if (report->message != NULL) {
        snprintf(report->message, report->size, "%s: %s", what, why);
    }
    return status;
}

static spillkv_status fail_errno(const struct report *report, const char *what)
{
    int error = errno;
    return fail(report, status_of_errno(error), what, strerror(error));
}

/* Without slashes at its end: behind them O_NOFOLLOW would follow. */
static char *copy_path(const char *path)
{
    size_t length = strlen(path);
    char *copy = skv_alloc(length + 1);

    if (copy == NULL) {
        return NULL;
    }
    memcpy(copy, path, length + 1);
    while (length > 1 && copy[length - 1] == '/') {
        copy[--length] = '\0';
    }
    return copy;
}

/* Creates the directory or finds it; *again_out when it vanished in between. */
static spillkv_status open_directory(struct skv_directory *directory, const char *path,
                                     const struct report *report, bool *again_out)
{
    struct stat opened;
    struct stat named;
    char *real;

    directory->created = mkdir(path, 0700) == 0;
    if (!directory->created && errno != EEXIST) {
        return fail_errno(report, path);
    }
    directory->fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (directory->fd < 0) {
        *again_out = errno == ENOENT;
        return fail_errno(report, path);
    }
    real = realpath(path, NULL);
    if (real == NULL) {
        *again_out = errno == ENOENT;
        return fail_errno(report, path);
    }
    directory->path = copy_path(real);
    free(real);
    if (directory->path == NULL) {
        return SPILLKV_ENOMEM;
    }
    if (strlen(directory->path) + NAME_BYTES > PATH_MAX) {
        return fail(report, SPILLKV_EINVAL, path, "too long");
    }
    if (fstat(directory->fd, &opened) != 0 || stat(directory->path, &named) != 0) {
        *again_out = errno == ENOENT;
        return fail_errno(report, path);
    }
    if (opened.st_dev != named.st_dev || opened.st_ino != named.st_ino) {
        *again_out = true;
        return fail(report, SPILLKV_EINVAL, path, "replaced while it was opened");
    }
    return SPILLKV_OK;
}

/* Opens the lock file, or creates it; *again_out when it or the directory vanished in between. */
static spillkv_status open_lock(struct skv_directory *directory, const struct report *report,
                                bool *again_out)
{
    int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
    struct stat info;

    directory->lock_created = false;
    directory->lock_fd = openat(directory->fd, LOCK_NAME, flags);
    if (directory->lock_fd < 0 && errno == ENOENT) {
        directory->lock_fd = openat(directory->fd, LOCK_NAME, flags | O_CREAT | O_EXCL, 0600);
        directory->lock_created = directory->lock_fd >= 0;
        *again_out = !directory->lock_created && (errno == ENOENT || errno == EEXIST);
    }
    if (directory->lock_fd < 0) {
        if (errno == ELOOP || errno == EISDIR || errno == ENXIO) {
            return fail(report, SPILLKV_EFOREIGN, LOCK_NAME, "not a regular file");
        }
        return fail_errno(report, LOCK_NAME);
    }
    if (fstat(directory->lock_fd, &info) != 0) {
        return fail_errno(report, LOCK_NAME);
    }
    if (!S_ISREG(info.st_mode)) {
        return fail(report, SPILLKV_EFOREIGN, LOCK_NAME, "not a regular file");
    }
    return SPILLKV_OK;
}

/* Whether the file that was opened still has its name. */
static bool lock_is_named(const struct skv_directory *directory)
{
    struct stat opened;
    struct stat named;

    return fstat(directory->lock_fd, &opened) == 0 &&
           fstatat(directory->fd, LOCK_NAME, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

static spillkv_status check_lock_content(struct skv_directory *directory,
                                         const struct report *report)
{
    char content[sizeof(LOCK_CONTENT)];
    ssize_t size = pread(directory->lock_fd, content, sizeof(content), 0);

    if (size < 0) {
        return fail_errno(report, LOCK_NAME);
    }
    directory->lock_ours = (size_t)size == sizeof(content) - 1 &&
                           memcmp(content, LOCK_CONTENT, sizeof(content) - 1) == 0;
    if (size != 0 && !directory->lock_ours) {
        return fail(report, SPILLKV_EFOREIGN, LOCK_NAME, "of another program");
    }
    return SPILLKV_OK;
}

/* Takes the lock; *again_out as above. */
static spillkv_status take_lock(struct skv_directory *directory, const struct report *report,
                                bool *again_out)
{
    spillkv_status status = open_lock(directory, report, again_out);

    if (status != SPILLKV_OK) {
        return status;
    }
    if (flock(directory->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        /* The one who has it may have found it before it was ours. */
        directory->lock_created = false;
        if (errno == EWOULDBLOCK) {
            return fail(report, SPILLKV_EBUSY, directory->path, "in use by another store");
        }
        return fail_errno(report, LOCK_NAME);
    }
    if (!lock_is_named(directory)) {
        directory->lock_created = false;
        *again_out = true;
        return fail(report, SPILLKV_EBUSY, directory->path, "its lock file keeps vanishing");
    }
    return check_lock_content(directory, report);
}

/* shard-NNN.db, with three digits or more. */
static bool is_shard_name(const char *name)
{
    size_t digits;

    if (strncmp(name, "shard-", 6) != 0) {
        return false;
    }
    digits = strspn(name + 6, "0123456789");
    return digits >= 3 && strcmp(name + 6 + digits, ".db") == 0;
}

static bool is_ours(const struct skv_directory *directory, const char *name)
{
    static const uint8_t id[4] = {
        SKV_SCHEMA_APPLICATION_ID >> 24, SKV_SCHEMA_APPLICATION_ID >> 16 & 0xff,
        SKV_SCHEMA_APPLICATION_ID >> 8 & 0xff, SKV_SCHEMA_APPLICATION_ID & 0xff};
    uint8_t header[HEADER_BYTES];
    struct stat info;
    bool ours = false;
    int fd = openat(directory->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        return false;
    }
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
        ssize_t size = pread(fd, header, sizeof(header), 0);
        ours = (size == 0 && directory->lock_ours) ||
               (size == HEADER_BYTES && memcmp(header, HEADER_MAGIC, sizeof(HEADER_MAGIC)) == 0 &&
                memcmp(header + HEADER_APPLICATION_ID, id, sizeof(id)) == 0);
    }
    close(fd);
    return ours;
}

/* Looks at every shard file, and removes it when told to. */
static spillkv_status scan(const struct skv_directory *directory, bool remove,
                           const struct report *report)
{
    spillkv_status status = SPILLKV_OK;
    int fd = openat(directory->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;

    if (stream == NULL) {
        status = fail_errno(report, directory->path);
        if (fd >= 0) {
            close(fd);
        }
        return status;
    }
    while (status == SPILLKV_OK && (errno = 0, entry = readdir(stream)) != NULL) {
        if (!is_shard_name(entry->d_name)) {
            continue;
        }
        if (!is_ours(directory, entry->d_name)) {
            status = fail(report, SPILLKV_EFOREIGN, entry->d_name, "not a file of ours");
        } else if (remove && unlinkat(directory->fd, entry->d_name, 0) != 0 && errno != ENOENT) {
            status = fail_errno(report, entry->d_name);
        }
    }
    if (status == SPILLKV_OK && errno != 0) {
        status = fail_errno(report, directory->path);
    }
    closedir(stream);
    return status;
}

static spillkv_status write_lock_content(const struct skv_directory *directory,
                                         const struct report *report)
{
    size_t size = sizeof(LOCK_CONTENT) - 1;
    ssize_t done;

    if (directory->lock_ours) {
        return SPILLKV_OK;
    }
    done = pwrite(directory->lock_fd, LOCK_CONTENT, size, 0);
    if (done == (ssize_t)size) {
        return SPILLKV_OK;
    }
    errno = done < 0 ? errno : ENOSPC;
    spillkv_status status = fail_errno(report, LOCK_NAME);
    /* It was empty before. */
    (void)!ftruncate(directory->lock_fd, 0);
    return status;
}

/* Undoes what open_directory() and take_lock() did. */
static void release(struct skv_directory *directory, const char *path, bool remove_lock)
{
    if (directory->lock_fd >= 0) {
        if (remove_lock) {
            (void)unlinkat(directory->fd, LOCK_NAME, 0);
        }
        close(directory->lock_fd);
        directory->lock_fd = -1;
    }
    if (directory->created) {
        (void)rmdir(path);
    }
    if (directory->fd >= 0) {
        close(directory->fd);
        directory->fd = -1;
    }
    skv_free(directory->path);
    directory->path = NULL;
}

/* Opens and locks; on success the directory is in the list. */
static spillkv_status open_locked(struct skv_directory *directory, const char *path,
                                  const struct report *report)
{
    spillkv_status status = SPILLKV_EBUSY;
    bool again = true;

    for (int attempt = 0; attempt < ATTEMPTS && again; attempt++) {
        again = false;
        status = open_directory(directory, path, report, &again);
        if (status == SPILLKV_OK) {
            /* No fork between having the lock and being in the list. */
            pthread_mutex_lock(&list_lock);
            status = take_lock(directory, report, &again);
            if (status == SPILLKV_OK) {
                directory->next = open_directories;
                open_directories = directory;
            }
            pthread_mutex_unlock(&list_lock);
        }
        if (status != SPILLKV_OK) {
            release(directory, path, directory->lock_created);
        }
    }
    return status;
}

static void leave_list(struct skv_directory *directory)
{
    struct skv_directory **link = &open_directories;

    pthread_mutex_lock(&list_lock);
    while (*link != directory) {
        link = &(*link)->next;
    }
    *link = directory->next;
    pthread_mutex_unlock(&list_lock);
}

spillkv_status skv_directory_open(const char *path, struct skv_directory **directory_out,
                                  char *message, size_t message_size)
{
    const struct report report = {message, message_size};
    struct skv_directory *directory = NULL;
    spillkv_status status = SPILLKV_ENOMEM;
    char *trimmed;

    *directory_out = NULL;
    pthread_once(&fork_once, register_fork_handlers);
    trimmed = copy_path(path);
    directory = skv_alloc_zeroed(sizeof(*directory));
    if (trimmed == NULL || directory == NULL) {
        goto fail;
    }
    directory->fd = -1;
    directory->lock_fd = -1;
    status = open_locked(directory, trimmed, &report);
    if (status != SPILLKV_OK) {
        goto fail;
    }
    status = scan(directory, false, &report);
    if (status == SPILLKV_OK) {
        status = write_lock_content(directory, &report);
    }
    if (status == SPILLKV_OK) {
        status = scan(directory, true, &report);
    }
    if (status != SPILLKV_OK) {
        leave_list(directory);
        release(directory, trimmed, directory->lock_created);
        goto fail;
    }
    skv_free(trimmed);
    *directory_out = directory;
    return SPILLKV_OK;
fail:
    skv_free(directory);
    skv_free(trimmed);
    return status;
}

char *skv_directory_shard_file(const struct skv_directory *directory, uint32_t shard)
{
    size_t size = strlen(directory->path) + NAME_BYTES;
    char *file = skv_alloc(size);

    if (file != NULL) {
        snprintf(file, size, "%s/shard-%03u.db", directory->path, (unsigned)shard);
    }
    return file;
}

/* Whether the directory that was opened still has its name. */
static bool is_named(const struct skv_directory *directory)
{
    struct stat opened;
    struct stat named;

    return fstat(directory->fd, &opened) == 0 && lstat(directory->path, &named) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

spillkv_status skv_directory_close(struct skv_directory **directory)
{
    struct skv_directory *closed = *directory;
    spillkv_status status = SPILLKV_OK;

    if (closed == NULL) {
        return SPILLKV_OK;
    }
    *directory = NULL;
    leave_list(closed);
    if (closed->inherited) {
        closed->created = false;
    } else if (unlinkat(closed->fd, LOCK_NAME, 0) != 0 && errno != ENOENT) {
        status = SPILLKV_EIO;
    }
    closed->created = closed->created && is_named(closed);
    release(closed, closed->path, false);
    skv_free(closed);
    return status;
}
