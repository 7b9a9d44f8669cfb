/* SPDX-License-Identifier: MIT */
/**
 * The fields of the statistics are described once, in tables, from which both forms are written.
 */
#include "report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>
#include <string.h>

#include "size.h"

/* Decimals of a JSON number: enough for what was measured. */
#define JSON_DECIMALS 8

struct field {
    const char *name;
    size_t offset;
    bool is_size; /* bytes, not a count */
};

#define MEMORY(name)                                                                               \
    {                                                                                              \
#name, offsetof(spillkv_memory, name), true                                                \
    }
#define COUNTER(name)                                                                              \
    {                                                                                              \
#name, offsetof(spillkv_counters, name), false                                             \
    }
#define COUNTER_BYTES(name)                                                                        \
    {                                                                                              \
#name, offsetof(spillkv_counters, name), true                                              \
    }

static const struct field memory_fields[] = {
    MEMORY(entries), MEMORY(table),  MEMORY(sqlite), MEMORY(scratch),
    MEMORY(fixed),   MEMORY(unused), MEMORY(total),  {0}};

static const struct field counter_fields[] = {COUNTER(entries_ram),
                                              COUNTER(entries_spilled),
                                              COUNTER_BYTES(bytes_ram),
                                              COUNTER_BYTES(bytes_spilled),
                                              COUNTER(hits),
                                              COUNTER(misses),
                                              COUNTER(spilled_reads),
                                              COUNTER(wasted_reads),
                                              COUNTER(sets),
                                              COUNTER(dels),
                                              COUNTER(promotions),
                                              COUNTER(spills),
                                              COUNTER(clean_evictions),
                                              COUNTER(drops),
                                              COUNTER(examined),
                                              COUNTER(compactions),
                                              COUNTER(ram_segments),
                                              COUNTER(disk_segments),
                                              COUNTER_BYTES(file_bytes),
                                              COUNTER_BYTES(live_bytes),
                                              COUNTER(helped),
                                              {0}};

static const struct {
    const char *name;
    double part;
} quantiles[] = {{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}};

#define QUANTILES (sizeof quantiles / sizeof *quantiles)

static uint64_t field_value(const void *base, const struct field *field)
{
    uint64_t value = 0;
    memcpy(&value, (const char *)base + field->offset, sizeof value);
    return value;
}

/* The part of gets in the get phase that memory answered; -1 when nothing was found. */
static double hit_ratio(const struct report *report)
{
    const uint64_t hits = report->end.total.hits - report->flushed.total.hits;
    const uint64_t reads = report->end.total.spilled_reads - report->flushed.total.spilled_reads;
    return hits + reads != 0 ? (double)hits / (double)(hits + reads) : -1;
}

static double per_second(const struct report_phase *phase)
{
    return phase->seconds > 0 ? (double)phase->latency.count / phase->seconds : 0;
}

/* The most anonymous memory that the store can be charged with. */
static uint64_t store_peak(const struct report *report)
{
    return report->rss_peak > report->rss_baseline ? report->rss_peak - report->rss_baseline : 0;
}

bool report_verified(const struct report *report)
{
    return report->findings.missing == 0 && report->findings.wrong == 0 &&
           report->findings.failed == 0 && report->count == report->keys;
}

static void print_fields(FILE *stream, const char *prefix, const void *base,
                         const struct field *fields)
{
    for (const struct field *field = fields; field->name != NULL; field++) {
        const uint64_t value = field_value(base, field);
        char text[SIZE_TEXT];
        fprintf(stream, "%s%-*s %15" PRIu64, prefix, 24 - (int)strlen(prefix), field->name, value);
        if (field->is_size && value >= 1024) {
            fprintf(stream, "  (%s)", size_format(value, text));
        }
        fputc('\n', stream);
    }
}

void report_print_stats(FILE *stream, const spillkv_stats_data *stats)
{
    char text[SIZE_TEXT];
    fprintf(stream, "%-24s %15" PRIu32 "\n", "shards", stats->shards);
    fprintf(stream, "%-24s %15" PRIu32 "\n", "spillers", stats->spillers);
    fprintf(stream, "%-24s %15" PRIu64 "  (%s)\n", "max_mem", stats->max_mem,
            stats->max_mem == 0 ? "no limit" : size_format(stats->max_mem, text));
    print_fields(stream, "memory.", &stats->memory, memory_fields);
    print_fields(stream, "", &stats->total, counter_fields);
    fprintf(stream, "%-24s %15d  (%s)\n", "last_error", (int)stats->last_error,
            spillkv_strerror(stats->last_error));
    fprintf(stream, "%-24s %15" PRIu32 "\n", "failing", stats->failing);
}

/* Writes " (12.3 % of max_mem)". */
static void print_part(FILE *stream, uint64_t bytes, uint64_t max_mem)
{
    if (max_mem != 0) {
        fprintf(stream, "  %.1f %% of max_mem", 100 * (double)bytes / (double)max_mem);
    }
    fputc('\n', stream);
}

static void print_size(FILE *stream, const char *name, uint64_t bytes)
{
    char text[SIZE_TEXT];
    fprintf(stream, "  %-18s %14s", name, size_format(bytes, text));
}

static void print_memory(FILE *stream, const struct report *report)
{
    const uint64_t max_mem = report->end.max_mem;
    char text[SIZE_TEXT];
    fprintf(stream, "memory\n");
    fprintf(stream, "  %-18s %14s\n", "max_mem",
            max_mem != 0 ? size_format(max_mem, text) : "no limit");
    print_size(stream, "charged, flushed", report->flushed.memory.total);
    print_part(stream, report->flushed.memory.total, max_mem);
    print_size(stream, "charged, end", report->end.memory.total);
    print_part(stream, report->end.memory.total, max_mem);
    if (report->rss_peak == 0) {
        fprintf(stream, "  %-18s %14s\n", "RSS", "unknown");
        return;
    }
    print_size(stream, "RSS, store", store_peak(report));
    print_part(stream, store_peak(report), max_mem);
    print_size(stream, "RSS, peak", report->rss_peak);
    fprintf(stream, "  anonymous memory of the process\n");
    print_size(stream, "RSS, baseline", report->rss_baseline);
    fprintf(stream, "  before the store was opened, ");
    fprintf(stream, "%s of it the index of the input\n", size_format(report->index_bytes, text));
}

void report_print_phase(FILE *stream, const char *name, const struct report_phase *phase)
{
    char text[SIZE_TEXT];
    fprintf(stream, "%-6s %12" PRIu64 " %8.2f %11.0f", name, phase->latency.count, phase->seconds,
            per_second(phase));
    for (size_t i = 0; i < QUANTILES; i++) {
        const double value = latency_quantile(&phase->latency, quantiles[i].part);
        fprintf(stream, " %9s", duration_format(value, text));
    }
    fprintf(stream, " %9s\n", duration_format((double)phase->latency.max_ns, text));
}

void report_print_heading(FILE *stream)
{
    fprintf(stream, "%-6s %12s %8s %11s", "phase", "operations", "seconds", "per second");
    for (size_t i = 0; i < QUANTILES; i++) {
        fprintf(stream, " %9s", quantiles[i].name);
    }
    fprintf(stream, " %9s\n", "max");
}

static void print_phases(FILE *stream, const struct report *report)
{
    report_print_heading(stream);
    report_print_phase(stream, "set", &report->set);
    fprintf(stream, "%-6s %12s %8.2f\n", "flush", "", report->flush_seconds);
    report_print_phase(stream, "get", &report->get);
}

static void print_verdict(FILE *stream, const struct report *report)
{
    if (report_verified(report)) {
        fprintf(stream, "verified: %" PRIu64 " values read back, all as in the input\n",
                report->keys);
        return;
    }
    fprintf(stream,
            "NOT VERIFIED: %" PRIu64 " missing, %" PRIu64 " wrong, %" PRIu64
            " failed; the store counts %" PRIu64 " of %" PRIu64 " keys\n",
            report->findings.missing, report->findings.wrong, report->findings.failed,
            report->count, report->keys);
}

void report_print(FILE *stream, const struct report *report)
{
    const spillkv_counters *const total = &report->end.total;
    char text[SIZE_TEXT];
    fprintf(stream, "input: %" PRIu64 " records (%s), %" PRIu64 " keys, %s; ", report->records,
            report->format, report->keys, size_format(report->bytes, text));
    fprintf(stream, "%u threads, %" PRIu32 " shards, seed %" PRIu64 "\n\n", report->threads,
            report->end.shards, report->seed);
    fprintf(stream, "entries\n");
    fprintf(stream, "  %-18s %14" PRIu64 "  %s\n", "in RAM", total->entries_ram,
            size_format(total->bytes_ram, text));
    fprintf(stream, "  %-18s %14" PRIu64 "  %s\n", "spilled", total->entries_spilled,
            size_format(total->bytes_spilled, text));
    print_size(stream, "files", total->file_bytes);
    fprintf(stream, "  %s of it in use\n", size_format(total->live_bytes, text));
    if (hit_ratio(report) >= 0) {
        fprintf(stream, "  %-18s %12.1f %%  of the values read back came from RAM\n", "hit ratio",
                100 * hit_ratio(report));
    }
    print_memory(stream, report);
    fputc('\n', stream);
    print_phases(stream, report);
    fputc('\n', stream);
    print_verdict(stream, report);
}

static json_t *json_count(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *json_fields(const void *base, const struct field *fields)
{
    json_t *const object = json_object();
    for (const struct field *field = fields; field->name != NULL; field++) {
        json_object_set_new(object, field->name, json_count(field_value(base, field)));
    }
    return object;
}

json_t *report_json_stats(const spillkv_stats_data *stats)
{
    json_t *const object = json_object();
    json_object_set_new(object, "shards", json_count(stats->shards));
    json_object_set_new(object, "spillers", json_count(stats->spillers));
    json_object_set_new(object, "max_mem", json_count(stats->max_mem));
    json_object_set_new(object, "memory", json_fields(&stats->memory, memory_fields));
    json_object_set_new(object, "total", json_fields(&stats->total, counter_fields));
    json_object_set_new(object, "last_error", json_integer(stats->last_error));
    json_object_set_new(object, "failing", json_count(stats->failing));
    return object;
}

json_t *report_json_phase(const struct report_phase *phase)
{
    json_t *const latency = json_object();
    for (size_t i = 0; i < QUANTILES; i++) {
        const double value = latency_quantile(&phase->latency, quantiles[i].part);
        json_object_set_new(latency, quantiles[i].name, json_count((uint64_t)value));
    }
    json_object_set_new(latency, "max", json_count(phase->latency.max_ns));
    json_t *const object = json_object();
    json_object_set_new(object, "operations", json_count(phase->latency.count));
    json_object_set_new(object, "seconds", json_real(phase->seconds));
    json_object_set_new(object, "per_second", json_real(per_second(phase)));
    json_object_set_new(object, "latency_ns", latency);
    return object;
}

static json_t *json_input(const struct report *report)
{
    json_t *const object = json_object();
    json_object_set_new(object, "format", json_string(report->format));
    json_object_set_new(object, "records", json_count(report->records));
    json_object_set_new(object, "keys", json_count(report->keys));
    json_object_set_new(object, "bytes", json_count(report->bytes));
    json_object_set_new(object, "index_bytes", json_count(report->index_bytes));
    return object;
}

static json_t *json_rss(const struct report *report)
{
    if (report->rss_peak == 0) {
        return json_null();
    }
    json_t *const object = json_object();
    json_object_set_new(object, "store", json_count(store_peak(report)));
    json_object_set_new(object, "peak", json_count(report->rss_peak));
    json_object_set_new(object, "baseline", json_count(report->rss_baseline));
    return object;
}

bool report_write_json(FILE *stream, json_t *object)
{
    const int failure =
        json_dumpf(object, stream, JSON_INDENT(2) | JSON_REAL_PRECISION(JSON_DECIMALS));
    json_decref(object);
    fputc('\n', stream);
    return failure == 0;
}

bool report_print_json(FILE *stream, const struct report *report)
{
    const double ratio = hit_ratio(report);
    json_t *const object = json_object();
    json_object_set_new(object, "version", json_string(SPILLKV_VERSION));
    json_object_set_new(object, "input", json_input(report));
    json_object_set_new(object, "threads", json_count(report->threads));
    json_object_set_new(object, "seed", json_count(report->seed));
    json_object_set_new(object, "set", report_json_phase(&report->set));
    json_object_set_new(object, "flush_seconds", json_real(report->flush_seconds));
    json_object_set_new(object, "get", report_json_phase(&report->get));
    json_object_set_new(object, "hit_ratio", ratio >= 0 ? json_real(ratio) : json_null());
    json_object_set_new(object, "rss", json_rss(report));
    json_object_set_new(object, "stats_flushed", report_json_stats(&report->flushed));
    json_object_set_new(object, "stats", report_json_stats(&report->end));
    json_object_set_new(object, "count", json_count(report->count));
    json_object_set_new(object, "missing", json_count(report->findings.missing));
    json_object_set_new(object, "wrong", json_count(report->findings.wrong));
    json_object_set_new(object, "failed", json_count(report->findings.failed));
    json_object_set_new(object, "verified", json_boolean(report_verified(report)));
    return report_write_json(stream, object);
}
