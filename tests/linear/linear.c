/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. Rounds, each with a store whose memory holds a part of a hundred keys: threads call it at
 * random (play.c) while it spills, reads back and compacts, then the history of every key must have
 * an order (support/linear_check.h). The disk yields the processor in the middle of reads and
 * writes, which is where others may come between.
 *
 * Linked with a library in which a fault was planted it proves itself: then a history without an
 * order is what it looks for.
 */
#include <argp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "arguments.h"
#include "interrupt.h"
#include "linear/play.h"
#include "scratch.h"
#include "support/fault_vfs.h"
#include "support/model.h"

#define THREADS          5u
#define ROUND_OPERATIONS 50000u
/* A little more than a store takes by itself: it holds some 30 of the keys. */
#define LEAST_MEM   ((uint64_t)688 << 10)
#define MINUTES_MAX 1000000u
/* One call in so many may be refused, at most. */
#define REFUSED_CALLS 250000u
/* Calls of which so many cross the tiers, at least, or the run proves little. */
#define CROSSING_CALLS 100u

struct arguments {
    uint64_t operations;
    uint64_t minutes;
    uint64_t seed;
    bool forever;
    bool expects_failure;
};

struct totals {
    uint64_t operations;
    uint64_t recorded;
    uint64_t refused;   /* calls that came to SPILLKV_EFULL */
    uint64_t failures;  /* calls that failed else, values that were never set */
    uint64_t unordered; /* keys whose history has no order */
    uint64_t rounds;
    spillkv_counters counters;
};

static void choose_store(uint64_t *random, spillkv_options *options, const char *path)
{
    const uint64_t dice = model_random(random);
    spillkv_options_init(options);
    options->path = path;
    options->shards = 1 + (uint32_t)(dice % 2);
    options->policy = (spillkv_policy)(dice / 2 % 4);
    options->spillers = 1 + (uint32_t)(dice / 8 % 2);
    options->max_mem = (uint64_t)options->shards * LEAST_MEM + (dice / 16 % 4) * (24 << 10);
    options->hash_seed = 1 + dice / 64 % 1000;
    /* One in four with the library's own VFS, which knows shorter ways to read. */
    options->sqlite_vfs = dice / 4194304 % 4 != 0 ? FAULT_VFS_NAME : NULL;
    fault_vfs_set_yield(1u << (dice / 65536 % 6));
}

static void add_counters(struct totals *totals, spillkv *kv)
{
    spillkv_stats_data stats;
    if (spillkv_stats(kv, &stats) == SPILLKV_OK) {
        totals->counters.spills += stats.total.spills;
        totals->counters.promotions += stats.total.promotions;
        totals->counters.spilled_reads += stats.total.spilled_reads;
        totals->counters.clean_evictions += stats.total.clean_evictions;
        totals->counters.compactions += stats.total.compactions;
    }
}

static void run_players(struct player *players)
{
    pthread_t threads[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        const int failure = pthread_create(&threads[i], NULL, player_run, &players[i]);
        if (failure != 0) {
            (void)fprintf(stderr, "cannot start a thread: %s\n", strerror(failure));
            abort();
        }
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    player_look_at_all(&players[0]);
}

/* Adds what it came to; false after a message when there was no store. */
static bool play_round(uint64_t *random, const char *path, uint64_t operations,
                       struct totals *totals)
{
    spillkv_options options;
    struct play play = {.operations = operations};
    struct player players[THREADS];
    struct history_log logs[THREADS];
    choose_store(random, &options, path);
    play.max_mem = options.max_mem;
    const spillkv_status opened = spillkv_open(&options, &play.kv);
    if (opened != SPILLKV_OK) {
        (void)fprintf(stderr, "open with %llu bytes: %s\n", (unsigned long long)options.max_mem,
                      spillkv_strerror(opened));
        return false;
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        player_init(&players[i], &play, i, model_random(random));
    }
    run_players(players);
    for (uint32_t i = 0; i < THREADS; i++) {
        logs[i] = players[i].log;
        totals->recorded += logs[i].count;
    }
    totals->failures += atomic_load(&play.failures);
    totals->refused += atomic_load(&play.refused);
    totals->unordered += history_check(logs, THREADS, PLAY_KEYS);
    totals->operations += operations;
    totals->rounds++;
    for (uint32_t i = 0; i < THREADS; i++) {
        player_fini(&players[i]);
    }
    add_counters(totals, play.kv);
    return spillkv_close(play.kv) == SPILLKV_OK;
}

static bool goes_on(const struct arguments *arguments, const struct totals *totals, time_t began)
{
    if (interrupt_seen() || totals->failures + totals->unordered != 0) {
        return false;
    }
    if (arguments->forever) {
        return true;
    }
    return arguments->minutes != 0 ? time(NULL) - began < (time_t)arguments->minutes * 60
                                   : totals->operations < arguments->operations;
}

static bool crosses_tiers(const struct totals *totals)
{
    const spillkv_counters *const counters = &totals->counters;
    const uint64_t least = totals->operations / CROSSING_CALLS;
    return counters->spills >= least && counters->promotions >= least &&
           counters->clean_evictions >= least / 10 && counters->compactions >= least / 100;
}

static void tell(const struct totals *totals)
{
    const spillkv_counters *const counters = &totals->counters;
    printf("%llu rounds, %llu calls, %llu operations on keys; %llu entries spilled, %llu read from "
           "disk, %llu came back, %llu left without a write, %llu segments compacted; %llu "
           "refused, %llu failures, %llu keys without an order\n",
           (unsigned long long)totals->rounds, (unsigned long long)totals->operations,
           (unsigned long long)totals->recorded, (unsigned long long)counters->spills,
           (unsigned long long)counters->spilled_reads, (unsigned long long)counters->promotions,
           (unsigned long long)counters->clean_evictions, (unsigned long long)counters->compactions,
           (unsigned long long)totals->refused, (unsigned long long)totals->failures,
           (unsigned long long)totals->unordered);
    (void)fflush(stdout);
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct arguments *const arguments = state->input;
    switch (key) {
    case 'o':
        arguments->operations = arguments_number(state, text, 1, UINT32_MAX);
        return 0;
    case 'm':
        arguments->minutes = arguments_number(state, text, 1, MINUTES_MAX);
        return 0;
    case 'f':
        arguments->forever = true;
        return 0;
    case 's':
        arguments->seed = arguments_number(state, text, 0, UINT32_MAX);
        return 0;
    case 'x':
        arguments->expects_failure = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options_table[] = {
    {"operations", 'o', "N", 0, "Make so many calls; default 1000000", 0},
    {"minutes", 'm', "N", 0, "Go on for so long", 0},
    {"forever", 'f', NULL, 0, "Go on until interrupted", 0},
    {"seed", 's', "N", 0, "Choose another run", 0},
    {"expect-failure", 'x', NULL, 0, "Succeed only if a history without an order is found", 0},
    {0},
};

int main(int count, char **words)
{
    struct arguments arguments = {.operations = 1000000, .seed = 1};
    struct totals totals = {0};
    const struct argp parser = {
        .options = options_table,
        .parser = parse_option,
        .doc = "Calls stores from many threads and checks that what each thread saw can be "
               "explained by calls that happen one after the other.",
    };
    (void)argp_parse(&parser, count, words, 0, NULL, &arguments);
    interrupt_catch();
    fault_vfs_register();
    uint64_t random = model_seed("linear", arguments.seed);
    const time_t began = time(NULL);
    char *const scratch = scratch_make(NULL);
    char path[4096];
    if (scratch == NULL) {
        return 1;
    }
    (void)snprintf(path, sizeof(path), "%s/store", scratch);
    bool right = true;
    while (right && goes_on(&arguments, &totals, began)) {
        right = play_round(&random, path, ROUND_OPERATIONS, &totals);
        if (totals.rounds % 20 == 0) {
            tell(&totals);
        }
    }
    scratch_remove(scratch);
    tell(&totals);
    if (arguments.expects_failure) {
        puts(totals.unordered != 0 ? "caught, as it should be" : "NOT CAUGHT");
        return totals.unordered != 0 ? 0 : 1;
    }
    if (!crosses_tiers(&totals)) {
        puts("the run proves little: too few calls crossed the tiers");
        right = false;
    }
    if (totals.refused > 1 + totals.operations / REFUSED_CALLS) {
        puts("too many calls were refused for want of memory");
        right = false;
    }
    return right && totals.failures + totals.unordered == 0 ? 0 : 1;
}
