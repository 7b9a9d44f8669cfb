/* SPDX-License-Identifier: MIT */
/**
 * Mixes of gets and sets through several stores under one budget. See README.md.
 */
#include <argp.h>
#include <error.h>
#include <stdlib.h>

#include "arguments.h"
#include "engines.h"
#include "interrupt.h"
#include "json_out.h"
#include "ycsb_arguments.h"
#include "ycsb_report.h"

#define EXIT_SKIP 77

static const struct argp_option option_list[] = {
    {"engines", 'e', "LIST", 0, "Comma-separated (all that are there, but redis)", 1}, {0}};

struct arguments {
    struct ycsb_arguments ycsb;
    const char *engines; /* NULL: all */
    const struct engine *engine[YCSB_LIST_MAX];
    unsigned engine_count;
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *const arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->ycsb;
        return 0;
    case 'e':
        arguments->engines = value;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static bool add_engine(void *context, const char *name)
{
    struct arguments *const arguments = context;
    const struct engine *engine;
    const enum engines_found found = engines_find(name, &engine);
    if (found == ENGINES_FOUND && arguments->engine_count < YCSB_LIST_MAX) {
        arguments->engine[arguments->engine_count++] = engine;
    }
    return found != ENGINES_UNKNOWN;
}

static bool choose_engines(struct arguments *arguments)
{
    const struct engine *engine;
    for (unsigned i = 0; arguments->engines == NULL && (engine = engines_at(i)) != NULL; i++) {
        if (!engine->evicts) {
            arguments->engine[arguments->engine_count++] = engine;
        }
    }
    return arguments->engines == NULL || arguments_each(arguments->engines, add_engine, arguments);
}

/* Runs all engines and writes what they came to; false if one failed or a value was wrong. */
static bool run_engines(const struct arguments *arguments, const struct ycsb_draws *draws)
{
    static struct ycsb_result result;
    json_t *const engines = json_array();
    bool fine = true;
    if (!arguments->ycsb.json) {
        ycsb_print_head(stdout, &arguments->ycsb.options);
    }
    for (unsigned i = 0; i < arguments->engine_count && !interrupt_seen(); i++) {
        const struct engine *const engine = arguments->engine[i];
        ycsb_run(engine, &arguments->ycsb.options, draws, &result);
        fine = ycsb_verified(&result) && fine;
        if (!arguments->ycsb.json) {
            ycsb_print(stdout, engine, &result);
            fflush(stdout);
        }
        json_array_append_new(engines, ycsb_json(engine, &result));
    }
    json_t *const root =
        json_pack("{s:o, s:b, s:o}", "options", ycsb_options_json(&arguments->ycsb.options),
                  "verified", fine, "engines", engines);
    if (!arguments->ycsb.json) {
        json_decref(root);
    } else if (!json_out(stdout, root)) {
        error(0, 0, "cannot write the report");
        fine = false;
    }
    return fine;
}

int main(int argc, char **argv)
{
    static const struct argp_child children[] = {{.argp = &ycsb_argp}, {0}};
    static const struct argp argp = {
        .options = option_list,
        .parser = parse_option,
        .children = children,
        .doc = "Loads records into stores and puts them through mixes of gets and sets under the "
               "same budget. Every value is verified.",
    };
    static struct arguments arguments;
    struct ycsb_draws draws;
    arguments.ycsb = ycsb_arguments_default();
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    interrupt_catch();
    if (!ycsb_arguments_read(&arguments.ycsb) || !choose_engines(&arguments)) {
        return EXIT_FAILURE;
    }
    if (arguments.engine_count == 0) {
        return EXIT_SKIP;
    }
    const bool fine =
        ycsb_draws_init(&draws, &arguments.ycsb.options) && run_engines(&arguments, &draws);
    ycsb_draws_fini(&draws);
    return fine ? EXIT_SUCCESS : EXIT_FAILURE;
}
