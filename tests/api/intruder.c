/* SPDX-License-Identifier: MIT */
/* What others do, or try to do, to the directory and the files of a store. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/kv.h"

#define NOBODY 65534

static struct kv_test test;

static void prepare(void)
{
    kv_options(&test);
    /* Others can come as far as to the store's own directory. */
    cr_assert_eq(chmod(test.dir.path, 0755), 0);
    umask(0);
}

static void clean_up(void)
{
    tempdir_remove(&test.dir);
}

TestSuite(intruder, .init = prepare, .fini = clean_up, .timeout = 60);

static void open_spilling(void)
{
    kv_open(&test);
    kv_fill(test.kv, 0, 6000);
    KV_OK(spillkv_flush(test.kv));
    cr_assert_gt(kv_stats(test.kv).total.entries_spilled, 0);
}

static void expect_works(void)
{
    kv_expect_filled(test.kv, 0, 6000);
    kv_fill(test.kv, 6000, 12000);
    kv_expect_filled(test.kv, 0, 12000);
}

static void expect_text(const char *name, const char *text)
{
    char found[64] = "";
    FILE *const file = fopen(tempdir_file(&test.dir, name), "rb");
    cr_assert_not_null(file, "%s: %s", name, strerror(errno));
    cr_expect_eq(fread(found, 1, sizeof(found), file), strlen(text));
    cr_expect_str_eq(found, text);
    (void)fclose(file);
}

static void expect_refused(spillkv_status wanted)
{
    const spillkv_status status = spillkv_open(&test.options, &test.kv);
    cr_expect_eq(status, wanted, "%s", spillkv_strerror(status));
    cr_expect_null(test.kv);
}

/* In a child that may end as it likes; what `act` returns is its exit code. */
static int in_child(int (*act)(void))
{
    int status = -1;
    const pid_t child = fork();
    if (child == 0) {
        _exit(act());
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status), "status %d", status);
    return WEXITSTATUS(status);
}

/* While it is open. */

Test(intruder, who_removes_all_files_does_not_disturb_an_open_store)
{
    open_spilling();
    cr_assert_eq(nftw(test.path, tempdir_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    expect_works();
    KV_OK(spillkv_clear(test.kv));
    kv_fill(test.kv, 0, 100);
    kv_expect_filled(test.kv, 0, 100);
    cr_expect_eq(spillkv_close(test.kv), SPILLKV_OK);
    cr_expect_not(tempdir_has(&test.dir, "store"));
}

Test(intruder, who_puts_another_directory_in_the_place_keeps_what_is_in_it)
{
    open_spilling();
    cr_assert_eq(rename(test.path, tempdir_file(&test.dir, "away")), 0);
    cr_assert_eq(mkdir(test.path, 0700), 0);
    tempdir_write(&test.dir, "store/shard-000.db", "mine", 4);
    tempdir_write(&test.dir, "store/spillkv.lock", "mine", 4);
    expect_works();
    cr_expect_eq(spillkv_close(test.kv), SPILLKV_OK);
    expect_text("store/shard-000.db", "mine");
    expect_text("store/spillkv.lock", "mine");
    cr_expect_not(tempdir_has(&test.dir, "away/spillkv.lock"));
}

Test(intruder, who_puts_an_empty_directory_in_the_place_keeps_it)
{
    open_spilling();
    cr_assert_eq(rename(test.path, tempdir_file(&test.dir, "away")), 0);
    cr_assert_eq(mkdir(test.path, 0700), 0);
    cr_expect_eq(spillkv_close(test.kv), SPILLKV_OK);
    cr_expect(tempdir_has(&test.dir, "store"));
}

Test(intruder, who_plants_a_link_in_place_of_an_open_file_gets_nothing_written_through_it)
{
    open_spilling();
    tempdir_write(&test.dir, "precious", "mine", 4);
    cr_assert_eq(unlink(tempdir_file(&test.dir, "store/shard-000.db")), 0);
    cr_assert_eq(symlink("../precious", tempdir_file(&test.dir, "store/shard-000.db")), 0);
    expect_works();
    /* Cleared, a file is begun anew: not where another one is. */
    KV_OK(spillkv_clear(test.kv));
    kv_fill(test.kv, 0, 6000);
    kv_expect_filled(test.kv, 0, 6000);
    cr_expect_eq(spillkv_close(test.kv), SPILLKV_OK);
    expect_text("precious", "mine");
    cr_expect(tempdir_has(&test.dir, "store/shard-000.db"));
}

/* Before it is opened. */

Test(intruder, who_plants_a_link_in_place_of_the_lock_is_refused)
{
    tempdir_write(&test.dir, "precious", "", 0);
    cr_assert_eq(mkdir(test.path, 0700), 0);
    cr_assert_eq(symlink("../precious", tempdir_file(&test.dir, "store/spillkv.lock")), 0);
    expect_refused(SPILLKV_EFOREIGN);
    expect_text("precious", "");
}

Test(intruder, who_plants_a_pipe_is_refused_and_does_not_stop_the_caller)
{
    cr_assert_eq(mkdir(test.path, 0700), 0);
    cr_assert_eq(mkfifo(tempdir_file(&test.dir, "store/spillkv.lock"), 0600), 0);
    expect_refused(SPILLKV_EFOREIGN);
    cr_assert_eq(unlink(tempdir_file(&test.dir, "store/spillkv.lock")), 0);
    cr_assert_eq(mkfifo(tempdir_file(&test.dir, "store/shard-000.db"), 0600), 0);
    expect_refused(SPILLKV_EFOREIGN);
}

Test(intruder, a_link_that_leads_nowhere_is_not_followed)
{
    cr_assert_eq(symlink("nowhere", test.path), 0);
    expect_refused(SPILLKV_EINVAL);
    cr_expect_not(tempdir_has(&test.dir, "nowhere"));
}

/* Another user. */

static int look_as_nobody(void)
{
    if (setresgid(NOBODY, NOBODY, NOBODY) != 0 || setresuid(NOBODY, NOBODY, NOBODY) != 0) {
        return 10;
    }
    return open(test.path, O_RDONLY | O_DIRECTORY) >= 0                              ? 1
           : open(tempdir_file(&test.dir, "store/shard-000.db"), O_RDONLY) >= 0      ? 2
           : open(tempdir_file(&test.dir, "store/spillkv.lock"), O_RDONLY) >= 0      ? 3
           : rename(test.path, tempdir_file(&test.dir, "away")) == 0                 ? 4
           : open(tempdir_file(&test.dir, "store/new"), O_RDWR | O_CREAT, 0600) >= 0 ? 5
                                                                                     : 0;
}

Test(intruder, another_user_reads_and_changes_nothing)
{
    if (geteuid() != 0) {
        cr_skip_test("only root can become another user");
    }
    open_spilling();
    cr_expect_eq(in_child(look_as_nobody), 0);
    KV_OK(spillkv_close(test.kv));
}

static int open_as_nobody(void)
{
    if (setresgid(NOBODY, NOBODY, NOBODY) != 0 || setresuid(NOBODY, NOBODY, NOBODY) != 0) {
        return 10;
    }
    return spillkv_open(&test.options, &test.kv) == SPILLKV_EIO && test.kv == NULL ? 0 : 1;
}

Test(intruder, who_may_not_write_is_told_so)
{
    if (geteuid() != 0) {
        cr_skip_test("only root can become another user");
    }
    /* Neither create a directory nor use one of somebody else's. */
    cr_expect_eq(in_child(open_as_nobody), 0);
    cr_assert_eq(mkdir(test.path, 0755), 0);
    cr_expect_eq(in_child(open_as_nobody), 0);
    cr_assert_eq(chmod(test.path, 0700), 0);
    cr_expect_eq(in_child(open_as_nobody), 0);
}

/* Other file systems. */

#define CANNOT_MOUNT 77

static int open_read_only(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount(test.dir.path, test.dir.path, NULL, MS_BIND, NULL) != 0 ||
        mount(NULL, test.dir.path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) != 0) {
        return CANNOT_MOUNT;
    }
    return spillkv_open(&test.options, &test.kv) == SPILLKV_EIO && test.kv == NULL ? 0 : 1;
}

Test(intruder, a_file_system_that_is_read_only_is_an_error)
{
    const int alone = in_child(open_read_only);
    if (alone == CANNOT_MOUNT) {
        cr_skip_test("mounting is not permitted");
    }
    cr_expect_eq(alone, 0);
    cr_assert_eq(mkdir(test.path, 0700), 0);
    cr_expect_eq(in_child(open_read_only), 0);
}

Test(intruder, a_path_that_leaves_no_room_for_the_names_of_files_is_refused)
{
    char path[PATH_MAX];
    size_t size = (size_t)snprintf(path, sizeof(path), "%s", test.dir.path);
    test.options.path = path;
    while (size + 202 < sizeof(path)) {
        memset(path + size, 'x', 200);
        path[size] = '/';
        size += 200;
        path[size] = '\0';
        if (size > sizeof(path) - 232) {
            break;
        }
        cr_assert_eq(mkdir(path, 0700), 0, "%zu: %s", size, strerror(errno));
    }
    while (size < sizeof(path) - 20) {
        path[size++] = 'y';
    }
    path[size] = '\0';
    expect_refused(SPILLKV_EINVAL);
    struct stat info;
    cr_expect_neq(stat(path, &info), 0);
}

/* What could be found by others. */

static bool is_in_store(const char *file)
{
    return strncmp(file, test.path, strlen(test.path)) == 0;
}

/* Regular files that this process has open; those outside of the store's directory in *others. */
static unsigned open_files(unsigned *others)
{
    unsigned count = 0;
    DIR *const stream = opendir("/proc/self/fd");
    cr_assert_not_null(stream);
    *others = 0;
    for (struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
        char file[PATH_MAX + 1] = "";
        struct stat info;
        if (fstatat(dirfd(stream), entry->d_name, &info, 0) == 0 && S_ISREG(info.st_mode) &&
            readlinkat(dirfd(stream), entry->d_name, file, PATH_MAX) > 0) {
            count++;
            *others += !is_in_store(file);
        }
    }
    (void)closedir(stream);
    return count;
}

Test(intruder, who_looks_for_temporary_files_finds_none)
{
    unsigned others_before;
    unsigned others;
    const char *const temporary = tempdir_file(&test.dir, "temporary");
    cr_assert_eq(mkdir(temporary, 0700), 0);
    cr_assert_eq(setenv("TMPDIR", temporary, 1), 0);
    cr_assert_eq(setenv("SQLITE_TMPDIR", temporary, 1), 0);
    test.options.sqlite_vfs = "unix"; /* which would make them */
    (void)open_files(&others_before);
    open_spilling();
    KV_OK(kv_set(test.kv, 20000, 0, 2 << 20));
    for (uint32_t i = 0; i < 6000; i += 2) {
        KV_OK(kv_del(test.kv, i));
    }
    KV_OK(spillkv_flush(test.kv));
    cr_expect_geq(open_files(&others), 2);
    cr_expect_eq(others, others_before);
    DIR *const stream = opendir(temporary);
    unsigned entries = 0;
    while (readdir(stream) != NULL) {
        entries++;
    }
    (void)closedir(stream);
    cr_expect_eq(entries, 2, ". and .. and %u more", entries - 2);
    KV_OK(spillkv_close(test.kv));
}
