/* SPDX-License-Identifier: MIT */
#include "ycsb_report.h"

#include <inttypes.h>
#include <stdbool.h>

#include "size.h"

#define NAME_WIDTH  12
#define TIME_WIDTH  10
#define COUNT_WIDTH 12

static const char *phase_name(const struct ycsb_phase *phase)
{
    return phase->mix != NULL ? phase->mix->name : "load";
}

static double rate(const struct crew_times *times)
{
    return times->seconds > 0 ? (double)times->operations / times->seconds : 0;
}

static double cpu_ns(const struct crew_times *times)
{
    return times->operations != 0 ? times->cpu_seconds * 1e9 / (double)times->operations : 0;
}

void ycsb_print_head(FILE *stream, const struct ycsb_options *options)
{
    char memory[SIZE_TEXT];
    fprintf(stream,
            "%" PRIu64 " records of %zu + %zu bytes under %s, Zipf %.2f, %.1f s a phase\n"
            "latencies include some 50 ns for the key, the check of the value and the clock%s\n\n",
            options->records, options->key_size, options->value_size,
            size_format(options->max_mem, memory), options->exponent, options->seconds,
            options->rate > 0 ? "; \"due\": since the operation was due" : "");
    fprintf(stream, "%-*s%-*s%*s%*s%*s%*s%*s%*s%*s\n", NAME_WIDTH, "engine", NAME_WIDTH, "mix", 4,
            "T", COUNT_WIDTH, "per second", TIME_WIDTH, "CPU", TIME_WIDTH, "p50", TIME_WIDTH, "p99",
            TIME_WIDTH, "p99.9", TIME_WIDTH, "max");
}

/* A row of quantiles; nothing if there were no operations. */
static void print_spread(FILE *stream, const char *name, const struct crew_spread *spread)
{
    const double times[] = {spread->p50_ns, spread->p99_ns, spread->p999_ns, spread->max_ns};
    char text[SIZE_TEXT];
    if (spread->count == 0) {
        return;
    }
    fprintf(stream, "%-*s%-*s%*s", NAME_WIDTH, "", NAME_WIDTH + 4 + COUNT_WIDTH, name, TIME_WIDTH,
            "");
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        fprintf(stream, "%*s", TIME_WIDTH, duration_format(times[i], text));
    }
    fputc('\n', stream);
}

static void print_phase(FILE *stream, const struct engine *engine, const struct ycsb_phase *phase)
{
    const struct crew_times *const times = &phase->times;
    const struct crew_findings *const found = &phase->findings;
    char text[SIZE_TEXT];
    fprintf(stream, "%-*s%-*s%4u%*.0f%*s\n", NAME_WIDTH, engine->name, NAME_WIDTH,
            phase_name(phase), phase->threads, COUNT_WIDTH, rate(times), TIME_WIDTH,
            duration_format(cpu_ns(times), text));
    print_spread(stream, phase->batched ? "  batches" : "  reads", &times->spread[CREW_READ]);
    print_spread(stream, "  writes", &times->spread[CREW_WRITE]);
    print_spread(stream, "  reads, due", &times->corrected[CREW_READ]);
    print_spread(stream, "  writes, due", &times->corrected[CREW_WRITE]);
    if (found->missing != 0 || found->wrong != 0 || found->failed != 0) {
        fprintf(stream, "  %" PRIu64 " MISSING, %" PRIu64 " WRONG, %" PRIu64 " FAILED\n",
                found->missing, found->wrong, found->failed);
    }
}

void ycsb_print(FILE *stream, const struct engine *engine, const struct ycsb_result *result)
{
    char peak[SIZE_TEXT];
    char files[SIZE_TEXT];
    for (unsigned i = 0; i < result->phase_count; i++) {
        print_phase(stream, engine, &result->phases[i]);
    }
    if (result->phase_count != 0 && result->phases[0].times.stopped) {
        fprintf(stream, "  the load was stopped at %" PRIu64 " records, so there is no more\n",
                result->phases[0].times.operations);
    }
    fprintf(stream, "%s: %s\n  anonymous memory %s at most, files %s, %s\n\n", engine->name,
            engine->about, size_format(result->memory_peak, peak),
            size_format(result->file_bytes, files),
            ycsb_verified(result) ? "every value verified" : "NOT VERIFIED");
}

static json_t *spread_json(const struct crew_spread *spread)
{
    return json_pack("{s:I, s:f, s:f, s:f, s:f, s:f}", "count", (json_int_t)spread->count, "p50_ns",
                     spread->p50_ns, "p99_ns", spread->p99_ns, "p999_ns", spread->p999_ns,
                     "p9999_ns", spread->p9999_ns, "max_ns", spread->max_ns);
}

static json_t *spreads_json(const struct crew_spread spread[CREW_KINDS])
{
    return json_pack("{s:o, s:o}", "reads", spread_json(&spread[CREW_READ]), "writes",
                     spread_json(&spread[CREW_WRITE]));
}

static json_t *phase_json(const struct ycsb_phase *phase)
{
    const struct crew_times *const times = &phase->times;
    const struct crew_findings *const found = &phase->findings;
    return json_pack("{s:s, s:i, s:b, s:I, s:f, s:f, s:f, s:b, s:o, s:o, s:I, s:I, s:I, s:I}",
                     "mix", phase_name(phase), "threads", (int)phase->threads, "batched",
                     phase->batched, "operations", (json_int_t)times->operations, "seconds",
                     times->seconds, "per_second", rate(times), "cpu_ns", cpu_ns(times), "stopped",
                     phase->mix == NULL && times->stopped, "latency", spreads_json(times->spread),
                     "corrected", spreads_json(times->corrected), "counted",
                     (json_int_t)phase->counted, "missing", (json_int_t)found->missing, "wrong",
                     (json_int_t)found->wrong, "failed", (json_int_t)found->failed);
}

json_t *ycsb_json(const struct engine *engine, const struct ycsb_result *result)
{
    json_t *const phases = json_array();
    for (unsigned i = 0; i < result->phase_count; i++) {
        json_array_append_new(phases, phase_json(&result->phases[i]));
    }
    return json_pack("{s:s, s:s, s:b, s:b, s:f, s:I, s:I, s:o}", "engine", engine->name, "about",
                     engine->about, "unbounded", engine->unbounded, "verified",
                     ycsb_verified(result), "settle_seconds", result->settle_seconds, "memory_peak",
                     (json_int_t)result->memory_peak, "file_bytes", (json_int_t)result->file_bytes,
                     "phases", phases);
}

json_t *ycsb_options_json(const struct ycsb_options *options)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:i, s:I, s:I}", "records",
                     (json_int_t)options->records, "key_size", (json_int_t)options->key_size,
                     "value_size", (json_int_t)options->value_size, "max_mem",
                     (json_int_t)options->max_mem, "page_cache", (json_int_t)options->page_cache,
                     "zipf", options->exponent, "seconds", options->seconds, "rate", options->rate,
                     "batch", (int)options->batch, "shards", (json_int_t)options->shards, "seed",
                     (json_int_t)options->seed);
}
