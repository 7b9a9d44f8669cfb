/* SPDX-License-Identifier: MIT */
/**
 * Each figure of a phase is a row of one table, from which both forms are written.
 */
#include "hundred_million_report.h"

#include <inttypes.h>

#include "json_out.h"
#include "size.h"

#define NAME_WIDTH   28
#define COLUMN_WIDTH 14

static const char *const phase_names[HUNDRED_PHASES] = {"load", "uniform", "zipf"};

enum unit {
    UNIT_RATE,
    UNIT_SECONDS,
    UNIT_TIME,
    UNIT_PERCENT,
    UNIT_BYTES,
    UNIT_RATIO
};

/* A phase, and the state before it. */
struct view {
    const struct crew_times *times;
    const struct hundred_state *state;
    const spillkv_counters *before;
};

static double divide(double number, double by)
{
    return by > 0 ? number / by : 0;
}

static double rate(const struct view *view)
{
    return divide((double)view->times->operations, view->times->seconds);
}

static double cpu_ns(const struct view *view)
{
    return divide(view->times->cpu_seconds * 1e9, (double)view->times->operations);
}

static double system_seconds(const struct view *view)
{
    return view->times->cpu_seconds - view->times->user_seconds;
}

static double hits(const struct view *view)
{
    const spillkv_counters *const now = &view->state->stats.total;
    const double found = (double)(now->hits - view->before->hits);
    return 100 * divide(found, found + (double)(now->spilled_reads - view->before->spilled_reads));
}

static double spilled(const struct view *view)
{
    const spillkv_counters *const now = &view->state->stats.total;
    return 100 *
           divide((double)now->entries_spilled, (double)(now->entries_spilled + now->entries_ram));
}

static double per_live(const struct view *view)
{
    return divide((double)view->state->disk_bytes, (double)view->state->stats.total.live_bytes);
}

static double per_spilled(const struct view *view)
{
    return divide((double)view->state->disk_bytes, (double)view->state->stats.total.bytes_spilled);
}

#define FIELD(name, expression)                                                                    \
    static double name(const struct view *view)                                                    \
    {                                                                                              \
        return (double)view->expression;                                                           \
    }

FIELD(seconds, times->seconds)
FIELD(user_seconds, times->user_seconds)
FIELD(p50, times->p50_ns)
FIELD(p99, times->p99_ns)
FIELD(p999, times->p999_ns)
FIELD(longest, times->max_ns)
FIELD(rss_anonymous, state->rss_anonymous)
FIELD(rss_file, state->rss_file)
FIELD(charged, state->stats.memory.total)
FIELD(charged_entries, state->stats.memory.entries)
FIELD(charged_table, state->stats.memory.table)
FIELD(disk, state->disk_bytes)

static const struct row {
    const char *name;
    const char *key; /* in JSON */
    enum unit unit;
    double (*figure)(const struct view *view);
} rows[] = {
    {"per second", "per_second", UNIT_RATE, rate},
    {"duration, flush included", "seconds", UNIT_SECONDS, seconds},
    {"CPU, user", "user_seconds", UNIT_SECONDS, user_seconds},
    {"CPU, system", "system_seconds", UNIT_SECONDS, system_seconds},
    {"CPU for each", "cpu_ns", UNIT_TIME, cpu_ns},
    {"p50", "p50_ns", UNIT_TIME, p50},
    {"p99", "p99_ns", UNIT_TIME, p99},
    {"p99.9", "p999_ns", UNIT_TIME, p999},
    {"longest", "max_ns", UNIT_TIME, longest},
    {"gets answered from RAM", "hit_percent", UNIT_PERCENT, hits},
    {"entries spilled", "spilled_percent", UNIT_PERCENT, spilled},
    {"RssAnon", "rss_anonymous", UNIT_BYTES, rss_anonymous},
    {"RssFile", "rss_file", UNIT_BYTES, rss_file},
    {"charged", "charged", UNIT_BYTES, charged},
    {"  to entries", "charged_entries", UNIT_BYTES, charged_entries},
    {"  to slots", "charged_table", UNIT_BYTES, charged_table},
    {"files", "disk_bytes", UNIT_BYTES, disk},
    {"files / live bytes in them", "files_per_live", UNIT_RATIO, per_live},
    {"files / keys, values spilled", "files_per_spilled", UNIT_RATIO, per_spilled},
};

#define ROWS (sizeof rows / sizeof *rows)

static struct view view_of(const struct hundred_result *result, unsigned phase)
{
    static const spillkv_counters none;
    return (struct view){&result->times[phase], &result->states[phase],
                         phase != 0 ? &result->states[phase - 1].stats.total : &none};
}

static const char *figure_format(double figure, enum unit unit, char text[SIZE_TEXT])
{
    switch (unit) {
    case UNIT_TIME:
        return duration_format(figure, text);
    case UNIT_BYTES:
        return size_format((uint64_t)figure, text);
    case UNIT_SECONDS:
        snprintf(text, SIZE_TEXT, "%.1f s", figure);
        return text;
    case UNIT_PERCENT:
        snprintf(text, SIZE_TEXT, "%.1f %%", figure);
        return text;
    case UNIT_RATIO:
        snprintf(text, SIZE_TEXT, "%.2f", figure);
        return text;
    case UNIT_RATE:
        break;
    }
    snprintf(text, SIZE_TEXT, "%.0f", figure);
    return text;
}

/* Entries per second in a tenth of the load, counted from 0. */
static double tenth_rate(const struct hundred_options *options, const struct hundred_result *result,
                         unsigned tenth)
{
    const double *const ends = result->times[HUNDRED_LOAD].tenths;
    const double began = tenth != 0 ? ends[tenth - 1] : 0;
    return divide((double)options->entries / CREW_TENTHS, ends[tenth] - began);
}

/* The last tenth of the load against the second. */
static double steadiness(const struct hundred_options *options, const struct hundred_result *result)
{
    return divide(tenth_rate(options, result, CREW_TENTHS - 1), tenth_rate(options, result, 1));
}

bool hundred_verified(const struct hundred_options *options, const struct hundred_result *result)
{
    return result->findings.missing == 0 && result->findings.wrong == 0 &&
           result->findings.failed == 0 && result->count == options->entries;
}

static void print_tenths(FILE *stream, const struct hundred_options *options,
                         const struct hundred_result *result)
{
    const double steady = steadiness(options, result);
    fprintf(stream, "\nload, thousands a second, tenth by tenth:");
    for (unsigned i = 0; i < CREW_TENTHS; i++) {
        fprintf(stream, " %.0f", tenth_rate(options, result, i) / 1e3);
    }
    fprintf(stream, "\nlast tenth / second tenth: %.2f  (wanted: at least %g%s)\n", steady,
            HUNDRED_STEADY, steady >= HUNDRED_STEADY ? "" : ", MISSED");
}

void hundred_print(FILE *stream, const struct hundred_options *options,
                   const struct hundred_result *result)
{
    char memory[SIZE_TEXT];
    char text[SIZE_TEXT];
    fprintf(stream,
            "%" PRIu64 " entries of 16 + 100 bytes under %s, %u threads, %" PRIu32
            " shards; %" PRIu64 " reads uniformly and by a Zipf law (%g)\n"
            "latencies are of every sixteenth operation, the longest of all; they include 30 ns or "
            "so for\nmaking key and value and reading the clock\n\n%-*s",
            options->entries, size_format(options->max_mem, memory), options->threads,
            result->states[0].stats.shards, options->reads, options->exponent, NAME_WIDTH, "");
    for (unsigned phase = 0; phase < HUNDRED_PHASES; phase++) {
        fprintf(stream, "%*s", COLUMN_WIDTH, phase_names[phase]);
    }
    for (size_t r = 0; r < ROWS; r++) {
        fprintf(stream, "\n%-*s", NAME_WIDTH, rows[r].name);
        for (unsigned phase = 0; phase < HUNDRED_PHASES; phase++) {
            const struct view view = view_of(result, phase);
            fprintf(stream, "%*s", COLUMN_WIDTH,
                    figure_format(rows[r].figure(&view), rows[r].unit, text));
        }
    }
    fputc('\n', stream);
    print_tenths(stream, options, result);
    fprintf(stream, "RssAnon, most: %s, %.1f %% of max_mem", size_format(result->rss_peak, text),
            100 * divide((double)result->rss_peak, (double)options->max_mem));
    fprintf(stream, "; before the store was opened: %s\n", size_format(result->rss_before, text));
    fprintf(stream,
            "%" PRIu64 " values read and compared: %" PRIu64 " missing, %" PRIu64 " wrong; %" PRIu64
            " calls failed; %" PRIu64 " entries counted in the end\n",
            result->times[HUNDRED_UNIFORM].operations + result->times[HUNDRED_ZIPF].operations,
            result->findings.missing, result->findings.wrong, result->findings.failed,
            result->count);
}

static json_t *phase_json(const struct hundred_result *result, unsigned phase)
{
    const struct view view = view_of(result, phase);
    json_t *const object =
        json_pack("{s:I}", "operations", (json_int_t)result->times[phase].operations);
    for (size_t r = 0; r < ROWS; r++) {
        json_object_set_new(object, rows[r].key, json_real(rows[r].figure(&view)));
    }
    return object;
}

bool hundred_print_json(FILE *stream, const struct hundred_options *options,
                        const struct hundred_result *result)
{
    const double steady = steadiness(options, result);
    json_t *const tenths = json_array();
    json_t *const root = json_pack(
        "{s:{s:I, s:I, s:I, s:i, s:i, s:f, s:I}, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:b}",
        "workload", "entries", (json_int_t)options->entries, "reads", (json_int_t)options->reads,
        "max_mem", (json_int_t)options->max_mem, "threads", (int)options->threads, "shards",
        (int)result->states[0].stats.shards, "zipf", options->exponent, "seed",
        (json_int_t)options->seed, "verified", hundred_verified(options, result), "missing",
        (json_int_t)result->findings.missing, "wrong", (json_int_t)result->findings.wrong, "failed",
        (json_int_t)result->findings.failed, "count", (json_int_t)result->count, "rss_before",
        (json_int_t)result->rss_before, "rss_peak", (json_int_t)result->rss_peak,
        "last_tenth_to_second", steady, "steady", steady >= HUNDRED_STEADY);
    for (unsigned i = 0; i < CREW_TENTHS; i++) {
        json_array_append_new(tenths, json_real(tenth_rate(options, result, i)));
    }
    json_object_set_new(root, "load_tenths_per_second", tenths);
    for (unsigned phase = 0; phase < HUNDRED_PHASES; phase++) {
        json_object_set_new(root, phase_names[phase], phase_json(result, phase));
    }
    return json_out(stream, root);
}
