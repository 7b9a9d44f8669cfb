/* SPDX-License-Identifier: MIT */
/**
 * `spillkv replay`: read the trace, then open a store and let the threads run it.
 */
#include <argp.h>
#include <stdlib.h>

#include <spillkv/spillkv.h>

#include "command.h"
#include "interrupt.h"
#include "progress.h"
#include "replay_report.h"
#include "replay_run.h"
#include "size.h"
#include "store.h"
#include "threads.h"
#include "trace.h"

#define VALUE_SIZE_DEFAULT 100

struct replay_args {
    struct store_args store;
    unsigned threads;
    uint64_t value_size;
    uint64_t most; /* requests; 0: all */
    enum trace_format format;
    const char *file;
    bool json;
    bool quiet;
};

enum {
    OPTION_SEED = 256,
    OPTION_JSON
};

static const struct argp_option replay_options[] = {
    {"value-size", 'v', "SIZE", 0, "Bytes of every value (100); keys have 8", 2},
    {"threads", 't', "N", 0, "Number of threads; default: one per CPU", 2},
    {"format", 'f', "FORMAT", 0,
     "u32: little-endian 32-bit keys; lines: a key in each; csv: the key is the second field; "
     "oracle: libCacheSim's oracleGeneral; default: by the name (.u32, .csv, .oracleGeneral, else "
     "lines)",
     2},
    {"requests", 'n', "N", 0, "Run the first N requests only", 2},
    {"seed", OPTION_SEED, "N", 0, "Makes the placement repeatable", 2},
    {"json", OPTION_JSON, NULL, 0, "Write the result as JSON", 2},
    {"quiet", 'q', NULL, 0, "Show no progress", 2},
    {0}};

static const char replay_description[] =
    "Run a trace of requests through a store: each gets its key and, if it is not there, sets it. "
    "Every value is compared with what was set. Said is how many gets were answered from RAM, "
    "which is what more memory or another policy would change, and how long it all took. FILE may "
    "be compressed (.xz, .zst)."
    "\vExit code: 0 when all values were right, 1 when one was missing or wrong, 2 for other "
    "trouble.";

static error_t parse_replay_option(int key, char *value, struct argp_state *state)
{
    struct replay_args *const args = state->input;
    uint64_t number = 0;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &args->store;
        return 0;
    case 'v':
        if (!size_parse(value, &args->value_size) || args->value_size > REPLAY_VALUE_MOST) {
            argp_error(state, "--value-size: '%s' is not a size up to 64M", value);
        }
        return 0;
    case 't':
        if (!number_parse(value, 1, THREADS_MAX, &number)) {
            argp_error(state, "--threads: '%s' is not a number from 1 to %u", value, THREADS_MAX);
        }
        args->threads = (unsigned)number;
        return 0;
    case 'f':
        if (!trace_format_parse(value, &args->format)) {
            argp_error(state, "--format: '%s' is none of u32, lines, csv, oracle", value);
        }
        return 0;
    case 'n':
        if (!number_parse(value, 1, INT64_MAX, &args->most)) {
            argp_error(state, "--requests: '%s' is not a number above 0", value);
        }
        return 0;
    case OPTION_SEED:
        if (!number_parse(value, 0, INT64_MAX, &args->store.hash_seed)) {
            argp_error(state, "--seed: '%s' is not a number", value);
        }
        return 0;
    case OPTION_JSON:
        args->json = true;
        return 0;
    case 'q':
        args->quiet = true;
        return 0;
    case ARGP_KEY_ARG:
        if (args->file != NULL) {
            argp_error(state, "one file is enough");
        }
        args->file = value;
        return 0;
    case ARGP_KEY_END:
        if (args->file == NULL) {
            argp_error(state, "a file is needed");
        }
        if (!args->store.max_mem_given) {
            argp_error(state, "--max-mem is needed");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static bool check(spillkv_status status, const char *what)
{
    if (status != SPILLKV_OK) {
        progress_say("%s: %s", what, spillkv_strerror(status));
    }
    return status == SPILLKV_OK;
}

/* Runs the trace in an open store; false after a message if there is nothing to report. */
static bool run(struct replay *replay, const struct replay_args *args, spillkv *kv,
                struct replay_report *report)
{
    if (!progress_start(args->quiet, progress_anonymous_memory())) {
        return false;
    }
    const uint64_t began = progress_now_ns();
    progress_begin("replay", report->trace->count);
    const bool done = replay_run(replay, kv, &report->outcome);
    report->seconds = (double)(progress_now_ns() - began) / 1e9;
    progress_end();
    (void)progress_stop();
    return done && check(spillkv_stats(kv, &report->stats), "stats") &&
           check(spillkv_advise(kv, &report->advice), "advise") &&
           check(spillkv_count(kv, &report->count), "count");
}

static int print_report(const struct replay_args *args, const struct replay_report *report)
{
    bool written = true;
    if (args->json) {
        written = replay_report_print_json(stdout, report);
    } else {
        replay_report_print(stdout, report);
    }
    if (fflush(stdout) != 0 || ferror(stdout) || !written) {
        progress_say("cannot write the result");
        return COMMAND_TROUBLE;
    }
    if (replay_report_verified(report)) {
        return COMMAND_OK;
    }
    const struct workers_findings *const findings = &report->outcome.findings;
    const bool only_failed =
        findings->missing == 0 && findings->wrong == 0 && report->count == report->trace->unique;
    return only_failed ? COMMAND_TROUBLE : COMMAND_WRONG;
}

static int open_and_run(struct replay *replay, const struct replay_args *args,
                        struct replay_report *report)
{
    struct store store;
    interrupt_catch();
    if (!store_open(&store, &args->store)) {
        return COMMAND_TROUBLE;
    }
    const bool done = run(replay, args, store.kv, report);
    const bool closed = store_close(&store);
    const int code = done ? print_report(args, report) : COMMAND_TROUBLE;
    return !closed && code == COMMAND_OK ? COMMAND_TROUBLE : code;
}

int command_replay(int argc, char **argv)
{
    const struct argp_child children[] = {{&store_argp, 0, NULL, 0}, {0}};
    const struct argp argp = {.options = replay_options,
                              .parser = parse_replay_option,
                              .args_doc = "FILE",
                              .doc = replay_description,
                              .children = children};
    struct replay_args args = {.threads = threads_default(), .value_size = VALUE_SIZE_DEFAULT};
    struct trace trace;
    if (argp_parse(&argp, argc, argv, 0, NULL, &args) != 0 ||
        !trace_read(args.file, args.format, args.most, &trace)) {
        return COMMAND_TROUBLE;
    }
    struct replay_report report = {
        .trace = &trace, .value_size = (size_t)args.value_size, .threads = args.threads};
    struct replay *const replay = replay_create(args.threads, &trace, report.value_size);
    int code = COMMAND_TROUBLE;
    if (latency_init(&report.outcome.get) && latency_init(&report.outcome.set) && replay != NULL) {
        code = open_and_run(replay, &args, &report);
    }
    latency_fini(&report.outcome.get);
    latency_fini(&report.outcome.set);
    replay_destroy(replay);
    trace_free(&trace);
    return code;
}
