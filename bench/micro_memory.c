/* SPDX-License-Identifier: MIT */
/**
 * What an entry takes beside its key and value: in RAM, and on disk.
 *
 * Each store has a process of its own, so that the system's count of anonymous memory is its. What
 * the store charges and what the system counts are both shown; the latter moves in pieces of 2 MiB.
 */
#include <error.h>
#include <stdio.h>

#include "child.h"
#include "memory.h"
#include "micro.h"
#include "micro_kv.h"

#define SECTION "memory"

/* Wanted of an entry of 16 + 100 bytes in RAM, and of one that is spilled. */
#define RAM_MOST     24
#define SPILLED_MOST 11

/* All stays in memory: a little more than the entries take at most. */
#define RAM_BESIDE 32
#define RAM_LEAST  ((uint64_t)32 << 20)
/* Of the entries that are loaded elsewhere, to stay in a few hundred megabytes. */
#define RAM_PART 4

/* Nearly all is spilled: keys and values are so many times the budget. */
#define SPILLED_BUDGET ((uint64_t)16)
#define SPILLED_LEAST  ((uint64_t)4 << 20)
#define SPILLED_TIMES  8
#define SPILLED_SHARE  0.8

/* A store that is filled; shared by the child that does it and its parent. */
struct filled {
    const struct micro *micro;
    uint64_t entries;
    uint64_t max_mem;
    size_t value_size;
    spillkv_stats_data opened;
    spillkv_stats_data stats;
    uint64_t rss_opened;
    uint64_t rss;
};

/* In the child. */
static bool fill_here(void *context)
{
    struct filled *const filled = context;
    struct micro_kv kv;
    if (!micro_kv_open(&kv, filled->micro, filled->max_mem)) {
        return false;
    }
    bool done = micro_kv_stats(&kv, &filled->opened);
    filled->rss_opened = memory_figure(0, "RssAnon");
    done = done && micro_kv_fill(&kv, filled->micro, filled->entries, filled->value_size) &&
           spillkv_flush(kv.kv) == SPILLKV_OK && micro_kv_stats(&kv, &filled->stats);
    filled->rss = memory_figure(0, "RssAnon");
    return micro_kv_close(&kv) && done;
}

static bool fill(const struct micro *micro, uint64_t entries, size_t value_size, uint64_t max_mem,
                 struct filled *filled_out)
{
    struct filled *const filled = child_share(sizeof *filled);
    if (filled == NULL) {
        return false;
    }
    *filled = (struct filled){
        .micro = micro, .entries = entries, .max_mem = max_mem, .value_size = value_size};
    const bool done = child_run(fill_here, filled);
    *filled_out = *filled;
    child_unshare(filled, sizeof *filled);
    return done;
}

static bool measure_ram(struct micro *micro, uint64_t entries, size_t value_size,
                        const char *charged_name, const char *rss_name)
{
    struct filled filled;
    const uint64_t most = entries * (MICRO_KEY_SIZE + value_size + RAM_BESIDE);
    if (!fill(micro, entries, value_size, most + RAM_LEAST, &filled)) {
        return false;
    }
    if (filled.stats.total.entries_ram != entries) {
        error(0, 0, "memory: only %llu of %llu entries are in RAM",
              (unsigned long long)filled.stats.total.entries_ram, (unsigned long long)entries);
        return false;
    }
    const double payload = (double)(MICRO_KEY_SIZE + value_size);
    const spillkv_memory *const memory = &filled.stats.memory;
    figures_add_wanted(&micro->figures, SECTION, charged_name, "bytes",
                       value_size == MICRO_VALUE_SIZE ? RAM_MOST : 0,
                       (double)(memory->entries + memory->table) / (double)entries - payload);
    figures_add(&micro->figures, SECTION, rss_name, "bytes",
                ((double)filled.rss - (double)filled.rss_opened) / (double)entries - payload);
    return true;
}

static bool measure_spilled(struct micro *micro, uint64_t entries, const char *slot_name,
                            const char *all_name)
{
    struct filled filled;
    const uint64_t wanted = entries * SPILLED_BUDGET;
    const uint64_t max_mem = wanted > SPILLED_LEAST ? wanted : SPILLED_LEAST;
    const size_t many = (size_t)(max_mem * SPILLED_TIMES / entries);
    const size_t value_size = wanted < SPILLED_LEAST ? many : MICRO_VALUE_SIZE;
    if (!fill(micro, entries, value_size, max_mem, &filled)) {
        return false;
    }
    const double keys = (double)entries;
    if ((double)filled.stats.total.entries_spilled < keys * SPILLED_SHARE) {
        error(0, 0, "memory: only %llu of %llu entries are spilled",
              (unsigned long long)filled.stats.total.entries_spilled, (unsigned long long)entries);
        return false;
    }
    const double table = (double)filled.stats.memory.table;
    const double grown = (double)filled.stats.memory.fixed - (double)filled.opened.memory.fixed;
    figures_add_wanted(&micro->figures, SECTION, slot_name, "bytes", SPILLED_MOST, table / keys);
    figures_add_wanted(&micro->figures, SECTION, all_name, "bytes", SPILLED_MOST,
                       (table + grown) / keys);
    return true;
}

bool micro_memory(struct micro *micro)
{
    static const struct {
        uint64_t keys;
        const char *slot_name;
        const char *all_name;
    } spilled[] = {
        {10000, "spilled key of 10 thousand: slots", "  with arrays that grew, 10 thousand"},
        {100000, "spilled key of 100 thousand: slots", "  with arrays that grew, 100 thousand"},
        {1000000, "spilled key of 1 million: slots", "  with arrays that grew, 1 million"},
        {10000000, "spilled key of 10 million: slots", "  with arrays that grew, 10 million"},
    };

    const uint64_t entries = micro->entries / RAM_PART;
    bool done = measure_ram(micro, entries, 16, "in RAM, beside 16 + 16, charged",
                            "  by RssAnon, 16 + 16") &&
                measure_ram(micro, entries, 100, "in RAM, beside 16 + 100, charged",
                            "  by RssAnon, 16 + 100") &&
                measure_ram(micro, entries / 4, 1000, "in RAM, beside 16 + 1000, charged",
                            "  by RssAnon, 16 + 1000");
    for (size_t i = 0; i < sizeof spilled / sizeof *spilled && done; i++) {
        done = spilled[i].keys > micro->entries ||
               measure_spilled(micro, spilled[i].keys, spilled[i].slot_name, spilled[i].all_name);
    }
    return done;
}
