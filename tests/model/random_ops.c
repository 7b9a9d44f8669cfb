/* SPDX-License-Identifier: MIT */
/*
 * Random operations on a store whose memory holds but a part of the entries, beside a plain array
 * that holds them all. SPILLKV_SEED chooses another run.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "support/model.h"
#include "support/shard.h"
#include "support/tempdir.h"

#define VALUE_MOST ((size_t)600 << 10)
#define BATCH_MOST 100u

struct setting {
    bool spills;
    spillkv_on_full on_full;
    uint32_t shards;
    uint64_t max_mem;
    uint32_t numbers; /* keys */
    uint32_t steps;
    uint32_t check_every;
    uint32_t large_one_in; /* a value of up to VALUE_MOST bytes */
    unsigned tag_bits;     /* not 0: groups so few, and tags cut so short */
};

/* A value that is pinned for some steps. */
struct held {
    spillkv_pinned pinned; /* none when its value is NULL */
    uint32_t number;
    uint64_t version;
    size_t size;
};

#define HELD      4
#define HELD_SIZE ((size_t)2000) /* larger ones could hold all memory */

struct run {
    const struct setting *setting;
    struct tempdir dir;
    spillkv *kv;
    struct model model;
    uint64_t random;
    uint64_t version;
    uint8_t *key;
    uint8_t *value;
    bool drops;
    bool *visited;
    struct held held[HELD];
    uint32_t step;
};

static uint32_t dice(struct run *run, uint32_t sides)
{
    return (uint32_t)(model_random(&run->random) % sides);
}

/* Two in three among a tenth of the keys. */
static uint32_t any_number(struct run *run)
{
    const uint32_t numbers = run->setting->numbers;
    return dice(run, 3) != 0 ? dice(run, numbers / 10 + 1) : dice(run, numbers);
}

static size_t any_size(struct run *run)
{
    const uint32_t kind = dice(run, 100);
    if (run->setting->large_one_in != 0 && dice(run, run->setting->large_one_in) == 0) {
        return dice(run, VALUE_MOST);
    }
    return kind < 5    ? 0
           : kind < 80 ? dice(run, 200)
           : kind < 96 ? dice(run, 3000)
                       : dice(run, 20 << 10);
}

static void open_run(struct run *run, const struct setting *setting)
{
    spillkv_options options;
    memset(run, 0, sizeof(*run));
    run->setting = setting;
    run->random = model_seed("random_ops", 20 + setting->shards + setting->steps);
    run->drops = !setting->spills && setting->on_full == SPILLKV_FULL_DROP;
    run->key = malloc(MODEL_KEY_MAX);
    run->value = malloc(VALUE_MOST);
    run->visited = malloc(setting->numbers);
    model_init(&run->model, setting->numbers);
    tempdir_make(&run->dir);
    spillkv_options_init(&options);
    options.path = setting->spills ? tempdir_file(&run->dir, "store") : NULL;
    options.max_mem = setting->max_mem;
    options.shards = setting->shards;
    options.on_full = setting->on_full;
    options.hash_seed = 7;
    cr_assert_eq(spillkv_open(&options, &run->kv), SPILLKV_OK);
}

/* Ends a pin: its value is still the one that was pinned. */
static void let_go(struct run *run, struct held *held)
{
    if (held->pinned.value != NULL) {
        cr_assert_eq(held->pinned.value_size, held->size);
        cr_assert(model_value_is(held->number, held->version, held->pinned.value, held->size),
                  "step %u: key %u", run->step, held->number);
        cr_assert_eq(spillkv_unpin(run->kv, &held->pinned), SPILLKV_OK);
    }
}

static void close_run(struct run *run)
{
    for (uint32_t i = 0; i < HELD; i++) {
        let_go(run, &run->held[i]);
    }
    cr_expect_eq(spillkv_close(run->kv), SPILLKV_OK);
    model_fini(&run->model);
    free(run->key);
    free(run->value);
    free(run->visited);
    cr_expect_not(tempdir_has(&run->dir, "store/shard-0.db"));
    tempdir_remove(&run->dir);
}

static void do_set(struct run *run)
{
    const uint32_t number = any_number(run);
    struct model_entry *const entry = &run->model.entries[number];
    const size_t size = entry->present && dice(run, 3) == 0 ? entry->size : any_size(run);
    const size_t key_size = model_key(number, run->key);
    run->version++;
    model_value(number, run->version, run->value, size);
    spillkv_status status = SPILLKV_WOULD_BLOCK;
    if (dice(run, 3) == 0) {
        status = spillkv_try_set(run->kv, run->key, key_size, run->value, size);
        cr_assert(run->setting->spills || status != SPILLKV_WOULD_BLOCK);
    }
    if (status == SPILLKV_WOULD_BLOCK) {
        status = spillkv_set(run->kv, run->key, key_size, run->value, size);
    }
    if (status == SPILLKV_OK) {
        model_set(&run->model, number, run->version, size);
    } else {
        cr_assert_eq(status, SPILLKV_EFULL, "step %u: %d", run->step, status);
        cr_assert(!run->setting->spills, "step %u: %zu + %zu bytes", run->step, key_size, size);
    }
}

/* What a read must come to; in a store that drops, an entry may be gone. */
static bool is_there(struct run *run, uint32_t number, spillkv_status status)
{
    if (status == SPILLKV_NOT_FOUND && run->drops) {
        model_del(&run->model, number);
    }
    const bool present = run->model.entries[number].present;
    cr_assert_eq(status, present ? SPILLKV_OK : SPILLKV_NOT_FOUND, "step %u: key %u: %d", run->step,
                 number, status);
    return present;
}

static void expect_value(struct run *run, uint32_t number, const uint8_t *value, size_t size)
{
    const struct model_entry *const entry = &run->model.entries[number];
    cr_assert_eq(size, entry->size, "step %u: key %u", run->step, number);
    cr_assert(model_value_is(number, entry->version, value, size), "step %u: key %u", run->step,
              number);
}

static void do_get(struct run *run)
{
    const uint32_t number = any_number(run);
    const size_t key_size = model_key(number, run->key);
    const size_t wanted = run->model.entries[number].size;
    const size_t capacity = dice(run, 4) == 0 ? dice(run, 300) : VALUE_MOST;
    size_t size;
    spillkv_status status = spillkv_get(run->kv, run->key, key_size, run->value, capacity, &size);
    if (status == SPILLKV_TOO_SMALL) {
        cr_assert(run->model.entries[number].present && wanted > capacity && size == wanted,
                  "step %u", run->step);
        return;
    }
    if (is_there(run, number, status)) {
        cr_assert_leq(size, capacity);
        expect_value(run, number, run->value, size);
    } else {
        cr_assert_eq(size, 0);
    }
}

static void do_get_copy(struct run *run)
{
    const uint32_t number = any_number(run);
    const size_t key_size = model_key(number, run->key);
    void *value;
    size_t size;
    const spillkv_status status = spillkv_get_copy(run->kv, run->key, key_size, &value, &size);
    if (is_there(run, number, status)) {
        expect_value(run, number, value, size);
    } else {
        cr_assert_null(value);
    }
    spillkv_free(value);
}

static void do_pin(struct run *run)
{
    struct held *const held = &run->held[dice(run, HELD)];
    const uint32_t number = any_number(run);
    const size_t key_size = model_key(number, run->key);
    const struct model_entry *const entry = &run->model.entries[number];
    let_go(run, held);
    const spillkv_status status = spillkv_pin(run->kv, run->key, key_size, &held->pinned);
    if (status == SPILLKV_EFULL) {
        cr_assert(run->setting->spills && entry->present && entry->size > HELD_SIZE, "step %u",
                  run->step);
        return;
    }
    held->number = number;
    held->version = entry->version;
    held->size = entry->size;
    if (is_there(run, number, status) && held->size > HELD_SIZE) {
        let_go(run, held);
    }
}

/* The calls that do not wait: either they answer as the others, or nothing has happened. */
static void do_try(struct run *run)
{
    const uint32_t number = any_number(run);
    const size_t key_size = model_key(number, run->key);
    const uint32_t kind = dice(run, 4);
    size_t size = 0;
    void *copy = NULL;
    spillkv_pinned pinned = {0};
    spillkv_status status;
    switch (kind) {
    case 0:
        status = spillkv_try_get(run->kv, run->key, key_size, run->value, VALUE_MOST, &size);
        break;
    case 1:
        status = spillkv_try_get_copy(run->kv, run->key, key_size, &copy, &size);
        break;
    case 2:
        status = spillkv_try_pin(run->kv, run->key, key_size, &pinned);
        size = pinned.value_size;
        break;
    default:
        status = spillkv_try_del(run->kv, run->key, key_size);
    }
    if (status == SPILLKV_WOULD_BLOCK) {
        cr_assert(run->setting->spills);
        return;
    }
    if (is_there(run, number, status) && kind < 3) {
        const void *const held = copy != NULL ? copy : pinned.value;
        expect_value(run, number, held != NULL ? held : run->value, size);
    }
    if (kind == 3) {
        model_del(&run->model, number);
    }
    if (pinned.value != NULL) {
        cr_assert_eq(spillkv_unpin(run->kv, &pinned), SPILLKV_OK);
    }
    spillkv_free(copy);
}

static void do_del(struct run *run)
{
    const uint32_t number = any_number(run);
    const size_t key_size = model_key(number, run->key);
    (void)is_there(run, number, spillkv_del(run->kv, run->key, key_size));
    model_del(&run->model, number);
}

static void do_has(struct run *run)
{
    const uint32_t number = any_number(run);
    const size_t key_size = model_key(number, run->key);
    (void)is_there(run, number, spillkv_has(run->kv, run->key, key_size));
}

/* A key of a batch, and the value that it is set to or that is read. */
struct batch_part {
    uint32_t number;
    uint64_t version;
    uint8_t *key;
    uint8_t *value;
    size_t capacity;
};

/* Makes an item and what it points at, in memory of its own for the sanitizer. */
static void make_part(struct run *run, struct batch_part *part, spillkv_item *item, bool sets)
{
    const uint32_t number = any_number(run);
    const size_t wanted = run->model.entries[number].size;
    *part = (struct batch_part){.number = number, .version = ++run->version};
    part->capacity = sets ? any_size(run) : dice(run, 4) == 0 ? dice(run, 300) : wanted;
    part->key = malloc(model_key_size(number));
    part->value = malloc(part->capacity);
    *item = (spillkv_item){.key = part->key,
                           .key_size = model_key(number, part->key),
                           .value = part->value,
                           .value_size = part->capacity,
                           .buffer = part->value,
                           .capacity = part->capacity};
    if (sets) {
        model_value(number, part->version, part->value, part->capacity);
    }
}

static void expect_set(struct run *run, const struct batch_part *part, const spillkv_item *item)
{
    if (item->status == SPILLKV_OK) {
        model_set(&run->model, part->number, part->version, part->capacity);
    } else {
        cr_assert_eq(item->status, SPILLKV_EFULL, "step %u: %d", run->step, item->status);
        cr_assert(!run->setting->spills, "step %u", run->step);
    }
}

static void expect_got(struct run *run, const struct batch_part *part, const spillkv_item *item)
{
    const struct model_entry *const entry = &run->model.entries[part->number];
    if (item->status == SPILLKV_TOO_SMALL) {
        cr_assert(entry->present && entry->size > part->capacity, "step %u", run->step);
        cr_assert(item->value_size == entry->size && item->value == NULL, "step %u", run->step);
    } else if (is_there(run, part->number, item->status)) {
        cr_assert_eq(item->value, part->value);
        expect_value(run, part->number, part->value, item->value_size);
    } else {
        cr_assert(item->value == NULL && item->value_size == 0, "step %u", run->step);
    }
}

typedef spillkv_status many_fn(spillkv *kv, spillkv_item *items, size_t count);

/* The items take effect in their order, as far as they have one key. */
static void do_many(struct run *run, many_fn *many)
{
    spillkv_item items[BATCH_MOST];
    struct batch_part parts[BATCH_MOST];
    const uint32_t count = dice(run, dice(run, 4) == 0 ? BATCH_MOST + 1 : 12);
    for (uint32_t i = 0; i < count; i++) {
        make_part(run, &parts[i], &items[i], many == spillkv_set_many);
    }
    const spillkv_status status = many(run->kv, items, count);
    cr_assert(status == SPILLKV_OK || (status == SPILLKV_EFULL && many == spillkv_set_many),
              "step %u: %d", run->step, status);
    for (uint32_t i = 0; i < count; i++) {
        if (many == spillkv_set_many) {
            expect_set(run, &parts[i], &items[i]);
        } else if (many == spillkv_get_many) {
            expect_got(run, &parts[i], &items[i]);
        } else {
            (void)is_there(run, parts[i].number, items[i].status);
            model_del(&run->model, parts[i].number);
        }
        free(parts[i].key);
        free(parts[i].value);
    }
}

static int visit(void *context, const void *key, size_t key_size, const void *value, size_t size)
{
    struct run *const run = context;
    const uint32_t number = model_number(key, key_size);
    cr_assert_lt(number, run->setting->numbers);
    cr_assert(run->model.entries[number].present);
    cr_assert(!run->visited[number], "step %u: key %u is visited again", run->step, number);
    run->visited[number] = true;
    expect_value(run, number, value, size);
    return 0;
}

static void do_each(struct run *run)
{
    memset(run->visited, 0, run->setting->numbers);
    cr_assert_eq(spillkv_each(run->kv, visit, run), SPILLKV_OK);
    for (uint32_t i = 0; i < run->setting->numbers; i++) {
        if (run->model.entries[i].present && !run->visited[i]) {
            cr_assert(run->drops, "step %u: key %u is not visited", run->step, i);
            model_del(&run->model, i);
        }
    }
}

static void check_stats(struct run *run)
{
    spillkv_stats_data stats;
    uint64_t count;
    cr_assert_eq(spillkv_count(run->kv, &count), SPILLKV_OK);
    cr_assert_eq(spillkv_stats(run->kv, &stats), SPILLKV_OK);
    cr_assert_leq(count, run->model.count);
    cr_assert_eq(stats.last_error, SPILLKV_OK);
    if (!run->drops) {
        cr_assert_eq(count, run->model.count);
        cr_assert_eq(stats.total.entries_ram + stats.total.entries_spilled, count);
        cr_assert_eq(stats.total.bytes_ram + stats.total.bytes_spilled, run->model.bytes);
    }
    if (run->setting->max_mem != 0) {
        /* SQLite's memory is charged after it was taken. */
        cr_assert_leq(stats.memory.total,
                      run->setting->max_mem + run->setting->shards * (uint64_t)(128 << 10),
                      "step %u: %llu bytes", run->step, (unsigned long long)stats.memory.total);
    }
}

static void check_all(struct run *run)
{
    check_stats(run);
    for (uint32_t i = 0; i < run->kv->shard_count && run->setting->spills; i++) {
        shard_check_deeply(run->kv->shards[i]);
    }
}

static void do_step(struct run *run)
{
    const uint32_t kind = dice(run, 100000);
    if (kind < 45000) {
        do_set(run);
    } else if (kind < 49000) {
        do_many(run, spillkv_set_many);
    } else if (kind < 50000) {
        do_many(run, spillkv_del_many);
    } else if (kind < 65000) {
        do_get(run);
    } else if (kind < 69000) {
        do_many(run, spillkv_get_many);
    } else if (kind < 75000) {
        do_get_copy(run);
    } else if (kind < 80000) {
        do_pin(run);
    } else if (kind < 85000) {
        do_try(run);
    } else if (kind < 92000) {
        do_del(run);
    } else if (kind < 99000) {
        do_has(run);
    } else if (kind < 99900) {
        check_stats(run);
    } else if (kind < 99960) {
        cr_assert_eq(spillkv_flush(run->kv), SPILLKV_OK);
    } else if (kind < 99998) {
        do_each(run);
    } else {
        cr_assert_eq(spillkv_clear(run->kv), SPILLKV_OK);
        model_clear(&run->model);
    }
}

/* Deletes most, so that the tables and the files get small again. */
static void delete_most(struct run *run)
{
    for (uint32_t i = 0; i < run->setting->numbers; i++) {
        if (dice(run, 10) != 0) {
            const size_t key_size = model_key(i, run->key);
            (void)is_there(run, i, spillkv_del(run->kv, run->key, key_size));
            model_del(&run->model, i);
        }
    }
}

/* A run that keeps everything in memory would prove little. */
static void expect_crossings(struct run *run)
{
    spillkv_stats_data stats;
    cr_assert_eq(spillkv_stats(run->kv, &stats), SPILLKV_OK);
    if (run->setting->spills) {
        cr_expect_gt(stats.total.spills, 500);
        cr_expect_gt(stats.total.promotions, 200);
        cr_expect_gt(stats.total.clean_evictions, 10);
        cr_expect_gt(stats.total.compactions, 0);
    }
    if (run->drops) {
        cr_expect_gt(stats.total.drops, 100);
    }
}

static void play(const struct setting *setting)
{
    struct run run;
    /* Sanitizers make everything some ten times slower. */
    const uint32_t steps = TEST_SANITIZED ? setting->steps / 6 : setting->steps;
    open_run(&run, setting);
    for (run.step = 0; run.step < steps; run.step++) {
        do_step(&run);
        if (run.step % setting->check_every == 0) {
            cr_assert(skv_engine_check(run.kv));
        }
        if (run.step % 4000 == 3999) {
            check_all(&run);
        }
        if (run.step == steps * 3 / 4) {
            delete_most(&run);
        }
    }
    do_each(&run);
    check_all(&run);
    if (!TEST_SANITIZED) {
        expect_crossings(&run);
    }
    close_run(&run);
}

Test(random_ops, spilling_store_is_a_map_at_every_step, .timeout = 100)
{
    play(&(struct setting){.spills = true,
                           .shards = 1,
                           .max_mem = 768 << 10,
                           .numbers = 5000,
                           .steps = 12000,
                           .check_every = 1,
                           .large_one_in = 2000});
}

Test(random_ops, spilling_store_of_one_shard_is_a_map, .timeout = 100)
{
    play(&(struct setting){.spills = true,
                           .shards = 1,
                           .max_mem = 1 << 20,
                           .numbers = 20000,
                           .steps = 150000,
                           .check_every = 100,
                           .large_one_in = 3000});
}

Test(random_ops, spilling_store_of_four_shards_is_a_map, .timeout = 100)
{
    play(&(struct setting){.spills = true,
                           .shards = 4,
                           .max_mem = 3 << 20,
                           .numbers = 50000,
                           .steps = 200000,
                           .check_every = 100,
                           .large_one_in = 3000});
}

Test(random_ops, store_that_fails_when_full_loses_nothing_at_every_step, .timeout = 100)
{
    play(&(struct setting){.shards = 1,
                           .max_mem = 512 << 10,
                           .numbers = 3000,
                           .steps = 20000,
                           .check_every = 1,
                           .large_one_in = 1000});
}

Test(random_ops, store_that_fails_when_full_loses_nothing, .timeout = 100)
{
    play(&(struct setting){.shards = 2,
                           .max_mem = 2 << 20,
                           .numbers = 20000,
                           .steps = 150000,
                           .check_every = 100,
                           .large_one_in = 1000});
}

Test(random_ops, store_that_drops_never_serves_an_old_value, .timeout = 100)
{
    play(&(struct setting){.on_full = SPILLKV_FULL_DROP,
                           .shards = 2,
                           .max_mem = 2 << 20,
                           .numbers = 20000,
                           .steps = 150000,
                           .check_every = 100,
                           .large_one_in = 1000});
}

Test(random_ops, store_that_drops_is_sound_at_every_step, .timeout = 100)
{
    play(&(struct setting){.on_full = SPILLKV_FULL_DROP,
                           .shards = 1,
                           .max_mem = 512 << 10,
                           .numbers = 3000,
                           .steps = 20000,
                           .check_every = 1,
                           .large_one_in = 1000});
}

Test(random_ops, unbounded_store_is_a_map, .timeout = 100)
{
    play(&(struct setting){
        .shards = 2, .numbers = 5000, .steps = 100000, .check_every = 1000, .large_one_in = 1000});
}
