/* SPDX-License-Identifier: MIT */
#include "replay_report.h"

#include <inttypes.h>
#include <jansson.h>

#include "advice.h"
#include "report.h"
#include "size.h"

bool replay_report_verified(const struct replay_report *report)
{
    const struct workers_findings *const findings = &report->outcome.findings;
    return findings->missing == 0 && findings->wrong == 0 && findings->failed == 0 &&
           report->count == report->trace->unique;
}

/* The part of all gets. */
static double part_of_gets(const struct replay_report *report, uint64_t count)
{
    const uint64_t gets = report->outcome.get.count;
    return gets != 0 ? (double)count / (double)gets : 0;
}

/* How many entries were in RAM: in the mean while that was not all of them. */
static double entries_in_ram(const struct replay_report *report)
{
    return report->outcome.entries_ram > 0 ? report->outcome.entries_ram
                                           : (double)report->stats.total.entries_ram;
}

static struct report_phase phase_of(const struct replay_report *report,
                                    const struct latency *latency)
{
    return (struct report_phase){.latency = *latency, .seconds = report->seconds};
}

static void print_part(FILE *stream, const struct replay_report *report, const char *name,
                       uint64_t count, const char *what)
{
    fprintf(stream, "  %-10s %12" PRIu64 " %7.2f %%  %s\n", name, count,
            100 * part_of_gets(report, count), what);
}

void replay_report_print(FILE *stream, const struct replay_report *report)
{
    const spillkv_counters *const total = &report->stats.total;
    const struct report_phase get = phase_of(report, &report->outcome.get);
    const struct report_phase set = phase_of(report, &report->outcome.set);
    char text[SIZE_TEXT];
    fprintf(stream, "%s: %" PRIu64 " requests for %" PRIu32 " keys, values of %zu bytes; ",
            report->trace->name, report->trace->count, report->trace->unique, report->value_size);
    fprintf(stream, "%u threads, %" PRIu32 " shards, max_mem %s\n\n", report->threads,
            report->stats.shards,
            report->stats.max_mem != 0 ? size_format(report->stats.max_mem, text) : "no limit");
    print_part(stream, report, "hits", total->hits, "of the gets were answered from RAM");
    print_part(stream, report, "from disk", total->spilled_reads, "");
    print_part(stream, report, "new keys", total->misses, "found nothing and were set");
    fprintf(stream, "  %-10s %12.0f            in the mean, while some were spilled\n\n", "in RAM",
            entries_in_ram(report));
    advice_print(stream, &report->advice);
    fputc('\n', stream);
    report_print_heading(stream);
    report_print_phase(stream, "get", &get);
    report_print_phase(stream, "set", &set);
    if (replay_report_verified(report)) {
        fprintf(stream, "\nverified: all values were as they had been set\n");
        return;
    }
    fprintf(stream,
            "\nNOT VERIFIED: %" PRIu64 " missing, %" PRIu64 " wrong, %" PRIu64
            " failed; the store counts %" PRIu64 " of %" PRIu32 " keys\n",
            report->outcome.findings.missing, report->outcome.findings.wrong,
            report->outcome.findings.failed, report->count, report->trace->unique);
}

bool replay_report_print_json(FILE *stream, const struct replay_report *report)
{
    const struct report_phase get = phase_of(report, &report->outcome.get);
    const struct report_phase set = phase_of(report, &report->outcome.set);
    const struct workers_findings *const findings = &report->outcome.findings;
    json_t *const object = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:f}", "version", SPILLKV_VERSION, "trace",
        report->trace->name, "requests", (json_int_t)report->trace->count, "unique",
        (json_int_t)report->trace->unique, "value_size", (json_int_t)report->value_size, "threads",
        (json_int_t)report->threads, "seconds", report->seconds, "hit_ratio",
        part_of_gets(report, report->stats.total.hits), "entries_ram", entries_in_ram(report));
    json_object_set_new(object, "get", report_json_phase(&get));
    json_object_set_new(object, "set", report_json_phase(&set));
    json_object_set_new(object, "stats", report_json_stats(&report->stats));
    json_object_set_new(object, "advice", advice_json(&report->advice));
    json_object_set_new(object, "count", json_integer((json_int_t)report->count));
    json_object_set_new(object, "missing", json_integer((json_int_t)findings->missing));
    json_object_set_new(object, "wrong", json_integer((json_int_t)findings->wrong));
    json_object_set_new(object, "failed", json_integer((json_int_t)findings->failed));
    json_object_set_new(object, "verified", json_boolean(replay_report_verified(report)));
    return report_write_json(stream, object);
}
