/* SPDX-License-Identifier: MIT */
/**
 * Each figure is a row of one table, from which both forms are written; the figure of an engine is
 * the median of its rounds.
 */
#include "compare_report.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "json_out.h"
#include "size.h"

#define NAME_WIDTH   18
#define COLUMN_WIDTH 14

enum unit {
    UNIT_RATE,
    UNIT_TIME,
    UNIT_SECONDS,
    UNIT_BYTES
};

static double rate(const struct crew_times *phase)
{
    return phase->seconds > 0 ? (double)phase->operations / phase->seconds : 0;
}

static double cpu_ns(const struct crew_times *phase)
{
    return phase->operations != 0 ? phase->cpu_seconds * 1e9 / (double)phase->operations : 0;
}

static double load_rate(const struct run_result *result)
{
    return rate(&result->load);
}

static double get_rate(const struct run_result *result)
{
    return rate(&result->get);
}

static double load_cpu(const struct run_result *result)
{
    return cpu_ns(&result->load);
}

static double get_cpu(const struct run_result *result)
{
    return cpu_ns(&result->get);
}

#define PHASE_FIELD(phase, field)                                                                  \
    static double phase##_##field(const struct run_result *result)                                 \
    {                                                                                              \
        return result->phase.field;                                                                \
    }

PHASE_FIELD(load, seconds)
PHASE_FIELD(load, p50_ns)
PHASE_FIELD(load, p99_ns)
PHASE_FIELD(load, p999_ns)
PHASE_FIELD(load, max_ns)
PHASE_FIELD(get, seconds)
PHASE_FIELD(get, p50_ns)
PHASE_FIELD(get, p99_ns)
PHASE_FIELD(get, p999_ns)
PHASE_FIELD(get, max_ns)

static double memory_peak(const struct run_result *result)
{
    return (double)result->memory_peak;
}

static double memory_end(const struct run_result *result)
{
    return (double)result->memory_end;
}

static double file_bytes(const struct run_result *result)
{
    return (double)result->file_bytes;
}

static const struct row {
    const char *name;
    const char *key; /* in JSON */
    enum unit unit;
    double (*figure)(const struct run_result *result);
} rows[] = {
    {"load, per second", "load_per_second", UNIT_RATE, load_rate},
    {"  duration", "load_seconds", UNIT_SECONDS, load_seconds},
    {"  CPU per set", "load_cpu_ns", UNIT_TIME, load_cpu},
    {"  p50", "load_p50_ns", UNIT_TIME, load_p50_ns},
    {"  p99", "load_p99_ns", UNIT_TIME, load_p99_ns},
    {"  p99.9", "load_p999_ns", UNIT_TIME, load_p999_ns},
    {"  longest", "load_max_ns", UNIT_TIME, load_max_ns},
    {"get, per second", "get_per_second", UNIT_RATE, get_rate},
    {"  duration", "get_seconds", UNIT_SECONDS, get_seconds},
    {"  CPU per get", "get_cpu_ns", UNIT_TIME, get_cpu},
    {"  p50", "get_p50_ns", UNIT_TIME, get_p50_ns},
    {"  p99", "get_p99_ns", UNIT_TIME, get_p99_ns},
    {"  p99.9", "get_p999_ns", UNIT_TIME, get_p999_ns},
    {"  longest", "get_max_ns", UNIT_TIME, get_max_ns},
    {"anonymous, most", "memory_peak", UNIT_BYTES, memory_peak},
    {"anonymous, at end", "memory_end", UNIT_BYTES, memory_end},
    {"files", "file_bytes", UNIT_BYTES, file_bytes},
};

#define ROWS (sizeof rows / sizeof *rows)

static double column_figure(const struct compare *compare, const struct compare_column *column,
                            const struct row *row)
{
    double numbers[MEDIAN_MAX];
    for (unsigned i = 0; i < compare->rounds; i++) {
        numbers[i] = row->figure(&column->rounds[i]);
    }
    return median(numbers, compare->rounds);
}

/* How many times as much the first engine reached as another, round by round. */
static double ratio(const struct compare *compare, const struct compare_column *column,
                    double (*figure)(const struct run_result *result))
{
    double numbers[MEDIAN_MAX];
    for (unsigned i = 0; i < compare->rounds; i++) {
        const double other = figure(&column->rounds[i]);
        numbers[i] = other > 0 ? figure(&compare->column[0].rounds[i]) / other : 0;
    }
    return median(numbers, compare->rounds);
}

/* Sums over the rounds. */
static struct run_result sums(const struct compare *compare, const struct compare_column *column)
{
    struct run_result sum = {0};
    for (unsigned i = 0; i < compare->rounds; i++) {
        const struct run_result *const result = &column->rounds[i];
        sum.findings.missing += result->findings.missing;
        sum.findings.wrong += result->findings.wrong;
        sum.findings.failed += result->findings.failed;
        sum.get.operations += result->get.operations;
        sum.load.stopped = sum.load.stopped || result->load.stopped;
        sum.get.stopped = sum.get.stopped || result->get.stopped;
    }
    return sum;
}

bool compare_verified(const struct compare *compare)
{
    for (unsigned i = 0; i < compare->columns; i++) {
        const struct run_result sum = sums(compare, &compare->column[i]);
        if (sum.findings.missing != 0 || sum.findings.wrong != 0 || sum.findings.failed != 0) {
            return false;
        }
    }
    return true;
}

static const char *format_figure(double figure, enum unit unit, char text[SIZE_TEXT])
{
    switch (unit) {
    case UNIT_TIME:
        return duration_format(figure, text);
    case UNIT_BYTES:
        return size_format((uint64_t)figure, text);
    case UNIT_SECONDS:
        snprintf(text, SIZE_TEXT, "%.1f s", figure);
        return text;
    case UNIT_RATE:
        break;
    }
    snprintf(text, SIZE_TEXT, "%.0f", figure);
    return text;
}

static void print_rows(FILE *stream, const struct compare *compare)
{
    char text[SIZE_TEXT];
    fprintf(stream, "%-*s", NAME_WIDTH, "");
    for (unsigned c = 0; c < compare->columns; c++) {
        fprintf(stream, "%*s", COLUMN_WIDTH, compare->column[c].engine->name);
    }
    fputc('\n', stream);
    for (size_t r = 0; r < ROWS; r++) {
        fprintf(stream, "%-*s", NAME_WIDTH, rows[r].name);
        for (unsigned c = 0; c < compare->columns; c++) {
            const double figure = column_figure(compare, &compare->column[c], &rows[r]);
            fprintf(stream, "%*s", COLUMN_WIDTH, format_figure(figure, rows[r].unit, text));
        }
        fputc('\n', stream);
    }
}

static void print_notes(FILE *stream, const struct compare *compare)
{
    for (unsigned c = 0; c < compare->columns; c++) {
        const struct compare_column *const column = &compare->column[c];
        const struct run_result sum = sums(compare, column);
        fprintf(stream, "%s: %s\n", column->engine->name, column->engine->about);
        if (column->entries != compare->column[0].entries) {
            fprintf(stream,
                    "  NOTE: was given %" PRIu64 " entries only; more would not fit its cache as "
                    "well, so its figures are flattered\n",
                    column->entries);
        }
        if (sum.load.stopped) {
            fprintf(stream,
                    "  NOTE: the load was stopped after %.0f s at %" PRIu64 " of %" PRIu64
                    " entries; the more there are the slower it gets, so its figures are "
                    "flattered\n",
                    column->rounds[0].load.seconds, column->rounds[0].load.operations,
                    column->entries);
        }
        if (sum.get.stopped) {
            fprintf(stream, "  NOTE: the reads were stopped when the time was up\n");
        }
        fprintf(stream,
                "  %" PRIu64 " values read and compared: %" PRIu64 " missing, %" PRIu64
                " wrong; %" PRIu64 " calls failed\n",
                sum.get.operations, sum.findings.missing, sum.findings.wrong, sum.findings.failed);
    }
}

void compare_print(FILE *stream, const struct compare *compare)
{
    const struct run_options *const options = &compare->options;
    char memory[SIZE_TEXT];
    char data[SIZE_TEXT];
    fprintf(stream,
            "%" PRIu64 " entries of %zu + %zu bytes (%s) under %s, %u threads, %" PRIu64
            " uniform reads; medians of %u rounds\n"
            "latencies include 30 ns or so for making key and value and reading the clock\n\n",
            options->entries, options->key_size, options->value_size,
            size_format(options->entries * (options->key_size + options->value_size), data),
            size_format(options->max_mem, memory), options->threads, options->reads,
            compare->rounds);
    print_rows(stream, compare);
    fputc('\n', stream);
    for (unsigned c = 1; c < compare->columns; c++) {
        const struct compare_column *const column = &compare->column[c];
        fprintf(stream, "%s : %s   load %.1f   get %.1f\n", compare->column[0].engine->name,
                column->engine->name, ratio(compare, column, load_rate),
                ratio(compare, column, get_rate));
    }
    print_notes(stream, compare);
}

static json_t *column_json(const struct compare *compare, const struct compare_column *column)
{
    const struct run_result sum = sums(compare, column);
    json_t *const object = json_pack(
        "{s:s, s:s, s:I, s:I, s:b, s:b, s:I, s:I, s:I}", "engine", column->engine->name, "about",
        column->engine->about, "entries_wanted", (json_int_t)column->entries, "entries_loaded",
        (json_int_t)column->rounds[0].load.operations, "load_stopped", sum.load.stopped,
        "get_stopped", sum.get.stopped, "missing", (json_int_t)sum.findings.missing, "wrong",
        (json_int_t)sum.findings.wrong, "failed", (json_int_t)sum.findings.failed);
    for (size_t r = 0; r < ROWS; r++) {
        json_t *const rounds = json_array();
        for (unsigned i = 0; i < compare->rounds; i++) {
            json_array_append_new(rounds, json_real(rows[r].figure(&column->rounds[i])));
        }
        json_object_set_new(object, rows[r].key,
                            json_pack("{s:f, s:o}", "median",
                                      column_figure(compare, column, &rows[r]), "rounds", rounds));
    }
    if (column != &compare->column[0]) {
        json_object_set_new(object, "load_ratio", json_real(ratio(compare, column, load_rate)));
        json_object_set_new(object, "get_ratio", json_real(ratio(compare, column, get_rate)));
    }
    return object;
}

bool compare_print_json(FILE *stream, const struct compare *compare)
{
    const struct run_options *const options = &compare->options;
    json_t *const engines = json_array();
    for (unsigned c = 0; c < compare->columns; c++) {
        json_array_append_new(engines, column_json(compare, &compare->column[c]));
    }
    json_t *const root =
        json_pack("{s:{s:I, s:I, s:I, s:I, s:I, s:i, s:I}, s:i, s:b, s:o}", "workload", "entries",
                  (json_int_t)options->entries, "key_size", (json_int_t)options->key_size,
                  "value_size", (json_int_t)options->value_size, "reads",
                  (json_int_t)options->reads, "max_mem", (json_int_t)options->max_mem, "threads",
                  (int)options->threads, "seed", (json_int_t)options->seed, "rounds",
                  (int)compare->rounds, "verified", compare_verified(compare), "engines", engines);
    return json_out(stream, root);
}
