/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/row_pages.h"
#include "disk/schema.h"
#include "support/disk.h"
#include "support/memory.h"

#define PAGE ((size_t)SKV_SCHEMA_PAGE_BYTES)

static struct skv_row_pages rows;

static void set_up(void)
{
    rows.most = SKV_SEGMENT_ID_MAX;
}

static void tear_down(void)
{
    skv_row_pages_fini(&rows);
}

TestSuite(row_pages, .init = set_up, .fini = tear_down, .timeout = 60);

/** Has all pages of a file learnt. */
static void learn_file(const char *file)
{
    uint8_t page[SKV_SCHEMA_PAGE_BYTES];
    const int fd = open(file, O_RDONLY | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    for (int64_t at = 0; pread(fd, page, PAGE, at) == (ssize_t)PAGE; at += (int64_t)PAGE) {
        skv_row_pages_learn(&rows, page, PAGE, at);
    }
    (void)close(fd);
}

/** Whether the page that is remembered for a segment holds its bytes. */
static bool is_on_its_page(const struct disk *disk, uint32_t id, char letter)
{
    uint8_t page[SKV_SCHEMA_PAGE_BYTES];
    const int64_t number = skv_row_pages_find(&rows, id);
    const int fd = open(disk->file, O_RDONLY | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    const bool there = number != 0 &&
                       pread(fd, page, PAGE, (number - 1) * (int64_t)PAGE) == (ssize_t)PAGE &&
                       /* A row that fills its page ends with it. */
                       disk_is_segment(id, letter, page + PAGE - SKV_SEGMENT_BYTES);
    (void)close(fd);
    return there;
}

Test(row_pages, of_a_file_that_sqlite_wrote_are_all_found)
{
    struct disk disk;
    disk_open(&disk, NULL);
    disk_write(&disk, 1, 2000, 'a');
    disk_write(&disk, 500, 700, 'b');
    learn_file(disk.file);
    for (uint32_t id = 1; id <= 2000; id++) {
        cr_assert(is_on_its_page(&disk, id, id >= 500 && id <= 700 ? 'b' : 'a'), "row %u", id);
    }
    cr_expect_eq(skv_row_pages_find(&rows, 2001), 0);
    cr_expect_eq(skv_row_pages_find(&rows, UINT32_MAX), 0);
    disk_close(&disk);
}

Test(row_pages, of_lone_rows_that_share_a_page_are_all_found)
{
    struct disk disk;
    disk_open(&disk, NULL);
    for (uint32_t id = 1; id <= 40; id++) {
        disk_write_lone(&disk, id, 20, 30000);
    }
    learn_file(disk.file);
    for (uint32_t id = 1; id <= 40; id++) {
        cr_expect_neq(skv_row_pages_find(&rows, id), 0, "row %u", id);
    }
    disk_close(&disk);
}

Test(row_pages, of_random_bytes_are_nothing_to_rely_on_but_do_no_harm)
{
    uint8_t *const page = malloc(PAGE); /* to its very end, for the sanitizer */
    srand(7);
    for (int i = 0; i < 2000; i++) {
        for (size_t at = 0; at < PAGE; at++) {
            page[at] = (uint8_t)(i % 2 == 0 ? rand() : 0xff);
        }
        page[0] = 0x0d;
        skv_row_pages_learn(&rows, page, PAGE, (int64_t)PAGE * i);
        skv_row_pages_learn(&rows, page, (size_t)(i % 20), (int64_t)PAGE * i);
    }
    cr_expect_leq(skv_row_pages_bytes(&rows), (SKV_SEGMENT_ID_MAX + 1) * 8);
    free(page);
}

/** A page with one row of 4 bytes. */
static void make_page(uint8_t page[32], uint8_t row)
{
    memset(page, 0, 32);
    page[0] = 0x0d;
    page[4] = 1;  /* rows */
    page[9] = 16; /* where the first one is */
    page[16] = 4;
    page[17] = row;
}

Test(row_pages, of_rows_that_nobody_wrote_are_not_noted)
{
    uint8_t page[32];
    rows.most = 8;
    make_page(page, 9);
    skv_row_pages_learn(&rows, page, sizeof(page), 64);
    cr_expect_eq(skv_row_pages_find(&rows, 9), 0);
    cr_expect_eq(skv_row_pages_bytes(&rows), 0);
    rows.most = 9;
    skv_row_pages_learn(&rows, page, sizeof(page), 64);
    cr_expect_eq(skv_row_pages_find(&rows, 9), 3);
}

Test(row_pages, of_a_row_seen_on_two_are_unknown_from_then_on)
{
    uint8_t page[32];
    make_page(page, 9);
    skv_row_pages_learn(&rows, page, sizeof(page), 64);
    skv_row_pages_learn(&rows, page, sizeof(page), 64);
    cr_expect_eq(skv_row_pages_find(&rows, 9), 3, "the same page again");
    skv_row_pages_learn(&rows, page, sizeof(page), 128);
    cr_expect_eq(skv_row_pages_find(&rows, 9), 0);
    skv_row_pages_learn(&rows, page, sizeof(page), 64);
    skv_row_pages_learn(&rows, page, sizeof(page), 128);
    cr_expect_eq(skv_row_pages_find(&rows, 9), 0);
    cr_expect_eq(skv_row_pages_segment_at(&rows, 9), 0);
}

Test(row_pages, of_a_row_whose_number_goes_on_beyond_the_page_is_not_noted)
{
    uint8_t page[32];
    make_page(page, 9);
    page[9] = 24;
    memset(page + 24, 0xff, 8);
    skv_row_pages_learn(&rows, page, sizeof(page), 64);
    cr_expect_eq(skv_row_pages_bytes(&rows), 0);
}

Test(row_pages, of_a_segment_that_does_not_end_with_its_page_is_known_but_not_read)
{
    static uint8_t page[SKV_SCHEMA_PAGE_BYTES];
    /* Where a segment's cell begins: two bytes of size, one of number, then the record. */
    const size_t begin = PAGE - SKV_SEGMENT_BYTES - 4 - 3;
    const size_t record = SKV_SEGMENT_BYTES + 4;
    for (size_t earlier = 0; earlier < 2; earlier++) {
        memset(page, 0, PAGE);
        const size_t at = begin - earlier;
        page[0] = 0x0d;
        page[4] = 1;
        page[8] = (uint8_t)(at >> 8);
        page[9] = (uint8_t)at;
        page[at] = (uint8_t)(0x80 | record >> 7);
        page[at + 1] = record & 0x7f;
        page[at + 2] = (uint8_t)(5 + earlier);
        skv_row_pages_learn(&rows, page, PAGE, (int64_t)PAGE);
    }
    cr_expect_eq(skv_row_pages_find(&rows, 5), 2);
    cr_expect_eq(skv_row_pages_segment_at(&rows, 5), 2 * (int64_t)PAGE - SKV_SEGMENT_BYTES);
    cr_expect_eq(skv_row_pages_find(&rows, 6), 2);
    cr_expect_eq(skv_row_pages_segment_at(&rows, 6), 0);
}

Test(row_pages, without_memory_stay_unknown)
{
    uint8_t page[32];
    struct failing_alloc failing;
    make_page(page, 9);
    failing_alloc_start(&failing, 1);
    skv_row_pages_learn(&rows, page, sizeof(page), 64);
    cr_expect_eq(skv_row_pages_find(&rows, 9), 0);
    failing_alloc_stop();
    cr_expect(failing.failed);
    skv_row_pages_learn(&rows, page, sizeof(page), 64);
    cr_expect_eq(skv_row_pages_find(&rows, 9), 3);
}

/** How many of a file's pages from the given one on are in the page cache. */
static size_t cached_pages(int fd, size_t bytes)
{
    const size_t system_page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t count = bytes / system_page;
    unsigned char *const in_core = malloc(count);
    void *const map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    size_t cached = 0;
    cr_assert_neq(map, MAP_FAILED);
    cr_assert_eq(mincore(map, bytes, in_core), 0);
    for (size_t i = 0; i < count; i++) {
        cached += in_core[i] & 1;
    }
    cr_assert_eq(munmap(map, bytes), 0);
    free(in_core);
    return cached;
}

Test(row_pages, of_places_that_are_announced_the_bytes_are_read_and_nothing_else)
{
    struct disk disk;
    struct stat info;
    uint64_t places[64];
    disk_open(&disk, NULL);
    disk_write(&disk, 1, 2000, 'a');
    const int fd = open(disk.file, O_RDONLY | O_CLOEXEC);
    cr_assert(fd >= 0 && fstat(fd, &info) == 0 && fdatasync(fd) == 0);
    cr_assert_eq(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    const size_t bytes = (size_t)info.st_size;
    if (cached_pages(fd, bytes) != 0) {
        (void)close(fd);
        disk_close(&disk);
        cr_skip_test("this file system keeps what it has in memory");
    }
    for (uint32_t i = 0; i < 64; i++) {
        places[i] = skv_place_make(7 + i * 31, 8);
    }
    skv_store_announce(disk.store, places, 64, 512);
    /* They lie within the first 4 KiB of their pages. */
    const size_t wanted = 64;
    while (cached_pages(fd, bytes) < wanted) {
        (void)usleep(1000);
    }
    /* And nothing else is. */
    cr_expect_leq(cached_pages(fd, bytes), wanted + 16);
    (void)close(fd);
    disk_close(&disk);
}
