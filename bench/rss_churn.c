/* SPDX-License-Identifier: MIT */
#include "rss_churn.h"

#include <math.h>
#include <string.h>

#include "workload.h"

/* Keys beyond what fits: so many times as many. */
#define KEYS_SHARE 2.0
/* What an entry takes beside key and value, about. */
#define ENTRY_BESIDE 24.0
/* A slot takes some 10 bytes: of so much memory one may be used for a key. */
#define KEY_MEMORY 32u

static const struct churn churns[] = {
    {"fixed", 2, {{"100 B", 100, 100, 0, 0, 0}, {"100 B again", 100, 100, 0, 0, 0}}},
    {"mixed",
     3,
     {{"16 B - 4 KB", 16, 4096, true, 0, 0},
      {"16 B - 4 KB again", 16, 4096, true, 0, 0},
      {"16 B - 4 KB evenly", 16, 4096, false, 0, 0}}},
    {"grow-shrink",
     8,
     {{"16 B", 16, 16, 0, 0, 0},
      {"4 KB", 4096, 4096, 0, 0, 0},
      {"100 B", 100, 100, 0, 0, 0},
      {"16 - 64 B", 16, 64, 0, 0, 0},
      {"3 - 5 KB", 3072, 5120, 0, 0, 0},
      {"60 - 140 B", 60, 140, 0, 0, 0},
      {"0.5 - 2.5 KB", 512, 2560, 0, 0, 0},
      {"16 B - 5 KB", 16, 5120, 0, 0, 0}}},
    {"reinsert",
     5,
     {{"64 - 512 B", 64, 512, 0, 0, 0},
      {"delete, reinsert", 64, 512, false, true, 0},
      {"half gone, 16 - 64 B", 16, 64, false, true, 0.5},
      {"to and fro, 1 - 4 KB", 1024, 4096, false, true, 0},
      {"9 of 10 gone, refill", 64, 512, false, false, 0.9}}},
};

#define CHURNS (sizeof churns / sizeof *churns)

const struct churn *churn_find(const char *name)
{
    for (size_t i = 0; i < CHURNS; i++) {
        if (strcmp(churns[i].name, name) == 0) {
            return &churns[i];
        }
    }
    return NULL;
}

const struct churn *churn_number(unsigned number)
{
    return &churns[number];
}

unsigned churn_count(void)
{
    return CHURNS;
}

static double mean_size(const struct churn_phase *phase)
{
    const double least = phase->least;
    const double most = phase->most;
    return phase->by_ratio ? (most - least) / log(most / least) : (least + most) / 2;
}

uint64_t churn_keys(const struct churn_phase *phase, uint64_t max_mem)
{
    const double each = CHURN_KEY_SIZE + mean_size(phase) + ENTRY_BESIDE;
    const uint64_t wanted = (uint64_t)(KEYS_SHARE * (double)max_mem / each);
    const uint64_t most = max_mem / KEY_MEMORY;
    return wanted < most ? wanted : most;
}

uint64_t churn_operations(const struct churn_phase *phase, uint64_t max_mem, double factor)
{
    const double sets = factor * (double)max_mem / (CHURN_KEY_SIZE + mean_size(phase));
    return (uint64_t)(phase->toggles ? 2 * sets : sets) + 1;
}

/* The number that all of a value follows from. */
static uint64_t stamp_of(const uint8_t *key, struct churn_mark mark)
{
    uint64_t word;
    memcpy(&word, key, sizeof word);
    return workload_mix(word ^ ((uint64_t)mark.phase << 8 | mark.version));
}

static size_t size_of(const struct churn_phase *phase, uint64_t stamp)
{
    const double part = (double)(workload_mix(stamp) >> 11) * 0x1p-53;
    if (phase->by_ratio) {
        return (size_t)(phase->least * exp(part * log((double)phase->most / phase->least)));
    }
    return phase->least + (size_t)(part * (phase->most - phase->least + 1));
}

size_t churn_value(const struct churn *churn, const uint8_t *key, struct churn_mark mark,
                   uint8_t *value)
{
    const uint64_t stamp = stamp_of(key, mark);
    const size_t size = size_of(&churn->phases[mark.phase - 1], stamp);
    workload_value((const uint8_t *)&stamp, value, size);
    return size;
}

bool churn_value_is(const struct churn *churn, const uint8_t *key, struct churn_mark mark,
                    const uint8_t *value, size_t size)
{
    const uint64_t stamp = stamp_of(key, mark);
    return size == size_of(&churn->phases[mark.phase - 1], stamp) &&
           workload_value_is((const uint8_t *)&stamp, value, size);
}
