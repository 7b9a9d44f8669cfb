/* SPDX-License-Identifier: MIT */
/*
 * Every allocation fails: the n-th one, for n = 1, 2, ... until the scenario passes without one
 * that does, alone and with all that follow. First ours, then SQLite's. The scenario has every
 * public call; whatever fails says so, changes nothing, and leaks nothing.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "engine/engine.h"
#include "support/alloc_faults.h"
#include "support/model.h"
#include "support/shard.h"
#include "support/tempdir.h"

#define NUMBERS 1500u
#define RUNS    200000
#define BATCH   8
/* Stores that spill; from the larger one on other sizes are simulated. */
#define SMALL ((uint64_t)768 << 10)
#define LARGE ((uint64_t)2 << 20)

static unsigned failing; /* the number of the allocation */

struct scene {
    uint64_t max_mem; /* 0: everything stays in memory */
    spillkv *kv;
    struct model model;
    uint64_t version;
    uint8_t key[MODEL_KEY_MAX];
    uint8_t value[40000];
    unsigned complaints;
};

static bool is_fine(struct scene *scene, spillkv_status status)
{
    scene->complaints += status < 0;
    cr_assert(status == SPILLKV_OK || status == SPILLKV_ENOMEM, "%s (allocation %u)",
              spillkv_strerror(status), failing);
    return status == SPILLKV_OK;
}

static void set(struct scene *scene, uint32_t number, size_t size)
{
    const size_t key_size = model_key(number, scene->key);
    model_value(number, ++scene->version, scene->value, size);
    if (is_fine(scene, spillkv_set(scene->kv, scene->key, key_size, scene->value, size))) {
        model_set(&scene->model, number, scene->version, size);
    }
}

static void get(struct scene *scene, uint32_t number)
{
    const struct model_entry *const entry = &scene->model.entries[number];
    const size_t key_size = model_key(number, scene->key);
    size_t size;
    void *copy;
    spillkv_status status = number % 2 == 0
                                ? spillkv_get_copy(scene->kv, scene->key, key_size, &copy, &size)
                                : spillkv_get(scene->kv, scene->key, key_size, scene->value,
                                              sizeof(scene->value), &size);
    if (status == SPILLKV_NOT_FOUND) {
        cr_assert(!entry->present);
        return;
    }
    if (is_fine(scene, status)) {
        const uint8_t *const value = number % 2 == 0 ? copy : scene->value;
        cr_assert(entry->present && size == entry->size);
        cr_assert(model_value_is(number, entry->version, value, size));
        if (number % 2 == 0) {
            spillkv_free(copy);
        }
    }
}

static void pin(struct scene *scene, uint32_t number)
{
    const struct model_entry *const entry = &scene->model.entries[number];
    const size_t key_size = model_key(number, scene->key);
    spillkv_pinned pinned;
    const spillkv_status status = spillkv_pin(scene->kv, scene->key, key_size, &pinned);
    if (status == SPILLKV_NOT_FOUND) {
        cr_assert(!entry->present);
    } else if (is_fine(scene, status)) {
        cr_assert(entry->present && pinned.value_size == entry->size);
        cr_assert(model_value_is(number, entry->version, pinned.value, entry->size));
        cr_assert_eq(spillkv_unpin(scene->kv, &pinned), SPILLKV_OK);
    }
}

static void del(struct scene *scene, uint32_t number)
{
    const size_t key_size = model_key(number, scene->key);
    const spillkv_status status = spillkv_del(scene->kv, scene->key, key_size);
    if (status == SPILLKV_NOT_FOUND) {
        cr_assert(!scene->model.entries[number].present);
    } else if (is_fine(scene, status)) {
        model_del(&scene->model, number);
    }
}

static int visit(void *context, const void *key, size_t key_size, const void *value, size_t size)
{
    const struct scene *const scene = context;
    const uint32_t number = model_number(key, key_size);
    cr_assert(number < NUMBERS && scene->model.entries[number].present);
    cr_assert(model_value_is(number, scene->model.entries[number].version, value, size));
    return 0;
}

static size_t size_of(uint32_t number)
{
    return number % 50 == 0 ? 30000 : number % 7 * 150;
}

/* A batch of sets, then of gets, then a batch of deletes of the last ones. */
static void many(struct scene *scene, uint32_t first)
{
    static uint8_t keys[BATCH][MODEL_KEY_MAX];
    static uint8_t values[BATCH][1200];
    spillkv_item items[BATCH] = {0};
    for (uint32_t i = 0; i < BATCH; i++) {
        items[i].key = keys[i];
        items[i].key_size = model_key(first + i, keys[i]);
        items[i].value = values[i];
        items[i].value_size = size_of(first + i + 1) % sizeof(values[i]);
        model_value(first + i, scene->version + 1 + i, values[i], items[i].value_size);
    }
    (void)is_fine(scene, spillkv_set_many(scene->kv, items, BATCH));
    for (uint32_t i = 0; i < BATCH; i++) {
        scene->version++;
        if (is_fine(scene, items[i].status)) {
            model_set(&scene->model, first + i, scene->version, items[i].value_size);
        }
        items[i].buffer = values[i];
        items[i].capacity = sizeof(values[i]);
    }
    (void)is_fine(scene, spillkv_get_many(scene->kv, items, BATCH));
    for (uint32_t i = 0; i < BATCH; i++) {
        const struct model_entry *const entry = &scene->model.entries[first + i];
        if (items[i].status == SPILLKV_NOT_FOUND || items[i].status == SPILLKV_TOO_SMALL) {
            cr_assert_eq(entry->present, items[i].status == SPILLKV_TOO_SMALL);
        } else if (is_fine(scene, items[i].status)) {
            cr_assert(entry->present && items[i].value_size == entry->size);
            cr_assert(model_value_is(first + i, entry->version, values[i], entry->size));
        }
    }
    (void)is_fine(scene, spillkv_del_many(scene->kv, items + BATCH / 2, BATCH / 2));
    for (uint32_t i = BATCH / 2; i < BATCH; i++) {
        if (items[i].status == SPILLKV_NOT_FOUND) {
            cr_assert(!scene->model.entries[first + i].present);
        } else if (is_fine(scene, items[i].status)) {
            model_del(&scene->model, first + i);
        }
    }
}

static void has(struct scene *scene, uint32_t number)
{
    const size_t key_size = model_key(number, scene->key);
    const spillkv_status status = spillkv_has(scene->kv, scene->key, key_size);
    if (status == SPILLKV_NOT_FOUND) {
        cr_assert(!scene->model.entries[number].present);
    } else if (is_fine(scene, status)) {
        cr_assert(scene->model.entries[number].present);
    }
}

static void ask_for_counters(struct scene *scene)
{
    spillkv_stats_data stats;
    spillkv_counters counters;
    spillkv_advice advice;
    uint64_t count;
    cr_assert_eq(spillkv_advise(scene->kv, &advice), SPILLKV_OK);
    cr_assert_eq(spillkv_stats(scene->kv, &stats), SPILLKV_OK);
    cr_assert_eq(spillkv_shard_stats(scene->kv, 0, &counters), SPILLKV_OK);
    if (is_fine(scene, spillkv_count(scene->kv, &count))) {
        cr_assert_eq(count, scene->model.count);
    }
}

/* Less and back; in a store without a limit it brings one, and a thread with it. */
static void change_limit(struct scene *scene)
{
    const uint64_t limit = scene->max_mem;
    (void)is_fine(scene,
                  spillkv_set_max_mem(scene->kv, limit != 0 ? limit - (64 << 10) : 64 << 20));
    (void)is_fine(scene, spillkv_set_max_mem(scene->kv, limit));
}

static void use_all(struct scene *scene)
{
    for (uint32_t i = 0; i < NUMBERS; i++) {
        set(scene, i, size_of(i));
    }
    for (uint32_t i = 0; i < NUMBERS; i += 3) {
        get(scene, i);
        pin(scene, (i + 50) % NUMBERS);
        set(scene, i / 2, size_of(i));
        has(scene, i / 3);
    }
    for (uint32_t i = 0; i + BATCH <= NUMBERS; i += 40) {
        many(scene, i);
    }
    ask_for_counters(scene);
    (void)is_fine(scene, spillkv_each(scene->kv, visit, scene));
    change_limit(scene);
    for (uint32_t i = 0; i < NUMBERS; i++) {
        if (i % 8 != 0) {
            del(scene, i);
        }
    }
    (void)is_fine(scene, spillkv_flush(scene->kv));
    for (uint32_t i = 0; i < scene->kv->shard_count; i++) {
        (void)is_fine(scene, skv_shard_compact(scene->kv->shards[i]));
    }
}

/* A clear needs no memory; what follows it may. */
static void clear_and_use(struct scene *scene)
{
    cr_assert_eq(spillkv_clear(scene->kv), SPILLKV_OK);
    model_clear(&scene->model);
    for (uint32_t i = 0; i < NUMBERS; i += 2) {
        set(scene, i, size_of(i));
        get(scene, i / 2);
    }
    (void)is_fine(scene, spillkv_flush(scene->kv));
}

/* What the first failure left must be right; nothing fails any more. */
static void expect_all(struct scene *scene)
{
    uint64_t count;
    cr_assert(skv_engine_check(scene->kv));
    cr_assert_eq(spillkv_count(scene->kv, &count), SPILLKV_OK);
    cr_assert_eq(count, scene->model.count);
    for (uint32_t i = 0; i < NUMBERS; i++) {
        get(scene, i);
    }
    for (uint32_t i = 0; i < scene->kv->shard_count; i++) {
        if (scene->kv->mode == SKV_SHARD_SPILL) {
            shard_check_deeply(scene->kv->shards[i]);
        }
    }
}

/* What a run is about. */
struct setting {
    uint64_t max_mem; /* 0: everything stays in memory */
    bool ever;        /* all that follow the n-th fail too */
    bool clears;      /* the failure may come in a clear or after it */
    unsigned step;    /* n grows by this part of it */
};

static void play_open_store(struct scene *scene, const struct setting *setting, bool *failed_out)
{
    model_init(&scene->model, NUMBERS);
    if (setting->clears) {
        /* Counting begins here. */
        alloc_faults_set(0, false);
        use_all(scene);
        alloc_faults_set(failing, setting->ever);
        clear_and_use(scene);
    } else {
        use_all(scene);
    }
    *failed_out = alloc_faults_failures() != 0;
    alloc_faults_set(0, false);
    expect_all(scene);
    /* Without any memory at all. */
    alloc_faults_set(1, true);
    cr_assert_eq(spillkv_clear(scene->kv), SPILLKV_OK);
    cr_assert_eq(spillkv_close(scene->kv), SPILLKV_OK);
    alloc_faults_set(0, false);
    model_fini(&scene->model);
}

/* One run; returns whether an allocation failed. */
static bool play(unsigned n, const struct setting *setting)
{
    static struct scene scene;
    struct tempdir dir;
    spillkv_options options;
    bool failed = true;
    tempdir_make(&dir);
    spillkv_options_init(&options);
    options.path = setting->max_mem != 0 ? tempdir_file(&dir, "store") : NULL;
    options.max_mem = setting->max_mem;
    scene.max_mem = setting->max_mem;
    options.shards = 1;
    options.hash_seed = 3;
    failing = n;
    alloc_faults_set(setting->clears ? 0 : n, setting->ever);
    const spillkv_status status = spillkv_open(&options, &scene.kv);
    if (status == SPILLKV_OK) {
        play_open_store(&scene, setting, &failed);
    } else {
        alloc_faults_set(0, false);
        cr_assert_eq(status, SPILLKV_ENOMEM, "%s (allocation %u)", spillkv_strerror(status), n);
        cr_assert_null(scene.kv);
    }
    cr_assert_not(tempdir_has(&dir, "store"), "nothing is left behind");
    tempdir_remove(&dir);
    return failed;
}

static void play_all(const struct setting *setting)
{
    const unsigned step = TEST_SANITIZED ? setting->step / 5 : setting->step;
    unsigned n = 1;
    unsigned runs = 0;
    for (; n < RUNS && play(n, setting); n += 1 + n / step) {
        runs++;
    }
    cr_expect_lt(n, RUNS);
    printf("%u runs, failing allocations up to %u\n", runs, n);
}

TestSuite(oom, .timeout = 160);

Test(oom, store_in_memory_survives_every_failing_allocation)
{
    alloc_faults_watch_ours();
    play_all(&(struct setting){.step = 100});
    play_all(&(struct setting){.step = 100, .clears = true});
}

Test(oom, store_in_memory_survives_the_end_of_memory)
{
    alloc_faults_watch_ours();
    play_all(&(struct setting){.step = 100, .ever = true});
    play_all(&(struct setting){.step = 100, .ever = true, .clears = true});
}

Test(oom, spilling_store_survives_every_failing_allocation)
{
    alloc_faults_watch_ours();
    play_all(&(struct setting){.max_mem = SMALL, .step = 50});
    play_all(&(struct setting){.max_mem = SMALL, .step = 20, .clears = true});
}

Test(oom, store_that_simulates_other_sizes_survives_every_failing_allocation)
{
    alloc_faults_watch_ours();
    play_all(&(struct setting){.max_mem = LARGE, .step = 20});
}

Test(oom, spilling_store_survives_the_end_of_memory)
{
    alloc_faults_watch_ours();
    play_all(&(struct setting){.max_mem = SMALL, .step = 20, .ever = true});
    play_all(&(struct setting){.max_mem = SMALL, .step = 20, .ever = true, .clears = true});
}

Test(oom, spilling_store_survives_failing_allocations_of_sqlite)
{
    cr_assert(alloc_faults_watch_sqlite());
    play_all(&(struct setting){.max_mem = SMALL, .step = 25});
    play_all(&(struct setting){.max_mem = SMALL, .step = 10, .clears = true});
}

Test(oom, spilling_store_survives_the_end_of_memory_of_sqlite)
{
    cr_assert(alloc_faults_watch_sqlite());
    play_all(&(struct setting){.max_mem = SMALL, .step = 10, .ever = true});
    play_all(&(struct setting){.max_mem = SMALL, .step = 10, .ever = true, .clears = true});
}
