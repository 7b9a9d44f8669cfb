/* SPDX-License-Identifier: MIT */
/**
 * Does resident memory stay within max_mem, whatever the sizes of the entries do? See README.md.
 */
#include <argp.h>
#include <error.h>
#include <stdlib.h>
#include <string.h>

#include <spillkv/spillkv.h>

#include "arguments.h"
#include "child.h"
#include "engines.h"
#include "interrupt.h"
#include "rss_plot.h"
#include "rss_report.h"
#include "size.h"

#define LIST_MAX  16u
#define RUNS_MAX  64u
#define EXIT_SKIP 77

/* Options without a letter. */
enum long_option {
    OPTION_FACTOR = 256,
    OPTION_SECONDS,
    OPTION_SEED,
    OPTION_SVG,
    OPTION_JSON
};

static const struct argp_option option_list[] = {
    {"churn", 'c', "LIST", 0, "Churns, comma-separated (fixed,mixed,grow-shrink,reinsert)", 1},
    {"factor", OPTION_FACTOR, "N", 0, "Each phase writes so many times max-mem (4)", 1},
    {"seconds", OPTION_SECONDS, "S", 0, "A phase ends after so long (no limit)", 1},
    {"seed", OPTION_SEED, "N", 0, "Other entries (1)", 1},
    {"max-mem", 'm', "LIST", 0, "Budgets, comma-separated: 64M,1G (256M)", 2},
    {"engine", 'e', "LIST", 0, "Engines, comma-separated (spillkv,redis)", 2},
    {"threads", 't', "N", 0, "Threads that set and get (2)", 2},
    {"shards", 's', "N", 0, "Shards of the store (it chooses)", 2},
    {"path", 'p', "DIR", 0, "Where the files go (TMPDIR or /tmp)", 2},
    {"svg", OPTION_SVG, "FILE", 0, "Draw memory over time (needs gnuplot)", 3},
    {"json", OPTION_JSON, NULL, 0, "Write JSON instead of a table", 3},
    {"quiet", 'q', NULL, 0, "No progress", 3},
    {0}};

struct arguments {
    struct rss_options options;
    const char *churn_list; /* NULL: all */
    const char *memory_list;
    const char *engine_list;
    const char *svg; /* NULL: none */
    bool json;

    const struct churn *churns[LIST_MAX];
    uint64_t memories[LIST_MAX];
    const struct engine *engines[LIST_MAX];
    unsigned churn_count;
    unsigned memory_count;
    unsigned engine_count;

    struct rss_run *runs[RUNS_MAX];
    unsigned run_count;
};

static error_t parse_numbers(int key, char *value, struct argp_state *state)
{
    struct rss_options *const options = &((struct arguments *)state->input)->options;
    switch (key) {
    case OPTION_FACTOR:
        options->factor = (double)arguments_number(state, value, 1, 1000000);
        return 0;
    case OPTION_SECONDS:
        options->seconds = (double)arguments_number(state, value, 1, 1000000);
        return 0;
    case OPTION_SEED:
        options->seed = arguments_number(state, value, 0, UINT32_MAX);
        return 0;
    case 't':
        options->threads = (unsigned)arguments_number(state, value, 1, CREW_THREADS_MAX);
        return 0;
    case 's':
        options->shards = (uint32_t)arguments_number(state, value, 0, SPILLKV_SHARDS_MAX);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *const arguments = state->input;
    switch (key) {
    case 'c':
        arguments->churn_list = value;
        return 0;
    case 'm':
        arguments->memory_list = value;
        return 0;
    case 'e':
        arguments->engine_list = value;
        return 0;
    case 'p':
        arguments->options.folder = value;
        return 0;
    case OPTION_SVG:
        arguments->svg = value;
        return 0;
    case OPTION_JSON:
        arguments->json = true;
        return 0;
    case 'q':
        arguments->options.quiet = true;
        return 0;
    default:
        return parse_numbers(key, value, state);
    }
}

static bool add_churn(void *context, const char *name)
{
    struct arguments *const arguments = context;
    const struct churn *const churn = churn_find(name);
    if (churn == NULL || arguments->churn_count == LIST_MAX) {
        error(0, 0, "no churn '%s'", name);
        return false;
    }
    arguments->churns[arguments->churn_count++] = churn;
    return true;
}

static bool add_memory(void *context, const char *text)
{
    struct arguments *const arguments = context;
    uint64_t bytes;
    if (!size_parse(text, &bytes) || bytes < (1 << 20) || bytes > UINT64_C(1) << 37 ||
        arguments->memory_count == LIST_MAX) {
        error(0, 0, "'%s' is not a size like 64M or 1.5G from 1M to 128G", text);
        return false;
    }
    arguments->memories[arguments->memory_count++] = bytes;
    return true;
}

/* Engines that cannot be used here are left out. */
static bool add_engine(void *context, const char *name)
{
    struct arguments *const arguments = context;
    const struct engine *engine;
    const enum engines_found found = engines_find(name, &engine);
    if (found == ENGINES_FOUND && arguments->engine_count == LIST_MAX) {
        error(0, 0, "more than %u engines", LIST_MAX);
        return false;
    }
    if (found == ENGINES_FOUND) {
        arguments->engines[arguments->engine_count++] = engine;
    }
    return found != ENGINES_UNKNOWN;
}

static bool read_lists(struct arguments *arguments)
{
    for (unsigned i = 0; i < churn_count() && arguments->churn_list == NULL; i++) {
        arguments->churns[arguments->churn_count++] = churn_number(i);
    }
    return (arguments->churn_list == NULL ||
            arguments_each(arguments->churn_list, add_churn, arguments)) &&
           arguments_each(arguments->memory_list, add_memory, arguments) &&
           arguments_each(arguments->engine_list, add_engine, arguments);
}

/* Does one more run and keeps its results. */
static bool run_one(struct arguments *arguments, const struct churn *churn, uint64_t max_mem,
                    const struct engine *engine)
{
    if (arguments->run_count == RUNS_MAX) {
        error(0, 0, "more than %u runs", RUNS_MAX);
        return false;
    }
    struct rss_run *const run = child_share(sizeof *run);
    if (run == NULL) {
        return false;
    }
    arguments->runs[arguments->run_count++] = run;
    run->churn = churn;
    run->engine = engine;
    run->options = arguments->options;
    run->options.max_mem = max_mem;
    const bool done = rss_run(run);
    if (!arguments->json) {
        rss_print_run(stdout, run);
        fflush(stdout);
    }
    return done;
}

static bool run_all(struct arguments *arguments)
{
    bool done = true;
    for (unsigned c = 0; c < arguments->churn_count && done; c++) {
        for (unsigned m = 0; m < arguments->memory_count && done; m++) {
            for (unsigned e = 0; e < arguments->engine_count && done; e++) {
                done = run_one(arguments, arguments->churns[c], arguments->memories[m],
                               arguments->engines[e]);
            }
        }
    }
    return done;
}

/* Writes what is asked for; false after a message. */
static bool report(struct arguments *arguments)
{
    bool written = true;
    if (!arguments->json) {
        rss_print_final(stdout, arguments->runs, arguments->run_count);
    } else if (!rss_print_json(stdout, arguments->runs, arguments->run_count)) {
        error(0, 0, "cannot write the report");
        written = false;
    }
    if (arguments->svg != NULL && arguments->run_count != 0) {
        written = rss_plot(arguments->svg, arguments->runs, arguments->run_count) && written;
    }
    return written;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = option_list,
        .parser = parse_option,
        .doc = "Samples anonymous memory while entries of changing sizes come and go.",
    };
    static struct arguments arguments = {
        .options = {.factor = 4, .seed = 1, .threads = 2},
        .memory_list = "256M",
        .engine_list = "spillkv,redis",
    };
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    interrupt_catch();
    if (!read_lists(&arguments) || (arguments.svg != NULL && !rss_plot_ready())) {
        return EXIT_FAILURE;
    }
    if (arguments.engine_count == 0) {
        return EXIT_SKIP;
    }
    bool fine = run_all(&arguments);
    fine = report(&arguments) && fine;
    for (unsigned i = 0; i < arguments.run_count; i++) {
        fine = rss_verified(arguments.runs[i]) && fine;
        child_unshare(arguments.runs[i], sizeof *arguments.runs[i]);
    }
    return fine ? EXIT_SUCCESS : EXIT_FAILURE;
}
