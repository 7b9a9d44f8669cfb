/* SPDX-License-Identifier: MIT */
/** A directory of a test's own, and what is in it. */
#ifndef SKV_TESTS_SUPPORT_TEMPDIR_H
#define SKV_TESTS_SUPPORT_TEMPDIR_H

#include <criterion/criterion.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct tempdir {
    char path[PATH_MAX];
};

static inline int tempdir_remove_one(const char *path, const struct stat *info, int type,
                                     struct FTW *where)
{
    (void)info, (void)type, (void)where;
    return remove(path);
}

static inline void tempdir_make(struct tempdir *dir)
{
    const char *const parent = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
    snprintf(dir->path, sizeof(dir->path), "%s/spillkv-test-XXXXXX", parent);
    cr_assert_not_null(mkdtemp(dir->path));
}

static inline void tempdir_remove(struct tempdir *dir)
{
    cr_expect_eq(nftw(dir->path, tempdir_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/** PATH/NAME in a buffer that the next few calls reuse. */
static inline const char *tempdir_file(const struct tempdir *dir, const char *name)
{
    static char files[8][PATH_MAX + 256];
    static unsigned next;
    char *const file = files[next++ % 8];
    snprintf(file, sizeof(files[0]), "%s/%s", dir->path, name);
    return file;
}

static inline bool tempdir_has(const struct tempdir *dir, const char *name)
{
    struct stat info;
    return lstat(tempdir_file(dir, name), &info) == 0;
}

static inline void tempdir_write(const struct tempdir *dir, const char *name, const void *bytes,
                                 size_t size)
{
    FILE *const file = fopen(tempdir_file(dir, name), "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
}

#endif
