/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "support/latch_vfs.h"
#include "support/model.h"
#include "support/shard.h"

static struct one_shard one;

static void tear_down(void)
{
    one_shard_close(&one);
}

static void set_up(void)
{
    one_shard_open(&one, &(struct one_shard_options){0});
}

TestSuite(find, .init = set_up, .fini = tear_down, .timeout = 30);
TestSuite(find_collision, .fini = tear_down, .timeout = 60);

static void fill(uint32_t count, size_t size)
{
    for (uint32_t i = 0; i < count; i++) {
        cr_assert_eq(one_shard_put(&one, i, 1, size), SPILLKV_OK);
    }
}

Test(find, resident_key_is_found_without_reading)
{
    fill(10, 100);
    for (uint32_t i = 0; i < 10; i++) {
        cr_expect_eq(one_shard_get(&one, i, 1, 100), SPILLKV_OK);
    }
    cr_expect_eq(one_shard_counters(&one).hits, 10);
    cr_expect_eq(one_shard_counters(&one).spilled_reads, 0);
}

Test(find, absent_key_is_answered)
{
    cr_expect_eq(one_shard_get(&one, 1, 1, 1), SPILLKV_NOT_FOUND);
    fill(100, 100);
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    for (uint32_t i = 1000; i < 2000; i++) {
        cr_expect_eq(one_shard_get(&one, i, 1, 1), SPILLKV_NOT_FOUND);
    }
    cr_expect_eq(one_shard_counters(&one).misses, 1001);
}

Test(find, spilled_key_is_found_by_reading)
{
    fill(500, 100);
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    cr_expect_eq(one_shard_counters(&one).entries_ram, 0);
    for (uint32_t i = 0; i < 500; i++) {
        cr_expect_eq(one_shard_peek(&one, i, 1, 100), SPILLKV_OK);
    }
}

Test(find, sizes_around_all_limits_are_found)
{
    static const size_t sizes[] = {0,     1,     7,     8,      400,   500,  504,   520,
                                   4000,  4096,  4100,  8000,   8080,  8100, 8120,  8124,
                                   8128,  8132,  8136,  8144,   8200,  9000, 16300, 16384,
                                   16400, 20000, 65536, 100000, 262144};
    const uint32_t count = sizeof(sizes) / sizeof(sizes[0]);
    for (uint32_t i = 0; i < count; i++) {
        cr_assert_eq(one_shard_put(&one, i, 1, sizes[i]), SPILLKV_OK, "%zu", sizes[i]);
    }
    for (int round = 0; round < 3; round++) {
        cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
        cr_assert_eq(one_shard_counters(&one).entries_ram, 0);
        shard_check_deeply(one.shard);
        for (uint32_t i = 0; i < count; i++) {
            cr_expect_eq(one_shard_get(&one, i, 1, sizes[i]), SPILLKV_OK, "%zu", sizes[i]);
        }
    }
}

Test(find, longest_key_is_found_in_both_tiers)
{
    uint8_t *const bytes = malloc(SPILLKV_KEY_MAX);
    memset(bytes, 'k', SPILLKV_KEY_MAX);
    for (size_t value_size = 0; value_size < 3; value_size++) {
        const struct skv_key key = one_shard_key(&one, bytes, SPILLKV_KEY_MAX - value_size);
        char buffer[4] = "";
        struct skv_sink sink = {.buffer = buffer, .capacity = sizeof(buffer)};
        cr_assert_eq(skv_shard_set(one.shard, &key, "vvv", value_size), SPILLKV_OK);
        cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
        cr_expect_eq(skv_shard_get(one.shard, &key, &sink), SPILLKV_OK);
        cr_expect_eq(sink.value_size, value_size);
        cr_expect_eq(skv_shard_has(one.shard, &key), SPILLKV_OK);
    }
    free(bytes);
}

Test(find, lone_row_delivers_into_memory_of_its_own)
{
    cr_assert_eq(one_shard_put(&one, 1, 5, 100000), SPILLKV_OK);
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    uint8_t bytes[MODEL_KEY_MAX];
    const struct skv_key key = one_shard_key(&one, bytes, model_key(1, bytes));
    struct skv_sink sink = {.allocate = true, .peek = true};
    cr_assert_eq(skv_shard_get(one.shard, &key, &sink), SPILLKV_OK);
    cr_expect_eq(sink.value_size, 100000);
    cr_expect(model_value_is(1, 5, sink.buffer, sink.value_size));
    skv_free(sink.buffer);
}

Test(find, buffer_that_is_too_small_learns_the_size_in_both_tiers)
{
    static const size_t sizes[] = {100, 5000, 9000, 50000};
    for (uint32_t i = 0; i < 4; i++) {
        uint8_t bytes[MODEL_KEY_MAX];
        char buffer[8];
        const struct skv_key key = one_shard_key(&one, bytes, model_key(i, bytes));
        cr_assert_eq(one_shard_put(&one, i, 1, sizes[i]), SPILLKV_OK);
        for (int tier = 0; tier < 2; tier++) {
            struct skv_sink sink = {.buffer = buffer, .capacity = sizeof(buffer)};
            cr_expect_eq(skv_shard_get(one.shard, &key, &sink), SPILLKV_TOO_SMALL);
            cr_expect_eq(sink.value_size, sizes[i]);
            cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
        }
    }
}

/* Finds numbers whose keys have the same tag in the same group as that of `number`. */
static uint32_t find_twins(uint32_t number, uint32_t *twins, uint32_t most)
{
    uint8_t bytes[MODEL_KEY_MAX];
    const uint64_t wanted = skv_hash(&one.secret, bytes, model_key(number, bytes));
    uint32_t count = 0;
    for (uint32_t i = number + 1; count < most && i < 30000000; i++) {
        if (model_key_size(i) < 100) {
            const uint64_t hash = skv_hash(&one.secret, bytes, model_key(i, bytes));
            if ((hash & SKV_TAG_MASK) == (wanted & SKV_TAG_MASK) &&
                skv_table_group_of(&one.shard->table, hash) ==
                    skv_table_group_of(&one.shard->table, wanted)) {
                twins[count++] = i;
            }
        }
    }
    return count;
}

Test(find_collision, keys_with_one_tag_are_told_apart)
{
    one_shard_open(&one, &(struct one_shard_options){.group_count = 1});
    uint32_t twins[8] = {5};
    cr_assert_eq(find_twins(5, twins + 1, 7), 7);
    for (int i = 0; i < 8; i++) {
        cr_assert_eq(one_shard_put(&one, twins[i], (uint64_t)i, 50), SPILLKV_OK);
    }
    for (int round = 0; round < 4; round++) {
        cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
        for (int i = 0; i < 8; i++) {
            /* Some of them come back to memory, so both tiers hold keys with this tag. */
            const bool promotes = (i + round) % 2 == 0;
            cr_expect_eq(promotes ? one_shard_get(&one, twins[i], (uint64_t)i, 50)
                                  : one_shard_peek(&one, twins[i], (uint64_t)i, 50),
                         SPILLKV_OK);
            cr_assert(skv_shard_check(one.shard));
        }
    }
    cr_expect_gt(one_shard_counters(&one).wasted_reads, 0);
    for (int i = 0; i < 8; i += 2) {
        cr_assert_eq(one_shard_del(&one, twins[i]), SPILLKV_OK);
        cr_assert_eq(one_shard_del(&one, twins[i]), SPILLKV_NOT_FOUND);
    }
    for (int i = 0; i < 8; i++) {
        cr_expect_eq(one_shard_peek(&one, twins[i], (uint64_t)i, 50),
                     i % 2 == 0 ? SPILLKV_NOT_FOUND : SPILLKV_OK);
    }
    shard_check_deeply(one.shard);
}

Test(find_collision, random_operations_on_keys_with_one_tag_are_told_apart)
{
    enum {
        TWINS = 12
    };

    one_shard_open(&one, &(struct one_shard_options){.group_count = 1});
    uint32_t twins[TWINS] = {5};
    uint64_t versions[TWINS] = {0}; /* 0: absent */
    uint64_t state = model_seed("shard_find", 6);
    bool worked;
    cr_assert_eq(find_twins(5, twins + 1, TWINS - 1), TWINS - 1);
    for (uint64_t step = 1; step < 6000; step++) {
        const uint32_t i = (uint32_t)(model_random(&state) % TWINS);
        const uint64_t dice = model_random(&state) % 10;
        if (dice < 3) {
            cr_assert_eq(one_shard_put(&one, twins[i], step, 50), SPILLKV_OK);
            versions[i] = step;
        } else if (dice < 4) {
            cr_assert_eq(one_shard_del(&one, twins[i]),
                         versions[i] != 0 ? SPILLKV_OK : SPILLKV_NOT_FOUND);
            versions[i] = 0;
        } else if (dice < 6) {
            cr_assert_eq(skv_shard_spill(one.shard, 1, &worked), SPILLKV_OK);
        } else {
            cr_assert_eq(dice < 8 ? one_shard_get(&one, twins[i], versions[i], 50)
                                  : one_shard_peek(&one, twins[i], versions[i], 50),
                         versions[i] != 0 ? SPILLKV_OK : SPILLKV_NOT_FOUND);
        }
    }
    cr_expect_gt(one_shard_counters(&one).wasted_reads, 100);
    shard_check_deeply(one.shard);
}

/* Damages what is on disk, by way of the store itself: place is where it is believed to be. */
static void overwrite_row(uint32_t id)
{
    static uint8_t bytes[SKV_SEGMENT_BYTES];
    const struct skv_store_segment segment = {.id = id, .bytes = bytes};
    const struct skv_store_batch batch = {.segments = &segment, .segment_count = 1};
    memset(bytes, 0x11, sizeof(bytes));
    cr_assert_eq(skv_store_write(one.shard->store, &batch), SPILLKV_OK);
}

Test(find, damaged_entry_is_reported_until_its_key_is_set_and_stays_counted)
{
    fill(3, 100);
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    overwrite_row(skv_place_id(one.shard->space.count != 0 ? skv_place_make(1, 0) : 0));
    uint8_t bytes[MODEL_KEY_MAX];
    const struct skv_key key = one_shard_key(&one, bytes, model_key(1, bytes));
    cr_expect_eq(one_shard_peek(&one, 1, 1, 100), SPILLKV_ECORRUPT);
    cr_expect_eq(one_shard_get(&one, 1, 1, 100), SPILLKV_ECORRUPT);
    cr_expect_eq(skv_shard_has(one.shard, &key), SPILLKV_ECORRUPT);
    cr_expect_eq(one_shard_del(&one, 1), SPILLKV_ECORRUPT);
    cr_expect_eq(skv_shard_count(one.shard), 3);
    cr_expect_eq(one_shard_set(&one, 9, 1, 100), SPILLKV_OK, "and opens a segment");
    cr_expect_eq(one_shard_accept(&one, 1, 2, 100), SPILLKV_OK);
    cr_expect_eq(one_shard_get(&one, 1, 2, 100), SPILLKV_OK);
    cr_expect_eq(skv_shard_resolve_inbox(one.shard), SPILLKV_ECORRUPT);
    cr_expect_eq(one_shard_get(&one, 1, 2, 100), SPILLKV_OK);
    cr_expect_eq(skv_shard_has(one.shard, &key), SPILLKV_OK);
    cr_expect_eq(skv_shard_count(one.shard), 4);
    cr_expect_eq(one_shard_set(&one, 1, 2, 5000), SPILLKV_ECORRUPT);
    cr_expect_eq(one_shard_get(&one, 1, 2, 100), SPILLKV_OK);
    cr_expect(skv_shard_check(one.shard));
}

/* Changes a byte of a spilled value where it is in the file. */
static void damage_value(uint32_t number, uint64_t version, size_t size)
{
    static uint8_t file[4 << 20];
    uint8_t value[1000];
    const int fd = open(one.file, O_RDWR | O_CLOEXEC);
    cr_assert(fd >= 0 && size <= sizeof(value));
    const ssize_t bytes = pread(fd, file, sizeof(file), 0);
    model_value(number, version, value, size);
    const uint8_t *const at = memmem(file, (size_t)bytes, value, size);
    cr_assert_not_null(at);
    value[0] ^= 1;
    cr_assert_eq(pwrite(fd, value, 1, at - file), 1);
    (void)close(fd);
}

static bool sees_segment_of(uint32_t number)
{
    uint8_t bytes[64];
    return skv_store_read_seen(one.shard->store, skv_place_id(one_shard_place(&one, number)), 0,
                               bytes, sizeof(bytes)) == sizeof(bytes);
}

Test(find, once_a_key_is_found_damaged_sqlite_reads_the_file_until_it_is_cleared)
{
    uint32_t damaged = 0;
    fill(3000, 300);
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    /* What SQLite has in its cache it reads all the same. */
    for (uint32_t i = 0; i < 200 && damaged == 0; i++) {
        cr_expect(sees_segment_of(2999));
        damage_value(i, 1, 300);
        damaged = one_shard_peek(&one, i, 1, 300) == SPILLKV_ECORRUPT;
    }
    cr_expect_eq(damaged, 1);
    cr_expect_not(sees_segment_of(2999));
    cr_expect_eq(one_shard_peek(&one, 2999, 1, 300), SPILLKV_OK, "SQLite reads it");
    skv_shard_clear(one.shard);
    fill(100, 300);
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    cr_expect(sees_segment_of(1));
}
