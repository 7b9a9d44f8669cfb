/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/alloc.h"
#include "disk/directory.h"
#include "disk/schema.h"
#include "disk/store.h"
#include "support/memory.h"
#include "support/tempdir.h"

static struct tempdir dir;
static struct skv_directory *directory;
static char message[256];

static void set_up(void)
{
    tempdir_make(&dir);
}

static void tear_down(void)
{
    cr_expect_eq(skv_directory_close(&directory), SPILLKV_OK);
    tempdir_remove(&dir);
}

TestSuite(directory, .init = set_up, .fini = tear_down, .timeout = 60);

static spillkv_status open_at(const char *path)
{
    return skv_directory_open(path, &directory, message, sizeof(message));
}

static spillkv_status open_sub(void)
{
    return open_at(tempdir_file(&dir, "sub"));
}

/* A file as a killed process leaves it. */
static void leave_shard(const char *name)
{
    struct skv_store *store;
    char kept[PATH_MAX + 256];
    const struct skv_store_options options = {.file = tempdir_file(&dir, name),
                                              .cache_bytes = 1 << 20};
    cr_assert_eq(skv_store_open(&options, &store, NULL, 0), SPILLKV_OK);
    snprintf(kept, sizeof(kept), "%s.kept", options.file);
    cr_assert_eq(link(options.file, kept), 0);
    cr_assert_eq(skv_store_close(&store), SPILLKV_OK);
    cr_assert_eq(rename(kept, tempdir_file(&dir, name)), 0);
}

Test(directory, is_created_private_and_removed)
{
    struct stat info;
    cr_assert_eq(open_sub(), SPILLKV_OK, "%s", message);
    cr_assert_eq(stat(tempdir_file(&dir, "sub"), &info), 0);
    cr_expect_eq(info.st_mode & 0777, 0700);
    cr_expect(tempdir_has(&dir, "sub/spillkv.lock"));
    cr_expect_eq(skv_directory_close(&directory), SPILLKV_OK);
    cr_expect_null(directory);
    cr_expect_not(tempdir_has(&dir, "sub"));
}

Test(directory, that_existed_stays)
{
    cr_assert_eq(mkdir(tempdir_file(&dir, "sub"), 0755), 0);
    cr_assert_eq(open_sub(), SPILLKV_OK);
    cr_expect_eq(skv_directory_close(&directory), SPILLKV_OK);
    cr_expect(tempdir_has(&dir, "sub"));
    cr_expect_not(tempdir_has(&dir, "sub/spillkv.lock"));
}

Test(directory, that_got_other_files_stays)
{
    cr_assert_eq(open_sub(), SPILLKV_OK);
    tempdir_write(&dir, "sub/notes", "data", 4);
    cr_expect_eq(skv_directory_close(&directory), SPILLKV_OK);
    cr_expect(tempdir_has(&dir, "sub/notes"));
}

Test(directory, slashes_at_the_end_do_not_matter)
{
    char path[PATH_MAX + 300];
    snprintf(path, sizeof(path), "%s//", tempdir_file(&dir, "sub"));
    cr_assert_eq(open_at(path), SPILLKV_OK);
    char *file = skv_directory_shard_file(directory, 7);
    cr_assert_not_null(file);
    cr_expect_str_eq(file + strlen(file) - 17, "/sub/shard-007.db");
    cr_expect_eq(file[0], '/');
    skv_free(file);
    file = skv_directory_shard_file(directory, 1234);
    cr_expect_str_eq(file + strlen(file) - 14, "/shard-1234.db");
    skv_free(file);
}

Test(directory, bad_paths_are_refused)
{
    char path[2 * PATH_MAX];
    cr_expect_eq(open_at(""), SPILLKV_EINVAL);
    cr_expect_eq(open_at(tempdir_file(&dir, "no/parent")), SPILLKV_EINVAL);
    cr_expect_null(directory);
    cr_expect_neq(message[0], '\0');
    tempdir_write(&dir, "file", "data", 4);
    cr_expect_eq(open_at(tempdir_file(&dir, "file")), SPILLKV_EINVAL);
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    cr_expect_eq(open_at(path), SPILLKV_EINVAL);
}

Test(directory, symlinks_are_refused)
{
    char path[PATH_MAX + 300];
    cr_assert_eq(mkdir(tempdir_file(&dir, "real"), 0700), 0);
    cr_assert_eq(symlink("real", tempdir_file(&dir, "sub")), 0);
    cr_expect_eq(open_sub(), SPILLKV_EINVAL);
    snprintf(path, sizeof(path), "%s/", tempdir_file(&dir, "sub"));
    cr_expect_eq(open_at(path), SPILLKV_EINVAL);
    cr_assert_eq(symlink("target", tempdir_file(&dir, "real/spillkv.lock")), 0);
    cr_expect_eq(open_at(tempdir_file(&dir, "real")), SPILLKV_EFOREIGN);
    cr_expect_not(tempdir_has(&dir, "real/target"));
    cr_expect(tempdir_has(&dir, "real/spillkv.lock"));
}

Test(directory, symlinked_parent_is_fine)
{
    cr_assert_eq(mkdir(tempdir_file(&dir, "real"), 0700), 0);
    cr_assert_eq(symlink("real", tempdir_file(&dir, "link")), 0);
    cr_assert_eq(open_at(tempdir_file(&dir, "link/sub")), SPILLKV_OK);
    char *file = skv_directory_shard_file(directory, 0);
    cr_expect_str_eq(file + strlen(file) - 22, "/real/sub/shard-000.db");
    skv_free(file);
}

Test(directory, second_store_in_the_process_is_refused)
{
    struct skv_directory *second;
    cr_assert_eq(open_sub(), SPILLKV_OK);
    cr_expect_eq(skv_directory_open(tempdir_file(&dir, "sub"), &second, NULL, 0), SPILLKV_EBUSY);
    cr_expect_null(second);
    cr_expect(tempdir_has(&dir, "sub/spillkv.lock"));
    cr_expect_eq(skv_directory_close(&directory), SPILLKV_OK);
    cr_expect_eq(open_sub(), SPILLKV_OK);
}

/* Runs a child until told to go; returns its id when it is `ready`. */
static pid_t start_child(void (*body)(void), int go[2])
{
    int ready[2];
    char byte;
    cr_assert_eq(pipe(ready), 0);
    cr_assert_eq(pipe(go), 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        close(go[1]);
        body();
        if (write(ready[1], "", 1) != 1 || read(go[0], &byte, 1) < 0) {
            _exit(1);
        }
        _exit(0);
    }
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    close(go[0]);
    close(ready[0]);
    close(ready[1]);
    return child;
}

static void end_child(pid_t child, int go[2], int signal_number)
{
    if (signal_number != 0) {
        kill(child, signal_number);
    }
    close(go[1]);
    cr_assert_eq(waitpid(child, NULL, 0), child);
}

static void open_in_child(void)
{
    if (open_sub() != SPILLKV_OK) {
        _exit(1);
    }
}

static void do_nothing(void)
{
}

Test(directory, another_process_keeps_it_until_it_is_killed)
{
    int go[2];
    pid_t child = start_child(open_in_child, go);
    cr_expect_eq(open_sub(), SPILLKV_EBUSY);
    cr_expect(tempdir_has(&dir, "sub/spillkv.lock"));
    end_child(child, go, SIGKILL);
    cr_expect(tempdir_has(&dir, "sub/spillkv.lock"));
    cr_expect_eq(open_sub(), SPILLKV_OK, "%s", message);
}

Test(directory, forked_child_does_not_keep_it)
{
    int go[2];
    cr_assert_eq(open_sub(), SPILLKV_OK);
    pid_t child = start_child(do_nothing, go);
    cr_expect_eq(skv_directory_close(&directory), SPILLKV_OK);
    cr_expect_eq(open_sub(), SPILLKV_OK, "%s", message);
    end_child(child, go, 0);
}

static void close_in_child(void)
{
    (void)skv_directory_close(&directory);
}

Test(directory, forked_child_cannot_unlock_it)
{
    struct skv_directory *second;
    int go[2];
    cr_assert_eq(open_sub(), SPILLKV_OK);
    pid_t child = start_child(close_in_child, go);
    cr_expect(tempdir_has(&dir, "sub/spillkv.lock"));
    cr_expect_eq(skv_directory_open(tempdir_file(&dir, "sub"), &second, NULL, 0), SPILLKV_EBUSY);
    end_child(child, go, 0);
}

Test(directory, leftovers_of_ours_are_removed)
{
    cr_assert_eq(mkdir(tempdir_file(&dir, "sub"), 0700), 0);
    leave_shard("sub/shard-000.db");
    leave_shard("sub/shard-1023.db");
    tempdir_write(&dir, "sub/shard-00.db", "", 0);
    tempdir_write(&dir, "sub/shard-000.db-journal", "data", 4);
    tempdir_write(&dir, "sub/notes", "data", 4);
    cr_assert_eq(open_sub(), SPILLKV_OK, "%s", message);
    cr_expect_not(tempdir_has(&dir, "sub/shard-000.db"));
    cr_expect_not(tempdir_has(&dir, "sub/shard-1023.db"));
    cr_expect(tempdir_has(&dir, "sub/shard-00.db"));
    cr_expect(tempdir_has(&dir, "sub/shard-000.db-journal"));
    cr_expect(tempdir_has(&dir, "sub/notes"));
}

Test(directory, empty_shard_file_is_ours_only_beside_our_lock)
{
    char lock[128];
    cr_assert_eq(open_sub(), SPILLKV_OK);
    FILE *file = fopen(tempdir_file(&dir, "sub/spillkv.lock"), "rb");
    size_t size = fread(lock, 1, sizeof(lock), file);
    cr_assert_eq(fclose(file), 0);
    tempdir_write(&dir, "sub/shard-003.db", "", 0);
    cr_assert_eq(skv_directory_close(&directory), SPILLKV_OK);

    cr_expect_eq(open_sub(), SPILLKV_EFOREIGN);
    cr_expect_not(tempdir_has(&dir, "sub/spillkv.lock"));
    tempdir_write(&dir, "sub/spillkv.lock", lock, size);
    cr_expect_eq(open_sub(), SPILLKV_OK);
    cr_expect_not(tempdir_has(&dir, "sub/shard-003.db"));
}

static void expect_foreign(const char *name)
{
    cr_expect_eq(open_sub(), SPILLKV_EFOREIGN, "%s", name);
    cr_expect_neq(message[0], '\0');
    cr_expect(tempdir_has(&dir, name), "%s", name);
    cr_expect(tempdir_has(&dir, "sub/shard-000.db"));
    cr_expect_not(tempdir_has(&dir, "sub/spillkv.lock"));
    (void)remove(tempdir_file(&dir, name));
}

Test(directory, foreign_shard_files_are_untouched_and_so_is_all_else)
{
    char other[8192] = "SQLite format 3";
    cr_assert_eq(mkdir(tempdir_file(&dir, "sub"), 0700), 0);
    leave_shard("sub/shard-000.db");
    tempdir_write(&dir, "sub/shard-001.db", "data", 4);
    expect_foreign("sub/shard-001.db");
    tempdir_write(&dir, "sub/shard-001.db", other, sizeof(other));
    expect_foreign("sub/shard-001.db");
    cr_assert_eq(symlink("shard-000.db", tempdir_file(&dir, "sub/shard-999.db")), 0);
    expect_foreign("sub/shard-999.db");
    cr_assert_eq(mkdir(tempdir_file(&dir, "sub/shard-002.db"), 0700), 0);
    expect_foreign("sub/shard-002.db");
    cr_assert_eq(mkfifo(tempdir_file(&dir, "sub/shard-002.db"), 0600), 0);
    expect_foreign("sub/shard-002.db");
    cr_expect_eq(open_sub(), SPILLKV_OK, "%s", message);
}

Test(directory, foreign_lock_file_is_untouched)
{
    cr_assert_eq(mkdir(tempdir_file(&dir, "sub"), 0700), 0);
    tempdir_write(&dir, "sub/spillkv.lock", "pid 1\n", 6);
    cr_expect_eq(open_sub(), SPILLKV_EFOREIGN);
    struct stat info;
    cr_assert_eq(stat(tempdir_file(&dir, "sub/spillkv.lock"), &info), 0);
    cr_expect_eq(info.st_size, 6);
    cr_assert_eq(remove(tempdir_file(&dir, "sub/spillkv.lock")), 0);
    cr_assert_eq(mkdir(tempdir_file(&dir, "sub/spillkv.lock"), 0700), 0);
    cr_expect_eq(open_sub(), SPILLKV_EFOREIGN);
}

Test(directory, open_without_memory_leaves_nothing)
{
    bool failed = true;
    for (unsigned n = 1; failed && n < 10; n++) {
        struct failing_alloc failing = {.fail_at = n};
        skv_alloc_set_hook(failing_alloc_hook, &failing);
        spillkv_status status = open_sub();
        skv_alloc_set_hook(NULL, NULL);
        failed = failing.failed;
        cr_expect_eq(status, failed ? SPILLKV_ENOMEM : SPILLKV_OK);
        cr_expect_eq(tempdir_has(&dir, "sub"), !failed);
    }
    cr_expect_not(failed);
}

static _Atomic int owners;
static _Atomic int opens;

static void *contend(void *path)
{
    for (int round = 0; round < 300; round++) {
        struct skv_directory *mine;
        spillkv_status status = skv_directory_open(path, &mine, NULL, 0);
        if (status == SPILLKV_OK) {
            cr_expect_eq(atomic_fetch_add(&owners, 1), 0);
            atomic_fetch_add(&opens, 1);
            atomic_fetch_sub(&owners, 1);
            cr_expect_eq(skv_directory_close(&mine), SPILLKV_OK);
        } else {
            cr_expect_eq(status, SPILLKV_EBUSY);
        }
    }
    return NULL;
}

Test(directory, has_one_owner_at_a_time_while_it_comes_and_goes)
{
    pthread_t threads[4];
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%.4000s/sub", dir.path);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, contend, path), 0);
    }
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    cr_expect_gt(opens, 0);
    /* The directory itself may stay: one thread created it, and another had the lock in it. */
    cr_expect_not(tempdir_has(&dir, "sub/spillkv.lock"));
}
