/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. A segment is named by a number, not by its address, so that a locator is small and a
 * segment can be moved; numbers are reused through a free list. Segments of a log form a doubly
 * linked list by number, oldest to newest, because one that has become all garbage leaves from the
 * middle. The bases are an array apart from the rest: a hot get reads 8 bytes of it and nothing
 * else here.
 *
 * Rejected: one allocation per entry (RSS at 2.3 to 3.5 times what the entries hold when value
 * sizes change over time), a ring per log (a segment freed in the middle would wait for its turn).
 *
 * Invariant: live + garbage == used over all segments that are not DEAD or FREE.
 */
#include "ram/ramlog.h"

#include "base/alloc.h"
#include "base/check.h"

#define FIRST_CAPACITY 64

static bool grow_arrays(struct skv_ram *ram)
{
    const uint32_t capacity =
        ram->capacity == 0 ? FIRST_CAPACITY : ram->capacity + ram->capacity / 2;
    uint8_t **const bases = skv_realloc(ram->bases, capacity * sizeof(*bases));
    if (bases == NULL) {
        return false;
    }
    ram->bases = bases;
    struct skv_ram_segment *const segments =
        skv_realloc(ram->segments, capacity * sizeof(*segments));
    if (segments == NULL) {
        return false;
    }
    ram->segments = segments;
    ram->capacity = capacity;
    return true;
}

/** Makes sure that take_number() succeeds. */
static spillkv_status reserve_number(struct skv_ram *ram)
{
    if (ram->free_number != 0 || ram->count + 1 < ram->capacity) {
        return SPILLKV_OK;
    }
    if (ram->count == SKV_RAM_SEGMENT_MAX) {
        return SPILLKV_EFULL;
    }
    return grow_arrays(ram) ? SPILLKV_OK : SPILLKV_ENOMEM;
}

static uint32_t take_number(struct skv_ram *ram)
{
    if (ram->free_number != 0) {
        const uint32_t number = ram->free_number;
        ram->free_number = ram->segments[number].next;
        return number;
    }
    return ++ram->count;
}

static void link_newest(struct skv_ram *ram, uint32_t number, enum skv_ram_log_name name)
{
    struct skv_ram_log *const log = &ram->logs[name];
    struct skv_ram_segment *const segment = &ram->segments[number];
    segment->log = (uint8_t)name;
    segment->next = 0;
    segment->prev = log->newest;
    if (log->newest != 0) {
        ram->segments[log->newest].next = number;
    } else {
        log->oldest = number;
    }
    log->newest = number;
    log->used += segment->used;
}

static void unlink_segment(struct skv_ram *ram, uint32_t number)
{
    struct skv_ram_segment *const segment = &ram->segments[number];
    struct skv_ram_log *const log = &ram->logs[segment->log];
    if (segment->prev != 0) {
        ram->segments[segment->prev].next = segment->next;
    } else {
        log->oldest = segment->next;
    }
    if (segment->next != 0) {
        ram->segments[segment->next].prev = segment->prev;
    } else {
        log->newest = segment->prev;
    }
    log->used -= segment->used;
}

/** Fills in a segment's description. */
static uint32_t describe_segment(struct skv_ram *ram, struct skv_span span, uint64_t capacity,
                                 enum skv_ram_state state)
{
    const uint32_t number = take_number(ram);
    ram->segments[number] = (struct skv_ram_segment){
        .span = span,
        .capacity = capacity,
        .born = atomic_fetch_add_explicit(ram->clock, 1, memory_order_relaxed),
        .state = (uint8_t)state,
    };
    ram->bases[number] = span.base;
    ram->in_use++;
    return number;
}

/** The same, and links it as the newest of a log. */
static uint32_t start_segment(struct skv_ram *ram, enum skv_ram_log_name log, struct skv_span span,
                              uint64_t capacity, enum skv_ram_state state)
{
    const uint32_t number = describe_segment(ram, span, capacity, state);
    link_newest(ram, number, log);
    return number;
}

static void free_memory(struct skv_ram *ram, struct skv_ram_segment *segment)
{
    if (segment->lone) {
        skv_budget_give_pages(ram->budget, SKV_MEMORY_ENTRIES, segment->span.base,
                              segment->capacity);
    } else if (ram->spare_count < SKV_RAM_SPARES) {
        ram->spares[ram->spare_count++] = segment->span;
    } else {
        skv_budget_give_segment(ram->budget, SKV_MEMORY_ENTRIES, segment->span);
    }
}

static void free_number(struct skv_ram *ram, uint32_t number)
{
    struct skv_ram_segment *const segment = &ram->segments[number];
    free_memory(ram, segment);
    ram->bases[number] = NULL;
    segment->span.base = NULL;
    segment->state = SKV_RAM_FREE;
    segment->next = ram->free_number;
    ram->free_number = number;
    ram->in_use--;
}

/** Frees a segment that is in no log; what is still in it counts no more. */
static void retire(struct skv_ram *ram, uint32_t number)
{
    struct skv_ram_segment *const segment = &ram->segments[number];
    ram->garbage -= segment->used - segment->live;
    ram->live -= segment->live;
    if (segment->pins != 0) {
        segment->state = SKV_RAM_DEAD;
        return;
    }
    free_number(ram, number);
}

spillkv_status skv_ram_init(struct skv_ram *ram, struct skv_budget *budget, _Atomic uint64_t *clock)
{
    *ram = (struct skv_ram){
        .budget = budget,
        .clock = clock,
        .segment_bytes = budget->segment_bytes,
    };
    SKV_CHECK(ram->segment_bytes <= SKV_RAM_SEGMENT_BYTES_MAX);
    if (!grow_arrays(ram)) {
        skv_ram_fini(ram);
        return SPILLKV_ENOMEM;
    }
    if (!skv_ram_refill(ram)) {
        skv_ram_fini(ram);
        return SPILLKV_EFULL;
    }
    return SPILLKV_OK;
}

void skv_ram_fini(struct skv_ram *ram)
{
    for (uint32_t i = 1; i <= ram->count; i++) {
        if (ram->segments[i].state != SKV_RAM_FREE) {
            free_memory(ram, &ram->segments[i]);
        }
    }
    while (ram->spare_count > 0) {
        skv_budget_give_segment(ram->budget, SKV_MEMORY_ENTRIES, ram->spares[--ram->spare_count]);
    }
    skv_free(ram->bases);
    skv_free(ram->segments);
    *ram = (struct skv_ram){0};
}

void skv_ram_clear(struct skv_ram *ram)
{
    for (uint32_t i = 1; i <= ram->count; i++) {
        const uint8_t state = ram->segments[i].state;
        if (state == SKV_RAM_OPEN || state == SKV_RAM_SEALED) {
            unlink_segment(ram, i);
        }
        if (state != SKV_RAM_FREE && state != SKV_RAM_DEAD) {
            retire(ram, i);
        }
    }
}

/** Returns the open segment of a log with room for `bytes`, opening one if needed; 0 and a status
 * on failure. */
static uint32_t open_segment(struct skv_ram *ram, enum skv_ram_log_name name, size_t bytes,
                             bool spares, spillkv_status *status)
{
    const uint32_t newest = ram->logs[name].newest;
    if (newest != 0 && ram->segments[newest].state == SKV_RAM_OPEN &&
        ram->segments[newest].capacity - ram->segments[newest].used >= bytes) {
        return newest;
    }
    *status = reserve_number(ram);
    if (*status != SPILLKV_OK) {
        return 0;
    }
    struct skv_span span;
    if (!skv_budget_take_segment(ram->budget, SKV_MEMORY_ENTRIES, &span)) {
        if (!spares || ram->spare_count == 0) {
            *status = SPILLKV_EFULL;
            return 0;
        }
        span = ram->spares[--ram->spare_count];
    }
    if (newest != 0 && ram->segments[newest].state == SKV_RAM_OPEN) {
        ram->segments[newest].state = SKV_RAM_SEALED;
        if (ram->segments[newest].live == 0 && ram->segments[newest].used != 0) {
            unlink_segment(ram, newest);
            retire(ram, newest);
        }
    }
    return start_segment(ram, name, span, ram->segment_bytes, SKV_RAM_OPEN);
}

spillkv_status skv_ram_reserve(struct skv_ram *ram, enum skv_ram_log_name log, size_t bytes)
{
    spillkv_status status = SPILLKV_OK;
    (void)open_segment(ram, log, bytes, false, &status);
    return status;
}

/** Room for an entry in a log; NULL and a status on failure. */
static uint8_t *make_room(struct skv_ram *ram, enum skv_ram_log_name log, size_t bytes, bool spares,
                          uint64_t *locator_out, spillkv_status *status)
{
    SKV_CHECK_CHEAP(bytes % 8 == 0 && bytes != 0 && !skv_ram_is_lone(ram, bytes));
    *locator_out = 0;
    const uint32_t number = open_segment(ram, log, bytes, spares, status);
    if (number == 0) {
        return NULL;
    }
    struct skv_ram_segment *const segment = &ram->segments[number];
    uint8_t *const at = segment->span.base + segment->used;
    *locator_out = (uint64_t)number << SKV_RAM_OFFSET_BITS | segment->used >> 3;
    segment->used += bytes;
    segment->live += bytes;
    ram->logs[log].used += bytes;
    ram->live += bytes;
    return at;
}

spillkv_status skv_ram_append(struct skv_ram *ram, enum skv_ram_log_name log,
                              const struct skv_entry_parts *parts, bool spares,
                              uint64_t *locator_out)
{
    spillkv_status status = SPILLKV_OK;
    uint8_t *const at =
        make_room(ram, log, skv_entry_parts_bytes(parts), spares, locator_out, &status);
    if (at != NULL) {
        skv_entry_write(at, parts);
    }
    return status;
}

spillkv_status skv_ram_append_bytes(struct skv_ram *ram, enum skv_ram_log_name log,
                                    const uint8_t *entry, size_t entry_bytes, bool spares,
                                    uint64_t *locator_out)
{
    spillkv_status status = SPILLKV_OK;
    uint8_t *const at = make_room(ram, log, entry_bytes, spares, locator_out, &status);
    if (at != NULL) {
        memcpy(at, entry, entry_bytes);
    }
    return status;
}

spillkv_status skv_ram_adopt(struct skv_ram *ram, enum skv_ram_log_name log, void *memory,
                             size_t entry_bytes, uint64_t *locator_out)
{
    *locator_out = 0;
    const spillkv_status status = reserve_number(ram);
    if (status != SPILLKV_OK) {
        return status;
    }
    /* The open segment must stay the newest: the lone one goes in front of it. */
    const uint32_t newest = ram->logs[log].newest;
    const bool swap = newest != 0 && ram->segments[newest].state == SKV_RAM_OPEN;
    if (swap) {
        unlink_segment(ram, newest);
    }
    const struct skv_span span = {.base = memory};
    const uint32_t number = start_segment(ram, log, span, entry_bytes, SKV_RAM_SEALED);
    struct skv_ram_segment *const segment = &ram->segments[number];
    segment->lone = true;
    segment->used = entry_bytes;
    segment->live = entry_bytes;
    ram->logs[log].used += entry_bytes;
    ram->live += entry_bytes;
    if (swap) {
        link_newest(ram, newest, log);
    }
    *locator_out = (uint64_t)number << SKV_RAM_OFFSET_BITS;
    return SPILLKV_OK;
}

spillkv_status skv_ram_adopt_pinned(struct skv_ram *ram, void *memory, size_t entry_bytes,
                                    uint32_t *number_out)
{
    *number_out = 0;
    const spillkv_status status = reserve_number(ram);
    if (status == SPILLKV_OK) {
        const struct skv_span span = {.base = memory};
        *number_out = describe_segment(ram, span, entry_bytes, SKV_RAM_DEAD);
        struct skv_ram_segment *const segment = &ram->segments[*number_out];
        segment->lone = true;
        segment->used = entry_bytes;
        segment->pins = 1;
    }
    return status;
}

void skv_ram_forget(struct skv_ram *ram, uint64_t locator)
{
    const uint32_t number = skv_ram_segment_of(locator);
    struct skv_ram_segment *const segment = &ram->segments[number];
    const size_t bytes = skv_entry_bytes(skv_entry_header(skv_ram_at(ram, locator)));
    SKV_CHECK_CHEAP(segment->live >= bytes);
    segment->live -= bytes;
    ram->live -= bytes;
    ram->garbage += bytes;
    if (segment->live == 0 && segment->state == SKV_RAM_SEALED) {
        unlink_segment(ram, number);
        retire(ram, number);
    }
}

bool skv_ram_may_overwrite(const struct skv_ram *ram, uint64_t locator)
{
    const struct skv_ram_segment *const segment = &ram->segments[skv_ram_segment_of(locator)];
#ifdef SKV_MUTANT_OVERWRITE /* planted for tests/linear: the locator does not change */
    return segment->pins == 0;
#else
    return segment->state != SKV_RAM_EXAMINED && segment->pins == 0;
#endif
}

void skv_ram_pin(struct skv_ram *ram, uint32_t number)
{
    ram->segments[number].pins++;
}

void skv_ram_unpin(struct skv_ram *ram, uint32_t number)
{
    struct skv_ram_segment *const segment = &ram->segments[number];
    SKV_CHECK_CHEAP(segment->pins > 0);
    if (--segment->pins == 0 && segment->state == SKV_RAM_DEAD) {
        free_number(ram, number);
    }
}

bool skv_ram_is_pinned(const struct skv_ram *ram, uint32_t number, const void *bytes, size_t size)
{
    if (number == 0 || number > ram->count) {
        return false;
    }
    const struct skv_ram_segment *const segment = &ram->segments[number];
    const uintptr_t begin = (uintptr_t)segment->span.base;
    const uintptr_t at = (uintptr_t)bytes;
    return segment->state != SKV_RAM_FREE && segment->pins != 0 && at >= begin &&
           at - begin <= segment->used && size <= segment->used - (at - begin);
}

uint32_t skv_ram_detach_oldest(struct skv_ram *ram, enum skv_ram_log_name log)
{
    const uint32_t number = ram->logs[log].oldest;
    if (number == 0) {
        return 0;
    }
    unlink_segment(ram, number);
    ram->segments[number].state = SKV_RAM_EXAMINED;
    return number;
}

uint32_t skv_ram_detach_wasteful(struct skv_ram *ram, uint32_t most, uint64_t least)
{
    uint32_t worst = 0;
    const uint32_t steps = most < ram->count ? most : ram->count;
    for (uint32_t i = 0; i < steps; i++) {
        ram->hand = ram->hand < ram->count ? ram->hand + 1 : 1;
        const struct skv_ram_segment *const segment = &ram->segments[ram->hand];
        const uint64_t wasted = segment->used - segment->live;
        if ((segment->state == SKV_RAM_OPEN || segment->state == SKV_RAM_SEALED) &&
            wasted >= least && segment->pins == 0) {
            worst = ram->hand;
            least = wasted + 1;
        }
    }
    if (worst != 0) {
        unlink_segment(ram, worst);
        ram->segments[worst].state = SKV_RAM_EXAMINED;
    }
    return worst;
}

void skv_ram_reattach(struct skv_ram *ram, uint32_t number)
{
    struct skv_ram_segment *const segment = &ram->segments[number];
    struct skv_ram_log *const log = &ram->logs[segment->log];
    SKV_CHECK_CHEAP(segment->state == SKV_RAM_EXAMINED);
    segment->state = SKV_RAM_SEALED;
    segment->prev = 0;
    segment->next = log->oldest;
    if (log->oldest != 0) {
        ram->segments[log->oldest].prev = number;
    } else {
        log->newest = number;
    }
    log->oldest = number;
    log->used += segment->used;
    if (segment->live == 0) {
        unlink_segment(ram, number);
        retire(ram, number);
    }
}

void skv_ram_relog(struct skv_ram *ram, uint32_t number, enum skv_ram_log_name log)
{
    struct skv_ram_segment *const segment = &ram->segments[number];
    SKV_CHECK_CHEAP(segment->state == SKV_RAM_EXAMINED && segment->live == segment->used);
    segment->state = SKV_RAM_SEALED;
    segment->born = atomic_fetch_add_explicit(ram->clock, 1, memory_order_relaxed);
    const uint32_t newest = ram->logs[log].newest;
    const bool swap = newest != 0 && ram->segments[newest].state == SKV_RAM_OPEN;
    if (swap) {
        unlink_segment(ram, newest);
    }
    link_newest(ram, number, log);
    if (swap) {
        link_newest(ram, newest, log);
    }
}

void skv_ram_release(struct skv_ram *ram, uint32_t number)
{
    SKV_CHECK(ram->segments[number].state == SKV_RAM_EXAMINED);
    SKV_CHECK(ram->segments[number].live == 0);
    retire(ram, number);
}

bool skv_ram_refill(struct skv_ram *ram)
{
    while (ram->spare_count < SKV_RAM_SPARES) {
        struct skv_span span;
        if (!skv_budget_take_segment(ram->budget, SKV_MEMORY_ENTRIES, &span)) {
            return false;
        }
        ram->spares[ram->spare_count++] = span;
    }
    return true;
}

uint64_t skv_ram_oldest_born(const struct skv_ram *ram)
{
    uint32_t oldest = ram->logs[SKV_NEWCOMERS].oldest;
    if (oldest == 0) {
        oldest = ram->logs[SKV_SURVIVORS].oldest;
    }
    return oldest == 0 ? UINT64_MAX : ram->segments[oldest].born;
}

uint64_t skv_ram_overhead_bytes(const struct skv_ram *ram)
{
    return ram->capacity * (sizeof(*ram->bases) + sizeof(*ram->segments));
}
