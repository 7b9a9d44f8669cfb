/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "disk/store.h"
#include "support/disk.h"
#include "support/memory.h"
#include "support/tempdir.h"

static struct disk disk;

static void set_up(void)
{
    disk_open(&disk, NULL);
}

static void tear_down(void)
{
    disk_close(&disk);
}

TestSuite(store, .init = set_up, .fini = tear_down, .timeout = 60);

Test(store, file_is_private_and_marked_as_ours)
{
    struct stat info;
    cr_assert_eq(stat(disk.file, &info), 0);
    cr_expect_eq(info.st_mode & 0777, 0600);
    cr_expect_eq(skv_store_file_bytes(disk.store), (uint64_t)info.st_size);
    disk_expect_sql(&disk, "pragma application_id", "1397771094");
    disk_expect_sql(&disk, "pragma page_size", "8192");
    disk_expect_sql(&disk, "pragma auto_vacuum", "2");
}

Test(store, existing_file_is_refused_and_kept)
{
    char message[256];
    struct skv_store *other;
    const char *file = tempdir_file(&disk.dir, "precious");
    const struct skv_store_options options = {.file = file, .cache_bytes = 1 << 20};
    tempdir_write(&disk.dir, "precious", "data", 4);
    cr_expect_lt(skv_store_open(&options, &other, message, sizeof(message)), 0);
    cr_expect_null(other);
    cr_expect_neq(message[0], '\0');
    cr_expect(tempdir_has(&disk.dir, "precious"));
}

Test(store, symlink_is_not_followed)
{
    struct skv_store *other;
    const char *file = tempdir_file(&disk.dir, "link");
    const struct skv_store_options options = {.file = file, .cache_bytes = 1 << 20};
    cr_assert_eq(symlink("target", file), 0);
    cr_expect_lt(skv_store_open(&options, &other, NULL, 0), 0);
    cr_expect_not(tempdir_has(&disk.dir, "target"));
    cr_expect(tempdir_has(&disk.dir, "link"));
}

Test(store, unknown_vfs_is_refused_and_leaves_nothing)
{
    char message[256];
    struct skv_store *other;
    const struct skv_store_options options = {
        .file = tempdir_file(&disk.dir, "other"), .vfs = "no such VFS", .cache_bytes = 1 << 20};
    cr_expect_eq(skv_store_open(&options, &other, message, sizeof(message)), SPILLKV_EIO);
    cr_expect_not(tempdir_has(&disk.dir, "other"));
}

Test(store_elsewhere, standard_vfs_works_too)
{
    disk_open(&disk, "unix");
    disk_write(&disk, 1, 40, 'a');
    disk_expect(&disk, 1, 40, 'a');
    cr_expect_not(disk_sees(&disk, 5, 'a'), "only our own VFS sees what is written");
    disk_check_file(&disk);
    disk_close(&disk);
}

Test(store_elsewhere, path_may_hold_any_bytes)
{
    disk_open_named(&disk, "odd %41?vfs=x&#name\xff.db", "unix");
    disk_write(&disk, 1, 2, 'a');
    cr_expect(tempdir_has(&disk.dir, "odd %41?vfs=x&#name\xff.db"));
    disk_expect(&disk, 1, 2, 'a');
    disk_close(&disk);
}

Test(store, close_removes_the_file)
{
    disk_write(&disk, 1, 10, 'a');
    cr_expect_eq(skv_store_close(&disk.store), SPILLKV_OK);
    cr_expect_null(disk.store);
    cr_expect_not(tempdir_has(&disk.dir, "shard.db"));
    cr_expect_eq(skv_store_close(&disk.store), SPILLKV_OK);
}

Test(store, segments_come_back)
{
    disk_write(&disk, 1, 2000, 'a');
    disk_expect(&disk, 1, 2000, 'a');
    disk_check_file(&disk);
}

Test(store, overwritten_segments_are_new_the_others_old)
{
    disk_write(&disk, 1, 100, 'a');
    disk_expect(&disk, 1, 100, 'a');
    disk_write(&disk, 20, 30, 'b');
    disk_expect(&disk, 1, 19, 'a');
    disk_expect(&disk, 20, 30, 'b');
    disk_expect(&disk, 31, 100, 'a');
    disk_check_file(&disk);
}

Test(store, segment_just_read_can_be_overwritten)
{
    disk_write(&disk, 5, 5, 'a');
    disk_expect(&disk, 5, 5, 'a');
    disk_write(&disk, 5, 5, 'b');
    disk_expect(&disk, 5, 5, 'b');
}

Test(store, part_of_a_segment_is_cut_at_its_end)
{
    uint8_t buffer[256];
    size_t size;
    disk_write(&disk, 1, 1, 'a');
    cr_expect_eq(skv_store_read(disk.store, 1, SKV_SEGMENT_BYTES - 8, buffer, 256, &size),
                 SPILLKV_OK);
    cr_expect_eq(size, 8);
    cr_expect_eq(skv_store_read(disk.store, 1, SKV_SEGMENT_BYTES, buffer, 256, &size),
                 SPILLKV_ECORRUPT);
    cr_expect_eq(size, 0);
}

Test(store, segments_are_seen_where_they_were_written)
{
    uint8_t bytes[SKV_SEGMENT_BYTES];
    uint8_t part[100];
    size_t size;
    disk_write(&disk, 1, 300, 'a');
    disk_write(&disk, 100, 150, 'b');
    for (uint32_t id = 1; id <= 300; id++) {
        cr_expect(disk_sees(&disk, id, id >= 100 && id <= 150 ? 'b' : 'a'), "%u", id);
    }
    cr_expect_eq(skv_store_read_seen(disk.store, 301, 0, bytes, 10), 0);
    cr_expect_eq(skv_store_read_seen(disk.store, 7, SKV_SEGMENT_BYTES, bytes, 10), 0);
    cr_expect_eq(skv_store_read_seen(disk.store, 7, SKV_SEGMENT_BYTES - 60, part, 100), 60);
    cr_assert_eq(skv_store_read(disk.store, 7, 0, bytes, sizeof(bytes), &size), SPILLKV_OK);
    cr_expect_eq(memcmp(part, bytes + SKV_SEGMENT_BYTES - 60, 60), 0);
}

/** The disk takes no more than the file has. */
static rlim_t limit_file(rlim_t bytes)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = bytes;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    return before;
}

Test(store, undone_transaction_leaves_nothing_seen)
{
    cr_assert_neq(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
    disk_write(&disk, 1, 100, 'a');
    const rlim_t before = limit_file(skv_store_file_bytes(disk.store));
    cr_assert_eq(disk_try_write(&disk, 90, 121, 'b'), SPILLKV_ENOSPC);
    for (uint32_t id = 1; id <= 121; id++) {
        cr_expect_not(disk_sees(&disk, id, 'a') || disk_sees(&disk, id, 'b'), "%u", id);
    }
    disk_expect(&disk, 1, 100, 'a');
    (void)limit_file(before);
    disk_write(&disk, 90, 130, 'c');
    cr_expect(disk_sees(&disk, 130, 'c'), "a new one is");
    disk_expect(&disk, 1, 89, 'a');
    disk_expect(&disk, 90, 130, 'c');
}

Test(store, distrusted_file_is_read_by_sqlite_alone_until_it_is_cleared)
{
    disk_write(&disk, 1, 10, 'a');
    skv_store_distrust(disk.store);
    cr_expect_not(disk_sees(&disk, 5, 'a'));
    disk_expect(&disk, 1, 10, 'a');
    disk_write(&disk, 5, 12, 'b');
    cr_expect_not(disk_sees(&disk, 12, 'b'));
    cr_assert_eq(skv_store_clear(disk.store), SPILLKV_OK);
    disk_write(&disk, 1, 10, 'c');
    cr_expect(disk_sees(&disk, 5, 'c'));
}

Test(store, cleared_file_leaves_nothing_seen)
{
    disk_write(&disk, 1, 10, 'a');
    cr_assert_eq(skv_store_clear(disk.store), SPILLKV_OK);
    cr_expect_not(disk_sees(&disk, 5, 'a'));
}

Test(store, missing_segment_is_damage_and_no_more)
{
    uint8_t buffer[8];
    size_t size;
    cr_expect_eq(skv_store_read(disk.store, 3, 0, buffer, 8, &size), SPILLKV_ECORRUPT);
    disk_write(&disk, 1, 2, 'a');
    disk_expect(&disk, 1, 2, 'a');
    cr_expect_eq(skv_store_read(disk.store, 3, 0, buffer, 8, &size), SPILLKV_ECORRUPT);
    cr_expect_neq(skv_store_message(disk.store)[0], '\0');
    disk_expect(&disk, 1, 2, 'a');
}

Test(store, deleted_rows_are_gone)
{
    uint8_t buffer[8];
    size_t size;
    const uint32_t deleted[] = {2, 4, 99};
    const struct skv_store_batch batch = {.deleted = deleted, .deleted_count = 3};
    disk_write(&disk, 1, 5, 'a');
    cr_assert_eq(skv_store_write(disk.store, &batch), SPILLKV_OK);
    cr_expect_eq(skv_store_read(disk.store, 2, 0, buffer, 8, &size), SPILLKV_ECORRUPT);
    disk_expect(&disk, 1, 1, 'a');
    disk_expect(&disk, 5, 5, 'a');
    disk_expect_sql(&disk, "select count(*) from segment", "3");
}

Test(store, empty_batch_is_fine)
{
    const struct skv_store_batch batch = {0};
    cr_expect_eq(skv_store_write(disk.store, &batch), SPILLKV_OK);
}

Test(store, lone_rows_of_every_size_come_back)
{
    const size_t sizes[] = {8117, 8129, 8192, 8193, 65535, 262144, 1 << 20, 5 << 20};
    for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        disk_write_lone(&disk, i + 1, 16, sizes[i]);
    }
    disk_write_lone(&disk, 100, SPILLKV_KEY_MAX, 0);
    disk_write_lone(&disk, 101, SPILLKV_KEY_MAX, 100000);
    for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        disk_expect_lone(&disk, i + 1, 16, sizes[i]);
    }
    disk_expect_lone(&disk, 100, SPILLKV_KEY_MAX, 0);
    disk_expect_lone(&disk, 101, SPILLKV_KEY_MAX, 100000);
    disk_check_file(&disk);
}

Test(store, id_changes_between_packed_and_lone)
{
    disk_write(&disk, 1, 3, 'a');
    disk_write_lone(&disk, 2, 16, 100000);
    disk_expect_lone(&disk, 2, 16, 100000);
    disk_write(&disk, 2, 2, 'b');
    disk_expect(&disk, 2, 2, 'b');
    disk_check_file(&disk);
}

Test(store, lone_row_does_not_fill_the_cache)
{
    uint64_t before = skv_store_memory_bytes(disk.store);
    disk_write_lone(&disk, 1, 16, 5 << 20);
    cr_expect_lt(skv_store_memory_bytes(disk.store), before + (1 << 20));
}

static void delete_rows(uint32_t first, uint32_t last)
{
    for (uint32_t id = first; id <= last; id++) {
        const struct skv_store_batch batch = {.deleted = &id, .deleted_count = 1};
        cr_assert_eq(skv_store_write(disk.store, &batch), SPILLKV_OK);
    }
}

static void shrink(void)
{
    while (skv_store_is_hollow(disk.store)) {
        const uint64_t before = skv_store_file_bytes(disk.store);
        cr_assert_eq(skv_store_shrink(disk.store), SPILLKV_OK);
        cr_assert_lt(skv_store_file_bytes(disk.store), before);
    }
}

Test(store, shrinks_once_rows_are_deleted)
{
    uint8_t buffer[8];
    size_t size;
    disk_write(&disk, 1, 1000, 'a');
    disk_expect(&disk, 1, 1000, 'a');
    uint64_t before = skv_store_file_bytes(disk.store);
    cr_expect_not(skv_store_is_hollow(disk.store));
    delete_rows(401, 1000);
    cr_expect(skv_store_is_hollow(disk.store));
    shrink();
    cr_expect_lt(skv_store_file_bytes(disk.store), before * 6 / 10);
    struct stat info;
    cr_assert_eq(stat(disk.file, &info), 0);
    cr_expect_eq((uint64_t)info.st_size, skv_store_file_bytes(disk.store));
    disk_expect(&disk, 1, 400, 'a');
    cr_expect_eq(skv_store_read(disk.store, 401, 0, buffer, 8, &size), SPILLKV_ECORRUPT);
    disk_check_file(&disk);
    disk_write(&disk, 401, 500, 'b');
    disk_expect(&disk, 401, 500, 'b');
}

Test(store, shrinking_moves_pages_out_of_the_way)
{
    disk_write(&disk, 501, 1000, 'a');
    disk_write(&disk, 1, 500, 'b');
    uint64_t before = skv_store_file_bytes(disk.store);
    delete_rows(501, 1000);
    shrink();
    cr_expect_lt(skv_store_file_bytes(disk.store), before * 7 / 10);
    disk_expect(&disk, 1, 500, 'b');
    disk_check_file(&disk);
}

Test(store, clearing_starts_anew)
{
    uint8_t buffer[8];
    size_t size;
    disk_write(&disk, 1, 1000, 'a');
    disk_expect(&disk, 7, 7, 'a');
    cr_assert_eq(skv_store_clear(disk.store), SPILLKV_OK);
    cr_expect_leq(skv_store_file_bytes(disk.store), 4 * 8192);
    cr_expect_eq(skv_store_read(disk.store, 7, 0, buffer, 8, &size), SPILLKV_ECORRUPT);
    disk_write(&disk, 1, 10, 'b');
    disk_expect(&disk, 1, 10, 'b');
    disk_check_file(&disk);
}

Test(store, cache_grows_with_the_file_up_to_its_limit)
{
    disk_write(&disk, 1, 100, 'a');
    uint64_t small = skv_store_memory_bytes(disk.store);
    disk_write(&disk, 101, 20000, 'a');
    disk_expect(&disk, 1, 2000, 'a');
    cr_expect_gt(skv_store_memory_bytes(disk.store), small + 40 * 8192);
    cr_expect_lt(skv_store_memory_bytes(disk.store), (2 << 20));
}

Test(store, damage_in_the_file_is_noticed)
{
    uint8_t buffer[8144];
    size_t size;
    disk_write(&disk, 1, 100, 'a');
    FILE *file = fopen(disk.file, "r+b");
    cr_assert_not_null(file);
    for (long page = 3; page < 60; page++) {
        cr_assert_eq(fseek(file, page * 8192, SEEK_SET), 0);
        for (int i = 0; i < 8192; i++) {
            cr_assert_neq(fputc(i * 7 + (int)page, file), EOF);
        }
    }
    cr_assert_eq(fclose(file), 0);
    unsigned damaged = 0;
    for (uint32_t id = 1; id <= 100; id++) {
        spillkv_status status = skv_store_read(disk.store, id, 0, buffer, sizeof(buffer), &size);
        damaged += status == SPILLKV_ECORRUPT || (size != 0 && !disk_is_segment(id, 'a', buffer));
    }
    cr_expect_geq(damaged, 40);
}

Test(store, open_without_memory_leaves_nothing)
{
    for (unsigned n = 1; n < 10; n++) {
        struct failing_alloc failing = {.fail_at = n};
        struct skv_store *other;
        const struct skv_store_options options = {
            .file = tempdir_file(&disk.dir, "other"), .vfs = "unix", .cache_bytes = 1 << 20};
        skv_alloc_set_hook(failing_alloc_hook, &failing);
        spillkv_status status = skv_store_open(&options, &other, NULL, 0);
        skv_alloc_set_hook(NULL, NULL);
        if (!failing.failed) {
            cr_expect_gt(n, 3);
            cr_expect_eq(status, SPILLKV_OK);
            cr_expect_eq(skv_store_close(&other), SPILLKV_OK);
            return;
        }
        if (status == SPILLKV_OK) {
            /* What writes are gathered in can be done without. */
            cr_expect_eq(skv_store_close(&other), SPILLKV_OK);
            continue;
        }
        cr_expect_eq(status, SPILLKV_ENOMEM);
        cr_expect_not(tempdir_has(&disk.dir, "other"));
    }
    cr_expect(false, "it never succeeded");
}

Test(store, message_is_optional)
{
    char message[8] = "before";
    struct skv_store *store;
    const struct skv_store_options taken = {.file = disk.file, .cache_bytes = 1 << 20};
    cr_expect_eq(skv_store_open(&taken, &store, NULL, 0), SPILLKV_EFOREIGN);
    cr_expect_null(store);
    cr_expect_eq(skv_store_open(&taken, &store, message, 0), SPILLKV_EFOREIGN);
    cr_expect_str_eq(message, "before");
}
