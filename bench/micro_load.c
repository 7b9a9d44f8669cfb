/* SPDX-License-Identifier: MIT */
/**
 * A load that spills nearly everything: CPU of the whole process, the threads that spill included,
 * for each entry.
 */
#include <error.h>

#include "micro.h"
#include "micro_kv.h"
#include "progress.h"

#define SECTION     "load"
#define SPILLED     0.9 /* of the entries at least */
#define CHECK_READS ((uint64_t)100000)

static bool load(struct micro *micro, struct micro_kv *kv)
{
    struct figures *const figures = &micro->figures;
    const double make = micro_make_ns(micro, MICRO_VALUE_SIZE);
    const double entries = (double)micro->entries;
    const uint64_t wall = progress_now_ns();
    const uint64_t own = micro_thread_ns();
    const uint64_t cpu = micro_process_ns();
    if (!micro_kv_fill(kv, micro, micro->entries, MICRO_VALUE_SIZE) ||
        spillkv_flush(kv->kv) != SPILLKV_OK) {
        return false;
    }
    const double cpu_ns = (double)(micro_process_ns() - cpu) / entries;
    const double own_ns = (double)(micro_thread_ns() - own) / entries;
    const double wall_ns = (double)(progress_now_ns() - wall) / entries;
    figures_add_wanted(figures, SECTION, "CPU per entry, without making it", "ns", 600,
                       cpu_ns - make);
    figures_add(figures, SECTION, "of it in the thread that sets", "ns", own_ns - make);
    figures_add(figures, SECTION, "of it in the threads that spill", "ns", cpu_ns - own_ns);
    figures_add(figures, SECTION, "making key and value", "ns", make);
    figures_add(figures, SECTION, "duration per entry, all together", "ns", wall_ns);
    return true;
}

bool micro_load(struct micro *micro)
{
    struct micro_kv kv;
    spillkv_stats_data stats;
    uint64_t random = micro->seed;
    if (!micro_kv_open(&kv, micro, micro->max_mem)) {
        return false;
    }
    bool done = load(micro, &kv) && micro_kv_stats(&kv, &stats);
    if (done) {
        const double spilled = (double)stats.total.entries_spilled / (double)micro->entries;
        figures_add(&micro->figures, SECTION, "entries spilled at the end", "%", spilled * 100);
        figures_add(&micro->figures, SECTION, "sets that had to help", "%",
                    (double)stats.total.helped / (double)micro->entries * 100);
        if (spilled < SPILLED) {
            error(0, 0, "load: only %.0f %% are spilled: lower --max-mem", spilled * 100);
        }
        done = micro_kv_read(&kv, micro, micro->entries, MICRO_VALUE_SIZE, CHECK_READS, &random);
    }
    return micro_kv_close(&kv) && done;
}
