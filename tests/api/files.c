/* SPDX-License-Identifier: MIT */
/* What a store does to the file system: its directory and files, what it finds and leaves. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/kv.h"

static struct kv_test test;

static void prepare(void)
{
    kv_options(&test);
}

static void clean_up(void)
{
    tempdir_remove(&test.dir);
}

TestSuite(files, .init = prepare, .fini = clean_up, .timeout = 60);

static unsigned mode_of(const char *path)
{
    struct stat info;
    cr_assert_eq(lstat(path, &info), 0, "%s", path);
    return info.st_mode & 07777;
}

/** Calls `look` for every file in the store's directory; returns how many there are. */
static int for_each_file(void (*look)(const char *path, const char *name))
{
    char path[2 * PATH_MAX];
    int count = 0;
    DIR *const stream = opendir(test.path);
    cr_assert_not_null(stream);
    for (struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/%s", test.path, entry->d_name);
            count++;
            if (look != NULL) {
                look(path, entry->d_name);
            }
        }
    }
    (void)closedir(stream);
    return count;
}

static void expect_open_fails(spillkv_status status)
{
    spillkv *kv = (spillkv *)&test;
    const spillkv_status got = spillkv_open(&test.options, &kv);
    cr_expect_eq(got, status, "%s", spillkv_strerror(got));
    cr_expect_null(kv);
}

/** Opens, spills, reads, and closes. */
static void expect_works(void)
{
    kv_open(&test);
    cr_expect_eq(kv_count(test.kv), 0);
    cr_expect_eq(kv_has(test.kv, 1), SPILLKV_NOT_FOUND);
    kv_fill(test.kv, 0, 6000);
    kv_expect_filled(test.kv, 0, 6000);
    cr_expect_eq(spillkv_close(test.kv), SPILLKV_OK);
}

static void check_private(const char *path, const char *name)
{
    cr_expect_eq(mode_of(path), 0600, "%s", name);
}

Test(files, are_private)
{
    umask(0);
    test.options.shards = 2;
    test.options.max_mem = 2 * KV_TINY;
    kv_open(&test);
    kv_fill(test.kv, 0, KV_MANY);
    cr_expect_eq(mode_of(test.path), 0700);
    cr_expect_geq(for_each_file(check_private), 2);
    KV_OK(spillkv_close(test.kv));
}

Test(files, are_named_by_the_number_of_the_shard)
{
    struct stat info;
    char path[PATH_MAX + 32];
    test.options.shards = 4;
    test.options.max_mem = 4 * KV_TINY;
    kv_open(&test);
    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof(path), "%s/shard-%03d.db", test.path, i);
        cr_expect_eq(stat(path, &info) == 0, i < 4, "%s", path);
    }
    KV_OK(spillkv_close(test.kv));
}

static void check_with_sqlite(const char *path, const char *name)
{
    char command[4 * PATH_MAX];
    char copy[2 * PATH_MAX];
    sqlite3 *db;
    sqlite3_stmt *statement;
    if (strncmp(name, "shard-", 6) != 0) {
        return;
    }
    /* The live file is locked. */
    snprintf(copy, sizeof(copy), "%s", tempdir_file(&test.dir, "copy.db"));
    snprintf(command, sizeof(command), "cp '%s' '%s'", path, copy);
    cr_assert_eq(system(command), 0);
    cr_assert_eq(sqlite3_open_v2(copy, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(db, "pragma integrity_check", -1, &statement, NULL), SQLITE_OK,
                 "%s", sqlite3_errmsg(db));
    cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
    cr_expect_str_eq((const char *)sqlite3_column_text(statement, 0), "ok");
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

Test(files, are_valid_sqlite_databases)
{
    kv_open(&test);
    kv_fill(test.kv, 0, KV_MANY);
    KV_OK(kv_set(test.kv, KV_MANY, 0, KV_TINY));
    KV_OK(spillkv_flush(test.kv));
    for_each_file(check_with_sqlite);
    KV_OK(spillkv_close(test.kv));
}

Test(files, are_removed_with_the_directory_at_close)
{
    expect_works();
    cr_expect_not(tempdir_has(&test.dir, "store"));
}

Test(files, are_removed_but_not_a_directory_that_was_there)
{
    cr_assert_eq(mkdir(test.path, 0755), 0);
    expect_works();
    cr_expect(tempdir_has(&test.dir, "store"));
    cr_expect_eq(for_each_file(NULL), 0);
}

Test(files, of_others_stay)
{
    cr_assert_eq(mkdir(test.path, 0700), 0);
    tempdir_write(&test.dir, "store/notes.txt", "mine", 4);
    tempdir_write(&test.dir, "store/shard-1.db", "mine", 4);
    tempdir_write(&test.dir, "store/shard-000.db.bak", "mine", 4);
    expect_works();
    cr_expect_eq(for_each_file(NULL), 3);
}

Test(files, a_path_may_end_with_slashes)
{
    strcat(test.path, "//");
    expect_works();
    cr_expect_not(tempdir_has(&test.dir, "store"));
}

Test(files, a_path_may_be_relative)
{
    cr_assert_eq(chdir(test.dir.path), 0);
    test.options.path = "store";
    kv_open(&test);
    kv_fill(test.kv, 0, 6000);
    cr_expect(tempdir_has(&test.dir, "store/shard-000.db"));
    /* What is opened stays what it was. */
    cr_assert_eq(chdir("/"), 0);
    kv_expect_filled(test.kv, 0, 6000);
    KV_OK(spillkv_close(test.kv));
    cr_expect_not(tempdir_has(&test.dir, "store"));
}

/* What a second opener gets. */

Test(files, a_directory_in_use_is_busy)
{
    kv_open(&test);
    expect_open_fails(SPILLKV_EBUSY);
    kv_fill(test.kv, 0, 6000);
    expect_open_fails(SPILLKV_EBUSY);
    kv_expect_filled(test.kv, 0, 6000);
    KV_OK(spillkv_close(test.kv));
    expect_works();
}

Test(files, a_directory_in_use_is_busy_in_another_process)
{
    int status = -1;
    kv_open(&test);
    kv_fill(test.kv, 0, 6000);
    const pid_t child = fork();
    if (child == 0) {
        spillkv *kv;
        _exit(spillkv_open(&test.options, &kv) == SPILLKV_EBUSY ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
    kv_expect_filled(test.kv, 0, 6000);
    KV_OK(spillkv_close(test.kv));
}

Test(files, the_same_directory_by_another_name_is_busy)
{
    const char *const link = tempdir_file(&test.dir, "dir");
    kv_open(&test);
    cr_assert_eq(symlink(test.dir.path, link), 0);
    snprintf(test.path, sizeof(test.path), "%s/store", link);
    expect_open_fails(SPILLKV_EBUSY);
    KV_OK(spillkv_close(test.kv));
}

/* What is found. */

/** Has a child open a store, spill and be killed in the midst of it. */
static void leave_leftovers(void)
{
    int ready[2];
    char byte;
    int status;
    cr_assert_eq(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        kv_open(&test);
        kv_fill(test.kv, 0, 6000);
        (void)!write(ready[1], "r", 1);
        for (uint32_t version = 0;; version++) {
            (void)kv_set(test.kv, version % 6000, version, KV_VALUE);
        }
    }
    (void)close(ready[1]);
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    cr_assert_eq(kill(child, SIGKILL), 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    (void)close(ready[0]);
}

Test(files, of_a_killed_process_are_emptied)
{
    KV_NEED_OPEN_IN_CHILD();
    test.options.shards = 4;
    test.options.max_mem = 4 * KV_TINY;
    leave_leftovers();
    cr_expect(tempdir_has(&test.dir, "store/shard-003.db"));
    test.options.shards = 1;
    test.options.max_mem = KV_TINY;
    expect_works();
    /* The directory was there this time. */
    cr_expect(tempdir_has(&test.dir, "store"));
    cr_expect_eq(for_each_file(NULL), 0);
}

/** Expects that a file named like a shard's is refused, and that nothing is changed. */
static void expect_foreign(const char *name, const void *bytes, size_t size)
{
    char after[512];
    char path[64];
    snprintf(path, sizeof(path), "store/%s", name);
    cr_assert_eq(mkdir(test.path, 0750), 0);
    tempdir_write(&test.dir, path, bytes, size);
    expect_open_fails(SPILLKV_EFOREIGN);
    FILE *const file = fopen(tempdir_file(&test.dir, path), "rb");
    cr_assert_not_null(file);
    cr_expect_eq(fread(after, 1, sizeof(after), file), size);
    cr_expect_eq(memcmp(bytes, after, size), 0);
    (void)fclose(file);
    cr_expect_eq(for_each_file(NULL), 1);
    cr_expect_eq(mode_of(test.path), 0750);
}

Test(files, a_text_of_that_name_is_foreign)
{
    static const char text[] = "This is not a database, and longer than its header would be: "
                               "one hundred bytes and some more, up to here and not further.";
    expect_foreign("shard-000.db", text, sizeof(text));
}

Test(files, a_short_file_of_that_name_is_foreign)
{
    expect_foreign("shard-000.db", "x", 1);
}

Test(files, an_empty_file_of_that_name_is_foreign)
{
    expect_foreign("shard-000.db", "", 0);
}

Test(files, a_foreign_file_of_a_shard_that_is_not_used_is_respected)
{
    expect_foreign("shard-255.db", "text", 4);
}

Test(files, a_foreign_lock_file_is_respected)
{
    expect_foreign("spillkv.lock", "text", 4);
}

Test(files, another_sqlite_database_is_foreign)
{
    sqlite3 *db;
    struct stat before;
    struct stat after;
    const char *const path = tempdir_file(&test.dir, "store/shard-000.db");
    cr_assert_eq(mkdir(test.path, 0700), 0);
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "create table t(x); insert into t values (42)", NULL, NULL, NULL),
                 SQLITE_OK);
    sqlite3_close(db);
    cr_assert_eq(stat(path, &before), 0);
    expect_open_fails(SPILLKV_EFOREIGN);
    cr_assert_eq(stat(path, &after), 0);
    cr_expect_eq(after.st_size, before.st_size);
    cr_expect_eq(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_expect_eq(sqlite3_exec(db, "select x from t", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

Test(files, a_symlink_in_place_of_a_shard_file_is_foreign)
{
    tempdir_write(&test.dir, "target", "precious", 8);
    cr_assert_eq(mkdir(test.path, 0700), 0);
    cr_assert_eq(symlink("../target", tempdir_file(&test.dir, "store/shard-000.db")), 0);
    expect_open_fails(SPILLKV_EFOREIGN);
    cr_expect_eq(for_each_file(NULL), 1);
    cr_expect(tempdir_has(&test.dir, "target"));
}

Test(files, a_directory_in_place_of_a_shard_file_is_foreign)
{
    cr_assert_eq(mkdir(test.path, 0700), 0);
    cr_assert_eq(mkdir(tempdir_file(&test.dir, "store/shard-000.db"), 0700), 0);
    expect_open_fails(SPILLKV_EFOREIGN);
}

/* Paths that will not do. */

Test(files, a_path_to_a_file_is_refused)
{
    tempdir_write(&test.dir, "store", "text", 4);
    expect_open_fails(SPILLKV_EINVAL);
    cr_expect_eq(mode_of(test.path) & 0600, 0600);
}

Test(files, a_path_without_a_parent_is_refused)
{
    strcat(test.path, "/deeper");
    expect_open_fails(SPILLKV_EINVAL);
    cr_expect_not(tempdir_has(&test.dir, "store"));
}

Test(files, a_symlink_is_not_followed)
{
    cr_assert_eq(mkdir(tempdir_file(&test.dir, "real"), 0700), 0);
    cr_assert_eq(symlink("real", test.path), 0);
    expect_open_fails(SPILLKV_EINVAL);
    strcat(test.path, "/");
    expect_open_fails(SPILLKV_EINVAL);
}

Test(files, a_path_too_long_is_refused)
{
    char path[PATH_MAX + 1000];
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    path[0] = '/';
    test.options.path = path;
    expect_open_fails(SPILLKV_EINVAL);
}

Test(files, a_directory_that_cannot_be_written_is_an_io_error)
{
    if (geteuid() == 0) {
        cr_skip_test("root may write everywhere");
    }
    cr_assert_eq(mkdir(test.path, 0500), 0);
    expect_open_fails(SPILLKV_EIO);
}

Test(files, a_failed_open_leaves_no_directory)
{
    test.options.sqlite_vfs = "no such vfs";
    spillkv *kv;
    cr_expect_lt(spillkv_open(&test.options, &kv), 0);
    cr_expect_not(tempdir_has(&test.dir, "store"));
}
