/* SPDX-License-Identifier: MIT */
/** A store in a directory of its own, and segments whose content is known by their ids. */
#ifndef SKV_TESTS_SUPPORT_DISK_H
#define SKV_TESTS_SUPPORT_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disk/store.h"
#include "support/tempdir.h"

#define DISK_SEED UINT64_C(0x5eed)

struct disk {
    struct tempdir dir;
    char file[PATH_MAX + 256];
    struct skv_store *store;
};

/** Opens "shard.db"; `vfs` may be NULL. */
void disk_open(struct disk *disk, const char *vfs);
void disk_open_named(struct disk *disk, const char *name, const char *vfs);
void disk_close(struct disk *disk);

/** Whether the bytes are what segment `id` is with that letter. */
bool disk_is_segment(uint32_t id, char letter, const uint8_t *bytes);

/** Writes segments first .. last in batches of 32. The status is of the first batch that fails. */
spillkv_status disk_try_write(struct disk *disk, uint32_t first, uint32_t last, char letter);
/** Whether segment `id` with that letter is where it was seen to be written. */
bool disk_sees(struct disk *disk, uint32_t id, char letter);
/** Whether they can be read and are as written, and none is seen as it is no longer. */
bool disk_holds(struct disk *disk, uint32_t first, uint32_t last, char letter);
spillkv_status disk_try_write_lone(struct disk *disk, uint32_t id, size_t key_size,
                                   size_t value_size);
bool disk_holds_lone(struct disk *disk, uint32_t id, size_t key_size, size_t value_size);

/** The same, failing the test. */
void disk_write(struct disk *disk, uint32_t first, uint32_t last, char letter);
void disk_expect(struct disk *disk, uint32_t first, uint32_t last, char letter);
void disk_write_lone(struct disk *disk, uint32_t id, size_t key_size, size_t value_size);
void disk_expect_lone(struct disk *disk, uint32_t id, size_t key_size, size_t value_size);

/** Fails the test unless the sqlite3 shell answers so, asked about the file as it is. */
void disk_expect_sql(const struct disk *disk, const char *sql, const char *answer);
/** Has the sqlite3 shell check the whole file. */
void disk_check_file(const struct disk *disk);

#endif
