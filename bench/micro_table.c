/* SPDX-License-Identifier: MIT */
/**
 * The table alone, with slots for as many keys as the load has.
 *
 * Searches are one at a time: each one's key depends on what the one before loaded, as misses of
 * the cache would overlap otherwise. The longest insert is that of several identical runs: each
 * insert counts with its shortest time, so that being interrupted does not. Inserts that take
 * memory from the system are apart: the kernel clears 2 MiB then, and in a virtual machine the host
 * may have to find them first.
 */
#include <error.h>
#include <stdlib.h>

#include "base/hash.h"
#include "micro.h"
#include "progress.h"
#include "table/table.h"
#include "workload.h"

#define SECTION        "table"
#define SEGMENT_BYTES  ((size_t)64 << 10)
#define KEYS_PER_GROUP 300
#define SEARCHES       ((uint64_t)500000)
/* Looked at when the table has so many tenths of its keys. */
#define STAGE_FIRST 6u
#define STAGES      5u
#define TIMED_RUNS  3
/* The pool grows by so much at least when it takes memory from the system. */
#define PIECE_LEAST ((uint64_t)1 << 20)

struct subject {
    struct skv_budget budget;
    struct skv_table table;
};

static bool open_table(struct subject *subject, uint64_t entries)
{
    uint32_t groups = 16;
    while ((uint64_t)groups * KEYS_PER_GROUP < entries && groups < 1u << 20) {
        groups *= 2;
    }
    if (!skv_budget_init(&subject->budget, 0, SEGMENT_BYTES)) {
        error(0, 0, "table: no lock");
        return false;
    }
    if (skv_table_init(&subject->table, &subject->budget, 0, groups) != SPILLKV_OK) {
        error(0, 0, "table: cannot be made");
        skv_budget_fini(&subject->budget);
        return false;
    }
    return true;
}

static void close_table(struct subject *subject)
{
    skv_table_fini(&subject->table);
    skv_budget_fini(&subject->budget);
}

static uint64_t hash_of(const struct micro *micro, uint64_t index)
{
    return workload_mix(index ^ micro->seed << 40);
}

static bool insert_one(struct subject *subject, const struct micro *micro, uint64_t index)
{
    const uint64_t hash = hash_of(micro, index);
    const spillkv_status status =
        skv_table_insert(&subject->table, hash, skv_slot_make(hash, false, 0, index + 1));
    if (status != SPILLKV_OK) {
        error(0, 0, "table: insert: %s", spillkv_strerror(status));
    }
    return status == SPILLKV_OK;
}

static bool insert_range(struct subject *subject, const struct micro *micro, uint64_t from,
                         uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        if (!insert_one(subject, micro, i)) {
            return false;
        }
    }
    return true;
}

/* The slot of entry `index`, or NULL; *visited grows by the buckets looked at. */
static uint64_t *search(const struct subject *subject, uint64_t hash, uint64_t index,
                        uint64_t *visited, uint64_t *loaded)
{
    struct skv_probe probe = {0};
    uint64_t *slot = skv_table_first(&subject->table, hash, &probe);
    while (slot != NULL && skv_slot_locator(*slot) != index + 1) {
        slot = skv_table_next(&probe);
    }
    *visited += probe.buckets - probe.left + (probe.left != 0);
    *loaded = slot != NULL ? *slot : probe.bucket[0];
    return slot;
}

struct searched {
    double ns;
    double buckets;
};

/* Searches for random entries of first .. first + count - 1, all of them there, or none. */
static bool search_many(const struct subject *subject, const struct micro *micro, uint64_t first,
                        uint64_t count, bool there, struct searched *out)
{
    static volatile uint64_t zero;
    const uint64_t mask = zero;
    uint64_t random = micro->seed;
    uint64_t visited = 0;
    uint64_t loaded = 0;
    uint64_t found = 0;
    const uint64_t began = micro_thread_ns();
    for (uint64_t i = 0; i < SEARCHES; i++) {
        const uint64_t index = first + workload_below(&random, count) + (loaded & mask);
        found += search(subject, hash_of(micro, index), index, &visited, &loaded) != NULL;
    }
    out->ns = (double)(micro_thread_ns() - began) / (double)SEARCHES;
    out->buckets = (double)visited / (double)SEARCHES;
    if (found != (there ? SEARCHES : 0)) {
        error(0, 0, "table: %llu of %llu found", (unsigned long long)found,
              (unsigned long long)SEARCHES);
        return false;
    }
    return true;
}

static double load_of(const struct skv_table *table)
{
    uint64_t buckets = 0;
    for (uint32_t i = 0; i < table->group_count; i++) {
        buckets += table->groups[i].buckets;
    }
    return (double)table->used / (double)(buckets * SKV_BUCKET_SLOTS);
}

/* Figures of the table as it is with some tenths of its keys. */
static bool look_at_stage(struct subject *subject, struct micro *micro, unsigned stage,
                          uint64_t keys)
{
    static const char *const names[STAGES][4] = {
        {"60 % of the keys: slots in use", "60 %: bytes per key", "60 %: buckets for an absent key",
         "60 %: buckets for a hit"},
        {"70 % of the keys: slots in use", "70 %: bytes per key", "70 %: buckets for an absent key",
         "70 %: buckets for a hit"},
        {"80 % of the keys: slots in use", "80 %: bytes per key", "80 %: buckets for an absent key",
         "80 %: buckets for a hit"},
        {"90 % of the keys: slots in use", "90 %: bytes per key", "90 %: buckets for an absent key",
         "90 %: buckets for a hit"},
        {"all keys: slots in use", "all: bytes per key", "all: buckets for an absent key",
         "all: buckets for a hit"},
    };
    struct figures *const figures = &micro->figures;
    struct searched hit;
    struct searched absent;
    if (!search_many(subject, micro, 0, keys, true, &hit) ||
        !search_many(subject, micro, UINT64_C(1) << 33, micro->entries, false, &absent)) {
        return false;
    }
    figures_add(figures, SECTION, names[stage][0], "%", load_of(&subject->table) * 100);
    figures_add(figures, SECTION, names[stage][1], "bytes",
                (double)skv_table_bytes(&subject->table) / (double)keys);
    figures_add(figures, SECTION, names[stage][2], "", absent.buckets);
    figures_add(figures, SECTION, names[stage][3], "", hit.buckets);
    if (stage == STAGES - 1) {
        figures_add(figures, SECTION, "hit, one at a time", "ns", hit.ns);
        figures_add(figures, SECTION, "absent key, one at a time", "ns", absent.ns);
    }
    return true;
}

static bool measure_stages(struct micro *micro)
{
    struct subject subject;
    uint64_t keys = 0;
    uint64_t insert_ns = 0;
    bool done = open_table(&subject, micro->entries);
    if (!done) {
        return false;
    }
    for (unsigned stage = 0; stage < STAGES && done; stage++) {
        const uint64_t to = micro->entries * (STAGE_FIRST + stage) / (STAGE_FIRST + STAGES - 1);
        const uint64_t began = micro_thread_ns();
        done = insert_range(&subject, micro, keys, to);
        insert_ns += micro_thread_ns() - began;
        keys = to;
        done = done && look_at_stage(&subject, micro, stage, keys);
    }
    if (done) {
        figures_add(&micro->figures, SECTION, "insert", "ns",
                    (double)insert_ns / (double)micro->entries);
    }
    close_table(&subject);
    return done;
}

/* The shortest times of identical inserts. */
struct times {
    uint32_t *ns;       /* of each insert; saturated, which is long enough */
    uint32_t *grew;     /* which inserts took memory from the system, in their order */
    uint64_t grew_most; /* that there is room for */
    uint64_t grew_count;
};

static bool time_inserts(const struct micro *micro, struct times *times)
{
    struct subject subject;
    bool done = open_table(&subject, micro->entries);
    if (!done) {
        return false;
    }
    uint64_t table_bytes = skv_table_bytes(&subject.table);
    uint64_t unused = skv_budget_unused(&subject.budget);
    times->grew_count = 0;
    for (uint64_t i = 0; i < micro->entries && done; i++) {
        const uint64_t began = progress_now_ns();
        done = insert_one(&subject, micro, i);
        const uint64_t took = progress_now_ns() - began;
        if (took < times->ns[i]) {
            times->ns[i] = (uint32_t)took;
        }
        if (table_bytes == skv_table_bytes(&subject.table)) {
            continue;
        }
        table_bytes = skv_table_bytes(&subject.table);
        const uint64_t unused_before = unused;
        unused = skv_budget_unused(&subject.budget);
        if (unused > unused_before + PIECE_LEAST && times->grew_count < times->grew_most) {
            times->grew[times->grew_count++] = (uint32_t)i;
        }
    }
    close_table(&subject);
    return done;
}

static void add_longest(struct micro *micro, const struct times *times)
{
    uint32_t longest = 0;
    uint32_t longest_grew = 0;
    uint64_t next = 0;
    for (uint64_t i = 0; i < micro->entries; i++) {
        const bool grew = next < times->grew_count && times->grew[next] == i;
        uint32_t *const most = grew ? &longest_grew : &longest;
        *most = times->ns[i] > *most ? times->ns[i] : *most;
        next += grew;
    }
    figures_add_wanted(&micro->figures, SECTION, "longest insert", "us", 100, longest / 1e3);
    figures_add(&micro->figures, SECTION, "longest that took memory from the system", "us",
                longest_grew / 1e3);
    figures_add(&micro->figures, SECTION, "inserts that did, in a million", "",
                (double)times->grew_count / (double)micro->entries * 1e6);
}

static bool measure_longest(struct micro *micro)
{
    struct times times = {.grew_most = micro->entries / 1000 + 100};
    times.ns = malloc(micro->entries * sizeof *times.ns);
    times.grew = malloc(times.grew_most * sizeof *times.grew);
    bool done = times.ns != NULL && times.grew != NULL;
    for (uint64_t i = 0; done && i < micro->entries; i++) {
        times.ns[i] = UINT32_MAX;
    }
    for (int run = 0; run < TIMED_RUNS && done; run++) {
        done = time_inserts(micro, &times);
    }
    if (done) {
        add_longest(micro, &times);
    }
    free(times.ns);
    free(times.grew);
    return done;
}

bool micro_table(struct micro *micro)
{
    return measure_stages(micro) && measure_longest(micro);
}
