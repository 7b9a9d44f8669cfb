/* SPDX-License-Identifier: MIT */
/**
 * The order in which records are stored and read back.
 *
 * A key may occur more than once and its last record wins. So that this holds with many threads,
 * the thread of a record is chosen by the hash of its key: all records of a key go through one
 * thread, in their order. The same pass finds the records that are replaced later, with a table of
 * the latest record of each key (open addressing, 4-byte numbers; the keys stay in the text). All
 * that this needs is unmapped before a store is opened.
 */
#include <errno.h>
#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <string.h>
#include <sys/mman.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "progress.h"
#include "records.h"

#define REPLACED_MARK ((uint32_t)1 << 31)

/* The latest record of each key seen so far. */
struct latest {
    uint32_t *slots; /* number of a record + 1; 0 is free */
    size_t mask;
};

static void *map_memory(size_t size)
{
    void *const memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        progress_say("no memory to order the input: %s", strerror(errno));
        return NULL;
    }
    return memory;
}

static bool same_key(const struct record_view *a, const struct record_view *b)
{
    return a->key_size == b->key_size && memcmp(a->key, b->key, a->key_size) == 0;
}

/* Enters a record as the latest of its key and marks the one before, if any. */
static void note_latest(struct latest *latest, struct records *records, size_t index,
                        const struct record_view *view, uint64_t hash)
{
    size_t slot = (size_t)hash & latest->mask;
    for (; latest->slots[slot] != 0; slot = (slot + 1) & latest->mask) {
        const size_t other = latest->slots[slot] - 1;
        struct record_view seen;
        records_view(records, other, &seen);
        if (same_key(view, &seen)) {
            records->items[other].size |= REPLACED_MARK;
            break;
        }
    }
    latest->slots[slot] = (uint32_t)index + 1;
}

/* Marks replaced records and counts those of part p in starts[p + 1]. */
static bool choose_parts(struct records *records, size_t parts, uint16_t *part_of, size_t *starts)
{
    struct latest latest = {.mask = 1};
    while (latest.mask < records->count * 2) {
        latest.mask *= 2;
    }
    const size_t bytes = latest.mask * sizeof *latest.slots;
    latest.slots = map_memory(bytes);
    if (latest.slots == NULL) {
        return false;
    }
    latest.mask--;
    for (size_t i = 0; i < records->count; i++) {
        struct record_view view;
        records_view(records, i, &view);
        const uint64_t hash = XXH3_64bits(view.key, view.key_size);
        note_latest(&latest, records, i, &view, hash);
        part_of[i] = (uint16_t)((hash >> 32) % parts);
        starts[part_of[i] + 1]++;
    }
    munmap(latest.slots, bytes);
    return true;
}

/* Puts each record to its part; starts[p] is where part p begins, on return as well. */
static bool move_to_parts(struct records *records, size_t parts, const uint16_t *part_of,
                          size_t *starts)
{
    const size_t bytes = records->capacity * sizeof *records->items;
    struct record *const items = map_memory(bytes);
    if (items == NULL) {
        return false;
    }
    for (size_t i = 0; i < records->count; i++) {
        items[starts[part_of[i]]++] = records->items[i];
    }
    memmove(starts + 1, starts, parts * sizeof *starts);
    starts[0] = 0;
    munmap(records->items, bytes);
    records->items = items;
    return true;
}

bool records_group(struct records *records, size_t parts, size_t *starts_out)
{
    if (records->count == 0 || records->format == RECORD_LINES) {
        for (size_t p = 0; p <= parts; p++) {
            starts_out[p] = (size_t)((double)records->count * (double)p / (double)parts);
        }
        starts_out[parts] = records->count;
        return true;
    }
    const size_t bytes = records->count * sizeof(uint16_t);
    uint16_t *const part_of = map_memory(bytes);
    if (part_of == NULL) {
        return false;
    }
    memset(starts_out, 0, (parts + 1) * sizeof *starts_out);
    bool done = choose_parts(records, parts, part_of, starts_out);
    for (size_t p = 0; p < parts; p++) {
        starts_out[p + 1] += starts_out[p];
    }
    done = done && (parts == 1 || move_to_parts(records, parts, part_of, starts_out));
    munmap(part_of, bytes);
    return done;
}

void records_keep_last(struct records *records)
{
    size_t kept = 0;
    records->bytes = 0;
    for (size_t i = 0; i < records->count; i++) {
        if ((records->items[i].size & REPLACED_MARK) != 0) {
            continue;
        }
        struct record_view view;
        records_view(records, i, &view);
        records->bytes += view.key_size + view.value_size;
        records->items[kept++] = records->items[i];
    }
    records->count = kept;
}

bool records_shuffle(struct records *records, uint64_t seed)
{
    if (records->count < 2) {
        return true;
    }
    gsl_rng *const random = gsl_rng_alloc(gsl_rng_mt19937);
    if (random == NULL) {
        progress_say("no memory for random numbers");
        return false;
    }
    gsl_rng_set(random, (unsigned long)(seed ^ seed >> 32));
    gsl_ran_shuffle(random, records->items, records->count, sizeof *records->items);
    gsl_rng_free(random);
    return true;
}
