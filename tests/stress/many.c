/* SPDX-License-Identifier: MIT */
/*
 * Threads that work in batches on a store whose memory holds a small part of the entries. Every key
 * has one writer, who knows what it must find; and for everybody a key's versions only ascend.
 *
 * SPILLKV_STRESS_MS says how long; SPILLKV_SEED chooses another run.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <spillkv/spillkv.h>

#include "support/model.h"
#include "support/tempdir.h"

#define THREADS    4u
#define NUMBERS    12000u
#define BATCH      50u
#define VALUE_MOST ((size_t)700)

struct stress {
    spillkv *kv;
    uint64_t seed;
    _Atomic bool over;
};

struct worker {
    struct stress *stress;
    pthread_t thread;
    uint32_t number;
    uint64_t random;
    uint64_t versions[NUMBERS]; /* own keys: as set last, 0: deleted; others: the latest seen */
    spillkv_item items[BATCH];
    uint32_t numbers[BATCH];
    uint8_t keys[BATCH][64];
    uint8_t values[BATCH][VALUE_MOST];
    uint64_t version; /* of all its sets */
};

static uint32_t dice(struct worker *worker, uint32_t sides)
{
    return (uint32_t)(model_random(&worker->random) % sides);
}

/* Of those whose keys are short; half of the time among a few. */
static uint32_t any_number(struct worker *worker)
{
    for (;;) {
        const uint32_t number = dice(worker, dice(worker, 2) != 0 ? NUMBERS / 20 : NUMBERS);
        if (model_key_size(number) <= sizeof(worker->keys[0])) {
            return number;
        }
    }
}

static bool is_own(const struct worker *worker, uint32_t number)
{
    return number % THREADS == worker->number;
}

/* A value begins with its version; its size follows from that. */
static size_t size_of(uint64_t version)
{
    return sizeof(version) + version * 37 % (VALUE_MOST - sizeof(version));
}

static void make_value(uint32_t number, uint64_t version, uint8_t *value)
{
    model_value(number, version, value, size_of(version));
    memcpy(value, &version, sizeof(version));
}

static void make_items(struct worker *worker, uint32_t count, bool own)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = any_number(worker);
        while (own && !is_own(worker, number)) {
            number = any_number(worker);
        }
        worker->numbers[i] = number;
        worker->items[i] = (spillkv_item){.key = worker->keys[i],
                                          .key_size = model_key(number, worker->keys[i]),
                                          .value = worker->values[i],
                                          .buffer = worker->values[i],
                                          .capacity = VALUE_MOST};
    }
}

static void set_own(struct worker *worker, uint32_t count)
{
    make_items(worker, count, true);
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t version = ++worker->version;
        worker->versions[worker->numbers[i]] = version;
        worker->items[i].value_size = size_of(version);
        make_value(worker->numbers[i], version, worker->values[i]);
    }
    cr_assert_eq(spillkv_set_many(worker->stress->kv, worker->items, count), SPILLKV_OK);
}

static void del_own(struct worker *worker, uint32_t count)
{
    make_items(worker, count, true);
    cr_assert_eq(spillkv_del_many(worker->stress->kv, worker->items, count), SPILLKV_OK);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t *const version = &worker->versions[worker->numbers[i]];
        cr_assert_eq(worker->items[i].status, *version != 0 ? SPILLKV_OK : SPILLKV_NOT_FOUND);
        *version = 0;
    }
}

static void check_item(struct worker *worker, uint32_t at)
{
    const spillkv_item *const item = &worker->items[at];
    const uint32_t number = worker->numbers[at];
    uint64_t *const known = &worker->versions[number];
    uint8_t wanted[VALUE_MOST];
    uint64_t version = 0;
    if (item->status == SPILLKV_OK) {
        memcpy(&version, item->value, sizeof(version));
        make_value(number, version, wanted);
        cr_assert_eq(item->value_size, size_of(version), "key %u is damaged", number);
        cr_assert_eq(memcmp(item->value, wanted, item->value_size), 0, "key %u is damaged", number);
    } else {
        cr_assert_eq(item->status, SPILLKV_NOT_FOUND);
    }
    if (is_own(worker, number)) {
        cr_assert_eq(version, *known, "key %u", number);
    } else if (version != 0) {
        cr_assert_geq(version, *known, "key %u", number);
        *known = version;
    }
}

static void get_any(struct worker *worker, uint32_t count)
{
    make_items(worker, count, false);
    cr_assert_eq(spillkv_get_many(worker->stress->kv, worker->items, count), SPILLKV_OK);
    for (uint32_t i = 0; i < count; i++) {
        check_item(worker, i);
    }
}

static void *run_worker(void *argument)
{
    struct worker *const worker = argument;
    while (!atomic_load_explicit(&worker->stress->over, memory_order_relaxed)) {
        const uint32_t kind = dice(worker, 16);
        const uint32_t count = dice(worker, BATCH + 1);
        if (kind < 5) {
            set_own(worker, count);
        } else if (kind == 5) {
            del_own(worker, count);
        } else {
            get_any(worker, count);
        }
    }
    return NULL;
}

/* Sleeping is what this thread is for: it ends the run. */
static void wait_for_the_end(void)
{
    const char *const text = getenv("SPILLKV_STRESS_MS");
    const long ms = text != NULL ? atol(text) : 3000;
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&time, NULL);
}

static void stress_batches(uint32_t shards, uint64_t max_mem)
{
    static struct stress stress;
    static struct worker workers[THREADS];
    struct tempdir dir;
    spillkv_options options;
    spillkv_stats_data stats;
    tempdir_make(&dir);
    spillkv_options_init(&options);
    options.path = tempdir_file(&dir, "store");
    options.max_mem = max_mem;
    options.shards = shards;
    stress.seed = model_seed("many", 40 + shards);
    cr_assert_eq(spillkv_open(&options, &stress.kv), SPILLKV_OK);
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i].stress = &stress;
        workers[i].number = i;
        workers[i].random = stress.seed + i * UINT64_C(1000003);
        cr_assert_eq(pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]), 0);
    }
    wait_for_the_end();
    atomic_store(&stress.over, true);
    for (uint32_t i = 0; i < THREADS; i++) {
        (void)pthread_join(workers[i].thread, NULL);
    }
    cr_assert_eq(spillkv_stats(stress.kv, &stats), SPILLKV_OK);
    cr_expect_gt(stats.total.spilled_reads, 0);
    cr_expect_eq(spillkv_close(stress.kv), SPILLKV_OK);
    tempdir_remove(&dir);
}

Test(many, batches_are_linearizable_by_key_in_one_shard, .timeout = 1200)
{
    stress_batches(1, 1 << 20);
}

Test(many, batches_are_linearizable_by_key_in_four_shards, .timeout = 1200)
{
    stress_batches(4, 3 << 20);
}
