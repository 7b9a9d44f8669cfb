/* SPDX-License-Identifier: MIT */
/**
 * Many more entries than fit into memory: load them, read some back uniformly and by a Zipf law.
 * See README.md.
 */
#include <argp.h>
#include <error.h>
#include <stdlib.h>

#include "arguments.h"
#include "entries.h"
#include "hundred_million_report.h"
#include "interrupt.h"
#include "memory.h"
#include "progress.h"
#include "scratch.h"

#define KEY_SIZE   16
#define VALUE_SIZE 100

/* Options without a letter. */
enum long_option {
    OPTION_SEED = 256,
    OPTION_JSON
};

static const struct argp_option option_list[] = {
    {"entries", 'n', "N", 0, "Entries to load (100000000)", 1},
    {"reads", 'r', "N", 0, "Entries to read back, uniformly and again by the Zipf law (10000000)",
     1},
    {"zipf", 'z', "S", 0, "Exponent of the Zipf law (0.99)", 1},
    {"seed", OPTION_SEED, "N", 0, "Other entries (1)", 1},
    {"max-mem", 'm', "SIZE", 0, "Memory for the store (2G)", 2},
    {"threads", 't', "N", 0, "Threads that set and get (2)", 2},
    {"shards", 's', "N", 0, "Shards of the store (it chooses)", 2},
    {"path", 'p', "DIR", 0, "Where the files go (TMPDIR or /tmp)", 2},
    {"json", OPTION_JSON, NULL, 0, "Write JSON instead of a table", 3},
    {"quiet", 'q', NULL, 0, "No progress", 3},
    {0}};

struct arguments {
    struct hundred_options options;
    bool json;
};

static double need_exponent(struct argp_state *state, const char *text)
{
    char *end;
    const double exponent = strtod(text, &end);
    if (end == text || *end != '\0' || !(exponent > 0 && exponent < 10)) {
        argp_error(state, "'%s' is not an exponent between 0 and 10", text);
    }
    return exponent;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *const arguments = state->input;
    struct hundred_options *const options = &arguments->options;
    switch (key) {
    case 'n':
        options->entries = arguments_number(state, value, CREW_TENTHS, ZIPF_RANKS_MAX);
        return 0;
    case 'r':
        options->reads = arguments_number(state, value, 1, UINT64_C(1) << 40);
        return 0;
    case 'z':
        options->exponent = need_exponent(state, value);
        return 0;
    case OPTION_SEED:
        options->seed = arguments_number(state, value, 0, UINT32_MAX);
        return 0;
    case 'm':
        options->max_mem = arguments_size(state, value, 1 << 20, UINT64_C(1) << 40);
        return 0;
    case 't':
        options->threads = (unsigned)arguments_number(state, value, 1, CREW_THREADS_MAX);
        return 0;
    case 's':
        options->shards = (uint32_t)arguments_number(state, value, 0, SPILLKV_SHARDS_MAX);
        return 0;
    case 'p':
        options->folder = value;
        return 0;
    case OPTION_JSON:
        arguments->json = true;
        return 0;
    case 'q':
        options->quiet = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static bool note_state(spillkv *kv, const char *path, struct hundred_state *state)
{
    const spillkv_status status = spillkv_stats(kv, &state->stats);
    if (status != SPILLKV_OK) {
        error(0, 0, "stats: %s", spillkv_strerror(status));
    }
    state->rss_anonymous = memory_figure(0, "RssAnon");
    state->rss_file = memory_figure(0, "RssFile");
    state->disk_bytes = scratch_bytes(path);
    return status == SPILLKV_OK;
}

/* All phases, with a store that is open. */
static bool run_phases(const struct hundred_options *options, struct entries *entries,
                       struct crew *crew, const char *path, struct hundred_result *result)
{
    struct zipf zipf;
    struct crew_work work = {.name = "load",
                             .total = options->entries,
                             .begin = entries_begin,
                             .end = entries_end,
                             .operate = entries_set,
                             .finish = entries_flush,
                             .context = entries};
    if (!crew_run(crew, &work, &result->times[HUNDRED_LOAD]) ||
        !note_state(entries->db, path, &result->states[HUNDRED_LOAD])) {
        return false;
    }
    entries->count = options->entries;
    work.name = "get";
    work.total = options->reads;
    work.operate = entries_get;
    if (!crew_run(crew, &work, &result->times[HUNDRED_UNIFORM]) ||
        !note_state(entries->db, path, &result->states[HUNDRED_UNIFORM])) {
        return false;
    }
    zipf_init(&zipf, options->entries, options->exponent);
    entries->zipf = &zipf;
    work.name = "zipf";
    return crew_run(crew, &work, &result->times[HUNDRED_ZIPF]) &&
           note_state(entries->db, path, &result->states[HUNDRED_ZIPF]) &&
           spillkv_count(entries->db, &result->count) == SPILLKV_OK;
}

static bool run_store(const struct hundred_options *options, struct crew *crew, const char *path,
                      struct hundred_result *result)
{
    const struct engine_options own = {
        .path = path, .max_mem = options->max_mem, .shards = options->shards};
    struct entries entries = {.engine = &engine_spillkv,
                              .seed = options->seed,
                              .key_size = KEY_SIZE,
                              .value_size = VALUE_SIZE};
    result->rss_before = memory_figure(0, "RssAnon");
    if (!progress_start(options->quiet, result->rss_before)) {
        return false;
    }
    entries.db = engine_spillkv.open(&own);
    bool done = entries.db != NULL && run_phases(options, &entries, crew, path, result);
    result->rss_peak = progress_stop();
    if (entries.db != NULL) {
        done = engine_spillkv.close(entries.db) && done;
    }
    return done;
}

static bool run(const struct hundred_options *options, struct hundred_result *result)
{
    static struct crew crew;
    char *const path = scratch_make(options->folder);
    const bool done = path != NULL &&
                      crew_init(&crew, options->threads, KEY_SIZE, VALUE_SIZE, options->seed) &&
                      run_store(options, &crew, path, result);
    result->findings = crew_findings(&crew);
    crew_fini(&crew);
    scratch_remove(path);
    return done;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = option_list,
        .parser = parse_option,
        .doc = "Loads many entries of 16 + 100 bytes under a budget that holds a part of them and "
               "reads them back.",
    };
    static struct hundred_result result;
    struct arguments arguments = {
        .options = {.entries = 100000000,
                    .reads = 10000000,
                    .max_mem = (uint64_t)2 << 30,
                    .seed = 1,
                    .exponent = 0.99,
                    .threads = 2},
    };
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    interrupt_catch();
    if (!run(&arguments.options, &result)) {
        return EXIT_FAILURE;
    }
    if (!arguments.json) {
        hundred_print(stdout, &arguments.options, &result);
    } else if (!hundred_print_json(stdout, &arguments.options, &result)) {
        error(0, 0, "cannot write the report");
        return EXIT_FAILURE;
    }
    return hundred_verified(&arguments.options, &result) ? EXIT_SUCCESS : EXIT_FAILURE;
}
