/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdint.h>

#include "disk/vfs.h"
#include "support/fault_vfs.h"
#include "support/memory.h"
#include "support/tempdir.h"

#define MAIN (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)

static struct tempdir dir;
static sqlite3_vfs *vfs;
static sqlite3 *db;

static void set_up(void)
{
    tempdir_make(&dir);
    cr_assert_eq(skv_vfs_register(), SPILLKV_OK);
    vfs = sqlite3_vfs_find(SKV_VFS_NAME);
    cr_assert_not_null(vfs);
}

static void tear_down(void)
{
    cr_expect_eq(sqlite3_close(db), SQLITE_OK);
    tempdir_remove(&dir);
}

TestSuite(vfs, .init = set_up, .fini = tear_down, .timeout = 30);

/* The file below a connection, which is how a file with a proper name is had. */
static sqlite3_file *open_file(void)
{
    sqlite3_file *file = NULL;
    char name[PATH_MAX + 300];
    snprintf(name, sizeof(name), "file:%s?" SKV_VFS_UNDER "=" FAULT_VFS_NAME,
             tempdir_file(&dir, "file"));
    fault_vfs_register();
    cr_assert_eq(sqlite3_open_v2(name, &db,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI,
                                 SKV_VFS_NAME),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file), SQLITE_OK);
    return file;
}

static int control(int op)
{
    return sqlite3_file_control(db, "main", op, NULL);
}

static int put(sqlite3_file *file, char letter, sqlite3_int64 offset)
{
    char bytes[512];
    memset(bytes, letter, sizeof(bytes));
    return file->pMethods->xWrite(file, bytes, sizeof(bytes), offset);
}

static char letter_at(sqlite3_file *file, sqlite3_int64 offset)
{
    char letter = '?';
    cr_expect_eq(file->pMethods->xRead(file, &letter, 1, offset), SQLITE_OK);
    return letter;
}

Test(vfs, is_not_the_default)
{
    cr_expect_neq(sqlite3_vfs_find(NULL), vfs);
    cr_expect_eq(skv_vfs_register(), SPILLKV_OK);
}

Test(vfs, database_files_are_private)
{
    struct stat info;
    cr_assert_eq(sqlite3_open_v2(tempdir_file(&dir, "file"), &db,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, SKV_VFS_NAME),
                 SQLITE_OK);
    cr_assert_eq(stat(tempdir_file(&dir, "file"), &info), 0);
    cr_expect_eq(info.st_mode & 0777, 0600);
}

Test(vfs, symlinks_and_relative_paths_are_refused)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    cr_assert_eq(symlink("target", tempdir_file(&dir, "link")), 0);
    cr_expect_neq(sqlite3_open_v2(tempdir_file(&dir, "link"), &db, flags, SKV_VFS_NAME), SQLITE_OK);
    cr_expect_eq(sqlite3_close(db), SQLITE_OK);
    cr_expect_neq(sqlite3_open_v2("relative.db", &db, flags, SKV_VFS_NAME), SQLITE_OK);
    cr_expect_not(tempdir_has(&dir, "target"));
}

Test(vfs, other_kinds_of_files_are_refused)
{
    const int kinds[] = {SQLITE_OPEN_MAIN_JOURNAL, SQLITE_OPEN_TEMP_DB,    SQLITE_OPEN_TEMP_JOURNAL,
                         SQLITE_OPEN_TRANSIENT_DB, SQLITE_OPEN_SUBJOURNAL, SQLITE_OPEN_WAL};
    sqlite3_file *file = calloc(1, (size_t)vfs->szOsFile);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        cr_expect_eq(vfs->xOpen(vfs, tempdir_file(&dir, "file"), file,
                                kinds[i] | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL),
                     SQLITE_CANTOPEN);
        cr_expect_null(file->pMethods);
    }
    cr_expect_eq(vfs->xOpen(vfs, NULL, file, MAIN, NULL), SQLITE_CANTOPEN);
    cr_expect_not(tempdir_has(&dir, "file"));
    free(file);
}

Test(vfs, foreign_files_are_neither_seen_nor_deleted)
{
    int exists = 1;
    tempdir_write(&dir, "file-journal", "data", 4);
    const char *name = tempdir_file(&dir, "file-journal");
    cr_expect_eq(vfs->xAccess(vfs, name, SQLITE_ACCESS_EXISTS, &exists), SQLITE_OK);
    cr_expect_eq(exists, 0);
    cr_expect_eq(vfs->xDelete(vfs, name, 0), SQLITE_OK);
    cr_expect(tempdir_has(&dir, "file-journal"));
}

Test(vfs, what_is_not_about_files_is_the_default_s)
{
    char bytes[8] = {0};
    double now = 0;
    cr_expect_eq(vfs->xRandomness(vfs, 8, bytes), 8);
    cr_expect_eq(vfs->xCurrentTime(vfs, &now), SQLITE_OK);
    cr_expect_gt(now, 2.4e6);
    cr_expect_geq(vfs->xSleep(vfs, 1), 1);
    (void)vfs->xGetLastError(vfs, 8, bytes);
}

Test(vfs, read_beyond_the_end_is_zeroes)
{
    char bytes[8];
    sqlite3_file *file = open_file();
    cr_assert_eq(file->pMethods->xWrite(file, "abcd", 4, 0), SQLITE_OK);
    memset(bytes, 'x', sizeof(bytes));
    cr_expect_eq(file->pMethods->xRead(file, bytes, 8, 0), SQLITE_IOERR_SHORT_READ);
    cr_expect_eq(memcmp(bytes, "abcd\0\0\0\0", 8), 0);
    cr_expect_eq(file->pMethods->xRead(file, bytes, 8, 100), SQLITE_IOERR_SHORT_READ);
}

Test(vfs, read_of_a_file_that_became_shorter_fails)
{
    char bytes[512];
    sqlite3_file *file = open_file();
    cr_assert_eq(put(file, 'a', 0), SQLITE_OK);
    cr_assert_eq(control(SKV_FCNTL_SETTLE), SQLITE_OK);
    cr_assert_eq(truncate(tempdir_file(&dir, "file"), 100), 0);
    cr_expect_eq(file->pMethods->xRead(file, bytes, 512, 0), SQLITE_IOERR_CORRUPTFS);
}

Test(vfs, unguarded_file_reports_failures_at_once)
{
    sqlite3_file *file = open_file();
    fault_vfs_set(FAULT_WRITE, 1, SQLITE_FULL, true);
    cr_expect_eq(put(file, 'a', 0), SQLITE_FULL);
    fault_vfs_set(FAULT_TRUNCATE, 1, SQLITE_IOERR_TRUNCATE, true);
    cr_expect_eq(file->pMethods->xTruncate(file, 0), SQLITE_IOERR_TRUNCATE);
}

Test(vfs, refused_write_fails_the_commit_and_its_undo_is_kept)
{
    sqlite3_int64 bytes;
    sqlite3_file *file = open_file();
    cr_assert_eq(put(file, 'a', 0), SQLITE_OK);
    cr_assert_eq(put(file, 'b', 512), SQLITE_OK);
    cr_assert_eq(control(SKV_FCNTL_SETTLE), SQLITE_OK);

    cr_assert_eq(put(file, 'A', 0), SQLITE_OK);
    fault_vfs_set(FAULT_WRITE, 1, SQLITE_FULL, true);
    cr_expect_eq(put(file, 'B', 512), SQLITE_OK);
    cr_expect_eq(put(file, 'C', 1024), SQLITE_OK);
    cr_expect_eq(control(SKV_FCNTL_COMMIT), SQLITE_FULL);

    cr_expect_eq(file->pMethods->xTruncate(file, 1024), SQLITE_OK);
    cr_expect_eq(put(file, 'a', 0), SQLITE_OK);
    cr_expect_eq(put(file, 'b', 512), SQLITE_OK);
    cr_expect_eq(control(SKV_FCNTL_SETTLE), SQLITE_FULL);
    cr_expect_eq(letter_at(file, 0), 'a');
    cr_expect_eq(letter_at(file, 1023), 'b');
    cr_expect_eq(file->pMethods->xFileSize(file, &bytes), SQLITE_OK);
    cr_expect_eq(bytes, 1024);

    fault_vfs_clear();
    cr_expect_eq(control(SKV_FCNTL_SETTLE), SQLITE_OK);
    cr_expect_eq(letter_at(file, 0), 'a');
    cr_expect_eq(letter_at(file, 1023), 'b');
    cr_expect_eq(control(SKV_FCNTL_COMMIT), SQLITE_OK);
    struct stat info;
    cr_assert_eq(stat(tempdir_file(&dir, "file"), &info), 0);
    cr_expect_eq(info.st_size, 1024);
}

Test(vfs, refused_write_after_commit_was_called_is_told_at_sync_once)
{
    sqlite3_file *file = open_file();
    cr_assert_eq(put(file, 'a', 0), SQLITE_OK);
    cr_assert_eq(control(SKV_FCNTL_SETTLE), SQLITE_OK);
    cr_assert_eq(control(SKV_FCNTL_COMMIT), SQLITE_OK);
    fault_vfs_set(FAULT_WRITE, 1, SQLITE_IOERR_WRITE, false);
    cr_expect_eq(put(file, 'A', 0), SQLITE_OK);
    cr_expect_eq(control(SQLITE_FCNTL_SYNC), SQLITE_IOERR_WRITE);
    cr_expect_neq(control(SQLITE_FCNTL_SYNC), SQLITE_IOERR_WRITE);
    cr_expect_eq(put(file, 'a', 0), SQLITE_OK);
    cr_expect_eq(control(SKV_FCNTL_SETTLE), SQLITE_OK);
    cr_expect_eq(letter_at(file, 0), 'a');
}

Test(vfs, full_disk_and_failing_disk_are_told_apart)
{
    sqlite3_file *file = calloc(1, (size_t)vfs->szOsFile);
    /* Linux: every write to it fails for want of space, and it cannot be truncated. Parameters are
       looked for around the name, so it has to be one of SQLite's. */
    const char *const name = sqlite3_create_filename("/dev/full", "", "", 0, NULL);
    const int rc = vfs->xOpen(vfs, name, file, SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_READWRITE, NULL);
    cr_assert_eq(rc, SQLITE_OK);
    cr_expect_eq(put(file, 'a', 0), SQLITE_FULL);
    cr_expect_eq(file->pMethods->xTruncate(file, 0), SQLITE_IOERR_TRUNCATE);
    cr_expect_eq(file->pMethods->xClose(file), SQLITE_OK);
    sqlite3_free_filename(name);
    free(file);
}

/* What SQLite does not ask for in the modes that are set, but a VFS has to answer. */
static void expect_answers(sqlite3_file *file)
{
    int locked = 1;
    cr_expect_eq(file->pMethods->xSync(file, SQLITE_SYNC_NORMAL), SQLITE_OK);
    cr_expect_eq(file->pMethods->xCheckReservedLock(file, &locked), SQLITE_OK);
    cr_expect_eq(locked, 0);
    cr_expect_geq(file->pMethods->xSectorSize(file), 512);
    cr_expect_eq(file->pMethods->xDeviceCharacteristics(file), SQLITE_IOCAP_POWERSAFE_OVERWRITE);
}

Test(vfs, every_question_about_a_file_is_answered)
{
    sqlite3_file *file = open_file();
    expect_answers(file);
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
    cr_assert_eq(sqlite3_open_v2(tempdir_file(&dir, "other"), &db,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, SKV_VFS_NAME),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file), SQLITE_OK);
    expect_answers(file);
}

Test(vfs, a_name_that_does_not_fit_is_refused)
{
    char name[8];
    cr_expect_eq(vfs->xFullPathname(vfs, "/1234567", sizeof(name), name), SQLITE_CANTOPEN);
    cr_expect_eq(vfs->xFullPathname(vfs, "/123456", sizeof(name), name), SQLITE_OK);
    cr_expect_str_eq(name, "/123456");
}

/* A VFS that fails and yet leaves a file that has to be closed, as is allowed. */

static int closed_files;

static int close_half_open(sqlite3_file *file)
{
    (void)file;
    closed_files++;
    return SQLITE_OK;
}

static int open_half(sqlite3_vfs *self, const char *name, sqlite3_file *file, int flags, int *out)
{
    static const sqlite3_io_methods methods = {.iVersion = 1, .xClose = close_half_open};
    (void)self, (void)name, (void)flags, (void)out;
    file->pMethods = &methods;
    return SQLITE_IOERR;
}

static int open_over(const char *under)
{
    char name[PATH_MAX + 300];
    snprintf(name, sizeof(name), "file:%s?" SKV_VFS_UNDER "=%s", tempdir_file(&dir, "file"), under);
    return sqlite3_open_v2(name, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI,
                           SKV_VFS_NAME);
}

Test(vfs, a_file_that_another_one_opened_half_is_closed)
{
    static sqlite3_vfs half;
    half = *sqlite3_vfs_find(NULL);
    half.zName = "half";
    half.pNext = NULL;
    half.xOpen = open_half;
    cr_assert_eq(sqlite3_vfs_register(&half, 0), SQLITE_OK);
    cr_expect_eq(open_over("half"), SQLITE_IOERR);
    cr_expect_eq(closed_files, 1);
}

Test(vfs, itself_below_itself_is_as_if_it_were_not)
{
    cr_expect_eq(open_over(SKV_VFS_NAME), SQLITE_OK);
    cr_expect(tempdir_has(&dir, "file"));
}

Test(vfs, undo_that_memory_cannot_hold_is_told_at_once)
{
    struct failing_alloc failing;
    sqlite3_file *file = open_file();
    cr_assert_eq(put(file, 'a', 0), SQLITE_OK);
    cr_assert_eq(control(SKV_FCNTL_SETTLE), SQLITE_OK);
    fault_vfs_set(FAULT_WRITE, 1, SQLITE_IOERR_WRITE, true);
    failing_alloc_start(&failing, 1);
    cr_expect_eq(put(file, 'b', 0), SQLITE_IOERR_NOMEM);
    failing_alloc_stop();
    fault_vfs_clear();
    cr_expect_eq(letter_at(file, 0), 'a');
}

Test(vfs, file_over_another_one_needs_memory)
{
    void *held = NULL;
    const sqlite3_int64 before = sqlite3_hard_heap_limit64(0);
    char name[PATH_MAX + 300];
    sqlite3_file *const file = calloc(1, (size_t)vfs->szOsFile);
    const char *parameters[] = {SKV_VFS_UNDER, FAULT_VFS_NAME};
    fault_vfs_register();
    snprintf(name, sizeof(name), "%s", tempdir_file(&dir, "file"));
    const char *const full = sqlite3_create_filename(name, "", "", 1, parameters);
    held = sqlite3_malloc(8);
    sqlite3_hard_heap_limit64(sqlite3_memory_used());
    cr_expect_eq(vfs->xOpen(vfs, full, file, MAIN, NULL), SQLITE_NOMEM);
    sqlite3_hard_heap_limit64(before);
    cr_expect_null(file->pMethods);
    sqlite3_free(held);
    sqlite3_free_filename(full);
    free(file);
}
