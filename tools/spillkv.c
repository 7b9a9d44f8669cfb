/* SPDX-License-Identifier: MIT */
/**
 * The program `spillkv`: finds the command and hands the arguments behind it over.
 */
#include <argp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <spillkv/spillkv.h>

#include "command.h"

struct command {
    const char *name;
    char *title; /* the command's argv[0], for its messages */
    int (*run)(int argc, char **argv);
};

static char load_title[] = "spillkv load";
static char repl_title[] = "spillkv repl";
static char replay_title[] = "spillkv replay";

static const struct command commands[] = {{"load", load_title, command_load},
                                          {"repl", repl_title, command_repl},
                                          {"replay", replay_title, command_replay}};

static const char description[] =
    "A concurrent map that holds more than RAM does, from the command line."
    "\vCommands:\n"
    "  load     store the records of files, read all of them back, compare and measure\n"
    "  repl     set, get and delete by hand\n"
    "  replay   run a trace of requests, verify the values, measure how many come from RAM\n"
    "\n"
    "'spillkv COMMAND --help' tells more.";

const char *argp_program_version = "spillkv " SPILLKV_VERSION;

/* What the command line asks for. */
struct choice {
    const struct command *command;
    int first; /* index of its name in argv */
};

static error_t parse_command(int key, char *value, struct argp_state *state)
{
    struct choice *const choice = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
            if (strcmp(value, commands[i].name) == 0) {
                choice->command = &commands[i];
            }
        }
        if (choice->command == NULL) {
            argp_error(state, "'%s' is not a command", value);
        }
        choice->first = state->next - 1;
        state->next = state->argc; /* the rest is for the command */
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "a command is needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv)
{
    const struct argp argp = {
        .parser = parse_command, .args_doc = "COMMAND [ARGUMENT...]", .doc = description};
    struct choice choice = {0};
    argp_err_exit_status = COMMAND_TROUBLE;
    if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &choice) != 0 ||
        choice.command == NULL) {
        return COMMAND_TROUBLE;
    }
    argv[choice.first] = choice.command->title;
    return choice.command->run(argc - choice.first, argv + choice.first);
}
