/* SPDX-License-Identifier: MIT */
#include "ycsb_arguments.h"

#include <error.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "size.h"
#include "workload.h"

#define VALUE_MOST ((uint64_t)16 << 20)
/* A draw is a number of 32 bits with room for inserts above it. */
#define RECORDS_MOST ZIPF_RANKS_MAX

/* Options without a letter. */
enum long_option {
    OPTION_KEY_SIZE = 256,
    OPTION_VALUE_SIZE,
    OPTION_ROOM,
    OPTION_ZIPF,
    OPTION_RATE,
    OPTION_WARM,
    OPTION_LOAD_SECONDS,
    OPTION_LOAD_THREADS,
    OPTION_PAGE_CACHE,
    OPTION_SEED,
    OPTION_JSON
};

static const struct argp_option option_list[] = {
    {"preset", 'P', "NAME", 0,
     "cold (5000000 records of 16 + 100 bytes under 128M), hot (1000000 under 1G: all in RAM) or "
     "large (20000 of 64K under 128M); what follows changes it (cold)",
     1},
    {"records", 'n', "N", 0, "Records to load", 1},
    {"room", OPTION_ROOM, "N", 0, "Records that may be inserted then (100000000)", 1},
    {"key-size", OPTION_KEY_SIZE, "SIZE", 0, "Bytes of a key, 8 to 1024", 1},
    {"value-size", OPTION_VALUE_SIZE, "SIZE", 0, "Bytes of a value", 1},
    {"max-mem", 'm', "SIZE", 0, "Memory for each engine", 1},
    {"seed", OPTION_SEED, "N", 0, "Other records (1)", 1},
    {"mixes", 'x', "LIST", 0,
     "Comma-separated: a, b, c, d, f, uniform, absent, churn, hot, spill (all but the last two)",
     2},
    {"zipf", OPTION_ZIPF, "X", 0, "Exponent of the Zipf law (0.99)", 2},
    {"seconds", 's', "S", 0, "Length of a phase (3)", 2},
    {"warm", OPTION_WARM, "S", 0, "Before the first phase of a mix (1)", 2},
    {"threads", 't', "LIST", 0, "Numbers of threads, each of them for each mix (1,2)", 2},
    {"rate", OPTION_RATE, "N", 0, "Operations a second that are due, of all threads (no limit)", 2},
    {"batch", 'b', "N", 0, "Gets in a call, where a mix only reads and an engine can (1)", 2},
    {"load-threads", OPTION_LOAD_THREADS, "N", 0, "Threads that load (the most of --threads)", 3},
    {"load-seconds", OPTION_LOAD_SECONDS, "S", 0,
     "Stop a load that takes longer, without any mix then (no limit)", 3},
    {"page-cache", OPTION_PAGE_CACHE, "SIZE", 0,
     "Bound the memory of each run, its page cache included, to max-mem and this (no bound; needs "
     "control groups)",
     4},
    {"path", 'p', "DIR", 0, "Where the files go (TMPDIR or /tmp)", 4},
    {"json", OPTION_JSON, NULL, 0, "Write JSON instead of a table", 5},
    {"quiet", 'q', NULL, 0, "No progress", 5},
    {0}};

static double seconds_of(struct argp_state *state, const char *text)
{
    char *end;
    const double seconds = strtod(text, &end);
    if (*end != '\0' || !(seconds >= 0 && seconds <= 1e6)) {
        argp_error(state, "'%s' is not a number from 0 to 1000000", text);
    }
    return seconds;
}

static void set_preset(struct argp_state *state, struct ycsb_options *options, const char *name)
{
    options->key_size = 16;
    options->value_size = 100;
    options->records = 5000000;
    options->max_mem = (uint64_t)128 << 20;
    if (strcmp(name, "hot") == 0) {
        options->records = 1000000;
        options->max_mem = (uint64_t)1 << 30;
    } else if (strcmp(name, "large") == 0) {
        options->records = 20000;
        options->value_size = 65536;
    } else if (strcmp(name, "cold") != 0) {
        argp_error(state, "no preset '%s'", name);
    }
}

static error_t parse_records(int key, char *value, struct argp_state *state)
{
    struct ycsb_options *const options = &((struct ycsb_arguments *)state->input)->options;
    switch (key) {
    case 'P':
        set_preset(state, options, value);
        return 0;
    case 'n':
        options->records = arguments_number(state, value, 1, RECORDS_MOST);
        return 0;
    case OPTION_ROOM:
        options->room = arguments_number(state, value, 0, RECORDS_MOST);
        return 0;
    case OPTION_KEY_SIZE:
        options->key_size = arguments_size(state, value, WORKLOAD_KEY_MIN, WORKLOAD_KEY_MAX);
        return 0;
    case OPTION_VALUE_SIZE:
        options->value_size = arguments_size(state, value, 0, VALUE_MOST);
        return 0;
    case 'm':
        options->max_mem = arguments_size(state, value, 1 << 20, UINT64_C(1) << 40);
        return 0;
    case OPTION_SEED:
        options->seed = arguments_number(state, value, 0, UINT32_MAX);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_phases(int key, char *value, struct argp_state *state)
{
    struct ycsb_options *const options = &((struct ycsb_arguments *)state->input)->options;
    switch (key) {
    case OPTION_ZIPF:
        options->exponent = seconds_of(state, value);
        return 0;
    case OPTION_RATE:
        options->rate = (double)arguments_number(state, value, 1, UINT32_MAX);
        return 0;
    case 's':
        options->seconds = seconds_of(state, value);
        return 0;
    case OPTION_WARM:
        options->warm_seconds = seconds_of(state, value);
        return 0;
    case 'b':
        options->batch = (unsigned)arguments_number(state, value, 1, ENGINE_BATCH_MAX);
        return 0;
    case OPTION_LOAD_THREADS:
        options->load_threads = (unsigned)arguments_number(state, value, 1, CREW_THREADS_MAX);
        return 0;
    case OPTION_LOAD_SECONDS:
        options->load_seconds = seconds_of(state, value);
        return 0;
    case OPTION_PAGE_CACHE:
        options->page_cache = arguments_size(state, value, 1 << 20, UINT64_C(1) << 40);
        return 0;
    default:
        return parse_records(key, value, state);
    }
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct ycsb_arguments *const arguments = state->input;
    switch (key) {
    case 'x':
        arguments->mixes = value;
        return 0;
    case 't':
        arguments->threads = value;
        return 0;
    case 'p':
        arguments->options.folder = value;
        return 0;
    case OPTION_JSON:
        arguments->json = true;
        return 0;
    case 'q':
        arguments->options.quiet = true;
        return 0;
    default:
        return parse_phases(key, value, state);
    }
}

const struct argp ycsb_argp = {.options = option_list, .parser = parse_option};

struct ycsb_arguments ycsb_arguments_default(void)
{
    return (struct ycsb_arguments){
        .options = {.records = 5000000,
                    .room = 100000000,
                    .max_mem = (uint64_t)128 << 20,
                    .seed = 1,
                    .key_size = 16,
                    .value_size = 100,
                    .exponent = 0.99,
                    .seconds = 3,
                    .warm_seconds = 1,
                    .batch = 1},
        .mixes = "c,uniform,absent,b,a,f,d,churn",
        .threads = "1,2",
    };
}

static bool add_mix(void *context, const char *name)
{
    struct ycsb_options *const options = context;
    const struct ycsb_mix *const mix = ycsb_mix_find(name);
    if (mix == NULL || options->mix_count == YCSB_LIST_MAX) {
        error(0, 0, "no mix '%s'", name);
        return false;
    }
    options->mixes[options->mix_count++] = mix;
    return true;
}

static bool add_threads(void *context, const char *text)
{
    struct ycsb_options *const options = context;
    uint64_t number;
    if (!number_parse(text, 1, CREW_THREADS_MAX, &number) ||
        options->thread_count == YCSB_LIST_MAX) {
        error(0, 0, "'%s' is not a number of threads", text);
        return false;
    }
    options->threads[options->thread_count++] = (unsigned)number;
    return true;
}

bool ycsb_arguments_read(struct ycsb_arguments *arguments)
{
    struct ycsb_options *const options = &arguments->options;
    unsigned most = 0;
    if (!arguments_each(arguments->mixes, add_mix, options) ||
        !arguments_each(arguments->threads, add_threads, options)) {
        return false;
    }
    if (options->thread_count == 0) {
        error(0, 0, "no number of threads");
        return false;
    }
    for (unsigned i = 0; i < options->thread_count; i++) {
        most = options->threads[i] > most ? options->threads[i] : most;
    }
    options->load_threads = options->load_threads != 0 ? options->load_threads : most;
    return true;
}
