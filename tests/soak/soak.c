/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. Rounds, each with a store of another kind (one in eight without a disk), another policy,
 * number of shards and max_mem that holds a small part of the entries. Threads set, get, delete and
 * pin, one key or several, waiting or not, iterate, clear and change the limit while faults are
 * switched on and off; every answer is compared with the reference at once. A call may fail only if
 * something was made to fail while it ran. At the end of a round nothing fails any more: flushing
 * must succeed, all keys must be there, the invariants must hold, and closing must leave nothing.
 *
 * Linked with the library's objects, for its allocations to fail and its invariants to be checked.
 */
#include <argp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "arguments.h"
#include "engine/engine.h"
#include "interrupt.h"
#include "scratch.h"
#include "size.h"
#include "soak/reference.h"
#include "soak/trouble.h"
#include "support/alloc_faults.h"
#include "support/fault_vfs.h"
#include "support/memory.h"
#include "support/model.h"

#define NUMBERS     60000u
#define PLAYERS     3
#define ROUND_MS    20000
#define LINE_MS     60000
#define LOOK_MS     1000
#define LOG_LINES   20
#define LOG_COLUMNS 256
#define MINUTES_MAX 100000

struct soak {
    struct reference reference;
    uint64_t random;
    uint64_t most_ms;     /* when to end */
    uint64_t ran_ms;      /* time, as far as the process was not stopped */
    uint64_t looked_ms;   /* at the clock, last */
    uint64_t lines;       /* one for each minute */
    unsigned rounds;      /* that are over */
    uint64_t spills;      /* entries, in these */
    uint64_t promotions;  /* the same */
    uint64_t compactions; /* the same, segments */
    atomic_uint_fast64_t faults;
    char *scratch;
    char path[4096];  /* of the store in it */
    atomic_bool over; /* the round */
    pthread_mutex_t log_lock;
    char log[LOG_LINES][LOG_COLUMNS]; /* the latest messages of stores */
    unsigned logged;
};

/* Time goes on; who was stopped for longer than LOOK_MS has not run. */
static void look_at_clock(struct soak *soak)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    const uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    const uint64_t passed = soak->looked_ms == 0 ? 0 : now_ms - soak->looked_ms;
    soak->ran_ms += passed < LOOK_MS ? passed : LOOK_MS;
    soak->looked_ms = now_ms;
}

static uint32_t dice(struct soak *soak, uint32_t sides)
{
    return (uint32_t)(model_random(&soak->random) % sides);
}

/* What the threads do. */

struct player {
    struct soak *soak;
    pthread_t thread;
    struct reference_room room;
    struct reference_seen *seen;
    uint64_t max_mem; /* of the manager: what the store was opened with */
};

/* Two in three among a tenth of the keys. */
static uint32_t any_number(struct reference_room *room)
{
    return reference_dice(room, 3) != 0 ? reference_dice(room, NUMBERS / 10)
                                        : reference_dice(room, NUMBERS);
}

typedef void one_call(struct reference *reference, struct reference_room *room, uint32_t number);

/** What one call in a hundred is. */
static one_call *call_of_kind(uint32_t kind)
{
    static const struct {
        uint32_t below;
        one_call *call;
    } kinds[] = {
        {30, reference_set},        {50, reference_get},      {60, reference_get_copy},
        {64, reference_get_little}, {70, reference_del},      {75, reference_has},
        {85, reference_pin},        {92, reference_get_many}, {98, reference_set_many},
        {100, reference_del_many},
    };

    size_t i = 0;
    while (kind >= kinds[i].below) {
        i++;
    }
    return kinds[i].call;
}

static void *play(void *context)
{
    struct player *const player = context;
    struct reference *const reference = &player->soak->reference;
    struct reference_room *const room = &player->room;
    while (!atomic_load_explicit(&player->soak->over, memory_order_relaxed)) {
        const uint32_t kind = reference_dice(room, 100);
        const uint32_t number = any_number(room);
        call_of_kind(kind)(reference, room, number);
    }
    reference_unpin_all(reference, room);
    return NULL;
}

static void change_limit(struct player *player)
{
    struct reference *const reference = &player->soak->reference;
    const uint64_t epoch = atomic_load(&reference->epoch);
    const uint64_t percent = 70 + reference_dice(&player->room, 100);
    reference_judge(reference, "set_max_mem",
                    spillkv_set_max_mem(reference->kv, player->max_mem * percent / 100), epoch);
}

static void ask_for_counters(struct reference *reference)
{
    spillkv_stats_data stats;
    spillkv_counters counters;
    uint64_t count = 0;
    const uint64_t epoch = atomic_load(&reference->epoch);
    reference_judge(reference, "stats", spillkv_stats(reference->kv, &stats), epoch);
    reference_judge(reference, "shard_stats", spillkv_shard_stats(reference->kv, 0, &counters),
                    epoch);
    reference_judge(reference, "count", spillkv_count(reference->kv, &count), epoch);
    if (count > NUMBERS + PLAYERS * REFERENCE_BATCH) {
        reference_complain(reference, "count: %llu", (unsigned long long)count);
    }
}

static void ask_for_advice(struct reference *reference)
{
    spillkv_advice advice;
    const uint64_t epoch = atomic_load(&reference->epoch);
    reference_judge(reference, "advise", spillkv_advise(reference->kv, &advice), epoch);
    const uint64_t estimates[] = {advice.hits, advice.hits_half, advice.hits_twice,
                                  advice.hits_four};
    for (size_t i = 0; i < sizeof(estimates) / sizeof(estimates[0]); i++) {
        if (estimates[i] > advice.gets) {
            reference_complain(reference, "advise: %llu hits of %llu gets",
                               (unsigned long long)estimates[i], (unsigned long long)advice.gets);
        }
    }
}

static void *manage(void *context)
{
    struct player *const player = context;
    struct reference *const reference = &player->soak->reference;
    const struct timespec pause = {.tv_nsec = 20000000};
    while (!atomic_load_explicit(&player->soak->over, memory_order_relaxed)) {
        const uint32_t kind = reference_dice(&player->room, 100);
        const uint64_t epoch = atomic_load(&reference->epoch);
        if (kind < 30) {
            reference_judge(reference, "flush", spillkv_flush(reference->kv), epoch);
        } else if (kind < 50) {
            ask_for_counters(reference);
        } else if (kind < 60) {
            ask_for_advice(reference);
        } else if (kind < 90) {
            change_limit(player);
        } else if (kind < 99) {
            reference_each(reference, player->seen);
        } else {
            reference_clear(reference);
        }
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

/* A round. */

/* What the store says matters when an answer is wrong. */
static void write_log(void *context, spillkv_log_level level, const char *message)
{
    struct soak *const soak = context;
    (void)level;
    (void)pthread_mutex_lock(&soak->log_lock);
    (void)snprintf(soak->log[soak->logged++ % LOG_LINES], LOG_COLUMNS, "%s", message);
    (void)pthread_mutex_unlock(&soak->log_lock);
}

static void tell_log(struct soak *soak)
{
    for (unsigned i = soak->logged > LOG_LINES ? soak->logged - LOG_LINES : 0; i < soak->logged;
         i++) {
        (void)fprintf(stderr, "log %u: %s\n", i, soak->log[i % LOG_LINES]);
    }
}

static void choose_store(struct soak *soak, spillkv_options *options)
{
    struct reference *const reference = &soak->reference;
    /* The first one spills, for those who look at one only. */
    const uint32_t kind = soak->rounds == 0 ? 15 : dice(soak, 16);
    const uint32_t shards = 1u << dice(soak, 4);
    spillkv_options_init(options);
    options->path = kind < 2 ? NULL : soak->path;
    options->on_full = kind == 0 ? SPILLKV_FULL_DROP : SPILLKV_FULL_FAIL;
    options->shards = shards;
    options->spillers = 1 + dice(soak, 3);
    options->policy = (spillkv_policy)dice(soak, 4);
    options->max_mem = ((uint64_t)(4 + shards * 3 / 2) << 20) + ((uint64_t)dice(soak, 8) << 20);
    /* One in four by the library's own VFS, which reads past SQLite: only memory fails then. */
    options->sqlite_vfs = soak->rounds % 4 == 3 ? NULL : FAULT_VFS_NAME;
    options->log = write_log;
    options->log_context = soak;
    reference->drops = kind == 0;
    reference->refuses = kind == 1;
    reference->spills = options->path != NULL;
}

static void add_counters(struct soak *soak)
{
    spillkv_stats_data stats;
    if (spillkv_stats(soak->reference.kv, &stats) == SPILLKV_OK) {
        soak->spills += stats.total.spills;
        soak->promotions += stats.total.promotions;
        soak->compactions += stats.total.compactions;
    }
}

/* A line a minute. */
static void tell(struct soak *soak)
{
    struct reference *const reference = &soak->reference;
    char rss[SIZE_TEXT];
    char disk[SIZE_TEXT];
    printf(
        "%llu min: %u rounds, %llu operations, %llu faults, %llu calls refused, %llu would block, "
        "RSS %s, disk %s, %llu errors\n",
        (unsigned long long)(soak->ran_ms / LINE_MS), soak->rounds,
        (unsigned long long)atomic_load(&reference->operations),
        (unsigned long long)atomic_load(&soak->faults),
        (unsigned long long)atomic_load(&reference->refused),
        (unsigned long long)atomic_load(&reference->blocked), size_format(resident_bytes(), rss),
        size_format(scratch_bytes(soak->path), disk),
        (unsigned long long)atomic_load(&reference->wrong));
    (void)fflush(stdout);
}

static void wait_for_the_end_of_the_round(struct soak *soak)
{
    const struct timespec time = {.tv_nsec = 50000000};
    const uint64_t end =
        soak->ran_ms + ROUND_MS < soak->most_ms ? soak->ran_ms + ROUND_MS : soak->most_ms;
    while (soak->ran_ms < end && !interrupt_seen()) {
        (void)nanosleep(&time, NULL);
        look_at_clock(soak);
        if (soak->ran_ms / LINE_MS > soak->lines) {
            soak->lines = soak->ran_ms / LINE_MS;
            tell(soak);
        }
    }
}

static void start(pthread_t *thread, void *(*function)(void *), void *context)
{
    const int failure = pthread_create(thread, NULL, function, context);
    if (failure != 0) {
        (void)fprintf(stderr, "cannot start a thread: %s\n", strerror(failure));
        abort();
    }
}

static void run_threads(struct soak *soak, uint64_t max_mem)
{
    struct player players[PLAYERS + 1];
    struct trouble trouble = {.epoch = &soak->reference.epoch,
                              .faults = &soak->faults,
                              .over = &soak->over,
                              .random = model_random(&soak->random)};
    pthread_t thread;
    atomic_store(&soak->over, false);
    for (unsigned i = 0; i <= PLAYERS; i++) {
        players[i] = (struct player){.soak = soak, .max_mem = max_mem};
        reference_room_init(&players[i].room, model_random(&soak->random));
        players[i].seen = i == PLAYERS ? calloc(NUMBERS, sizeof(struct reference_seen)) : NULL;
        start(&players[i].thread, i == PLAYERS ? manage : play, &players[i]);
    }
    start(&thread, trouble_run, &trouble);
    wait_for_the_end_of_the_round(soak);
    atomic_store(&soak->over, true);
    for (unsigned i = 0; i <= PLAYERS; i++) {
        (void)pthread_join(players[i].thread, NULL);
        reference_room_fini(&players[i].room);
        free(players[i].seen);
    }
    (void)pthread_join(thread, NULL);
}

/* Everything is well again: nothing may fail, nothing be missing. */
static void check_all(struct soak *soak)
{
    struct reference *const reference = &soak->reference;
    struct reference_room room;
    const uint64_t epoch = atomic_load(&reference->epoch);
    reference_room_init(&room, soak->random);
    reference_judge(reference, "flush at the end", spillkv_flush(reference->kv), epoch);
    if (atomic_load(&reference->wrong) != 0) {
        (void)fputs("at the end of the round:\n", stderr);
    }
    reference_verify(reference, &room);
    (void)skv_engine_check(reference->kv);
    reference_room_fini(&room);
}

static bool play_round(struct soak *soak)
{
    spillkv_options options;
    spillkv *kv;
    struct reference *const reference = &soak->reference;
    choose_store(soak, &options);
    const spillkv_status opened = spillkv_open(&options, &kv);
    if (opened != SPILLKV_OK) {
        (void)fprintf(stderr, "open: %s\n", spillkv_strerror(opened));
        return false;
    }
    reference_reset(reference, kv);
    run_threads(soak, options.max_mem);
    check_all(soak);
    add_counters(soak);
    const spillkv_status closed = spillkv_close(kv);
    struct stat about;
    if (closed != SPILLKV_OK || stat(soak->path, &about) == 0) {
        reference_complain(reference, "close: %s", spillkv_strerror(closed));
    }
    soak->rounds++;
    return atomic_load(&reference->wrong) == 0;
}

/* Arguments. */

struct arguments {
    uint64_t minutes;
    uint64_t seed;
    const char *directory;
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct arguments *const arguments = state->input;
    switch (key) {
    case 's':
        arguments->seed = arguments_number(state, text, 0, UINT32_MAX);
        return 0;
    case 'd':
        arguments->directory = text;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0) {
            return ARGP_ERR_UNKNOWN;
        }
        arguments->minutes = arguments_number(state, text, 0, MINUTES_MAX);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options_table[] = {
    {"seed", 's', "N", 0, "Choose another run", 0},
    {"directory", 'd', "DIR", 0, "Put the files there instead of TMPDIR or /tmp", 0},
    {0},
};

int main(int count, char **words)
{
    static struct soak soak = {.log_lock = PTHREAD_MUTEX_INITIALIZER};
    struct arguments arguments = {.minutes = 0, .seed = 1};
    const struct argp parser = {
        .options = options_table,
        .parser = parse_option,
        .args_doc = "MINUTES",
        .doc = "Uses stores in every way for MINUTES (0: one round) while disk and memory fail now "
               "and then, and compares every answer with what it must be.",
    };
    (void)argp_parse(&parser, count, words, 0, NULL, &arguments);
    if (!alloc_faults_watch_sqlite()) {
        (void)fputs("SQLite does not let its memory be watched\n", stderr);
        return 1;
    }
    interrupt_catch();
    alloc_faults_watch_ours();
    fault_vfs_register();
    soak.random = model_seed("soak", arguments.seed);
    soak.scratch = scratch_make(arguments.directory);
    if (soak.scratch == NULL) {
        return 1;
    }
    (void)snprintf(soak.path, sizeof(soak.path), "%s/store", soak.scratch);
    reference_init(&soak.reference, NUMBERS);
    soak.most_ms = arguments.minutes == 0 ? ROUND_MS : arguments.minutes * LINE_MS;
    bool right = true;
    look_at_clock(&soak);
    while (right && soak.ran_ms < soak.most_ms && !interrupt_seen()) {
        right = play_round(&soak);
        look_at_clock(&soak);
    }
    tell(&soak);
    printf("%llu entries spilled, %llu came back, %llu disk segments compacted\n",
           (unsigned long long)soak.spills, (unsigned long long)soak.promotions,
           (unsigned long long)soak.compactions);
    if (!right) {
        tell_log(&soak);
    }
    puts(right ? "nothing lost, nothing wrong" : "FAILED");
    reference_fini(&soak.reference);
    scratch_remove(soak.scratch);
    return right ? 0 : 1;
}
