/* SPDX-License-Identifier: MIT */
/**
 * A get of a spilled entry against bare calls of SQLite that read the same bytes from the same
 * file: sqlite3_blob_reopen() and sqlite3_blob_read() on a connection with the same settings, once
 * with the library's VFS and once with SQLite's own. The file is in the page cache of the system.
 * Times are CPU times: nothing waits.
 */
#include <error.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disk/schema.h"
#include "disk/segment.h"
#include "disk/vfs.h"
#include "micro.h"
#include "micro_kv.h"
#include "micro_shard.h"
#include "progress.h"
#include "workload.h"

#define SECTION "cold"
/* Alternations within a round. */
#define TURNS 3
/* Budget of the store whose gets promote: about nine of ten entries are spilled then. */
#define MEMORY_PER_ENTRY 28
#define BUDGET_LEAST     ((uint64_t)12 << 20)

struct bare {
    sqlite3 *db;
    sqlite3_blob *blob;
};

/* What is in the file and where. */
struct contents {
    uint64_t count;
    uint32_t *places;
    uint8_t (*keys)[MICRO_KEY_SIZE];
};

static bool check(struct bare *bare, int rc)
{
    if (rc != SQLITE_OK) {
        error(0, 0, "sqlite: %s", sqlite3_errmsg(bare->db));
    }
    return rc == SQLITE_OK;
}

static void close_bare(struct bare *bare)
{
    sqlite3_blob_close(bare->blob);
    sqlite3_close(bare->db);
}

/* Settings as disk/schema.c and disk/store.c have them. */
static bool open_bare(struct bare *bare, const char *file, const char *vfs, uint64_t segments)
{
    char settings[256];
    const int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_PRIVATECACHE;
    *bare = (struct bare){0};
    snprintf(settings, sizeof settings,
             "PRAGMA locking_mode=EXCLUSIVE; PRAGMA mmap_size=0; PRAGMA cache_size=%llu",
             (unsigned long long)(SKV_SCHEMA_CACHE_PAGES + 3 * (segments / 700)));
    if (!check(bare, sqlite3_open_v2(file, &bare->db, flags, vfs)) ||
        !check(bare, sqlite3_exec(bare->db, settings, NULL, NULL, NULL)) ||
        !check(bare, sqlite3_blob_open(bare->db, "main", "segment", "bytes", 1, 0, &bare->blob))) {
        close_bare(bare);
        return false;
    }
    return true;
}

static bool read_bare(struct bare *bare, const struct contents *contents, uint64_t reads,
                      uint64_t random, double *ns_out)
{
    const size_t size = skv_packed_bytes(MICRO_KEY_SIZE, MICRO_VALUE_SIZE);
    uint8_t bytes[512];
    const uint64_t began = micro_thread_ns();
    for (uint64_t i = 0; i < reads; i++) {
        const uint64_t n = workload_below(&random, contents->count);
        const uint64_t place = contents->places[n];
        if (!check(bare, sqlite3_blob_reopen(bare->blob, skv_place_id(place))) ||
            !check(bare,
                   sqlite3_blob_read(bare->blob, bytes, (int)size, (int)skv_place_offset(place)))) {
            return false;
        }
        const uint8_t *const key = bytes + SKV_ENTRY_HEADER_BYTES;
        if (memcmp(key, contents->keys[n], MICRO_KEY_SIZE) != 0 ||
            !workload_value_is(key, key + MICRO_KEY_SIZE, MICRO_VALUE_SIZE)) {
            error(0, 0, "sqlite: wrong bytes");
            return false;
        }
    }
    *ns_out = (double)(micro_thread_ns() - began) / (double)reads;
    return true;
}

static bool read_shard(struct micro_shard *one, const struct contents *contents, uint64_t reads,
                       uint64_t random, double *ns_out)
{
    const uint64_t began = micro_thread_ns();
    for (uint64_t i = 0; i < reads; i++) {
        const uint64_t n = workload_below(&random, contents->count);
        if (!micro_shard_check(one, contents->keys[n], true)) {
            return false;
        }
    }
    *ns_out = (double)(micro_thread_ns() - began) / (double)reads;
    return true;
}

/* Notes the entries of a segment. */
static void walk(const uint8_t *bytes, uint32_t id, uint64_t most, struct contents *contents)
{
    size_t at = 0;
    size_t size;
    while (at < SKV_SEGMENT_BYTES && contents->count < most &&
           (size = skv_segment_entry_bytes(bytes + at, SKV_SEGMENT_BYTES - at)) != 0) {
        contents->places[contents->count] = (uint32_t)skv_place_make(id, at);
        memcpy(contents->keys[contents->count++], bytes + at + SKV_ENTRY_HEADER_BYTES,
               MICRO_KEY_SIZE);
        at += size;
    }
}

/* Reads the whole file: finds out where everything is, and has it in the page cache. */
static bool list_contents(struct bare *bare, uint64_t most, struct contents *contents)
{
    uint8_t bytes[SKV_SEGMENT_BYTES];
    *contents = (struct contents){
        .places = malloc(most * sizeof *contents->places),
        .keys = malloc(most * sizeof *contents->keys),
    };
    if (contents->places == NULL || contents->keys == NULL) {
        error(0, 0, "out of memory");
        return false;
    }
    for (uint32_t id = 1; contents->count < most; id++) {
        if (!check(bare, sqlite3_blob_reopen(bare->blob, id)) ||
            !check(bare, sqlite3_blob_read(bare->blob, bytes, (int)sizeof bytes, 0))) {
            return false;
        }
        walk(bytes, id, most, contents);
    }
    return true;
}

static bool take_turns(struct micro *micro, struct micro_shard *one, struct bare *same,
                       struct bare *own, struct contents *contents)
{
    struct figures *const figures = &micro->figures;
    for (uint64_t turn = 0; turn < TURNS; turn++) {
        const uint64_t random = workload_mix(micro->seed + turn);
        double peek;
        double bare;
        double other;
        if (!read_shard(one, contents, micro->reads, random, &peek) ||
            !read_bare(same, contents, micro->reads, random, &bare) ||
            !read_bare(own, contents, micro->reads, random, &other)) {
            return false;
        }
        figures_add(figures, SECTION, "bare SQLite, the library's VFS", "ns", bare);
        figures_add(figures, SECTION, "bare SQLite, its own VFS", "ns", other);
        figures_add(figures, SECTION, "get that does not promote", "ns", peek);
        figures_add_wanted(figures, SECTION, "get that does not promote : bare, library's VFS",
                           "times", 2.5, peek / bare);
        figures_add(figures, SECTION, "get that does not promote : bare, SQLite's VFS", "times",
                    peek / other);
    }
    return true;
}

static bool measure_peeks(struct micro *micro, double *bare_out)
{
    struct micro_shard one;
    struct bare same;
    struct bare own;
    struct contents contents = {0};
    bool done = false;
    if (!micro_shard_open(&one, micro, micro->cold_entries)) {
        return false;
    }
    if (!micro_shard_fill(&one, micro, micro->cold_entries) || !micro_shard_spill(&one, 0)) {
        goto out_shard;
    }
    const spillkv_counters counters = micro_shard_counters(&one);
    if (!open_bare(&same, one.file, SKV_VFS_NAME, counters.disk_segments)) {
        goto out_shard;
    }
    if (!open_bare(&own, one.file, NULL, counters.disk_segments)) {
        goto out_same;
    }
    done = list_contents(&same, counters.entries_spilled, &contents) &&
           take_turns(micro, &one, &same, &own, &contents) &&
           read_bare(&same, &contents, micro->reads, micro->seed, bare_out);
    free(contents.places);
    free(contents.keys);
    close_bare(&own);
out_same:
    close_bare(&same);
out_shard:
    micro_shard_close(&one);
    return done;
}

/* Gets through the public functions: what is read comes back to RAM, and something leaves it. */
static bool measure_gets(struct micro *micro, struct micro_kv *kv, double bare)
{
    struct figures *const figures = &micro->figures;
    spillkv_stats_data before;
    spillkv_stats_data after;
    uint64_t random = micro->seed;
    if (!micro_kv_fill(kv, micro, micro->cold_entries, MICRO_VALUE_SIZE) ||
        !micro_kv_read(kv, micro, micro->cold_entries, MICRO_VALUE_SIZE, micro->reads, &random) ||
        spillkv_flush(kv->kv) != SPILLKV_OK || !micro_kv_stats(kv, &before)) {
        return false;
    }
    const uint64_t wall = progress_now_ns();
    const uint64_t own = micro_thread_ns();
    const uint64_t cpu = micro_process_ns();
    if (!micro_kv_read(kv, micro, micro->cold_entries, MICRO_VALUE_SIZE, micro->reads, &random)) {
        return false;
    }
    const double reads = (double)micro->reads;
    const double cpu_ns = (double)(micro_process_ns() - cpu) / reads;
    const double own_ns = (double)(micro_thread_ns() - own) / reads;
    const double wall_ns = (double)(progress_now_ns() - wall) / reads;
    if (!micro_kv_stats(kv, &after)) {
        return false;
    }
    const double hits = (double)(after.total.hits - before.total.hits) / reads;
    figures_add(figures, SECTION, "get that promotes, CPU of its thread", "ns", own_ns);
    figures_add(figures, SECTION, "get that promotes, CPU of all threads", "ns", cpu_ns);
    figures_add(figures, SECTION, "get that promotes, duration", "ns", wall_ns);
    figures_add(figures, SECTION, "get that promotes, found in memory", "%", hits * 100);
    figures_add_wanted(figures, SECTION, "get that promotes, its thread : bare, library's VFS",
                       "times", 2.5, own_ns / bare);
    figures_add(figures, SECTION, "get that promotes, all threads : bare, library's VFS", "times",
                cpu_ns / bare);
    return true;
}

bool micro_cold(struct micro *micro)
{
    struct micro_kv kv;
    double bare;
    const uint64_t wanted = micro->cold_entries * MEMORY_PER_ENTRY;
    if (!measure_peeks(micro, &bare) ||
        !micro_kv_open(&kv, micro, wanted > BUDGET_LEAST ? wanted : BUDGET_LEAST)) {
        return false;
    }
    const bool done = measure_gets(micro, &kv, bare);
    return micro_kv_close(&kv) && done;
}
