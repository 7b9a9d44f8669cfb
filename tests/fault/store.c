/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>

#include "support/disk.h"
#include "support/fault_vfs.h"
#include "support/memory.h"

/* Enough segments that SQLite's cache of 16 pages spills in mid-transaction. */
#define OLD 64

static struct disk disk;

/* What fails, and how. */
struct trouble {
    enum fault_kind kind;
    int rc;
    bool ever;
    spillkv_status status; /* what it is reported as */
};

static const struct trouble troubles[] = {
    {FAULT_WRITE, SQLITE_IOERR_WRITE, false, SPILLKV_EIO},
    {FAULT_WRITE, SQLITE_IOERR_WRITE, true, SPILLKV_EIO},
    {FAULT_WRITE, SQLITE_FULL, false, SPILLKV_ENOSPC},
    {FAULT_WRITE, SQLITE_FULL, true, SPILLKV_ENOSPC},
    {FAULT_READ, SQLITE_IOERR_READ, false, SPILLKV_EIO},
    {FAULT_READ, SQLITE_IOERR_READ, true, SPILLKV_EIO},
    {FAULT_READ, SQLITE_IOERR_SHORT_READ, false, SPILLKV_ECORRUPT},
    {FAULT_READ, SQLITE_IOERR_SHORT_READ, true, SPILLKV_ECORRUPT},
    {FAULT_TRUNCATE, SQLITE_IOERR_TRUNCATE, false, SPILLKV_EIO},
    {FAULT_TRUNCATE, SQLITE_IOERR_TRUNCATE, true, SPILLKV_EIO},
    {FAULT_SIZE, SQLITE_IOERR_FSTAT, false, SPILLKV_EIO},
    {FAULT_SIZE, SQLITE_IOERR_FSTAT, true, SPILLKV_EIO},
};

static void set_up(void)
{
    fault_vfs_register();
    disk_open(&disk, FAULT_VFS_NAME);
    disk_write(&disk, 1, OLD, 'a');
    disk_write_lone(&disk, 1000, 16, 50000);
}

static void tear_down(void)
{
    fault_vfs_clear();
    disk_close(&disk);
}

static void again(void)
{
    tear_down();
    set_up();
}

TestSuite(fault, .init = set_up, .fini = tear_down, .timeout = 300);

/* One transaction that overwrites, appends, deletes, and writes a lone row. */
static spillkv_status write_much(char letter)
{
    static uint8_t bytes[SKV_SEGMENT_BYTES];
    static struct skv_store_segment segments[48];
    static uint8_t value[60000];
    const uint32_t deleted[] = {1000};
    const struct skv_store_lone lone = {.address = skv_place_make(2000, 0),
                                        .key = "key",
                                        .key_size = 3,
                                        .value = value,
                                        .value_size = sizeof(value)};
    const struct skv_store_batch batch = {
        .segments = segments,
        .segment_count = 48,
        .lone = &lone,
        .lone_count = 1,
        .deleted = deleted,
        .deleted_count = 1,
    };
    memset(bytes, letter, sizeof(bytes));
    for (uint32_t i = 0; i < 48; i++) {
        segments[i] = (struct skv_store_segment){.id = OLD - 15 + i, .bytes = bytes};
    }
    return skv_store_write(disk.store, &batch);
}

static bool row_exists(uint32_t id)
{
    uint8_t byte;
    size_t size;
    return skv_store_read(disk.store, id, 0, &byte, 1, &size) == SPILLKV_OK;
}

static bool nothing_was_written(void)
{
    return disk_holds(&disk, 1, OLD, 'a') && disk_holds_lone(&disk, 1000, 16, 50000) &&
           !row_exists(OLD + 1) && !row_exists(2000);
}

/* After the fault: all is as before, and goes on. */
static void expect_recovery(const char *what, int n, bool written)
{
    if (!written) {
        cr_expect(nothing_was_written(), "%s %d: %s", what, n, skv_store_message(disk.store));
    }
    cr_assert_eq(write_much('z'), SPILLKV_OK, "%s %d: %s", what, n, skv_store_message(disk.store));
    disk_expect(&disk, 1, OLD - 16, 'a');
    cr_expect(row_exists(2000));
    cr_expect_not(row_exists(1000));
    disk_check_file(&disk);
}

static void try_writes(const struct trouble *trouble)
{
    char what[64];
    snprintf(what, sizeof(what), "kind %d, rc %d, ever %d, call", trouble->kind, trouble->rc,
             trouble->ever);
    for (int n = 1;; n++) {
        fault_vfs_set(trouble->kind, n, trouble->rc, trouble->ever);
        spillkv_status status = write_much('b');
        int failures = fault_vfs_failures();
        if (status != SPILLKV_OK) {
            cr_expect_eq(status, trouble->status, "%s %d: %d", what, n, status);
            cr_expect_gt(failures, 0);
            if (trouble->kind == FAULT_WRITE) {
                /* Still failing, and yet all that was there can be read. */
                cr_expect(nothing_was_written(), "%s %d, before it heals", what, n);
            }
            if (trouble->kind == FAULT_WRITE && trouble->ever) {
                cr_expect_eq(write_much('c'), trouble->status);
            }
        }
        fault_vfs_clear();
        expect_recovery(what, n, status == SPILLKV_OK);
        again();
        if (failures == 0) {
            return;
        }
    }
}

Test(fault, failed_writes_change_nothing)
{
    for (size_t i = 0; i < sizeof(troubles) / sizeof(troubles[0]); i++) {
        if (troubles[i].kind == FAULT_WRITE) {
            try_writes(&troubles[i]);
        }
    }
}

Test(fault, failed_reads_while_writing_change_nothing)
{
    for (size_t i = 0; i < sizeof(troubles) / sizeof(troubles[0]); i++) {
        if (troubles[i].kind == FAULT_READ) {
            try_writes(&troubles[i]);
        }
    }
}

Test(fault, other_failures_while_writing_change_nothing)
{
    for (size_t i = 0; i < sizeof(troubles) / sizeof(troubles[0]); i++) {
        if (troubles[i].kind == FAULT_TRUNCATE || troubles[i].kind == FAULT_SIZE) {
            try_writes(&troubles[i]);
        }
    }
}

Test(fault, failed_shrinking_keeps_what_is_there)
{
    for (size_t i = 0; i < sizeof(troubles) / sizeof(troubles[0]); i++) {
        for (int n = 1, failures = 1; failures != 0; n++) {
            disk_write(&disk, OLD + 1, OLD + 100, 'b');
            for (uint32_t id = 21; id <= OLD + 100; id++) {
                const struct skv_store_batch batch = {.deleted = &id, .deleted_count = 1};
                cr_assert_eq(skv_store_write(disk.store, &batch), SPILLKV_OK);
            }
            cr_assert(skv_store_is_hollow(disk.store));
            fault_vfs_set(troubles[i].kind, n, troubles[i].rc, troubles[i].ever);
            cr_expect_leq(skv_store_shrink(disk.store), SPILLKV_OK);
            failures = fault_vfs_failures();
            fault_vfs_clear();
            disk_expect(&disk, 1, 20, 'a');
            cr_expect_eq(skv_store_shrink(disk.store), SPILLKV_OK);
            disk_expect(&disk, 1, 20, 'a');
            cr_expect_not(row_exists(21));
            disk_check_file(&disk);
            again();
        }
    }
}

Test(fault, failed_read_is_reported_and_passes)
{
    uint8_t byte;
    size_t size;
    disk_write(&disk, 65, 1000, 'b');
    for (int n = 1; n <= 3; n++) {
        disk_expect(&disk, 500, 600, 'b');
        fault_vfs_set(FAULT_READ, 1, SQLITE_IOERR_READ, true);
        cr_expect_eq(skv_store_read(disk.store, 5, 0, &byte, 1, &size), SPILLKV_EIO);
        cr_expect_eq(size, 0);
        fault_vfs_clear();
        disk_expect(&disk, 1, OLD, 'a');
    }
}

/* Of a write that fails for good some of the undo is owed to the disk. */
Test(fault, short_read_is_damage_while_an_undo_is_owed)
{
    for (int n = 1, failures = 1; failures != 0; n++) {
        fault_vfs_set(FAULT_WRITE, n, SQLITE_FULL, true);
        const bool written = write_much('b') == SPILLKV_OK;
        failures = fault_vfs_failures();
        fault_vfs_set(FAULT_READ, 1, SQLITE_IOERR_SHORT_READ, true);
        for (uint32_t id = 1; id <= 8; id++) {
            uint8_t byte;
            size_t size;
            const spillkv_status status = skv_store_read(disk.store, id, 0, &byte, 1, &size);
            cr_expect(status == SPILLKV_OK || status == SPILLKV_ECORRUPT, "%d", status);
        }
        fault_vfs_clear();
        expect_recovery("write", n, written);
        again();
    }
}

Test(fault, emptying_fails_whole_or_not_at_all)
{
    for (int n = 1, failures = 1; failures != 0; n++) {
        fault_vfs_set(FAULT_WRITE, n, SQLITE_FULL, true);
        spillkv_status status = skv_store_clear(disk.store);
        failures = fault_vfs_failures();
        fault_vfs_clear();
        if (status != SPILLKV_OK) {
            cr_expect_eq(status, SPILLKV_ENOSPC);
            cr_expect(nothing_was_written());
            cr_expect_eq(write_much('b'), SPILLKV_OK);
            cr_expect_eq(skv_store_clear(disk.store), SPILLKV_OK);
        }
        cr_expect_not(row_exists(1));
        disk_write(&disk, 1, 100, 'c');
        disk_expect(&disk, 1, 100, 'c');
        disk_check_file(&disk);
        again();
    }
}

Test(fault, failed_open_leaves_nothing)
{
    const char *file = tempdir_file(&disk.dir, "other");
    const struct skv_store_options options = {
        .file = file, .vfs = FAULT_VFS_NAME, .cache_bytes = 1 << 20};
    for (size_t i = 0; i <= sizeof(troubles) / sizeof(troubles[0]); i++) {
        struct trouble trouble = {FAULT_OPEN, SQLITE_CANTOPEN, false, SPILLKV_EIO};
        if (i < sizeof(troubles) / sizeof(troubles[0])) {
            trouble = troubles[i];
        }
        for (int n = 1, failures = 1; failures != 0; n++) {
            char message[256] = "";
            struct skv_store *store;
            fault_vfs_set(trouble.kind, n, trouble.rc, trouble.ever);
            spillkv_status status = skv_store_open(&options, &store, message, sizeof(message));
            failures = fault_vfs_failures();
            fault_vfs_clear();
            cr_expect_eq(status == SPILLKV_OK, store != NULL);
            cr_expect_eq(status == SPILLKV_OK, tempdir_has(&disk.dir, "other"));
            cr_expect_eq(status == SPILLKV_OK, message[0] == '\0', "%s", message);
            cr_expect(status == SPILLKV_OK || failures != 0);
            cr_expect_eq(skv_store_close(&store), SPILLKV_OK);
        }
    }
}

Test(fault, writing_without_memory_changes_nothing)
{
    struct failing_alloc failing = {.fail_at = 1};
    bool failed = true;
    for (sqlite3_int64 room = 0; failed; room += 5000) {
        cr_assert_lt(room, 100 << 20);
        skv_alloc_set_hook(failing_alloc_hook, &failing);
        sqlite3_hard_heap_limit64(sqlite3_memory_used() + room + 1);
        spillkv_status status = write_much('b');
        sqlite3_hard_heap_limit64(0);
        skv_alloc_set_hook(NULL, NULL);
        failed = status != SPILLKV_OK;
        cr_expect(status == SPILLKV_OK || status == SPILLKV_ENOMEM, "room %lld: %d",
                  (long long)room, status);
        expect_recovery("room", (int)room, !failed);
        again();
    }
    /* SQLite's memory is the only one that writing needs. */
    cr_expect_eq(failing.seen, 0);
}
