/* SPDX-License-Identifier: MIT */
/**
 * `spillkv repl`: one command a line, answered on standard output; failures go to standard error
 * and the loop goes on. Keys and values are read and written escaped, so any byte can pass.
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <spillkv/spillkv.h>

#include "advice.h"
#include "command.h"
#include "escape.h"
#include "interrupt.h"
#include "progress.h"
#include "report.h"
#include "store.h"

/* A word of a line, or the rest of it; not terminated. */
struct word {
    char *text;
    size_t size;
};

struct repl_command {
    const char *name;
    const char *help;
    bool has_key;
    bool has_value;
    spillkv_status (*run)(spillkv *kv, const struct word *key, const struct word *value);
};

static spillkv_status run_set(spillkv *kv, const struct word *key, const struct word *value)
{
    const spillkv_status status = spillkv_set(kv, key->text, key->size, value->text, value->size);
    if (status == SPILLKV_OK) {
        puts("ok");
    }
    return status;
}

static spillkv_status run_get(spillkv *kv, const struct word *key, const struct word *value)
{
    (void)value;
    void *copy = NULL;
    size_t size = 0;
    const spillkv_status status = spillkv_get_copy(kv, key->text, key->size, &copy, &size);
    if (status == SPILLKV_OK) {
        escape_write(stdout, copy, size);
        putchar('\n');
    } else if (status == SPILLKV_NOT_FOUND) {
        puts("(not found)");
    }
    spillkv_free(copy);
    return status;
}

static spillkv_status run_del(spillkv *kv, const struct word *key, const struct word *value)
{
    (void)value;
    const spillkv_status status = spillkv_del(kv, key->text, key->size);
    if (status >= SPILLKV_OK) {
        puts(status == SPILLKV_OK ? "ok" : "(not found)");
    }
    return status;
}

static spillkv_status run_has(spillkv *kv, const struct word *key, const struct word *value)
{
    (void)value;
    const spillkv_status status = spillkv_has(kv, key->text, key->size);
    if (status >= SPILLKV_OK) {
        puts(status == SPILLKV_OK ? "yes" : "no");
    }
    return status;
}

static spillkv_status run_count(spillkv *kv, const struct word *key, const struct word *value)
{
    (void)key;
    (void)value;
    uint64_t count = 0;
    const spillkv_status status = spillkv_count(kv, &count);
    if (status == SPILLKV_OK) {
        printf("%" PRIu64 "\n", count);
    }
    return status;
}

static spillkv_status run_stats(spillkv *kv, const struct word *key, const struct word *value)
{
    (void)key;
    (void)value;
    spillkv_stats_data stats;
    const spillkv_status status = spillkv_stats(kv, &stats);
    if (status == SPILLKV_OK) {
        report_print_stats(stdout, &stats);
    }
    return status;
}

static spillkv_status run_advise(spillkv *kv, const struct word *key, const struct word *value)
{
    (void)key;
    (void)value;
    spillkv_advice advice;
    const spillkv_status status = spillkv_advise(kv, &advice);
    if (status == SPILLKV_OK) {
        advice_print(stdout, &advice);
    }
    return status;
}

static int print_entry(void *context, const void *key, size_t key_size, const void *value,
                       size_t value_size)
{
    (void)context;
    escape_write(stdout, key, key_size);
    putchar('\t');
    escape_write(stdout, value, value_size);
    putchar('\n');
    return interrupt_seen() || ferror(stdout);
}

static spillkv_status run_each(spillkv *kv, const struct word *key, const struct word *value)
{
    (void)key;
    (void)value;
    return spillkv_each(kv, print_entry, NULL);
}

static spillkv_status run_clear(spillkv *kv, const struct word *key, const struct word *value)
{
    (void)key;
    (void)value;
    const spillkv_status status = spillkv_clear(kv);
    if (status == SPILLKV_OK) {
        puts("ok");
    }
    return status;
}

static spillkv_status run_flush(spillkv *kv, const struct word *key, const struct word *value)
{
    (void)key;
    (void)value;
    const spillkv_status status = spillkv_flush(kv);
    if (status == SPILLKV_OK) {
        puts("ok");
    }
    return status;
}

static spillkv_status run_help(spillkv *kv, const struct word *key, const struct word *value);

static const struct repl_command repl_commands[] = {
    {"set", "set KEY VALUE...  store the rest of the line under KEY", true, true, run_set},
    {"get", "get KEY           show the value of KEY", true, false, run_get},
    {"del", "del KEY           remove KEY", true, false, run_del},
    {"has", "has KEY           tell whether KEY is there", true, false, run_has},
    {"count", "count             number of entries", false, false, run_count},
    {"stats", "stats             counters and memory", false, false, run_stats},
    {"advise", "advise            what more or less memory would change", false, false, run_advise},
    {"each", "each              show all entries: key TAB value", false, false, run_each},
    {"clear", "clear             remove all entries", false, false, run_clear},
    {"flush", "flush             wait until nothing is left to spill", false, false, run_flush},
    {"help", "help              this text", false, false, run_help},
    {"quit", "quit              end; all entries are gone then", false, false, NULL}};

#define REPL_COMMANDS (sizeof repl_commands / sizeof *repl_commands)

static spillkv_status run_help(spillkv *kv, const struct word *key, const struct word *value)
{
    (void)kv;
    (void)key;
    (void)value;
    for (size_t i = 0; i < REPL_COMMANDS; i++) {
        puts(repl_commands[i].help);
    }
    puts("Bytes are written \\n, \\r, \\t, \\\\ or \\xHH where they are not printable.");
    return SPILLKV_OK;
}

/* Takes the next word off the line; its size is 0 when none is left. */
static struct word take_word(struct word *line)
{
    while (line->size > 0 && *line->text == ' ') {
        line->text++;
        line->size--;
    }
    const char *const space = memchr(line->text, ' ', line->size);
    const struct word word = {line->text,
                              space != NULL ? (size_t)(space - line->text) : line->size};
    const size_t taken = space != NULL ? word.size + 1 : word.size;
    line->text += taken;
    line->size -= taken;
    return word;
}

static const struct repl_command *find_command(const struct word *name)
{
    for (size_t i = 0; i < REPL_COMMANDS; i++) {
        if (strlen(repl_commands[i].name) == name->size &&
            memcmp(repl_commands[i].name, name->text, name->size) == 0) {
            return &repl_commands[i];
        }
    }
    return NULL;
}

static void run_command(spillkv *kv, const struct repl_command *command, struct word *line)
{
    struct word key = {line->text, 0};
    struct word value = {line->text, 0};
    if (command->has_key) {
        key = take_word(line);
    }
    if (command->has_value) {
        value = *line;
        line->size = 0;
    }
    if ((command->has_key && key.size == 0) || take_word(line).size != 0) {
        progress_say("usage: %s", command->help);
        return;
    }
    if (!escape_undo(key.text, key.size, &key.size) ||
        !escape_undo(value.text, value.size, &value.size)) {
        progress_say("a backslash must begin \\n, \\r, \\t, \\\\ or \\xHH");
        return;
    }
    const spillkv_status status = command->run(kv, &key, &value);
    if (status < 0) {
        char text[ESCAPE_BRIEF];
        progress_say("%s%s%s: %s", command->name, command->has_key ? " " : "",
                     escape_brief(key.text, key.size, text), spillkv_strerror(status));
    }
}

/* Runs one line; false when it asked to end. */
static bool run_line(spillkv *kv, struct word line)
{
    const struct word name = take_word(&line);
    if (name.size == 0) {
        return true;
    }
    const struct repl_command *const command = find_command(&name);
    if (command == NULL) {
        char text[ESCAPE_BRIEF];
        progress_say("%s is not a command; try help", escape_brief(name.text, name.size, text));
        return true;
    }
    if (command->run == NULL) {
        return false;
    }
    run_command(kv, command, &line);
    return true;
}

static int run_lines(spillkv *kv)
{
    const bool prompt = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    char *text = NULL;
    size_t capacity = 0;
    bool more = true;
    while (more && !interrupt_seen() && !ferror(stdout)) {
        if (prompt) {
            fputs("spillkv> ", stdout);
        }
        fflush(stdout);
        errno = 0;
        const ssize_t got = getline(&text, &capacity, stdin);
        if (got < 0) {
            break;
        }
        const bool ended = got > 0 && text[got - 1] == '\n';
        more = run_line(kv, (struct word){text, (size_t)got - (ended ? 1 : 0)});
    }
    if (prompt && more) {
        putchar('\n');
    }
    free(text);
    const bool failed = ferror(stdin) && !interrupt_seen();
    if (failed) {
        progress_say("cannot read the standard input: %s", strerror(errno));
    }
    return fflush(stdout) == 0 && !ferror(stdout) && !failed ? COMMAND_OK : COMMAND_TROUBLE;
}

static error_t parse_repl_option(int key, char *value, struct argp_state *state)
{
    (void)value;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = state->input;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "no arguments are taken");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int command_repl(int argc, char **argv)
{
    const struct argp_child children[] = {{&store_argp, 0, NULL, 0}, {0}};
    const struct argp argp = {.parser = parse_repl_option,
                              .doc = "Open an empty store and take commands for it by hand, one a "
                                     "line; 'help' lists them.",
                              .children = children};
    struct store_args args = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &args) != 0) {
        return COMMAND_TROUBLE;
    }
    interrupt_catch();
    struct store store;
    if (!store_open(&store, &args)) {
        return COMMAND_TROUBLE;
    }
    const int code = run_lines(store.kv);
    return store_close(&store) ? code : COMMAND_TROUBLE;
}
