/* SPDX-License-Identifier: MIT */
/**
 * Everything stays in memory: a get against a pin, by size of the value, by one thread. Each is
 * measured twice: with the beginning of the value verified, and with all of it.
 */
#include <error.h>

#include "micro.h"
#include "micro_kv.h"
#include "workload.h"

#define SECTION "pin"
/* Bytes of the values of one size: more than the processor's caches hold. */
#define VALUE_BYTES ((uint64_t)128 << 20)
#define VALUE_MOST  ((size_t)64 << 10)
/* Bytes read, at most, for one figure, and reads at least. */
#define READ_BYTES  ((uint64_t)1 << 30)
#define READS_LEAST UINT64_C(10000)

static uint8_t buffer[VALUE_MOST];

struct pin_run {
    spillkv *kv;
    uint64_t seed;
    uint64_t entries;
    size_t value_size;
    bool verifies; /* all of the value, else only its first word */
};

static bool is_right(const struct pin_run *run, const uint8_t *key, const uint8_t *value,
                     size_t size)
{
    return size == run->value_size &&
           (run->verifies ? workload_value_is(key, value, size)
                          : workload_value_is(key, value, sizeof(uint64_t)));
}

static bool get_one(const struct pin_run *run, const uint8_t *key)
{
    size_t size;
    return spillkv_get(run->kv, key, MICRO_KEY_SIZE, buffer, sizeof buffer, &size) == SPILLKV_OK &&
           is_right(run, key, buffer, size);
}

static bool pin_one(const struct pin_run *run, const uint8_t *key)
{
    spillkv_pinned pinned;
    if (spillkv_pin(run->kv, key, MICRO_KEY_SIZE, &pinned) != SPILLKV_OK) {
        return false;
    }
    const bool right = is_right(run, key, pinned.value, pinned.value_size);
    return spillkv_unpin(run->kv, &pinned) == SPILLKV_OK && right;
}

/* Nanoseconds of one read; negative after a message. */
static double measure(const struct pin_run *run,
                      bool (*read_one)(const struct pin_run *run, const uint8_t *key))
{
    uint8_t key[MICRO_KEY_SIZE];
    uint64_t random = run->seed;
    const uint64_t most = READ_BYTES / run->value_size;
    const uint64_t wanted = 2 * run->entries > READS_LEAST ? 2 * run->entries : READS_LEAST;
    const uint64_t reads = wanted < most ? wanted : most;
    const uint64_t began = micro_thread_ns();
    for (uint64_t i = 0; i < reads; i++) {
        workload_key(run->seed, workload_below(&random, run->entries), key, sizeof key);
        if (!read_one(run, key)) {
            error(0, 0, "pin: a value is missing or wrong");
            return -1;
        }
    }
    return (double)(micro_thread_ns() - began) / (double)reads;
}

static bool fill(const struct pin_run *run)
{
    uint8_t key[MICRO_KEY_SIZE];
    for (uint64_t i = 0; i < run->entries; i++) {
        workload_key(run->seed, i, key, sizeof key);
        workload_value(key, buffer, run->value_size);
        if (spillkv_set(run->kv, key, sizeof key, buffer, run->value_size) != SPILLKV_OK) {
            error(0, 0, "pin: set failed");
            return false;
        }
    }
    return true;
}

/* What is measured of one size. */
struct pin_names {
    size_t value_size;
    const char *get;
    const char *pin;
    const char *get_verified;
    const char *pin_verified;
};

static bool measure_size(struct micro *micro, const struct pin_names *names)
{
    struct micro_kv kv;
    const uint64_t most = VALUE_BYTES / names->value_size;
    struct pin_run run = {
        .seed = micro->seed,
        .entries = most < micro->hot_entries ? most : micro->hot_entries,
        .value_size = names->value_size,
    };
    if (!micro_kv_open(&kv, micro, 4 * VALUE_BYTES)) {
        return false;
    }
    run.kv = kv.kv;
    bool done = fill(&run);
    for (int pass = 0; pass < 4 && done; pass++) {
        const bool pins = pass % 2 != 0;
        run.verifies = pass >= 2;
        const double ns = measure(&run, pins ? pin_one : get_one);
        const char *const name = pass < 2 ? (pins ? names->pin : names->get)
                                          : (pins ? names->pin_verified : names->get_verified);
        done = ns >= 0;
        if (done) {
            figures_add(&micro->figures, SECTION, name, "ns", ns);
        }
    }
    return micro_kv_close(&kv) && done;
}

bool micro_pin(struct micro *micro)
{
    static const struct pin_names sizes[] = {
        {100, "get, 100 B", "pin and unpin, 100 B", "get, 100 B, verified", "pin, 100 B, verified"},
        {4096, "get, 4 KB", "pin and unpin, 4 KB", "get, 4 KB, verified", "pin, 4 KB, verified"},
        {65536, "get, 64 KB", "pin and unpin, 64 KB", "get, 64 KB, verified",
         "pin, 64 KB, verified"},
    };

    bool done = true;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && done; i++) {
        done = measure_size(micro, &sizes[i]);
    }
    return done;
}
