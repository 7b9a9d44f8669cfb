/* SPDX-License-Identifier: MIT */
/*
 * The live file of a shard is damaged in random places, again and again: every call then says
 * SPILLKV_ECORRUPT or the truth. SPILLKV_SEED chooses other places.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/engine.h"
#include "support/kv.h"
#include "support/model.h"

#define ROUNDS      (TEST_SANITIZED ? 16u : 60u)
#define PLACES      16 /* damaged in a round, all of one kind */
#define PAGE        8192
#define SPILLED     9000u /* keys 0 .. SPILLED - 1, most of them on disk */
#define HOT         200u  /* the keys after these, set last and in RAM */
#define LONE_ONE_IN 100u  /* with a row of its own */
#define LONE_BYTES  ((size_t)20000)

static struct kv_test test;
static uint64_t random_state;

/* What the calls of a test came to. */
static struct outcome {
    uint64_t right;
    uint64_t corrupt;
} outcome;

static uint32_t dice(uint64_t sides)
{
    return (uint32_t)(model_random(&random_state) % sides);
}

static size_t size_of(uint32_t number)
{
    return number < SPILLED && number % LONE_ONE_IN == 7 ? LONE_BYTES : KV_VALUE;
}

static bool is_in_shard(uint32_t number, uint32_t shard)
{
    char key[13];
    snprintf(key, sizeof(key), "key-%08u", number);
    return skv_engine_shard(test.kv, skv_engine_key(test.kv, key, 12).hash) ==
           test.kv->shards[shard];
}

static void open_filled(void)
{
    kv_options(&test);
    test.options.shards = 2;
    test.options.max_mem = KV_TINY;
    kv_open(&test);
    for (uint32_t i = 0; i < SPILLED; i++) {
        KV_OK(kv_set(test.kv, i, 0, size_of(i)));
    }
    KV_OK(spillkv_flush(test.kv));
    for (uint32_t i = SPILLED; i < SPILLED + HOT; i++) {
        KV_OK(kv_set(test.kv, i, 0, KV_VALUE));
    }
    KV_OK(spillkv_flush(test.kv));
}

/* The file is open while it is damaged, as it is for whatever damages files. */
static int open_file(off_t *bytes_out)
{
    struct stat info;
    const int fd = open(tempdir_file(&test.dir, "store/shard-000.db"), O_RDWR | O_CLOEXEC);
    cr_assert_geq(fd, 0, "%s", strerror(errno));
    cr_assert_eq(fstat(fd, &info), 0);
    *bytes_out = info.st_size;
    return fd;
}

typedef void damager(int fd, off_t bytes);

static void change(int fd, off_t at, const uint8_t *bytes, size_t size)
{
    cr_assert_eq(pwrite(fd, bytes, size, at), (ssize_t)size);
}

static void flip_a_bit(int fd, off_t bytes)
{
    uint8_t byte;
    const off_t at = dice((uint64_t)bytes);
    cr_assert_eq(pread(fd, &byte, 1, at), 1);
    byte ^= (uint8_t)(1u << dice(8));
    change(fd, at, &byte, 1);
}

/* From somewhere, up to so many bytes. */
static size_t any_range(off_t bytes, off_t *at_out)
{
    const size_t most = (size_t)1 << dice(15);
    *at_out = dice((uint64_t)bytes);
    return most < (size_t)(bytes - *at_out) ? most : (size_t)(bytes - *at_out);
}

static void zero(int fd, off_t bytes)
{
    static const uint8_t zeroes[1 << 14];
    off_t at;
    const size_t size = any_range(bytes, &at);
    change(fd, at, zeroes, size);
}

static void scribble(int fd, off_t bytes)
{
    static uint8_t noise[1 << 14];
    off_t at;
    const size_t size = any_range(bytes, &at);
    for (size_t i = 0; i < size; i++) {
        noise[i] = (uint8_t)dice(256);
    }
    change(fd, at, noise, size);
}

/* Two ranges change places: whole pages, whole entries, or neither. */
static void shuffle(int fd, off_t bytes)
{
    static uint8_t a[PAGE];
    static uint8_t b[PAGE];
    const off_t unit = (off_t[]){PAGE, 616, 8, 1}[dice(4)];
    const size_t size = unit == PAGE ? PAGE : 1 + dice(PAGE);
    const off_t from = dice((uint64_t)(bytes - (off_t)size)) / unit * unit;
    const off_t to = dice((uint64_t)(bytes - (off_t)size)) / unit * unit;
    cr_assert_eq(pread(fd, a, size, from), (ssize_t)size);
    cr_assert_eq(pread(fd, b, size, to), (ssize_t)size);
    change(fd, from, b, size);
    change(fd, to, a, size);
}

static void cut(int fd, off_t bytes)
{
    cr_assert_eq(ftruncate(fd, dice((uint64_t)bytes)), 0);
}

static bool is_answer(int status, int right)
{
    outcome.right += status == right;
    outcome.corrupt += status == SPILLKV_ECORRUPT;
    return status == right || status == SPILLKV_ECORRUPT;
}

static void expect_hot_keys(void)
{
    for (uint32_t i = SPILLED; i < SPILLED + HOT; i++) {
        cr_assert_eq(kv_get(test.kv, i, 0, KV_VALUE), SPILLKV_OK, "hot key %u", i);
    }
}

static void expect_truth_or_corrupt(void)
{
    for (uint32_t i = 0; i < SPILLED; i++) {
        const int status = kv_get(test.kv, i, 0, size_of(i));
        cr_assert(is_answer(status, SPILLKV_OK), "key %u: %d", i, status);
        cr_assert(status == SPILLKV_OK || is_in_shard(i, 0), "key %u of the other shard", i);
    }
}

static int visit(void *context, const void *key, size_t key_size, const void *value,
                 size_t value_size)
{
    static uint8_t wanted[LONE_BYTES];
    char text[13] = "";
    cr_assert_eq(key_size, 12);
    memcpy(text, key, 12);
    const uint32_t number = (uint32_t)strtoul(text + 4, NULL, 10);
    cr_assert_lt(number, SPILLED + HOT);
    cr_assert_eq(value_size, size_of(number));
    kv_make_value(wanted, value_size, number, 0);
    cr_assert_eq(memcmp(wanted, value, value_size), 0, "key %u", number);
    ++*(uint32_t *)context;
    return 0;
}

static void expect_true_visits(void)
{
    uint32_t visits = 0;
    const spillkv_status status = spillkv_each(test.kv, visit, &visits);
    cr_assert(is_answer(status, SPILLKV_OK), "%d", status);
    cr_assert_leq(visits, SPILLED + HOT);
    cr_assert_eq(status == SPILLKV_OK, visits == SPILLED + HOT);
}

/* A small set may replace a damaged value; what it says is what is read then. */
static void expect_writes_are_kept_or_refused(void)
{
    for (uint32_t i = 0; i < SPILLED; i += 1 + dice(8)) {
        int before = kv_get(test.kv, i, 0, size_of(i));
        if (dice(4) == 0) {
            const int status = kv_del(test.kv, i);
            cr_assert(is_answer(status, SPILLKV_OK), "key %u: %d", i, status);
            before = status == SPILLKV_OK ? SPILLKV_NOT_FOUND : before;
            cr_assert(is_answer(kv_get(test.kv, i, 0, size_of(i)), before), "key %u", i);
        } else {
            const int status = kv_set(test.kv, i, 1, 100);
            cr_assert(is_answer(status, SPILLKV_OK), "key %u: %d", i, status);
            if (status == SPILLKV_OK) {
                const int got = kv_get(test.kv, i, 1, 100);
                cr_assert(is_answer(got, SPILLKV_OK), "key %u: %d", i, got);
            }
        }
    }
}

/* Whatever was damaged: what begins anew is whole. */
static void expect_clear_heals(void)
{
    KV_OK(spillkv_clear(test.kv));
    kv_fill(test.kv, 0, 1500);
    kv_expect_filled(test.kv, 0, 1500);
    cr_assert_eq(kv_count(test.kv), 1500);
}

/* @param places  damaged in each of the rounds; 0: as many as there is damage to be done once */
static void play(const char *name, damager *damage, unsigned places)
{
    random_state = model_seed(name, 7);
    for (unsigned round = 0; round < ROUNDS; round++) {
        off_t bytes;
        open_filled();
        const int fd = open_file(&bytes);
        for (unsigned i = 0; i < places; i++) {
            damage(fd, bytes);
        }
        (void)close(fd);
        expect_hot_keys();
        if (round % 3 == 0) {
            expect_true_visits();
        }
        expect_truth_or_corrupt();
        if (round % 3 == 1) {
            expect_writes_are_kept_or_refused();
        }
        expect_clear_heals();
        kv_close(&test);
    }
    printf("%s: %u rounds, %u places, %llu right answers, %llu of damage\n", name, ROUNDS,
           ROUNDS * places, (unsigned long long)outcome.right, (unsigned long long)outcome.corrupt);
    cr_expect_gt(outcome.right, 0);
    cr_expect_gt(outcome.corrupt, 0);
}

TestSuite(damage, .timeout = 300);

Test(damage, by_flipped_bits_is_never_taken_for_a_value)
{
    play("flip", flip_a_bit, PLACES);
}

Test(damage, by_zeroes_is_never_taken_for_a_value)
{
    play("zero", zero, PLACES);
}

Test(damage, by_noise_is_never_taken_for_a_value)
{
    play("noise", scribble, PLACES);
}

Test(damage, by_bytes_in_the_wrong_place_is_never_taken_for_a_value)
{
    play("shuffle", shuffle, PLACES);
}

Test(damage, by_truncation_is_never_taken_for_a_value)
{
    play("cut", cut, 1);
}
