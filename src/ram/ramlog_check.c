/* SPDX-License-Identifier: MIT */
/* DESIGN. The invariants of the RAM tier, all in one place: of its lists, its states, its sums. */
#include "base/check.h"
#include "ram/ramlog.h"

static uint64_t check_log(const struct skv_ram *ram, enum skv_ram_log_name name)
{
    uint64_t used = 0;
    uint32_t count = 0;
    uint32_t prev = 0;
    for (uint32_t i = ram->logs[name].oldest; i != 0; i = ram->segments[i].next) {
        const struct skv_ram_segment *const segment = &ram->segments[i];
        SKV_CHECK(segment->prev == prev && segment->log == name);
        SKV_CHECK(segment->state == SKV_RAM_SEALED ||
                  (segment->state == SKV_RAM_OPEN && segment->next == 0));
        used += segment->used;
        prev = i;
        count++;
    }
    SKV_CHECK(ram->logs[name].newest == prev && ram->logs[name].used == used);
    return count;
}

bool skv_ram_check(const struct skv_ram *ram)
{
    uint64_t live = 0;
    uint64_t garbage = 0;
    uint64_t linked = check_log(ram, SKV_NEWCOMERS) + check_log(ram, SKV_SURVIVORS);
    uint32_t in_use = 0;
    for (uint32_t i = 1; i <= ram->count; i++) {
        const struct skv_ram_segment *const segment = &ram->segments[i];
        if (segment->state == SKV_RAM_FREE) {
            continue;
        }
        in_use++;
        SKV_CHECK(segment->live <= segment->used && segment->used <= segment->capacity);
        SKV_CHECK(ram->bases[i] == segment->span.base && segment->span.base != NULL);
        if (segment->state == SKV_RAM_DEAD) {
            SKV_CHECK(segment->pins != 0);
            continue;
        }
        linked -= segment->state != SKV_RAM_EXAMINED;
        live += segment->live;
        garbage += segment->used - segment->live;
    }
    SKV_CHECK(linked == 0 && in_use == ram->in_use);
    SKV_CHECK(live == ram->live && garbage == ram->garbage);
    return true;
}
