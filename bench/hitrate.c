/* SPDX-License-Identifier: MIT */
/**
 * Which entries stay: the library's policy and others on traces of requests. See README.md.
 */
#include <argp.h>
#include <error.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "hitrate_advise.h"
#include "hitrate_generate.h"
#include "hitrate_report.h"
#include "progress.h"
#include "table/policy.h"

static const struct hitrate_policy policies[] = {
    {"slot-l", hitrate_run_store, SKV_POLICY_SLOT12, true},
    {"slot12", hitrate_run_store, SKV_POLICY_SLOT12, false},
    {"lfu", hitrate_run_store, SKV_POLICY_LFU, false},
    {"lru12", hitrate_run_store, SKV_POLICY_LRU, false},
    {"lru", hitrate_run_lru, 0, false},
    {"arc", hitrate_run_arc, 0, false},
    {"s3-fifo", hitrate_run_s3fifo, 0, false},
    {"belady", hitrate_run_belady, 0, false},
};

#define POLICIES (sizeof policies / sizeof *policies)

/* Options without a letter. */
enum long_option {
    OPTION_SEED = 256,
    OPTION_SPLIT,
    OPTION_LEAST,
    OPTION_ADVISE,
    OPTION_JSON,
    OPTION_CHART
};

static const struct argp_option option_list[] = {
    {"policy", 'p', "LIST", 0,
     "Policies, comma-separated: slot-l, slot12, lfu, lru12 (LRU by the library's means), and to "
     "compare "
     "with lru, arc, s3-fifo, belady (slot-l,slot12,lru,belady)",
     1},
    {"sizes", 's', "LIST", 0,
     "Capacities in entries, or in percent of the unique keys (0.1%,1%,5%,10%,25%,50%)", 1},
    {"least", OPTION_LEAST, "N", 0, "Leave out capacities of fewer entries (100)", 1},
    {"shards", 'S', "N", 0, "Shards of the library's policies, a power of two up to 64 (1)", 1},
    {"split", OPTION_SPLIT, NULL, 0, "Each shard has its part of the capacity for itself", 1},
    {"generate", 'g', "TRACE", 0,
     "Make a trace: zipf, drift, scan, loop or zigzag[:REQUESTS[:KEYS]] (1000000 of 20000)", 2},
    {"seed", OPTION_SEED, "N", 0, "Other generated traces, other dice (1)", 2},
    {"format", 'f', "NAME", 0, "Of the files: u32, lines, csv or oracle (by their names)", 2},
    {"most", 'n', "N", 0, "Requests of each file (all)", 2},
    {"advise", OPTION_ADVISE, NULL, 0,
     "Show what the first policy, one of the library's, expects of half, twice and four times each "
     "size, beside runs with those",
     3},
    {"details", 'd', NULL, 0, "Show hit ratios of each size too", 3},
    {"json", OPTION_JSON, NULL, 0, "Write JSON instead of a table", 3},
    {"chart", OPTION_CHART, "FILE", 0, "Draw miss ratios over sizes as SVG, by gnuplot", 3},
    {"quiet", 'q', NULL, 0, "No progress", 3},
    {0}};

struct size {
    double number;
    bool is_percent;
};

#define INPUTS_MAX 256u

struct arguments {
    struct hitrate_report report;
    struct size sizes[HITRATE_SIZES_MAX];

    struct {
        const char *text;
        bool generated;
    } inputs[INPUTS_MAX];

    unsigned input_count;
    uint64_t least;
    uint64_t most;
    enum trace_format format;
    const char *chart;
    bool advise;
    bool details;
    bool json;
    bool quiet;
};

static const struct hitrate_policy *find_policy(const char *name)
{
    for (size_t i = 0; i < POLICIES; i++) {
        if (strcmp(policies[i].name, name) == 0) {
            return &policies[i];
        }
    }
    return NULL;
}

static void parse_policies(struct argp_state *state, char *list)
{
    struct hitrate_report *const report = &((struct arguments *)state->input)->report;
    char *rest = list;
    report->policy_count = 0;
    for (char *name = strsep(&rest, ","); name != NULL; name = strsep(&rest, ",")) {
        const struct hitrate_policy *const policy = find_policy(name);
        if (policy == NULL || report->policy_count == HITRATE_POLICIES_MAX) {
            argp_error(state, "no policy '%s', or too many", name);
        }
        report->policies[report->policy_count++] = policy;
    }
}

static void parse_sizes(struct argp_state *state, char *list)
{
    struct arguments *const arguments = state->input;
    char *rest = list;
    arguments->report.size_count = 0;
    for (char *text = strsep(&rest, ","); text != NULL; text = strsep(&rest, ",")) {
        char *end = text;
        const double number = strtod(text, &end);
        const bool is_percent = strcmp(end, "%") == 0;
        const double most = is_percent ? 100 : 1u << 31;
        if (end == text || (*end != '\0' && !is_percent) || !(number > 0 && number <= most) ||
            arguments->report.size_count == HITRATE_SIZES_MAX) {
            argp_error(state, "'%s' is not a number of entries or a percentage", text);
        }
        arguments->sizes[arguments->report.size_count++] = (struct size){number, is_percent};
    }
}

static void add_input(struct argp_state *state, const char *text, bool generated)
{
    struct arguments *const arguments = state->input;
    if (arguments->input_count == INPUTS_MAX) {
        argp_error(state, "at most %u traces", INPUTS_MAX);
    }
    arguments->inputs[arguments->input_count].text = text;
    arguments->inputs[arguments->input_count++].generated = generated;
}

static error_t parse_output(int key, char *value, struct argp_state *state)
{
    struct arguments *const arguments = state->input;
    switch (key) {
    case OPTION_ADVISE:
        arguments->advise = true;
        return 0;
    case 'd':
        arguments->details = true;
        return 0;
    case OPTION_JSON:
        arguments->json = true;
        return 0;
    case OPTION_CHART:
        arguments->chart = value;
        return 0;
    case 'q':
        arguments->quiet = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *const arguments = state->input;
    switch (key) {
    case 'p':
        parse_policies(state, value);
        return 0;
    case 's':
        parse_sizes(state, value);
        return 0;
    case OPTION_LEAST:
        arguments->least = arguments_number(state, value, 1, UINT32_MAX);
        return 0;
    case 'S':
        arguments->report.shards = (uint32_t)arguments_number(state, value, 1, HITRATE_SHARDS_MAX);
        if ((arguments->report.shards & (arguments->report.shards - 1)) != 0) {
            argp_error(state, "the number of shards is not a power of two");
        }
        return 0;
    case OPTION_SPLIT:
        arguments->report.split = true;
        return 0;
    case 'g':
        add_input(state, value, true);
        return 0;
    case OPTION_SEED:
        arguments->report.seed = arguments_number(state, value, 0, UINT32_MAX);
        return 0;
    case 'f':
        if (!trace_format_parse(value, &arguments->format)) {
            argp_error(state, "no format '%s'", value);
        }
        return 0;
    case 'n':
        arguments->most = arguments_number(state, value, 1, UINT64_MAX);
        return 0;
    case ARGP_KEY_ARG:
        add_input(state, value, false);
        return 0;
    case ARGP_KEY_END:
        if (arguments->input_count == 0) {
            argp_error(state, "no trace: name files or use --generate");
        }
        if (arguments->advise && arguments->report.policies[0]->run != hitrate_run_store) {
            argp_error(state, "--advise: '%s' is not of the library",
                       arguments->report.policies[0]->name);
        }
        return 0;
    default:
        return parse_output(key, value, state);
    }
}

static bool run_cell(const struct arguments *arguments, const struct trace *trace,
                     struct hitrate_cell *cell)
{
    const struct hitrate_report *const report = &arguments->report;
    const struct hitrate_cache cache = {
        .capacity = cell->capacity,
        .shards = report->shards,
        .split = report->split,
        .seed = report->seed,
    };
    if (arguments->advise) {
        return hitrate_advise_run(report->policies[0], trace, &cache, &cell->advice);
    }
    bool valid = hitrate_run_lru(NULL, trace, &cache, &cell->lru);
    for (unsigned p = 0; valid && p < report->policy_count; p++) {
        if (!arguments->quiet) {
            progress_say("%s: %s, %u entries", trace->name, report->policies[p]->name,
                         cell->capacity);
        }
        valid = report->policies[p]->run(report->policies[p], trace, &cache, &cell->results[p]);
    }
    return valid;
}

static bool run_trace(const struct arguments *arguments, const struct trace *trace,
                      struct hitrate_row *row)
{
    row->name = strdup(trace->name);
    row->requests = trace->count;
    row->unique = trace->unique;
    for (unsigned s = 0; s < arguments->report.size_count; s++) {
        const struct size *const size = &arguments->sizes[s];
        struct hitrate_cell *const cell = &row->cells[s];
        const double entries = size->is_percent ? size->number * trace->unique / 100 : size->number;
        if (entries < (double)arguments->least) {
            continue;
        }
        cell->capacity = (uint32_t)entries;
        cell->percent = 100 * entries / trace->unique;
        if (!run_cell(arguments, trace, cell)) {
            return false;
        }
    }
    return row->name != NULL;
}

static bool run(struct arguments *arguments)
{
    struct hitrate_report *const report = &arguments->report;
    report->rows = calloc(arguments->input_count, sizeof(*report->rows));
    bool valid = report->rows != NULL;
    for (unsigned i = 0; valid && i < arguments->input_count; i++) {
        struct trace trace;
        const char *const text = arguments->inputs[i].text;
        if (!(arguments->inputs[i].generated
                  ? trace_generate(text, report->seed, &trace)
                  : trace_read(text, arguments->format, arguments->most, &trace))) {
            return false;
        }
        valid = run_trace(arguments, &trace, &report->rows[report->row_count++]);
        trace_free(&trace);
    }
    if (!valid) {
        error(0, 0, "no memory");
    }
    return valid;
}

static bool print_report(const struct arguments *arguments)
{
    const struct hitrate_report *const report = &arguments->report;
    bool written = true;
    if (arguments->json) {
        written = arguments->advise ? hitrate_advise_print_json(stdout, report)
                                    : hitrate_print_json(stdout, report);
    } else if (arguments->advise) {
        hitrate_advise_print(stdout, report);
    } else {
        hitrate_print(stdout, report, arguments->details);
    }
    if (!written) {
        error(0, 0, "cannot write the report");
    }
    return written;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = option_list,
        .parser = parse_option,
        .args_doc = "[FILE...]",
        .doc = "Runs traces of requests through the library's policies and others, with entries of "
               "one size, and shows by how much their misses are fewer than LRU's.",
    };
    static struct arguments arguments = {
        .report = {.policies = {&policies[0], &policies[1], &policies[4], &policies[POLICIES - 1]},
                   .policy_count = 4,
                   .size_count = 6,
                   .shards = 1,
                   .seed = 1},
        .sizes = {{0.1, true}, {1, true}, {5, true}, {10, true}, {25, true}, {50, true}},
        .least = 100,
    };
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    if (!run(&arguments)) {
        return EXIT_FAILURE;
    }
    struct hitrate_report *const report = &arguments.report;
    bool written = print_report(&arguments);
    if (arguments.chart != NULL) {
        written = hitrate_draw(arguments.chart, report) && written;
    }
    for (unsigned r = 0; r < report->row_count; r++) {
        free(report->rows[r].name);
    }
    free(report->rows);
    return written ? EXIT_SUCCESS : EXIT_FAILURE;
}
