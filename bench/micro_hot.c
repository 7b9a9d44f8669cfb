/* SPDX-License-Identifier: MIT */
/**
 * Everything stays in memory: what sets and gets of one thread cost.
 */
#include <error.h>

#include "micro.h"
#include "micro_kv.h"

#define SECTION "hot"
/* Of the memory that the entries take at most, so that nothing is spilled. */
#define SPARE        2
#define MEMORY_LEAST ((uint64_t)64 << 20)

static uint64_t budget_for(uint64_t entries)
{
    return entries * (MICRO_KEY_SIZE + MICRO_VALUE_SIZE + 32) * SPARE + MEMORY_LEAST;
}

/* All entries are in memory and nowhere else. */
static bool is_resident(const spillkv_stats_data *stats, uint64_t entries)
{
    if (stats->total.entries_ram != entries) {
        error(0, 0, "hot: only %llu of %llu entries are in memory",
              (unsigned long long)stats->total.entries_ram, (unsigned long long)entries);
    }
    return stats->total.entries_ram == entries;
}

static bool measure_speed(struct micro *micro, struct micro_kv *kv)
{
    struct figures *const figures = &micro->figures;
    const uint64_t entries = micro->hot_entries;
    const double count = (double)entries;
    const double make = micro_make_ns(micro, MICRO_VALUE_SIZE);
    const double compare = micro_check_ns(micro, MICRO_VALUE_SIZE);
    spillkv_stats_data stats;
    uint64_t random = micro->seed;
    const uint64_t began = micro_thread_ns();
    if (!micro_kv_fill(kv, micro, entries, MICRO_VALUE_SIZE)) {
        return false;
    }
    const uint64_t inserted = micro_thread_ns();
    if (!micro_kv_read(kv, micro, entries, MICRO_VALUE_SIZE, entries, &random)) {
        return false;
    }
    const uint64_t got = micro_thread_ns();
    if (!micro_kv_fill(kv, micro, entries, MICRO_VALUE_SIZE)) {
        return false;
    }
    const uint64_t set = micro_thread_ns();
    figures_add(figures, SECTION, "set of a new key", "ns",
                (double)(inserted - began) / count - make);
    figures_add(figures, SECTION, "get", "ns", (double)(got - inserted) / count - compare);
    figures_add(figures, SECTION, "set of a key that is there", "ns",
                (double)(set - got) / count - make);
    return micro_kv_stats(kv, &stats) && is_resident(&stats, entries);
}

bool micro_hot(struct micro *micro)
{
    struct micro_kv kv;
    if (!micro_kv_open(&kv, micro, budget_for(micro->hot_entries))) {
        return false;
    }
    const bool done = measure_speed(micro, &kv);
    return micro_kv_close(&kv) && done;
}
