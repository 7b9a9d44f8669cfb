/* SPDX-License-Identifier: MIT */
/**
 * Batches against one key at a time, side by side: blocks of both take turns on one store. Only the
 * calls are timed; keys are made before, values are compared after them.
 *
 * Once with everything in memory, by the CPU time of the thread; once with nine of ten entries
 * spilled, by the clock on the wall: with their files in the page cache, and with the page cache
 * dropped before every block.
 */
#include <dirent.h>
#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "micro.h"
#include "micro_kv.h"
#include "progress.h"
#include "workload.h"

/* Batches that are prepared at a time: to ask for CPU time costs as much as a get. */
#define AT_A_TIME 16u
/* Of these in a block. */
#define BLOCK_HOT  16u
#define BLOCK_COLD 2u
/* Of the reads that other parts do: with the page cache dropped each waits for the disk. */
#define COLD_SHARE 5
/* Of the memory that the entries take at most, so that nothing is spilled, garbage or not. */
#define SPARE            4
#define MEMORY_LEAST     ((uint64_t)64 << 20)
#define MEMORY_PER_ENTRY 28
#define BUDGET_LEAST     ((uint64_t)12 << 20)

struct batch {
    uint32_t count;
    spillkv_item items[MICRO_BATCH_MOST];
    uint8_t keys[MICRO_BATCH_MOST][MICRO_KEY_SIZE];
    uint8_t values[MICRO_BATCH_MOST][MICRO_VALUE_SIZE];
};

typedef void call_fn(spillkv *kv, struct batch *batch);

static void get_single(spillkv *kv, struct batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        spillkv_item *const item = &batch->items[i];
        item->status = spillkv_get(kv, item->key, item->key_size, item->buffer, item->capacity,
                                   &item->value_size);
    }
}

static void get_many(spillkv *kv, struct batch *batch)
{
    const spillkv_status status = spillkv_get_many(kv, batch->items, batch->count);
    (void)status; /* as of the items */
}

static void set_single(spillkv *kv, struct batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        spillkv_item *const item = &batch->items[i];
        item->status = spillkv_set(kv, item->key, item->key_size, item->value, item->value_size);
    }
}

static void set_many(spillkv *kv, struct batch *batch)
{
    const spillkv_status status = spillkv_set_many(kv, batch->items, batch->count);
    (void)status;
}

static void del_single(spillkv *kv, struct batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        batch->items[i].status = spillkv_del(kv, batch->items[i].key, batch->items[i].key_size);
    }
}

static void del_many(spillkv *kv, struct batch *batch)
{
    const spillkv_status status = spillkv_del_many(kv, batch->items, batch->count);
    (void)status;
}

/* One way to work on batches. */
struct way {
    call_fn *call;
    bool sets;    /* the items need values */
    bool returns; /* the items have values afterwards */
    bool deletes; /* what is gone has to be put back, untimed */
    bool inserts; /* keys that the store does not have yet */
    double ns;    /* out, of all calls */
};

struct comparison {
    const char *section;
    const char *single_name;
    const char *many_name;
    const char *ratio_name;
    struct way single;
    struct way many;
    uint64_t entries; /* that are there */
    uint64_t random;
    uint64_t keys; /* for each of both, at least */
    uint32_t block;
    uint64_t (*now)(void);
    bool drops; /* the page cache, before every block */
};

/* Keys for one way, random ones that are there or new ones, and room for their values or these. */
static void make_batch(struct batch *batch, const struct micro *micro,
                       struct comparison *comparison, const struct way *way)
{
    batch->count = micro->batch;
    for (uint32_t i = 0; i < batch->count; i++) {
        const uint64_t index = way->inserts
                                   ? comparison->entries++
                                   : workload_below(&comparison->random, comparison->entries);
        workload_key(micro->seed, index, batch->keys[i], MICRO_KEY_SIZE);
        batch->items[i] = (spillkv_item){.key = batch->keys[i],
                                         .key_size = MICRO_KEY_SIZE,
                                         .buffer = batch->values[i],
                                         .capacity = MICRO_VALUE_SIZE};
        if (way->sets) {
            workload_value(batch->keys[i], batch->values[i], MICRO_VALUE_SIZE);
            batch->items[i].value = batch->values[i];
            batch->items[i].value_size = MICRO_VALUE_SIZE;
        } else {
            batch->values[i][0] = 0;
        }
    }
}

/* Whether a key was in this batch or in one before it: once deleted it is not there again. */
static bool is_repeated(const struct batch *batches, uint32_t last, uint32_t which)
{
    for (uint32_t i = 0; i <= last; i++) {
        for (uint32_t j = 0; j < (i < last ? batches[i].count : which); j++) {
            if (memcmp(batches[i].keys[j], batches[last].keys[which], MICRO_KEY_SIZE) == 0) {
                return true;
            }
        }
    }
    return false;
}

static bool check_batch(const struct batch *batches, uint32_t at, const struct way *way)
{
    const struct batch *const batch = &batches[at];
    for (uint32_t i = 0; i < batch->count; i++) {
        const spillkv_item *const item = &batch->items[i];
        const bool gone =
            way->deletes && item->status == SPILLKV_NOT_FOUND && is_repeated(batches, at, i);
        if (item->status != SPILLKV_OK && !gone) {
            error(0, 0, "many: %s", spillkv_strerror(item->status));
            return false;
        }
        if (way->returns &&
            (item->value_size != MICRO_VALUE_SIZE ||
             !workload_value_is(batch->keys[i], batch->values[i], MICRO_VALUE_SIZE))) {
            error(0, 0, "many: a wrong value");
            return false;
        }
    }
    return true;
}

/* Puts back what was deleted. */
static bool put_back(spillkv *kv, struct batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        workload_value(batch->keys[i], batch->values[i], MICRO_VALUE_SIZE);
        batch->items[i].value = batch->values[i];
        batch->items[i].value_size = MICRO_VALUE_SIZE;
    }
    set_many(kv, batch);
    return check_batch(batch, 0, &(struct way){.sets = true});
}

/* Times one way on AT_A_TIME batches. */
static bool run_batches(struct micro_kv *kv, const struct micro *micro,
                        struct comparison *comparison, struct way *way)
{
    static struct batch batches[AT_A_TIME];
    for (uint32_t i = 0; i < AT_A_TIME; i++) {
        make_batch(&batches[i], micro, comparison, way);
    }
    const uint64_t began = comparison->now();
    for (uint32_t i = 0; i < AT_A_TIME; i++) {
        way->call(kv->kv, &batches[i]);
    }
    way->ns += (double)(comparison->now() - began);
    for (uint32_t i = 0; i < AT_A_TIME; i++) {
        if (!check_batch(batches, i, way) || (way->deletes && !put_back(kv->kv, &batches[i]))) {
            return false;
        }
    }
    return true;
}

/* What the files have in the page cache goes; what is not on the disk yet goes there first. */
static bool drop_page_cache(const char *folder)
{
    DIR *const directory = opendir(folder);
    const struct dirent *entry;
    bool dropped = directory != NULL;
    while (dropped && (entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        const int fd = openat(dirfd(directory), entry->d_name, O_RDONLY | O_CLOEXEC);
        dropped =
            fd >= 0 && fdatasync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0;
        if (fd >= 0) {
            close(fd);
        }
    }
    if (!dropped) {
        error(0, errno, "cannot drop the page cache of %s", folder);
    }
    if (directory != NULL) {
        closedir(directory);
    }
    return dropped;
}

static bool run_block(struct micro_kv *kv, const struct micro *micro, struct comparison *comparison,
                      struct way *way)
{
    if (comparison->drops && !drop_page_cache(kv->folder)) {
        return false;
    }
    for (uint32_t i = 0; i < comparison->block; i++) {
        if (!run_batches(kv, micro, comparison, way)) {
            return false;
        }
    }
    return true;
}

static bool compare(struct micro *micro, struct micro_kv *kv, struct comparison *comparison)
{
    struct figures *const figures = &micro->figures;
    uint64_t done = 0;
    while (done < comparison->keys) {
        struct way *const ways[] = {&comparison->single, &comparison->many};
        for (size_t i = 0; i < 2; i++) {
            if (!run_block(kv, micro, comparison, ways[i])) {
                return false;
            }
        }
        done += (uint64_t)comparison->block * AT_A_TIME * micro->batch;
    }
    const double single = comparison->single.ns / (double)done;
    const double many = comparison->many.ns / (double)done;
    figures_add(figures, comparison->section, comparison->single_name, "ns", single);
    figures_add(figures, comparison->section, comparison->many_name, "ns", many);
    figures_add(figures, comparison->section, comparison->ratio_name, "times", single / many);
    return true;
}

/* *entries is how many there are, before and after. */
static bool compare_hot(struct micro *micro, struct micro_kv *kv, uint64_t *entries)
{
    struct comparison list[] = {
        {.single_name = "get",
         .many_name = "get in a batch",
         .ratio_name = "get : get in a batch",
         .single = {.call = get_single, .returns = true},
         .many = {.call = get_many, .returns = true}},
        {.single_name = "set of a key that is there",
         .many_name = "set of a key that is there, in a batch",
         .ratio_name = "set : set in a batch",
         .single = {.call = set_single, .sets = true},
         .many = {.call = set_many, .sets = true}},
        {.single_name = "del",
         .many_name = "del in a batch",
         .ratio_name = "del : del in a batch",
         .single = {.call = del_single, .deletes = true},
         .many = {.call = del_many, .deletes = true}},
        {.single_name = "set of a new key",
         .many_name = "set of a new key, in a batch",
         .ratio_name = "set of a new key : in a batch",
         .single = {.call = set_single, .sets = true, .inserts = true},
         .many = {.call = set_many, .sets = true, .inserts = true}},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        list[i].section = "many";
        list[i].random = workload_mix(micro->seed + i);
        list[i].entries = *entries;
        list[i].keys = micro->reads * COLD_SHARE;
        list[i].block = BLOCK_HOT;
        list[i].now = micro_thread_ns;
        if (!compare(micro, kv, &list[i])) {
            return false;
        }
        *entries = list[i].entries;
    }
    return true;
}

bool micro_many(struct micro *micro)
{
    struct micro_kv kv;
    const uint64_t memory =
        micro->hot_entries * (MICRO_KEY_SIZE + MICRO_VALUE_SIZE + 32) * SPARE + MEMORY_LEAST;
    uint64_t entries = micro->hot_entries;
    spillkv_stats_data stats;
    if (!micro_kv_open(&kv, micro, memory)) {
        return false;
    }
    bool done = micro_kv_fill(&kv, micro, micro->hot_entries, MICRO_VALUE_SIZE) &&
                compare_hot(micro, &kv, &entries) && micro_kv_stats(&kv, &stats);
    if (done && stats.total.entries_ram != entries) {
        error(0, 0, "many: %llu of %llu entries are in memory",
              (unsigned long long)stats.total.entries_ram, (unsigned long long)micro->hot_entries);
        done = false;
    }
    return micro_kv_close(&kv) && done;
}

static bool compare_cold(struct micro *micro, struct micro_kv *kv)
{
    const struct way get[] = {{.call = get_single, .returns = true},
                              {.call = get_many, .returns = true}};
    struct comparison list[] = {
        {.single_name = "get, file in the page cache",
         .many_name = "get in a batch, file in the page cache",
         .ratio_name = "get : get in a batch, file in the page cache",
         .single = get[0],
         .many = get[1],
         .keys = micro->reads,
         .block = BLOCK_HOT},
        {.single_name = "get, page cache dropped",
         .many_name = "get in a batch, page cache dropped",
         .ratio_name = "get : get in a batch, page cache dropped",
         .single = get[0],
         .many = get[1],
         .keys = micro->reads / COLD_SHARE,
         .block = BLOCK_COLD,
         .drops = true},
        {.single_name = "set, page cache dropped",
         .many_name = "set in a batch, page cache dropped",
         .ratio_name = "set : set in a batch, page cache dropped",
         .single = {.call = set_single, .sets = true},
         .many = {.call = set_many, .sets = true},
         .keys = micro->reads / COLD_SHARE,
         .block = BLOCK_COLD,
         .drops = true},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        list[i].section = "many-cold";
        list[i].random = workload_mix(micro->seed + i);
        list[i].now = progress_now_ns;
        list[i].entries = micro->cold_entries;
        if (!compare(micro, kv, &list[i])) {
            return false;
        }
    }
    return true;
}

bool micro_many_cold(struct micro *micro)
{
    struct micro_kv kv;
    const uint64_t wanted = micro->cold_entries * MEMORY_PER_ENTRY;
    spillkv_stats_data stats;
    if (!micro_kv_open(&kv, micro, wanted > BUDGET_LEAST ? wanted : BUDGET_LEAST)) {
        return false;
    }
    const bool done = micro_kv_fill(&kv, micro, micro->cold_entries, MICRO_VALUE_SIZE) &&
                      spillkv_flush(kv.kv) == SPILLKV_OK && compare_cold(micro, &kv) &&
                      micro_kv_stats(&kv, &stats);
    if (done) {
        figures_add(&micro->figures, "many-cold", "gets answered from memory", "%",
                    100.0 * (double)stats.total.hits /
                        (double)(stats.total.hits + stats.total.spilled_reads));
    }
    return micro_kv_close(&kv) && done;
}
