/* SPDX-License-Identifier: MIT */
#include "support/disk.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define BATCH 32

void disk_open_named(struct disk *disk, const char *name, const char *vfs)
{
    char message[256] = "";
    const struct skv_store_options options = {
        .file = disk->file, .vfs = vfs, .checksum_seed = DISK_SEED, .cache_bytes = 1 << 20};
    tempdir_make(&disk->dir);
    snprintf(disk->file, sizeof(disk->file), "%s/%s", disk->dir.path, name);
    cr_assert_eq(skv_store_open(&options, &disk->store, message, sizeof(message)), SPILLKV_OK, "%s",
                 message);
}

void disk_open(struct disk *disk, const char *vfs)
{
    disk_open_named(disk, "shard.db", vfs);
}

void disk_close(struct disk *disk)
{
    cr_expect_eq(skv_store_close(&disk->store), SPILLKV_OK);
    tempdir_remove(&disk->dir);
}

static void make_segment(uint32_t id, char letter, uint8_t *bytes)
{
    memset(bytes, letter, SKV_SEGMENT_BYTES);
    for (size_t at = 0; at + 8 <= SKV_SEGMENT_BYTES; at += 64) {
        uint32_t word = id * 2654435761u + (uint32_t)at;
        memcpy(bytes + at, &word, sizeof(word));
    }
}

bool disk_is_segment(uint32_t id, char letter, const uint8_t *bytes)
{
    uint8_t wanted[SKV_SEGMENT_BYTES];
    make_segment(id, letter, wanted);
    return memcmp(wanted, bytes, sizeof(wanted)) == 0;
}

spillkv_status disk_try_write(struct disk *disk, uint32_t first, uint32_t last, char letter)
{
    static uint8_t bytes[BATCH][SKV_SEGMENT_BYTES];
    struct skv_store_segment segments[BATCH];
    spillkv_status status = SPILLKV_OK;
    for (uint32_t id = first; id <= last && status == SPILLKV_OK;) {
        struct skv_store_batch batch = {.segments = segments};
        for (; batch.segment_count < BATCH && id <= last; batch.segment_count++, id++) {
            make_segment(id, letter, bytes[batch.segment_count]);
            segments[batch.segment_count].id = id;
            segments[batch.segment_count].bytes = bytes[batch.segment_count];
        }
        status = skv_store_write(disk->store, &batch);
    }
    return status;
}

bool disk_sees(struct disk *disk, uint32_t id, char letter)
{
    uint8_t bytes[SKV_SEGMENT_BYTES];
    return skv_store_read_seen(disk->store, id, 0, bytes, sizeof(bytes)) == sizeof(bytes) &&
           disk_is_segment(id, letter, bytes);
}

/** What is seen of a segment may be anything, but not the segment with another letter. */
static bool sees_another_letter(struct disk *disk, uint32_t id, char letter)
{
    for (char other = 'a'; other <= 'z'; other++) {
        if (other != letter && disk_sees(disk, id, other)) {
            return true;
        }
    }
    return false;
}

bool disk_holds(struct disk *disk, uint32_t first, uint32_t last, char letter)
{
    uint8_t bytes[SKV_SEGMENT_BYTES];
    size_t size;
    for (uint32_t id = first; id <= last; id++) {
        if (skv_store_read(disk->store, id, 0, bytes, sizeof(bytes), &size) != SPILLKV_OK ||
            size != sizeof(bytes) || !disk_is_segment(id, letter, bytes) ||
            (!disk_sees(disk, id, letter) && sees_another_letter(disk, id, letter))) {
            return false;
        }
    }
    return true;
}

static uint8_t *make_text(size_t size, uint32_t salt)
{
    uint8_t *const text = malloc(size + 1);
    cr_assert_not_null(text);
    for (size_t i = 0; i < size; i++) {
        text[i] = (uint8_t)((i * 31 + salt) >> 3);
    }
    return text;
}

spillkv_status disk_try_write_lone(struct disk *disk, uint32_t id, size_t key_size,
                                   size_t value_size)
{
    uint8_t *const key = make_text(key_size, id);
    uint8_t *const value = make_text(value_size, id + 1);
    const struct skv_store_lone lone = {.address = skv_place_make(id, 0),
                                        .key = key,
                                        .value = value,
                                        .key_size = key_size,
                                        .value_size = value_size};
    const struct skv_store_batch batch = {.lone = &lone, .lone_count = 1};
    const spillkv_status status = skv_store_write(disk->store, &batch);
    free(key);
    free(value);
    return status;
}

bool disk_holds_lone(struct disk *disk, uint32_t id, size_t key_size, size_t value_size)
{
    const size_t size = skv_lone_bytes(key_size, value_size);
    const uint64_t place = skv_place_make(id, 0);
    uint8_t *const row = malloc(size + 1);
    uint8_t *const key = make_text(key_size, id);
    uint8_t *const value = make_text(value_size, id + 1);
    uint64_t header = 0;
    uint32_t key_sum = 0;
    uint32_t value_sum = 0;
    size_t got = 0;
    bool right = skv_store_read(disk->store, id, 0, row, size + 1, &got) == SPILLKV_OK;
    right = right && got == size;
    if (right) {
        memcpy(&header, row, sizeof(header));
        memcpy(&key_sum, row + 8 + key_size, sizeof(key_sum));
        memcpy(&value_sum, row + size - 4, sizeof(value_sum));
        right = header == (skv_header_make(key_size, value_size) | SKV_ENTRY_FLAG_LONE) &&
                memcmp(row + 8, key, key_size) == 0 &&
                memcmp(row + skv_lone_value_offset(key_size), value, value_size) == 0 &&
                key_sum == skv_lone_key_checksum(DISK_SEED, place, header, key) &&
                value_sum == skv_lone_value_checksum(DISK_SEED, place, value, value_size);
    }
    free(row);
    free(key);
    free(value);
    return right;
}

void disk_write(struct disk *disk, uint32_t first, uint32_t last, char letter)
{
    cr_assert_eq(disk_try_write(disk, first, last, letter), SPILLKV_OK, "%s",
                 skv_store_message(disk->store));
}

void disk_expect(struct disk *disk, uint32_t first, uint32_t last, char letter)
{
    cr_expect(disk_holds(disk, first, last, letter), "%u..%u: %s", first, last,
              skv_store_message(disk->store));
}

void disk_write_lone(struct disk *disk, uint32_t id, size_t key_size, size_t value_size)
{
    cr_assert_eq(disk_try_write_lone(disk, id, key_size, value_size), SPILLKV_OK, "%s",
                 skv_store_message(disk->store));
}

void disk_expect_lone(struct disk *disk, uint32_t id, size_t key_size, size_t value_size)
{
    cr_expect(disk_holds_lone(disk, id, key_size, value_size), "%u: %s", id,
              skv_store_message(disk->store));
}

void disk_expect_sql(const struct disk *disk, const char *sql, const char *answer)
{
    static char command[4 * PATH_MAX];
    char line[512] = "";
    /* SQLite's own VFS may have locked the file: ask about a copy. */
    const int length = snprintf(command, sizeof(command),
                                "cd '%s' && cp '%s' copy.db && sqlite3 -readonly copy.db '%s'; "
                                "rm -f copy.db",
                                disk->dir.path, disk->file, sql);
    cr_assert_lt((size_t)length, sizeof(command));
    FILE *const pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    cr_assert_not_null(fgets(line, sizeof(line), pipe), "the sqlite3 shell is needed");
    line[strcspn(line, "\n")] = '\0';
    cr_expect_str_eq(line, answer, "%s", sql);
    (void)pclose(pipe);
}

void disk_check_file(const struct disk *disk)
{
    disk_expect_sql(disk, "pragma integrity_check", "ok");
}
