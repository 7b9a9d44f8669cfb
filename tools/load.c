/* SPDX-License-Identifier: MIT */
/**
 * `spillkv load`: index the input, note how much memory that took, then open a store and let the
 * workers fill and verify it.
 *
 * The order matters: everything that the program itself needs is allocated and touched before the
 * store is opened, so that what the process grows by afterwards is the store's.
 */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include <spillkv/spillkv.h>

#include "command.h"
#include "input.h"
#include "interrupt.h"
#include "progress.h"
#include "records.h"
#include "report.h"
#include "size.h"
#include "store.h"
#include "threads.h"
#include "workers.h"

struct load_args {
    struct store_args store;
    unsigned threads; /* 0: as many as CPUs */
    enum record_format format;
    bool seed_given;
    uint64_t seed;
    bool json;
    bool quiet;
    char **files;
    int file_count;
};

struct load {
    const struct load_args *args;
    struct input *inputs;
    struct records records;
    size_t *starts;
    struct workers *workers;
    struct store store;
    struct report report;
};

enum {
    OPTION_SEED = 256,
    OPTION_JSON
};

static const struct argp_option load_options[] = {
    {"threads", 't', "N", 0, "Number of threads; default: one per CPU", 2},
    {"format", 'f', "FORMAT", 0,
     "tsv: key TAB value, the default; stanza: Debian control stanzas, keyed by their first field; "
     "lines: whole lines, keyed by their number",
     2},
    {"seed", OPTION_SEED, "N", 0, "Makes the order of reading and the placement repeatable", 2},
    {"json", OPTION_JSON, NULL, 0, "Write the result as JSON", 2},
    {"quiet", 'q', NULL, 0, "Show no progress", 2},
    {0}};

static const char load_description[] =
    "Store the records of the files, read every one back in random order, compare it with the "
    "input and say how that went. FILE may be - for the standard input. Of several records with "
    "one key the last one counts."
    "\vExit code: 0 when all values were right, 1 when one was missing or wrong, 2 for other "
    "trouble.";

static error_t parse_load_option(int key, char *value, struct argp_state *state)
{
    struct load_args *const args = state->input;
    uint64_t number = 0;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &args->store;
        return 0;
    case 't':
        if (!number_parse(value, 1, THREADS_MAX, &number)) {
            argp_error(state, "--threads: '%s' is not a number from 1 to %u", value, THREADS_MAX);
        }
        args->threads = (unsigned)number;
        return 0;
    case 'f':
        if (!records_format_parse(value, &args->format)) {
            argp_error(state, "--format: '%s' is none of tsv, stanza, lines", value);
        }
        return 0;
    case OPTION_SEED:
        if (!number_parse(value, 0, INT64_MAX, &args->seed)) {
            argp_error(state, "--seed: '%s' is not a number", value);
        }
        args->seed_given = true;
        return 0;
    case OPTION_JSON:
        args->json = true;
        return 0;
    case 'q':
        args->quiet = true;
        return 0;
    case ARGP_KEY_ARGS:
        args->files = state->argv + state->next;
        args->file_count = state->argc - state->next;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "a file is needed, or - for the standard input");
        return 0;
    case ARGP_KEY_END:
        if (!args->store.max_mem_given) {
            argp_error(state, "--max-mem is needed");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Replaces what was not given by what fits this machine. */
static void complete_args(struct load_args *args)
{
    if (args->threads == 0) {
        args->threads = threads_default();
    }
    if (args->seed_given) {
        args->store.hash_seed = args->seed;
        return;
    }
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
        random = (uint32_t)progress_now_ns();
    }
    args->seed = random;
}

static bool read_inputs(struct load *load)
{
    const struct load_args *const args = load->args;
    for (int i = 0; i < args->file_count; i++) {
        if (!input_open(&load->inputs[i], args->files[i]) ||
            !records_read(&load->records, &load->inputs[i])) {
            return false;
        }
    }
    load->report.records = load->records.count;
    load->report.index_bytes = records_index_bytes(&load->records);
    if (load->records.count == 0) {
        progress_say("warning: there are no records in the input");
    }
    return true;
}

/* Everything up to the opening of the store; false after a message. */
static bool prepare(struct load *load)
{
    const struct load_args *const args = load->args;
    struct report *const report = &load->report;
    report->format = records_format_name(args->format);
    report->threads = args->threads;
    report->seed = args->seed;
    records_init(&load->records, args->format);
    load->inputs = calloc((size_t)args->file_count, sizeof *load->inputs);
    load->starts = calloc(args->threads + (size_t)1, sizeof *load->starts);
    if (load->inputs == NULL || load->starts == NULL || !latency_init(&report->set.latency) ||
        !latency_init(&report->get.latency)) {
        progress_say("out of memory");
        return false;
    }
    if (!read_inputs(load) || !records_group(&load->records, args->threads, load->starts)) {
        return false;
    }
    load->workers = workers_create(args->threads, &load->records);
    return load->workers != NULL;
}

static void release(struct load *load)
{
    workers_destroy(load->workers);
    latency_fini(&load->report.get.latency);
    latency_fini(&load->report.set.latency);
    records_fini(&load->records);
    for (int i = 0; load->inputs != NULL && i < load->args->file_count; i++) {
        input_close(&load->inputs[i]);
    }
    free(load->starts);
    free(load->inputs);
}

static double seconds_since(uint64_t began_ns)
{
    return (double)(progress_now_ns() - began_ns) / 1e9;
}

static bool check(spillkv_status status, const char *what)
{
    if (status != SPILLKV_OK) {
        progress_say("%s: %s", what, spillkv_strerror(status));
    }
    return status == SPILLKV_OK;
}

static bool fill(struct load *load)
{
    struct report *const report = &load->report;
    uint64_t began = progress_now_ns();
    progress_begin("set", load->records.count);
    const bool done =
        workers_set_all(load->workers, load->store.kv, load->starts, &report->set.latency);
    report->set.seconds = seconds_since(began);
    progress_end();
    if (!done) {
        return false;
    }
    began = progress_now_ns();
    const bool flushed = check(spillkv_flush(load->store.kv), "flush");
    report->flush_seconds = seconds_since(began);
    return flushed && check(spillkv_stats(load->store.kv, &report->flushed), "stats");
}

static bool verify(struct load *load)
{
    struct report *const report = &load->report;
    records_keep_last(&load->records);
    report->keys = load->records.count;
    report->bytes = load->records.bytes;
    if (!records_shuffle(&load->records, load->args->seed)) {
        return false;
    }
    const uint64_t began = progress_now_ns();
    progress_begin("get", load->records.count);
    const bool done =
        workers_verify_all(load->workers, load->store.kv, &report->get.latency, &report->findings);
    report->get.seconds = seconds_since(began);
    progress_end();
    return done && check(spillkv_stats(load->store.kv, &report->end), "stats") &&
           check(spillkv_count(load->store.kv, &report->count), "count");
}

/* Runs both phases in an open store; false after a message if there is nothing to report. */
static bool run_phases(struct load *load)
{
    if (!progress_start(load->args->quiet, load->report.rss_baseline)) {
        return false;
    }
    const bool done = fill(load) && verify(load);
    load->report.rss_peak = progress_stop();
    return done;
}

static int print_report(const struct load *load)
{
    const struct report *const report = &load->report;
    bool written = true;
    if (load->args->json) {
        written = report_print_json(stdout, report);
    } else {
        report_print(stdout, report);
    }
    if (fflush(stdout) != 0 || ferror(stdout) || !written) {
        progress_say("cannot write the result");
        return COMMAND_TROUBLE;
    }
    if (report_verified(report)) {
        return COMMAND_OK;
    }
    const bool only_failed = report->findings.missing == 0 && report->findings.wrong == 0 &&
                             report->count == report->keys;
    return only_failed ? COMMAND_TROUBLE : COMMAND_WRONG;
}

int command_load(int argc, char **argv)
{
    const struct argp_child children[] = {{&store_argp, 0, NULL, 0}, {0}};
    const struct argp argp = {.options = load_options,
                              .parser = parse_load_option,
                              .args_doc = "FILE...",
                              .doc = load_description,
                              .children = children};
    struct load_args args = {.format = RECORD_TSV};
    if (argp_parse(&argp, argc, argv, 0, NULL, &args) != 0) {
        return COMMAND_TROUBLE;
    }
    complete_args(&args);
    struct load load = {.args = &args};
    int code = COMMAND_TROUBLE;
    if (prepare(&load)) {
        load.report.rss_baseline = progress_anonymous_memory();
        interrupt_catch();
        if (store_open(&load.store, &args.store)) {
            const bool done = run_phases(&load);
            const bool closed = store_close(&load.store);
            code = done ? print_report(&load) : COMMAND_TROUBLE;
            code = !closed && code == COMMAND_OK ? COMMAND_TROUBLE : code;
        }
    }
    release(&load);
    return code;
}
