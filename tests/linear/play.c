/* SPDX-License-Identifier: MIT */
#include "linear/play.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/model.h"

#define VALUE_LEAST sizeof(uint64_t)
#define VALUE_MOST  ((size_t)150 << 10)

/* Calls after which the keys that half of all calls go to are others, and how many these are. */
#define WINDOW_CALLS 200u
#define WINDOW_KEYS  4u

/* Keys of a batch, and what they are apart. */
#define BATCH_KEYS  6u
#define BATCH_STEP  7u
#define BATCH_VALUE ((size_t)8200)

static void *allocate(size_t size)
{
    void *const memory = malloc(size);
    if (memory == NULL) {
        (void)fputs("out of memory\n", stderr);
        abort();
    }
    return memory;
}

void player_init(struct player *player, struct play *play, uint32_t thread, uint64_t random)
{
    *player = (struct player){.play = play,
                              .random = random,
                              .key = allocate(MODEL_KEY_MAX),
                              .value = allocate(VALUE_MOST),
                              .batch_keys = allocate(BATCH_KEYS * MODEL_KEY_MAX),
                              .batch_values = allocate(BATCH_KEYS * BATCH_VALUE)};
    history_init(&player->log, thread);
}

void player_fini(struct player *player)
{
    free(player->key);
    free(player->value);
    free(player->batch_keys);
    free(player->batch_values);
    history_fini(&player->log);
}

static uint32_t dice(struct player *player, uint32_t sides)
{
    return (uint32_t)(model_random(&player->random) % sides);
}

static uint64_t now(struct player *player)
{
    return history_now(&player->play->clock);
}

/* What five threads take and pin may at times be all there is: this is rare, and counted. */
static void fail(struct player *player, const char *what, uint32_t key, spillkv_status status)
{
    if (status == SPILLKV_EFULL) {
        atomic_fetch_add(&player->play->refused, 1);
        return;
    }
    atomic_fetch_add(&player->play->failures, 1);
    (void)fprintf(stderr, "%s, key %u: %s\n", what, key, spillkv_strerror(status));
}

/* Values: the version, then bytes that it and the key choose. */

/* One in two has the size that is usual for its key, so that it may be overwritten in place. */
static size_t any_size(struct player *player, uint32_t key)
{
    uint64_t usual = key;
    const uint64_t random =
        dice(player, 2) == 0 ? model_random(&usual) >> 20 : dice(player, 1u << 30);
    const uint64_t kind = random % 100;
    const uint64_t more = random / 100;
    return VALUE_LEAST + (size_t)(kind < 40   ? more % 450
                                  : kind < 80 ? more % 6000
                                  : kind < 95 ? more % 8100
                                  : kind < 99 ? more % 30000
                                              : more % (VALUE_MOST - VALUE_LEAST));
}

static void make_value(uint32_t key, uint64_t version, uint8_t *value, size_t size)
{
    model_value(key, version, value, size);
    memcpy(value, &version, sizeof(version));
}

/* The version of a value; LINEAR_ANY, which none is, after a message when it is none. */
static uint64_t version_of(struct player *player, uint32_t key, const uint8_t *value, size_t size)
{
    uint64_t version = LINEAR_ANY;
    if (size >= sizeof(version)) {
        uint64_t first;
        memcpy(&version, value, sizeof(version));
        model_value(key, version, (uint8_t *)&first, sizeof(first));
        uint8_t *const wanted = allocate(size);
        make_value(key, version, wanted, size);
        const bool right = memcmp(wanted, value, size) == 0;
        free(wanted);
        if (right) {
            return version;
        }
    }
    atomic_fetch_add(&player->play->failures, 1);
    (void)fprintf(stderr, "key %u: a value of %zu bytes that was never set\n", key, size);
    return LINEAR_ANY;
}

/* Calls about one key. */

static struct linear_op begin(struct player *player, uint32_t key, const char *name,
                              size_t *key_size)
{
    *key_size = model_key(key, player->key);
    return (struct linear_op){.name = name, .begin = now(player)};
}

static void end(struct player *player, uint32_t key, struct linear_op *op, enum linear_kind kind,
                uint64_t value)
{
    op->end = now(player);
    op->kind = kind;
    op->value = value;
    history_add(&player->log, key, *op);
}

static void set(struct player *player, uint32_t key)
{
    size_t key_size;
    const size_t size = any_size(player, key);
    const uint64_t version = atomic_fetch_add(&player->play->versions, 1) + 1;
    make_value(key, version, player->value, size);
    struct linear_op op = begin(player, key, "set", &key_size);
    const spillkv_status status =
        spillkv_set(player->play->kv, player->key, key_size, player->value, size);
    if (status == SPILLKV_OK) {
        end(player, key, &op, LINEAR_SET, version);
    } else {
        fail(player, "set", key, status);
    }
}

static void get(struct player *player, uint32_t key)
{
    size_t key_size;
    size_t size;
    const size_t capacity = dice(player, 8) == 0 ? dice(player, 2000) : VALUE_MOST;
    struct linear_op op = begin(player, key, "get", &key_size);
    const spillkv_status status =
        spillkv_get(player->play->kv, player->key, key_size, player->value, capacity, &size);
    if (status == SPILLKV_NOT_FOUND) {
        end(player, key, &op, LINEAR_READ, LINEAR_ABSENT);
    } else if (status == SPILLKV_TOO_SMALL) {
        end(player, key, &op, LINEAR_SEEN, 0);
    } else if (status == SPILLKV_OK) {
        end(player, key, &op, LINEAR_READ, 0);
        player->log.entries[player->log.count - 1].op.value =
            version_of(player, key, player->value, size);
    } else {
        fail(player, "get", key, status);
    }
}

static void get_copy(struct player *player, uint32_t key)
{
    size_t key_size;
    size_t size;
    void *value;
    struct linear_op op = begin(player, key, "get_copy", &key_size);
    const spillkv_status status =
        spillkv_get_copy(player->play->kv, player->key, key_size, &value, &size);
    if (status == SPILLKV_NOT_FOUND) {
        end(player, key, &op, LINEAR_READ, LINEAR_ABSENT);
    } else if (status == SPILLKV_OK) {
        end(player, key, &op, LINEAR_READ, 0);
        player->log.entries[player->log.count - 1].op.value = version_of(player, key, value, size);
    } else {
        fail(player, "get_copy", key, status);
    }
    spillkv_free(value);
}

static void del(struct player *player, uint32_t key)
{
    size_t key_size;
    struct linear_op op = begin(player, key, "del", &key_size);
    const spillkv_status status = spillkv_del(player->play->kv, player->key, key_size);
    if (status == SPILLKV_OK) {
        end(player, key, &op, LINEAR_TAKEN, 0);
    } else if (status == SPILLKV_NOT_FOUND) {
        end(player, key, &op, LINEAR_READ, LINEAR_ABSENT);
    } else {
        fail(player, "del", key, status);
    }
}

static void has(struct player *player, uint32_t key)
{
    size_t key_size;
    struct linear_op op = begin(player, key, "has", &key_size);
    const spillkv_status status = spillkv_has(player->play->kv, player->key, key_size);
    if (status == SPILLKV_OK) {
        end(player, key, &op, LINEAR_SEEN, 0);
    } else if (status == SPILLKV_NOT_FOUND) {
        end(player, key, &op, LINEAR_READ, LINEAR_ABSENT);
    } else {
        fail(player, "has", key, status);
    }
}

/* The value is read a second time when the pin has lasted a little. */
static void pin(struct player *player, uint32_t key)
{
    size_t key_size;
    spillkv_pinned pinned;
    struct linear_op op = begin(player, key, "pin", &key_size);
    const spillkv_status status = spillkv_pin(player->play->kv, player->key, key_size, &pinned);
    if (status == SPILLKV_NOT_FOUND) {
        end(player, key, &op, LINEAR_READ, LINEAR_ABSENT);
        return;
    }
    if (status != SPILLKV_OK) {
        fail(player, "pin", key, status);
        return;
    }
    end(player, key, &op, LINEAR_READ, 0);
    const uint64_t version = version_of(player, key, pinned.value, pinned.value_size);
    player->log.entries[player->log.count - 1].op.value = version;
    set(player, key);
    if (version_of(player, key, pinned.value, pinned.value_size) != version ||
        spillkv_unpin(player->play->kv, &pinned) != SPILLKV_OK) {
        fail(player, "pinned value", key, SPILLKV_OK);
    }
}

/* Calls about some keys, each with an operation of its own. */

/* Ends the operation of an item of a batch. */
static void end_item(struct player *player, uint32_t key, struct linear_op *op,
                     const spillkv_item *item, uint64_t version)
{
    if (item->status == SPILLKV_NOT_FOUND) {
        end(player, key, op, LINEAR_READ, LINEAR_ABSENT);
    } else if (item->status == SPILLKV_TOO_SMALL) {
        end(player, key, op, LINEAR_SEEN, 0);
    } else if (item->status != SPILLKV_OK) {
        fail(player, op->name, key, item->status);
    } else if (version != LINEAR_ANY) {
        end(player, key, op, LINEAR_SET, version);
    } else if (item->buffer == NULL) {
        end(player, key, op, LINEAR_TAKEN, 0);
    } else {
        end(player, key, op, LINEAR_READ, version_of(player, key, item->value, item->value_size));
    }
}

static void many(struct player *player, uint32_t first)
{
    spillkv_item items[BATCH_KEYS] = {0};
    uint64_t versions[BATCH_KEYS];
    const uint32_t kind = dice(player, 3);
    for (uint32_t i = 0; i < BATCH_KEYS; i++) {
        const uint32_t key = (first + i * BATCH_STEP) % PLAY_KEYS;
        uint8_t *const value = player->batch_values + i * BATCH_VALUE;
        items[i].key = player->batch_keys + i * MODEL_KEY_MAX;
        items[i].key_size = model_key(key, player->batch_keys + i * MODEL_KEY_MAX);
        items[i].buffer = kind == 0 ? value : NULL;
        items[i].capacity = kind == 0 ? BATCH_VALUE : 0;
        versions[i] = LINEAR_ANY;
        if (kind == 1) {
            const size_t size = any_size(player, key);
            versions[i] = atomic_fetch_add(&player->play->versions, 1) + 1;
            items[i].value = value;
            items[i].value_size = size < BATCH_VALUE ? size : BATCH_VALUE;
            make_value(key, versions[i], value, items[i].value_size);
        }
    }
    spillkv *const kv = player->play->kv;
    const uint64_t began = now(player);
    (void)!(kind == 0   ? spillkv_get_many(kv, items, BATCH_KEYS)
            : kind == 1 ? spillkv_set_many(kv, items, BATCH_KEYS)
                        : spillkv_del_many(kv, items, BATCH_KEYS));
    for (uint32_t i = 0; i < BATCH_KEYS; i++) {
        struct linear_op op = {.name = "many", .begin = began};
        end_item(player, (first + i * BATCH_STEP) % PLAY_KEYS, &op, &items[i], versions[i]);
    }
}

/* Calls about all keys. */

static void expect_ok(struct player *player, const char *what, spillkv_status status)
{
    if (status != SPILLKV_OK) {
        fail(player, what, 0, status);
    }
}

/* Of each key a delete that may come before or after any set meanwhile. */
static void clear(struct player *player)
{
    struct linear_op op = {.name = "clear", .begin = now(player)};
    const spillkv_status status = spillkv_clear(player->play->kv);
    op.end = now(player);
    op.kind = LINEAR_CLEAR;
    if (status != SPILLKV_OK) {
        fail(player, "clear", 0, status);
        return;
    }
    for (uint32_t key = 0; key < PLAY_KEYS; key++) {
        history_add(&player->log, key, op);
    }
}

/* A visit is a read at some moment since the one before. */
static int visit(void *context, const void *bytes, size_t key_size, const void *value, size_t size)
{
    struct player *const player = context;
    const uint32_t key = model_number(bytes, key_size);
    struct linear_op op = {.name = "each", .begin = player->moment};
    if (key >= PLAY_KEYS || player->visited[key]) {
        fail(player, "each visits a key again", key, SPILLKV_OK);
        return 0;
    }
    player->visited[key] = true;
    end(player, key, &op, LINEAR_READ, version_of(player, key, value, size));
    player->moment = now(player);
    return 0;
}

/* A key that was not visited was absent at some moment of the call. */
static void each(struct player *player)
{
    struct linear_op op = {.name = "each", .begin = now(player)};
    memset(player->visited, 0, sizeof(player->visited));
    player->moment = op.begin;
    const spillkv_status status = spillkv_each(player->play->kv, visit, player);
    if (status != SPILLKV_OK) {
        fail(player, "each", 0, status);
        return;
    }
    for (uint32_t key = 0; key < PLAY_KEYS; key++) {
        if (!player->visited[key]) {
            end(player, key, &op, LINEAR_READ, LINEAR_ABSENT);
        }
    }
}

/* With less memory than is in use at the moment set_max_mem may stop above it. */
static void change_limit(struct player *player)
{
    const uint64_t max_mem = player->play->max_mem * (100 + dice(player, 25)) / 100;
    const spillkv_status status = spillkv_set_max_mem(player->play->kv, max_mem);
    expect_ok(player, "set_max_mem", status == SPILLKV_EFULL ? SPILLKV_OK : status);
}

static void manage(struct player *player)
{
    spillkv *const kv = player->play->kv;
    spillkv_stats_data stats;
    uint64_t count = 0;
    switch (dice(player, 4)) {
    case 0:
        expect_ok(player, "flush", spillkv_flush(kv));
        break;
    case 1:
        change_limit(player);
        break;
    case 2:
        expect_ok(player, "stats", spillkv_stats(kv, &stats));
        break;
    default:
        expect_ok(player, "count", spillkv_count(kv, &count));
        break;
    }
    if (count > PLAY_KEYS + LINEAR_THREADS_MAX) {
        fail(player, "count", (uint32_t)count, SPILLKV_OK);
    }
}

/* Half of the calls go to a few keys, which change, so the others have time to get cold. */
static uint32_t any_key(struct player *player)
{
    const uint64_t window = atomic_load(&player->play->done) / WINDOW_CALLS;
    return dice(player, 2) == 0
               ? dice(player, PLAY_KEYS)
               : (uint32_t)((window * WINDOW_KEYS + dice(player, WINDOW_KEYS)) % PLAY_KEYS);
}

void *player_run(void *context)
{
    struct player *const player = context;
    while (atomic_fetch_add(&player->play->done, 1) < player->play->operations) {
        const uint32_t kind = dice(player, 1000);
        const uint32_t key = any_key(player);
        if (kind < 370) {
            set(player, key);
        } else if (kind < 430) {
            many(player, key);
        } else if (kind < 460) {
            pin(player, key);
        } else if (kind < 650) {
            get(player, key);
        } else if (kind < 800) {
            get_copy(player, key);
        } else if (kind < 900) {
            del(player, key);
        } else if (kind < 985) {
            has(player, key);
        } else if (kind < 996) {
            manage(player);
        } else if (kind < 999) {
            each(player);
        } else {
            clear(player);
        }
    }
    return NULL;
}

void player_look_at_all(struct player *player)
{
    uint64_t count = 0;
    uint64_t found = 0;
    for (uint32_t key = 0; key < PLAY_KEYS; key++) {
        const size_t before = player->log.count;
        get_copy(player, key);
        found +=
            player->log.count != before && player->log.entries[before].op.value != LINEAR_ABSENT;
    }
    const spillkv_status status = spillkv_count(player->play->kv, &count);
    if (status != SPILLKV_OK || count != found) {
        fail(player, "count at the end", (uint32_t)count, status);
    }
}
