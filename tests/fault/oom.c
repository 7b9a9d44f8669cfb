/* SPDX-License-Identifier: MIT */
/*
 * Every allocation fails once: the n-th one, for n = 1, 2, ... until the scenario passes without
 * one that does. First ours, then SQLite's. Whatever fails says so, changes nothing, and leaks
 * nothing.
 */
#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "engine/engine.h"
#include "support/model.h"
#include "support/shard.h"
#include "support/tempdir.h"

#define NUMBERS 1500u
#define RUNS    200000

static _Atomic unsigned fail_at;
static _Atomic unsigned seen;
static _Atomic bool failed;

static bool may_allocate(void)
{
    if (atomic_fetch_add(&seen, 1) + 1 != atomic_load(&fail_at)) {
        return true;
    }
    atomic_store(&failed, true);
    return false;
}

static bool our_hook(void *context, size_t bytes)
{
    (void)context, (void)bytes;
    return may_allocate();
}

static sqlite3_mem_methods plain;

static void *sqlite_malloc(int bytes)
{
    return may_allocate() ? plain.xMalloc(bytes) : NULL;
}

static void *sqlite_realloc(void *memory, int bytes)
{
    return may_allocate() ? plain.xRealloc(memory, bytes) : NULL;
}

/* Before SQLite is used at all. */
static void fail_sqlite(void)
{
    cr_assert_eq(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &plain), SQLITE_OK);
    sqlite3_mem_methods failing = plain;
    failing.xMalloc = sqlite_malloc;
    failing.xRealloc = sqlite_realloc;
    cr_assert_eq(sqlite3_config(SQLITE_CONFIG_MALLOC, &failing), SQLITE_OK);
    cr_assert_eq(sqlite3_initialize(), SQLITE_OK);
}

static void start(unsigned n)
{
    atomic_store(&fail_at, n);
    atomic_store(&seen, 0);
    atomic_store(&failed, false);
}

struct scene {
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
              spillkv_strerror(status), atomic_load(&fail_at));
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

static void use_all(struct scene *scene)
{
    for (uint32_t i = 0; i < NUMBERS; i++) {
        set(scene, i, size_of(i));
    }
    for (uint32_t i = 0; i < NUMBERS; i += 3) {
        get(scene, i);
        pin(scene, (i + 50) % NUMBERS);
        set(scene, i / 2, size_of(i));
    }
    (void)is_fine(scene, spillkv_each(scene->kv, visit, scene));
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

/* Stores that spill; from the larger one on other sizes are simulated. */
#define SMALL ((uint64_t)768 << 10)
#define LARGE ((uint64_t)2 << 20)

/* One run; returns whether an allocation failed. Without max_mem everything stays in memory. */
static bool play(unsigned n, uint64_t max_mem)
{
    static struct scene scene;
    struct tempdir dir;
    spillkv_options options;
    tempdir_make(&dir);
    spillkv_options_init(&options);
    options.path = max_mem != 0 ? tempdir_file(&dir, "store") : NULL;
    options.max_mem = max_mem;
    options.shards = 1;
    options.hash_seed = 3;
    start(n);
    const spillkv_status status = spillkv_open(&options, &scene.kv);
    if (status == SPILLKV_OK) {
        model_init(&scene.model, NUMBERS);
        use_all(&scene);
        atomic_store(&fail_at, 0);
        expect_all(&scene);
        cr_assert_eq(spillkv_clear(scene.kv), SPILLKV_OK);
        cr_assert_eq(spillkv_close(scene.kv), SPILLKV_OK);
        model_fini(&scene.model);
    } else {
        cr_assert_eq(status, SPILLKV_ENOMEM, "%s (allocation %u)", spillkv_strerror(status), n);
        cr_assert_null(scene.kv);
        cr_assert_not(tempdir_has(&dir, "store"), "nothing is left behind");
    }
    tempdir_remove(&dir);
    return atomic_load(&failed);
}

static void play_all(uint64_t max_mem, unsigned fewer)
{
    unsigned n = 1;
    while (n < RUNS && play(n, max_mem)) {
        n += 1 + n / (TEST_SANITIZED ? fewer / 5 : fewer);
    }
    cr_expect_lt(n, RUNS);
    printf("failing allocations up to %u\n", n);
}

TestSuite(oom, .timeout = 160);

Test(oom, store_in_memory_survives_every_failing_allocation)
{
    skv_alloc_set_hook(our_hook, NULL);
    play_all(0, 100);
    skv_alloc_set_hook(NULL, NULL);
}

Test(oom, spilling_store_survives_every_failing_allocation)
{
    skv_alloc_set_hook(our_hook, NULL);
    play_all(SMALL, 50);
    skv_alloc_set_hook(NULL, NULL);
}

Test(oom, store_that_simulates_other_sizes_survives_every_failing_allocation)
{
    skv_alloc_set_hook(our_hook, NULL);
    play_all(LARGE, 50);
    skv_alloc_set_hook(NULL, NULL);
}

Test(oom, spilling_store_survives_failing_allocations_of_sqlite)
{
    fail_sqlite();
    play_all(SMALL, 25);
}
