/* SPDX-License-Identifier: MIT */
/**
 * Threads and shards: rates, and how often a lock was not free. Few machines have many cores; the
 * second figure says what more of them would meet. See README.md.
 */
#include <argp.h>
#include <error.h>
#include <stdio.h>
#include <stdlib.h>

#include <spillkv/spillkv.h>

#include "arguments.h"
#include "interrupt.h"
#include "json_out.h"
#include "lock_count.h"
#include "progress.h"
#include "size.h"
#include "ycsb_arguments.h"
#include "ycsb_report.h"

#define COLUMN_WIDTH 22

static const struct argp_option option_list[] = {
    {"shards", 'S', "LIST", 0, "Numbers of shards, comma-separated (1,2,4,8,16,32,64)", 1}, {0}};

struct arguments {
    struct ycsb_arguments ycsb;
    const char *list;
    uint32_t shards[YCSB_LIST_MAX];
    struct ycsb_result results[YCSB_LIST_MAX]; /* for each number of shards */
    unsigned count;
    bool verified;
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *const arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->ycsb;
        return 0;
    case 'S':
        arguments->list = value;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static bool add_shards(void *context, const char *text)
{
    struct arguments *const arguments = context;
    uint64_t number;
    if (!number_parse(text, 1, SPILLKV_SHARDS_MAX, &number) || arguments->count == YCSB_LIST_MAX) {
        error(0, 0, "'%s' is not a number of shards", text);
        return false;
    }
    arguments->shards[arguments->count++] = (uint32_t)number;
    return true;
}

static bool run_all(struct arguments *arguments)
{
    struct ycsb_draws draws;
    bool done = ycsb_draws_init(&draws, &arguments->ycsb.options);
    for (unsigned i = 0; i < arguments->count && done; i++) {
        struct ycsb_options options = arguments->ycsb.options;
        options.shards = arguments->shards[i];
        options.count = lock_count_contended;
        if (!options.quiet) {
            progress_say("%u shards", arguments->shards[i]);
        }
        done = ycsb_run(&engine_spillkv, &options, &draws, &arguments->results[i]);
        arguments->verified = arguments->verified && ycsb_verified(&arguments->results[i]);
    }
    ycsb_draws_fini(&draws);
    return done;
}

static double per_million(const struct ycsb_phase *phase)
{
    const uint64_t operations = phase->times.operations;
    return operations != 0 ? (double)phase->counted * 1e6 / (double)operations : 0;
}

/* A table for each mix, which all results have in the same places. */
static void print_mix(const struct arguments *arguments, unsigned first, unsigned count)
{
    const struct ycsb_phase *const phases = &arguments->results[0].phases[first];
    printf("%s: thousand operations a second (locks that were not free, per million operations)\n"
           "%-8s",
           phases[0].mix != NULL ? phases[0].mix->name : "load", "shards");
    for (unsigned i = 0; i < count; i++) {
        printf("%*u threads", COLUMN_WIDTH - 8, phases[i].threads);
    }
    for (unsigned s = 0; s < arguments->count; s++) {
        printf("\n%-8u", arguments->shards[s]);
        for (unsigned i = 0; i < count; i++) {
            const struct ycsb_phase *const phase = &arguments->results[s].phases[first + i];
            char text[SIZE_TEXT];
            snprintf(text, sizeof text, "%.0f (%.0f)",
                     (double)phase->times.operations / phase->times.seconds / 1e3,
                     per_million(phase));
            printf("%*s", COLUMN_WIDTH, text);
        }
    }
    printf("\n\n");
}

static bool report(const struct arguments *arguments)
{
    const struct ycsb_options *const options = &arguments->ycsb.options;
    if (!arguments->ycsb.json) {
        print_mix(arguments, 0, 1);
        for (unsigned i = 0; i < options->mix_count; i++) {
            print_mix(arguments, 1 + i * options->thread_count, options->thread_count);
        }
        printf("%s\n", arguments->verified ? "every value verified" : "NOT VERIFIED");
        return true;
    }
    json_t *const runs = json_array();
    for (unsigned i = 0; i < arguments->count; i++) {
        json_t *const run = ycsb_json(&engine_spillkv, &arguments->results[i]);
        json_object_set_new(run, "shards", json_integer(arguments->shards[i]));
        json_array_append_new(runs, run);
    }
    return json_out(stdout, json_pack("{s:o, s:b, s:o}", "options", ycsb_options_json(options),
                                      "verified", arguments->verified, "runs", runs));
}

int main(int argc, char **argv)
{
    static const struct argp_child children[] = {{.argp = &ycsb_argp}, {0}};
    static const struct argp argp = {
        .options = option_list,
        .parser = parse_option,
        .children = children,
        .doc = "Runs mixes with several numbers of threads and of shards, all in RAM unless "
               "--max-mem says otherwise.",
    };
    static struct arguments arguments = {.list = "1,2,4,8,16,32,64", .verified = true};
    arguments.ycsb = ycsb_arguments_default();
    arguments.ycsb.options.records = 1000000;
    arguments.ycsb.options.max_mem = (uint64_t)1 << 30;
    arguments.ycsb.options.seconds = 1;
    arguments.ycsb.options.warm_seconds = 0;
    arguments.ycsb.mixes = "c,a";
    arguments.ycsb.threads = "1,2,4,8";
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    interrupt_catch();
    const bool fine = ycsb_arguments_read(&arguments.ycsb) &&
                      arguments_each(arguments.list, add_shards, &arguments) &&
                      arguments.count != 0 && run_all(&arguments) && report(&arguments);
    return fine && arguments.verified ? EXIT_SUCCESS : EXIT_FAILURE;
}
