/* SPDX-License-Identifier: MIT */
/**
 * How long sets and hot gets take while the store spills as fast as it can, against the same
 * program with so much memory that nothing is spilled. See README.md.
 */
#include <argp.h>
#include <error.h>
#include <stdio.h>
#include <stdlib.h>

#include "arguments.h"
#include "figures.h"
#include "interrupt.h"
#include "json_out.h"
#include "median.h"
#include "progress.h"
#include "ycsb_arguments.h"

#define MIX "spill"
/* Entries a second that a thread may insert, and what each of them needs beside key and value. */
#define INSERTS_MOST UINT64_C(4000000)
#define ENTRY_BESIDE ((uint64_t)40)

#define NS_PER_US          1e3
#define SET_P999_WANTED_US 1000.0
#define GET_P99_WANTED     2.0

static const struct argp_option option_list[] = {
    {"rounds", 'R', "N", 0, "Rounds; medians are shown (3)", 1}, {0}};

struct arguments {
    struct ycsb_arguments ycsb;
    unsigned rounds;
    struct figures figures;
    bool verified;
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *const arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->ycsb;
        return 0;
    case 'R':
        arguments->rounds = (unsigned)arguments_number(state, value, 1, MEDIAN_MAX);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void add_spread(struct figures *figures, const char *section, const char *const names[5],
                       const struct crew_spread *spread, double p999_wanted)
{
    figures_add(figures, section, names[0], "us", spread->p50_ns / NS_PER_US);
    figures_add(figures, section, names[1], "us", spread->p99_ns / NS_PER_US);
    figures_add_wanted(figures, section, names[2], "us", p999_wanted, spread->p999_ns / NS_PER_US);
    figures_add(figures, section, names[3], "us", spread->p9999_ns / NS_PER_US);
    figures_add(figures, section, names[4], "us", spread->max_ns / NS_PER_US);
}

static void add_phase(struct figures *figures, const char *section, const struct ycsb_phase *phase,
                      double p999_wanted)
{
    static const char *const sets[] = {"set, p50", "set, p99", "set, p99.9", "set, p99.99",
                                       "set, longest"};
    static const char *const gets[] = {"hot get, p50", "hot get, p99", "hot get, p99.9",
                                       "hot get, p99.99", "hot get, longest"};
    figures_add(figures, section, "operations, half of them sets", "/ms",
                (double)phase->times.operations / phase->times.seconds / 1e3);
    add_spread(figures, section, sets, &phase->times.spread[CREW_WRITE], p999_wanted);
    add_spread(figures, section, gets, &phase->times.spread[CREW_READ], 0);
}

/* Runs the store with that much memory; false after a message. */
static bool run_with(struct arguments *arguments, uint64_t max_mem, unsigned round,
                     struct ycsb_result *result)
{
    static const struct ycsb_draws none;
    struct ycsb_options options = arguments->ycsb.options;
    options.max_mem = max_mem;
    options.seed += round;
    const bool done = ycsb_run(&engine_spillkv, &options, &none, result);
    arguments->verified = arguments->verified && ycsb_verified(result);
    return done;
}

static uint64_t ample_memory(const struct ycsb_options *options)
{
    const double seconds = options->seconds + options->warm_seconds;
    const uint64_t inserts = (uint64_t)(seconds * (double)INSERTS_MOST);
    return (options->records + inserts) * (options->key_size + options->value_size + ENTRY_BESIDE);
}

static bool run_round(struct arguments *arguments, unsigned round)
{
    static struct ycsb_result spilling;
    static struct ycsb_result calm;
    const struct ycsb_options *const options = &arguments->ycsb.options;
    struct figures *const figures = &arguments->figures;
    if (!options->quiet) {
        progress_say("round %u of %u", round + 1, arguments->rounds);
    }
    if (!run_with(arguments, options->max_mem, round, &spilling) ||
        !run_with(arguments, ample_memory(options), round, &calm)) {
        return false;
    }
    const struct ycsb_phase *const ours = &spilling.phases[1];
    const struct ycsb_phase *const other = &calm.phases[1];
    add_phase(figures, "spilling", ours, SET_P999_WANTED_US);
    add_phase(figures, "nothing spilled", other, 0);
    figures_add_wanted(figures, "times as long", "hot get, p99", "", GET_P99_WANTED,
                       ours->times.spread[CREW_READ].p99_ns /
                           other->times.spread[CREW_READ].p99_ns);
    figures_add(figures, "times as long", "set, p99", "",
                ours->times.spread[CREW_WRITE].p99_ns / other->times.spread[CREW_WRITE].p99_ns);
    return true;
}

static bool report(const struct arguments *arguments)
{
    if (!arguments->ycsb.json) {
        figures_print(stdout, &arguments->figures);
        printf("\n%s\n", arguments->verified ? "every value verified" : "NOT VERIFIED");
        return true;
    }
    return json_out(stdout, json_pack("{s:b, s:o}", "verified", arguments->verified, "figures",
                                      figures_json(&arguments->figures)));
}

int main(int argc, char **argv)
{
    static const struct argp_child children[] = {{.argp = &ycsb_argp}, {0}};
    static const struct argp argp = {
        .options = option_list,
        .parser = parse_option,
        .children = children,
        .doc = "Shows how long sets and hot gets take while entries are spilled at full speed, and "
               "when nothing is spilled.",
    };
    static struct arguments arguments = {.rounds = 3, .verified = true};
    arguments.ycsb = ycsb_arguments_default();
    arguments.ycsb.options.records = 2000000;
    arguments.ycsb.mixes = MIX;
    arguments.ycsb.threads = "2";
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    interrupt_catch();
    bool fine = ycsb_arguments_read(&arguments.ycsb);
    for (unsigned round = 0; round < arguments.rounds && fine; round++) {
        fine = run_round(&arguments, round);
    }
    fine = fine && report(&arguments);
    return fine && arguments.verified ? EXIT_SUCCESS : EXIT_FAILURE;
}
