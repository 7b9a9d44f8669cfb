/* SPDX-License-Identifier: MIT */
#include "scratch.h"

#include <dirent.h>
#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of st_blocks. */
#define BLOCK_BYTES 512u

char *scratch_make(const char *parent)
{
    char *path = NULL;
    if (parent == NULL) {
        parent = getenv("TMPDIR");
    }
    if (parent == NULL || *parent == '\0') {
        parent = "/tmp";
    }
    if (asprintf(&path, "%s/spillkv-bench-XXXXXX", parent) < 0) {
        error(0, 0, "out of memory");
        return NULL;
    }
    if (mkdtemp(path) == NULL) {
        error(0, errno, "cannot create a directory like %s", path);
        free(path);
        return NULL;
    }
    return path;
}

uint64_t scratch_bytes(const char *path)
{
    uint64_t bytes = 0;
    DIR *const directory = opendir(path);
    const struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        struct stat about;
        if (fstatat(dirfd(directory), entry->d_name, &about, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(about.st_mode)) {
            const uint64_t stored = (uint64_t)about.st_blocks * BLOCK_BYTES;
            const uint64_t size = (uint64_t)about.st_size;
            bytes += stored < size ? stored : size;
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
    return bytes;
}

void scratch_remove(char *path)
{
    if (path == NULL) {
        return;
    }
    DIR *const directory = opendir(path);
    const struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            unlinkat(dirfd(directory), entry->d_name, 0);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
    if (rmdir(path) != 0) {
        error(0, errno, "cannot remove %s", path);
    }
    free(path);
}
