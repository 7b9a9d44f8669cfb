/* SPDX-License-Identifier: MIT */
/*
 * Many threads on a store whose memory holds a small part of the entries. Every key has one writer,
 * which gives its values ascending versions; every value says which key and version it is. A read
 * must come to a version between the last one that was complete before it began and the last one
 * that was begun before it ended.
 *
 * SPILLKV_STRESS_MS says how long; SPILLKV_SEED chooses another run.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <spillkv/spillkv.h>

#include "support/latch_vfs.h"
#include "support/model.h"
#include "support/tempdir.h"

#define NUMBERS     20000u
#define STABLE      2000u /* these are never deleted once they are set */
#define VALUE_LEAST (2 * sizeof(uint64_t))
#define VALUE_MOST  ((size_t)200 << 10)

/* A version that is complete, and the clears that were over when it was begun, in one word. */
#define CLEARS_BITS 24
#define CLEARS_MASK ((UINT64_C(1) << CLEARS_BITS) - 1)

struct key_state {
    _Atomic uint64_t begun;    /* a version */
    _Atomic uint64_t complete; /* version << CLEARS_BITS | clears */
};

struct stress {
    spillkv *kv;
    uint64_t seed;
    unsigned writers;
    bool clears;
    bool fails; /* the disk fails now and then */
    _Atomic uint64_t clears_begun;
    _Atomic uint64_t clears_over;
    _Atomic uint64_t reads;
    _Atomic bool over;
    struct key_state keys[NUMBERS];
};

struct worker {
    struct stress *stress;
    pthread_t thread;
    unsigned number;
    uint64_t random;
    uint8_t *key;
    uint8_t *value;
    uint64_t *known; /* versions that were complete at some moment */
    uint8_t *visited;
};

static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
    abort();
}

static uint32_t dice(struct worker *worker, uint32_t sides)
{
    return (uint32_t)(model_random(&worker->random) % sides);
}

/* Which versions of a key are deletions. */
static bool is_deletion(uint32_t number, uint64_t version)
{
    return number >= STABLE && (version * 31 + number) % 7 == 0;
}

/* Value: version, size, then bytes that both and the key choose. */
static void make_value(uint32_t number, uint64_t version, uint8_t *value, size_t size)
{
    const uint64_t size_word = size;
    model_value(number, version, value, size);
    memcpy(value, &version, sizeof(version));
    memcpy(value + sizeof(version), &size_word, sizeof(size_word));
}

static uint64_t version_of(uint32_t number, const uint8_t *value, size_t size)
{
    uint64_t version;
    uint64_t size_word;
    if (size < VALUE_LEAST) {
        fail("key %u: a value of %zu bytes", number, size);
    }
    memcpy(&version, value, sizeof(version));
    memcpy(&size_word, value + sizeof(version), sizeof(size_word));
    uint8_t *const wanted = malloc(size);
    make_value(number, version, wanted, size);
    if (size_word != size || memcmp(wanted, value, size) != 0) {
        fail("key %u: version %llu of %zu bytes is damaged", number, (unsigned long long)version,
             size);
    }
    free(wanted);
    return version;
}

static size_t any_size(struct worker *worker)
{
    const uint32_t kind = dice(worker, 1000);
    return VALUE_LEAST + (kind < 900   ? dice(worker, 300)
                          : kind < 990 ? dice(worker, 4000)
                          : kind < 999 ? dice(worker, 20000)
                                       : dice(worker, VALUE_MOST - VALUE_LEAST));
}

static bool is_disk_error(spillkv_status status)
{
    return status == SPILLKV_EIO || status == SPILLKV_ENOSPC || status == SPILLKV_EFULL;
}

/* Whether the key may be absent for someone who knew `known`, `to` being begun now. */
static bool may_be_absent(struct stress *stress, uint32_t number, uint64_t known, uint64_t to)
{
    const uint64_t from = known >> CLEARS_BITS;
    if (from == 0 || atomic_load(&stress->clears_begun) > (known & CLEARS_MASK)) {
        return true;
    }
    for (uint64_t version = from; version <= to; version++) {
        if (is_deletion(number, version)) {
            return true;
        }
    }
    return false;
}

/* `known` is what was complete before the read began. */
static void check_answer(struct worker *worker, uint32_t number, uint64_t known,
                         spillkv_status status, const uint8_t *value, size_t size)
{
    struct stress *const stress = worker->stress;
    const uint64_t from = known >> CLEARS_BITS;
    const uint64_t to = atomic_load(&stress->keys[number].begun);
    if (status == SPILLKV_NOT_FOUND) {
        if (!may_be_absent(stress, number, known, to)) {
            fail("key %u is lost: version %llu was complete", number, (unsigned long long)from);
        }
        return;
    }
    if (status != SPILLKV_OK) {
        if (!stress->fails || !is_disk_error(status)) {
            fail("key %u: %s", number, spillkv_strerror(status));
        }
        return;
    }
    if (value != NULL) {
        const uint64_t version = version_of(number, value, size);
        if (version < from || version > to || is_deletion(number, version)) {
            fail("key %u: version %llu where %llu was complete and %llu begun", number,
                 (unsigned long long)version, (unsigned long long)from, (unsigned long long)to);
        }
    }
}

static void read_one(struct worker *worker)
{
    struct stress *const stress = worker->stress;
    const uint32_t number =
        dice(worker, 2) != 0 ? dice(worker, NUMBERS / 20) : dice(worker, NUMBERS);
    const uint64_t known = atomic_load(&stress->keys[number].complete);
    const size_t key_size = model_key(number, worker->key);
    const uint32_t kind = dice(worker, 10);
    size_t size = 0;
    void *copy = NULL;
    if (kind < 6) {
        const spillkv_status status =
            spillkv_get(stress->kv, worker->key, key_size, worker->value, VALUE_MOST, &size);
        check_answer(worker, number, known, status, worker->value, size);
    } else if (kind < 9) {
        const spillkv_status status =
            spillkv_get_copy(stress->kv, worker->key, key_size, &copy, &size);
        check_answer(worker, number, known, status, copy, size);
        spillkv_free(copy);
    } else {
        const spillkv_status status = spillkv_has(stress->kv, worker->key, key_size);
        check_answer(worker, number, known, status, NULL, 0);
    }
    atomic_fetch_add_explicit(&stress->reads, 1, memory_order_relaxed);
}

static void write_one(struct worker *worker)
{
    struct stress *const stress = worker->stress;
    const uint32_t range = dice(worker, 2) != 0 ? NUMBERS / 20 : NUMBERS;
    const uint32_t share = range / stress->writers;
    const uint32_t number = dice(worker, share) * stress->writers + worker->number;
    struct key_state *const state = &stress->keys[number];
    const uint64_t version = atomic_load(&state->begun) + 1;
    const size_t key_size = model_key(number, worker->key);
    const size_t size = any_size(worker);
    spillkv_status status;
    const uint64_t clears = atomic_load(&stress->clears_over);
    atomic_store(&state->begun, version);
    if (is_deletion(number, version)) {
        status = spillkv_del(stress->kv, worker->key, key_size);
        status = status == SPILLKV_NOT_FOUND ? SPILLKV_OK : status;
    } else {
        make_value(number, version, worker->value, size);
        status = spillkv_set(stress->kv, worker->key, key_size, worker->value, size);
    }
    if (status == SPILLKV_OK) {
        atomic_store(&state->complete, version << CLEARS_BITS | clears);
    } else if (!stress->fails || !is_disk_error(status)) {
        fail("key %u: version %llu of %zu bytes: %s", number, (unsigned long long)version, size,
             spillkv_strerror(status));
    }
}

static int visit(void *context, const void *key, size_t key_size, const void *value, size_t size)
{
    struct worker *const worker = context;
    const uint32_t number = model_number(key, key_size);
    if (number >= NUMBERS || worker->visited[number] != 0) {
        fail("key %u is visited again", number);
    }
    worker->visited[number] = 1;
    check_answer(worker, number, worker->known[number], SPILLKV_OK, value, size);
    return 0;
}

static void visit_all(struct worker *worker)
{
    struct stress *const stress = worker->stress;
    memset(worker->visited, 0, NUMBERS);
    for (uint32_t i = 0; i < NUMBERS; i++) {
        worker->known[i] = atomic_load(&stress->keys[i].complete);
    }
    const spillkv_status status = spillkv_each(stress->kv, visit, worker);
    if (status != SPILLKV_OK) {
        if (!stress->fails || !is_disk_error(status)) {
            fail("each: %s", spillkv_strerror(status));
        }
        return;
    }
    for (uint32_t i = 0; i < STABLE && !stress->clears; i++) {
        if (worker->known[i] != 0 && worker->visited[i] == 0) {
            fail("key %u is not visited", i);
        }
    }
}

static void manage(struct worker *worker)
{
    struct stress *const stress = worker->stress;
    const uint32_t kind = dice(worker, 8);
    spillkv_stats_data stats;
    uint64_t count;
    if (kind == 0 && stress->clears) {
        atomic_fetch_add(&stress->clears_begun, 1);
        if (spillkv_clear(stress->kv) != SPILLKV_OK) {
            fail("clear");
        }
        atomic_fetch_add(&stress->clears_over, 1);
    } else if (kind < 3) {
        const spillkv_status status = spillkv_flush(stress->kv);
        if (status != SPILLKV_OK && !(stress->fails && is_disk_error(status))) {
            fail("flush: %s", spillkv_strerror(status));
        }
    } else if (kind < 6) {
        visit_all(worker);
    } else if (spillkv_stats(stress->kv, &stats) != SPILLKV_OK ||
               spillkv_count(stress->kv, &count) != SPILLKV_OK || count > NUMBERS) {
        fail("stats");
    }
}

static void *run_writer(void *argument)
{
    struct worker *const worker = argument;
    while (!atomic_load_explicit(&worker->stress->over, memory_order_relaxed)) {
        write_one(worker);
        if (dice(worker, 4) == 0) {
            read_one(worker);
        }
    }
    return NULL;
}

static void *run_reader(void *argument)
{
    struct worker *const worker = argument;
    while (!atomic_load_explicit(&worker->stress->over, memory_order_relaxed)) {
        read_one(worker);
    }
    return NULL;
}

static void *run_manager(void *argument)
{
    struct worker *const worker = argument;
    while (!atomic_load_explicit(&worker->stress->over, memory_order_relaxed)) {
        manage(worker);
    }
    return NULL;
}

static void *run_breaker(void *argument)
{
    struct worker *const worker = argument;
    uint64_t reads = 0;
    while (!atomic_load_explicit(&worker->stress->over, memory_order_relaxed)) {
        /* The disk stays as it is for a number of reads, so threads get somewhere in between. */
        const uint64_t now = atomic_load(&worker->stress->reads);
        if (now - reads > 2000) {
            reads = now;
            latch_vfs_break((int)dice(worker, 4));
        } else {
            (void)sched_yield();
        }
    }
    latch_vfs_break(0);
    return NULL;
}

static void start(struct worker *worker, struct stress *stress, unsigned number,
                  void *(*run)(void *))
{
    *worker = (struct worker){
        .stress = stress,
        .number = number,
        .random = stress->seed + number * UINT64_C(1000003),
        .key = malloc(MODEL_KEY_MAX),
        .value = malloc(VALUE_MOST),
        .known = malloc(NUMBERS * sizeof(uint64_t)),
        .visited = malloc(NUMBERS),
    };
    if (pthread_create(&worker->thread, NULL, run, worker) != 0) {
        fail("no thread");
    }
}

static void release(struct worker *worker)
{
    free(worker->key);
    free(worker->value);
    free(worker->known);
    free(worker->visited);
}

/* Sleeping is what this thread is for: it ends the run. */
static void wait_for_the_end(void)
{
    const char *const text = getenv("SPILLKV_STRESS_MS");
    const long ms = text != NULL ? atol(text) : 3000;
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&time, NULL);
}

/* What is left when all is quiet must be the last version of each key. */
static void check_end(struct stress *stress, struct worker *worker)
{
    const spillkv_status flushed = spillkv_flush(stress->kv);
    if (flushed != SPILLKV_OK) {
        fail("flush at the end: %s", spillkv_strerror(flushed));
    }
    for (uint32_t number = 0; number < NUMBERS; number++) {
        const uint64_t known = atomic_load(&stress->keys[number].complete);
        const uint64_t version = known >> CLEARS_BITS;
        const size_t key_size = model_key(number, worker->key);
        size_t size;
        const spillkv_status status =
            spillkv_get(stress->kv, worker->key, key_size, worker->value, VALUE_MOST, &size);
        const bool absent = version == 0 || is_deletion(number, version);
        const bool may_be_gone =
            absent || atomic_load(&stress->clears_begun) > (known & CLEARS_MASK);
        if (status == SPILLKV_NOT_FOUND ? !may_be_gone
                                        : absent || status != SPILLKV_OK ||
                                              version_of(number, worker->value, size) != version) {
            fail("key %u: %s at the end, version %llu", number, spillkv_strerror(status),
                 (unsigned long long)version);
        }
    }
}

static void run_stress(const spillkv_options *options, bool clears, bool fails, uint64_t seed)
{
    static struct stress stress;
    struct worker workers[8];
    unsigned count = 0;
    memset(&stress, 0, sizeof(stress));
    stress.writers = 3;
    stress.clears = clears;
    stress.fails = fails;
    stress.seed = model_seed("threads", seed);
    if (spillkv_open(options, &stress.kv) != SPILLKV_OK) {
        fail("open");
    }
    for (; count < stress.writers; count++) {
        start(&workers[count], &stress, count, run_writer);
    }
    start(&workers[count], &stress, count, run_reader), count++;
    start(&workers[count], &stress, count, run_reader), count++;
    start(&workers[count], &stress, count, run_manager), count++;
    if (fails) {
        start(&workers[count], &stress, count, run_breaker), count++;
    }
    wait_for_the_end();
    atomic_store(&stress.over, true);
    for (unsigned i = 0; i < count; i++) {
        (void)pthread_join(workers[i].thread, NULL);
    }
    check_end(&stress, &workers[0]);
    for (unsigned i = 0; i < count; i++) {
        release(&workers[i]);
    }
    if (spillkv_close(stress.kv) != SPILLKV_OK) {
        fail("close");
    }
}

static void stress_in_directory(uint32_t shards, uint64_t max_mem, bool clears, bool fails)
{
    struct tempdir dir;
    spillkv_options options;
    latch_vfs_register();
    tempdir_make(&dir);
    spillkv_options_init(&options);
    options.path = tempdir_file(&dir, "store");
    options.max_mem = max_mem;
    options.shards = shards;
    options.spillers = 2;
    options.sqlite_vfs = fails ? LATCH_VFS_NAME : NULL;
    run_stress(&options, clears, fails, shards);
    tempdir_remove(&dir);
}

Test(threads, reads_are_never_stale_in_one_shard, .timeout = 1200)
{
    stress_in_directory(1, 1 << 20, false, false);
}

Test(threads, reads_are_never_stale_in_four_shards, .timeout = 1200)
{
    stress_in_directory(4, 4 << 20, false, false);
}

Test(threads, clearing_meanwhile_brings_nothing_back, .timeout = 1200)
{
    stress_in_directory(2, 2 << 20, true, false);
}

Test(threads, nothing_is_lost_while_the_disk_fails_now_and_then, .timeout = 1200)
{
    stress_in_directory(2, 2 << 20, false, true);
}
