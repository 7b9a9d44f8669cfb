/* SPDX-License-Identifier: MIT */
/**
 * The same entries through several stores under the same budget, one after the other, round by
 * round. See README.md.
 */
#include <argp.h>
#include <error.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "compare_report.h"
#include "engines.h"
#include "interrupt.h"
#include "progress.h"
#include "workload.h"

#define VALUE_MOST ((uint64_t)16 << 20)

/* Options without a letter. */
enum long_option {
    OPTION_KEY_SIZE = 256,
    OPTION_VALUE_SIZE,
    OPTION_SQLITE_ENTRIES,
    OPTION_SECONDS,
    OPTION_SEED,
    OPTION_JSON
};

static const struct argp_option option_list[] = {
    {"entries", 'n', "N", 0, "Entries to load (10000000)", 1},
    {"key-size", OPTION_KEY_SIZE, "SIZE", 0, "Bytes of a key, 8 to 1024 (16)", 1},
    {"value-size", OPTION_VALUE_SIZE, "SIZE", 0, "Bytes of a value (100)", 1},
    {"reads", 'r', "N", 0, "Entries to read back, uniformly (2000000)", 1},
    {"seed", OPTION_SEED, "N", 0, "Other entries (1)", 1},
    {"max-mem", 'm', "SIZE", 0, "Memory for each engine (256M)", 2},
    {"threads", 't', "N", 0, "Threads that set and get (2)", 2},
    {"path", 'p', "DIR", 0, "Where the files go (TMPDIR or /tmp)", 2},
    {"engines", 'e', "LIST", 0,
     "Engines, comma-separated, the first is compared to the others "
     "(spillkv,sqlite)",
     3},
    {"sqlite-entries", OPTION_SQLITE_ENTRIES, "N", 0, "Entries for sqlite (as many)", 3},
    {"seconds-per-engine", OPTION_SECONDS, "S", 0,
     "Stop an engine's load after three quarters of it, its reads after one (no limit)", 3},
    {"rounds", 'R', "N", 0, "Rounds; medians are shown (1)", 4},
    {"json", OPTION_JSON, NULL, 0, "Write JSON instead of a table", 4},
    {"quiet", 'q', NULL, 0, "No progress", 4},
    {0}};

struct arguments {
    struct compare compare;
    const char *engines;
    uint64_t sqlite_entries; /* 0: as many */
    bool json;
};

static error_t parse_workload(int key, char *value, struct argp_state *state)
{
    struct arguments *const arguments = state->input;
    struct run_options *const run = &arguments->compare.options;
    switch (key) {
    case 'n':
        run->entries = arguments_number(state, value, 1, WORKLOAD_ENTRIES_MAX);
        return 0;
    case OPTION_KEY_SIZE:
        run->key_size = arguments_size(state, value, WORKLOAD_KEY_MIN, WORKLOAD_KEY_MAX);
        return 0;
    case OPTION_VALUE_SIZE:
        run->value_size = arguments_size(state, value, 0, VALUE_MOST);
        return 0;
    case 'r':
        run->reads = arguments_number(state, value, 1, UINT64_C(1) << 40);
        return 0;
    case OPTION_SEED:
        run->seed = arguments_number(state, value, 0, UINT32_MAX);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *const arguments = state->input;
    struct run_options *const run = &arguments->compare.options;
    switch (key) {
    case 'm':
        run->max_mem = arguments_size(state, value, 1 << 20, UINT64_C(1) << 40);
        return 0;
    case 't':
        run->threads = (unsigned)arguments_number(state, value, 1, CREW_THREADS_MAX);
        return 0;
    case 'p':
        run->folder = value;
        return 0;
    case 'e':
        arguments->engines = value;
        return 0;
    case OPTION_SQLITE_ENTRIES:
        arguments->sqlite_entries = arguments_number(state, value, 1, WORKLOAD_ENTRIES_MAX);
        return 0;
    case OPTION_SECONDS:
        run->seconds = (double)arguments_number(state, value, 1, 1000000);
        return 0;
    case 'R':
        arguments->compare.rounds = (unsigned)arguments_number(state, value, 1, MEDIAN_MAX);
        return 0;
    case OPTION_JSON:
        arguments->json = true;
        return 0;
    case 'q':
        run->quiet = true;
        return 0;
    default:
        return parse_workload(key, value, state);
    }
}

/* Adds a column for the engine of that name, unless it cannot be used here; false after a message
 * when there is none. */
static bool add_engine(void *context, const char *name)
{
    struct arguments *const arguments = context;
    struct compare *const compare = &arguments->compare;
    const struct engine *engine;
    const enum engines_found found = engines_find(name, &engine);
    if (found == ENGINES_FOUND && compare->columns == COMPARE_ENGINES_MAX) {
        error(0, 0, "more than %u engines", COMPARE_ENGINES_MAX);
        return false;
    }
    if (found == ENGINES_FOUND) {
        const bool fewer = engine == &engine_sqlite && arguments->sqlite_entries != 0;
        struct compare_column *const column = &compare->column[compare->columns++];
        column->engine = engine;
        column->entries = fewer ? arguments->sqlite_entries : compare->options.entries;
    }
    return found != ENGINES_UNKNOWN;
}

static bool run_rounds(struct compare *compare)
{
    for (unsigned round = 0; round < compare->rounds; round++) {
        for (unsigned c = 0; c < compare->columns; c++) {
            struct compare_column *const column = &compare->column[c];
            struct run_options options = compare->options;
            options.entries = column->entries;
            options.seed += round;
            if (!options.quiet) {
                progress_say("round %u of %u: %s", round + 1, compare->rounds,
                             column->engine->name);
            }
            if (!run_engine(column->engine, &options, &column->rounds[round])) {
                error(0, 0, "%s did not get to the end", column->engine->name);
                return false;
            }
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = option_list,
        .parser = parse_option,
        .doc = "Compares spillkv with other stores: the same load and the same reads under the "
               "same budget of memory.",
    };
    static struct arguments arguments = {
        .compare = {.options = {.entries = 10000000,
                                .reads = 2000000,
                                .max_mem = (uint64_t)256 << 20,
                                .seed = 1,
                                .key_size = 16,
                                .value_size = 100,
                                .threads = 2},
                    .rounds = 1},
        .engines = "spillkv,sqlite",
    };
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    interrupt_catch();
    if (!arguments_each(arguments.engines, add_engine, &arguments) ||
        arguments.compare.columns == 0) {
        return EXIT_FAILURE;
    }
    if (!run_rounds(&arguments.compare)) {
        return EXIT_FAILURE;
    }
    if (!arguments.json) {
        compare_print(stdout, &arguments.compare);
    } else if (!compare_print_json(stdout, &arguments.compare)) {
        error(0, 0, "cannot write the report");
        return EXIT_FAILURE;
    }
    return compare_verified(&arguments.compare) ? EXIT_SUCCESS : EXIT_FAILURE;
}
