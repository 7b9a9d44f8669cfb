/* SPDX-License-Identifier: MIT */
/**
 * What single parts of the library cost. See README.md.
 */
#include "micro.h"

#include <argp.h>
#include <errno.h>
#include <error.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <spillkv/spillkv.h>

#include "arguments.h"
#include "json_out.h"
#include "progress.h"
#include "size.h"
#include "workload.h"

/* The cold part adds several samples a round. */
#define ROUNDS_MAX 30u
#define GENERATED  ((uint64_t)2000000)
#define VALUE_MOST 1024

static const struct part {
    const char *name;
    bool (*measure)(struct micro *micro);
} parts[] = {
    {"load", micro_load},     {"spill", micro_spill},
    {"cold", micro_cold},     {"table", micro_table},
    {"hot", micro_hot},       {"pin", micro_pin},
    {"many", micro_many},     {"many-cold", micro_many_cold},
    {"memory", micro_memory}, {"residency", micro_residency},
};

#define PARTS (sizeof parts / sizeof *parts)

enum long_option {
    OPTION_COLD = 256,
    OPTION_HOT,
    OPTION_SEED,
    OPTION_JSON,
    OPTION_CHART
};

static const struct argp_option option_list[] = {
    {"parts", 'P', "LIST", 0,
     "Parts, comma-separated (load,spill,cold,table,hot,pin,many,many-cold,memory,residency)", 1},
    {"rounds", 'R', "N", 0, "Rounds of each part; medians are shown (3)", 1},
    {"cpu", 'c', "N", 0, "Run all threads on this processor", 1},
    {"entries", 'n', "N", 0, "Entries of the load and of the table, most keys spilled (10000000)",
     2},
    {"cold-entries", OPTION_COLD, "N", 0, "Entries that are spilled and read back (2000000)", 2},
    {"hot-entries", OPTION_HOT, "N", 0, "Entries that stay in memory (1000000)", 2},
    {"reads", 'r', "N", 0, "Reads in each measurement of spilled gets (200000)", 2},
    {"batch", 'b', "N", 0, "Keys in a batch (32)", 2},
    {"max-mem", 'm', "SIZE", 0, "Memory for the load (16 bytes an entry)", 2},
    {"shards", 's', "N", 0, "Shards of the stores (they choose)", 2},
    {"seed", OPTION_SEED, "N", 0, "Other entries (1)", 2},
    {"path", 'p', "DIR", 0, "Where the files go (TMPDIR or /tmp)", 2},
    {"json", OPTION_JSON, NULL, 0, "Write JSON instead of a table", 3},
    {"chart", OPTION_CHART, "FILE", 0, "Draw the part residency as SVG, by gnuplot", 3},
    {"quiet", 'q', NULL, 0, "No progress", 3},
    {0}};

struct arguments {
    struct micro micro;
    const char *parts; /* NULL: all */
    unsigned rounds;
    int cpu;           /* -1: any */
    const char *chart; /* NULL: none */
    bool json;
    bool quiet;
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t micro_process_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t micro_thread_ns(void)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

double micro_make_ns(const struct micro *micro, size_t value_size)
{
    uint8_t key[MICRO_KEY_SIZE];
    uint8_t value[VALUE_MOST];
    const uint64_t began = micro_thread_ns();
    for (uint64_t i = 0; i < GENERATED; i++) {
        workload_key(micro->seed, i, key, sizeof key);
        workload_value(key, value, value_size);
        micro_touch(key);
        micro_touch(value);
    }
    return (double)(micro_thread_ns() - began) / (double)GENERATED;
}

double micro_check_ns(const struct micro *micro, size_t value_size)
{
    uint8_t key[MICRO_KEY_SIZE];
    uint8_t value[VALUE_MOST] = {0};
    uint64_t random = micro->seed;
    uint64_t right = 0;
    const uint64_t began = micro_thread_ns();
    for (uint64_t i = 0; i < GENERATED; i++) {
        workload_key(micro->seed, workload_below(&random, GENERATED), key, sizeof key);
        micro_touch(key);
        right += workload_value_is(key, value, value_size);
        micro_touch(&right);
    }
    return (double)(micro_thread_ns() - began) / (double)GENERATED;
}

static error_t parse_numbers(int key, char *value, struct argp_state *state)
{
    struct micro *const micro = &((struct arguments *)state->input)->micro;
    switch (key) {
    case 'n':
        micro->entries = arguments_number(state, value, 1000, UINT64_C(1) << 31);
        return 0;
    case OPTION_COLD:
        micro->cold_entries = arguments_number(state, value, 1000, UINT64_C(1) << 28);
        return 0;
    case OPTION_HOT:
        micro->hot_entries = arguments_number(state, value, 1000, UINT64_C(1) << 28);
        return 0;
    case 'r':
        micro->reads = arguments_number(state, value, 1, UINT64_C(1) << 32);
        return 0;
    case 'm':
        if (!size_parse(value, &micro->max_mem)) {
            argp_error(state, "'%s' is not a size like 64M, 1.5G or 1000000", value);
        }
        return 0;
    case 's':
        micro->shards = (uint32_t)arguments_number(state, value, 0, SPILLKV_SHARDS_MAX);
        return 0;
    case 'b':
        micro->batch = (uint32_t)arguments_number(state, value, 1, MICRO_BATCH_MOST);
        return 0;
    case OPTION_SEED:
        micro->seed = arguments_number(state, value, 0, UINT32_MAX);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *const arguments = state->input;
    switch (key) {
    case 'P':
        arguments->parts = value;
        return 0;
    case 'R':
        arguments->rounds = (unsigned)arguments_number(state, value, 1, ROUNDS_MAX);
        return 0;
    case 'c':
        arguments->cpu = (int)arguments_number(state, value, 0, CPU_SETSIZE - 1);
        return 0;
    case 'p':
        arguments->micro.folder = value;
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
        return parse_numbers(key, value, state);
    }
}

/* Sets the flag of the part of that name; false after a message. */
static bool choose_part(void *context, const char *name)
{
    bool *const chosen = context;
    size_t i = 0;
    while (i < PARTS && strcmp(parts[i].name, name) != 0) {
        i++;
    }
    if (i == PARTS) {
        error(0, 0, "no part '%s'", name);
        return false;
    }
    chosen[i] = true;
    return true;
}

static bool measure(struct arguments *arguments)
{
    bool chosen[PARTS];
    for (size_t i = 0; i < PARTS; i++) {
        chosen[i] = arguments->parts == NULL;
    }
    if (arguments->parts != NULL && !arguments_each(arguments->parts, choose_part, chosen)) {
        return false;
    }
    for (unsigned round = 0; round < arguments->rounds; round++) {
        for (size_t i = 0; i < PARTS; i++) {
            if (!chosen[i]) {
                continue;
            }
            if (!arguments->quiet) {
                progress_say("round %u of %u: %s", round + 1, arguments->rounds, parts[i].name);
            }
            if (!parts[i].measure(&arguments->micro)) {
                return false;
            }
        }
    }
    return true;
}

static bool pin(int cpu)
{
    cpu_set_t set;
    if (cpu < 0) {
        return true;
    }
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) {
        error(0, errno, "cannot run on processor %d", cpu);
        return false;
    }
    return true;
}

static bool print_json(const struct arguments *arguments)
{
    json_t *const root = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:o}", "entries", (json_int_t)arguments->micro.entries,
        "cold_entries", (json_int_t)arguments->micro.cold_entries, "hot_entries",
        (json_int_t)arguments->micro.hot_entries, "reads", (json_int_t)arguments->micro.reads,
        "max_mem", (json_int_t)arguments->micro.max_mem, "rounds", (int)arguments->rounds, "cpu",
        arguments->cpu, "figures", figures_json(&arguments->micro.figures));
    return json_out(stdout, root);
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = option_list,
        .parser = parse_option,
        .doc = "Measures what single parts of spillkv cost.",
    };
    static struct arguments arguments = {
        .micro = {.entries = 10000000,
                  .cold_entries = 2000000,
                  .hot_entries = 1000000,
                  .reads = 200000,
                  .batch = 32,
                  .seed = 1},
        .rounds = 3,
        .cpu = -1,
    };
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    if (arguments.micro.max_mem == 0) {
        arguments.micro.max_mem = arguments.micro.entries * 16;
    }
    if (!pin(arguments.cpu) || !measure(&arguments)) {
        return EXIT_FAILURE;
    }
    if (!arguments.json) {
        figures_print(stdout, &arguments.micro.figures);
    } else if (!print_json(&arguments)) {
        error(0, 0, "cannot write the report");
        return EXIT_FAILURE;
    }
    if (arguments.chart != NULL &&
        !micro_residency_draw(arguments.chart, &arguments.micro.figures)) {
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
