/* SPDX-License-Identifier: MIT */
/*
 * Calls of the public functions, decoded from bytes, on a store whose memory holds but a part of
 * what they set, beside a plain array that holds it all.
 */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/engine.h"
#include "fuzz.h"
#include "support/model.h"

#define NUMBERS   2048u
#define VALUE_MAX ((size_t)128 << 10)
#define CALLS_MAX 100
/* Bytes that one input may set, so that it stays a matter of milliseconds. */
#define BYTES_MAX ((size_t)6 << 20)

enum setting {
    SPILLS,
    SPILLS_TO_TWO,
    FAILS,
    DROPS
};

struct run {
    struct fuzz_bytes bytes;
    enum setting setting;
    spillkv *kv;
    struct model model;
    uint64_t version;
    uint64_t max_mem; /* at open */
    size_t bytes_set;
    bool may_be_full;
    bool *visited;
    uint8_t *key;
    uint8_t *value;
};

static char *directory(void)
{
    static char path[64];
    if (path[0] == '\0') {
        const char *const parent = getenv("TMPDIR");
        snprintf(path, sizeof(path), "%.40s/spillkv-fuzz-%d", parent != NULL ? parent : "/tmp",
                 (int)getpid());
    }
    return path;
}

static void open_run(struct run *run)
{
    spillkv_options options;
    spillkv_options_init(&options);
    run->setting = (enum setting)(fuzz_u8(&run->bytes) % 4);
    options.policy = (spillkv_policy)(fuzz_u8(&run->bytes) % 4);
    options.shards = run->setting == SPILLS_TO_TWO || run->setting == DROPS ? 2 : 1;
    options.max_mem = run->max_mem = (uint64_t)options.shards * (768 << 10);
    options.path = run->setting <= SPILLS_TO_TWO ? directory() : NULL;
    options.on_full = run->setting == DROPS ? SPILLKV_FULL_DROP : SPILLKV_FULL_FAIL;
    options.hash_seed = 7;
    options.spillers = 1;
    FUZZ_CHECK(spillkv_open(&options, &run->kv) == SPILLKV_OK);
    model_init(&run->model, NUMBERS);
    run->may_be_full = run->setting == FAILS;
    run->key = malloc(MODEL_KEY_MAX);
    run->value = malloc(VALUE_MAX);
    run->visited = malloc(NUMBERS);
    FUZZ_CHECK(run->key != NULL && run->value != NULL && run->visited != NULL);
}

static void close_run(struct run *run)
{
    struct stat info;
    FUZZ_CHECK(spillkv_close(run->kv) == SPILLKV_OK);
    FUZZ_CHECK(lstat(directory(), &info) != 0);
    model_fini(&run->model);
    free(run->key);
    free(run->value);
    free(run->visited);
}

static uint32_t any_number(struct run *run)
{
    return fuzz_u16(&run->bytes) % NUMBERS;
}

static size_t any_size(struct run *run)
{
    const uint8_t kind = fuzz_u8(&run->bytes);
    const size_t size = fuzz_u16(&run->bytes);
    return kind < 100 ? size % 200 : kind < 220 ? size % 4000 : size * 2 % VALUE_MAX;
}

static void set(struct run *run, uint32_t number, size_t size)
{
    const size_t key_size = model_key(number, run->key);
    if (run->bytes_set > BYTES_MAX) {
        return;
    }
    run->bytes_set += key_size + size;
    model_value(number, ++run->version, run->value, size);
    const spillkv_status status = spillkv_set(run->kv, run->key, key_size, run->value, size);
    if (status == SPILLKV_OK) {
        model_set(&run->model, number, run->version, size);
    } else {
        FUZZ_CHECK(status == SPILLKV_EFULL && run->may_be_full);
    }
}

/* What a call that looks for a key must come to; in a store that drops, an entry may be gone. */
static bool is_there(struct run *run, uint32_t number, spillkv_status status)
{
    if (status == SPILLKV_NOT_FOUND && run->setting == DROPS) {
        model_del(&run->model, number);
    }
    const bool present = run->model.entries[number].present;
    FUZZ_CHECK(status == (present ? SPILLKV_OK : SPILLKV_NOT_FOUND));
    return present;
}

static void expect_value(struct run *run, uint32_t number, const uint8_t *value, size_t size)
{
    const struct model_entry *const entry = &run->model.entries[number];
    FUZZ_CHECK(size == entry->size && model_value_is(number, entry->version, value, size));
}

static void get(struct run *run, uint32_t number, size_t capacity)
{
    const size_t key_size = model_key(number, run->key);
    size_t size = 1;
    const spillkv_status status =
        spillkv_get(run->kv, run->key, key_size, run->value, capacity, &size);
    if (status == SPILLKV_TOO_SMALL) {
        const struct model_entry *const entry = &run->model.entries[number];
        FUZZ_CHECK(entry->present && size == entry->size && size > capacity);
    } else if (is_there(run, number, status)) {
        FUZZ_CHECK(size <= capacity);
        expect_value(run, number, run->value, size);
    } else {
        FUZZ_CHECK(size == 0);
    }
}

static void get_copy(struct run *run, uint32_t number)
{
    const size_t key_size = model_key(number, run->key);
    void *value = run;
    size_t size = 1;
    if (is_there(run, number, spillkv_get_copy(run->kv, run->key, key_size, &value, &size))) {
        expect_value(run, number, value, size);
    } else {
        FUZZ_CHECK(value == NULL && size == 0);
    }
    spillkv_free(value);
}

static void del(struct run *run, uint32_t number)
{
    const size_t key_size = model_key(number, run->key);
    (void)is_there(run, number, spillkv_del(run->kv, run->key, key_size));
    model_del(&run->model, number);
}

static void has(struct run *run, uint32_t number)
{
    const size_t key_size = model_key(number, run->key);
    (void)is_there(run, number, spillkv_has(run->kv, run->key, key_size));
}

static int visit(void *context, const void *key, size_t key_size, const void *value, size_t size)
{
    struct run *const run = context;
    const uint32_t number = model_number(key, key_size);
    FUZZ_CHECK(number < NUMBERS && run->model.entries[number].present && !run->visited[number]);
    run->visited[number] = true;
    expect_value(run, number, value, size);
    return 0;
}

static void each(struct run *run)
{
    memset(run->visited, 0, NUMBERS);
    FUZZ_CHECK(spillkv_each(run->kv, visit, run) == SPILLKV_OK);
    for (uint32_t i = 0; i < NUMBERS; i++) {
        if (run->model.entries[i].present && !run->visited[i]) {
            FUZZ_CHECK(run->setting == DROPS);
            model_del(&run->model, i);
        }
    }
}

static void clear(struct run *run)
{
    FUZZ_CHECK(spillkv_clear(run->kv) == SPILLKV_OK);
    model_clear(&run->model);
}

static void count(struct run *run)
{
    spillkv_stats_data stats;
    spillkv_counters counters;
    uint64_t count;
    FUZZ_CHECK(spillkv_count(run->kv, &count) == SPILLKV_OK);
    FUZZ_CHECK(spillkv_stats(run->kv, &stats) == SPILLKV_OK);
    FUZZ_CHECK(spillkv_shard_stats(run->kv, stats.shards - 1, &counters) == SPILLKV_OK);
    FUZZ_CHECK(stats.last_error == SPILLKV_OK);
    FUZZ_CHECK(run->setting == DROPS ? count <= run->model.count : count == run->model.count);
    FUZZ_CHECK(run->setting == DROPS ||
               stats.total.bytes_ram + stats.total.bytes_spilled == run->model.bytes);
}

static void set_max_mem(struct run *run)
{
    const uint8_t dice = fuzz_u8(&run->bytes);
    const uint64_t max_mem = dice == 0 ? 0 : run->max_mem / 64 * dice;
    const spillkv_status status = spillkv_set_max_mem(run->kv, max_mem);
    FUZZ_CHECK(status == SPILLKV_OK || status == SPILLKV_EINVAL || status == SPILLKV_EFULL);
    /* With less than a sane store has, a set may find no room. */
    run->may_be_full = run->may_be_full || (max_mem != 0 && max_mem < run->max_mem);
}

/* Arguments that no bytes excuse: any pointer that is handed over may be read to its end. */
static void refused(struct run *run)
{
    size_t size = 1;
    void *value = run;
    size_t key_size;
    uint8_t *const key = fuzz_take(&run->bytes, 3, &key_size);
    const void *const none = key_size % 2 == 0 ? NULL : key;
    const size_t no_size = key_size % 2 == 0 ? key_size : SIZE_MAX - key_size;
    FUZZ_CHECK(spillkv_set(run->kv, none, no_size, key, key_size) == SPILLKV_EINVAL);
    FUZZ_CHECK(spillkv_set(run->kv, "k", 1, NULL, 1 + key_size) == SPILLKV_EINVAL);
    FUZZ_CHECK(spillkv_set(run->kv, "k", 1, key, SIZE_MAX - key_size) == SPILLKV_EINVAL);
    FUZZ_CHECK(spillkv_get(run->kv, none, no_size, key, key_size, &size) == SPILLKV_EINVAL);
    FUZZ_CHECK(size == 0);
    FUZZ_CHECK(spillkv_get_copy(run->kv, none, no_size, &value, &size) == SPILLKV_EINVAL);
    FUZZ_CHECK(value == NULL);
    FUZZ_CHECK(spillkv_del(run->kv, none, no_size) == SPILLKV_EINVAL);
    FUZZ_CHECK(spillkv_has(run->kv, none, no_size) == SPILLKV_EINVAL);
    free(key);
}

/* The same for some keys in a row. */
static void do_range(struct run *run, uint8_t kind)
{
    const uint32_t first = any_number(run);
    const uint32_t end = first + fuzz_u8(&run->bytes) + 1;
    const size_t size = any_size(run);
    for (uint32_t i = first; i < end && i < NUMBERS; i++) {
        switch (kind % 4) {
        case 0:
            set(run, i, size);
            break;
        case 1:
            get_copy(run, i);
            break;
        case 2:
            del(run, i);
            break;
        default:
            set(run, i, (size + (size_t)i * 37) % 4000);
            break;
        }
    }
}

static void do_call(struct run *run)
{
    const uint8_t kind = fuzz_u8(&run->bytes);
    switch (kind % 16) {
    case 0:
    case 1:
        set(run, any_number(run), any_size(run));
        break;
    case 2:
        get(run, any_number(run), any_size(run));
        break;
    case 3:
        get_copy(run, any_number(run));
        break;
    case 4:
        del(run, any_number(run));
        break;
    case 5:
        has(run, any_number(run));
        break;
    case 6:
        count(run);
        break;
    case 7:
        FUZZ_CHECK(spillkv_flush(run->kv) == SPILLKV_OK || run->may_be_full);
        break;
    case 8:
        each(run);
        break;
    case 9:
        set_max_mem(run);
        break;
    case 10:
        refused(run);
        break;
    case 11:
        kind == 11 ? clear(run) : count(run);
        break;
    default:
        do_range(run, kind / 16);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run run = {.bytes = {data, size}};
    open_run(&run);
    for (int i = 0; i < CALLS_MAX && run.bytes.size != 0; i++) {
        do_call(&run);
    }
    each(&run);
    count(&run);
    FUZZ_CHECK(skv_engine_check(run.kv));
    close_run(&run);
    return 0;
}
