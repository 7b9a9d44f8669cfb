/* SPDX-License-Identifier: MIT */
/**
 * The mean of a trace is over its sizes, the mean of all is over the traces.
 */
#include "hitrate_report.h"

#include <inttypes.h>
#include <jansson.h>

#include "json_out.h"

#define NAME_WIDTH   24
#define COLUMN_WIDTH 10

double hitrate_reduction(const struct hitrate_row *row, const struct hitrate_cell *cell,
                         unsigned policy)
{
    const double misses = (double)(row->requests - cell->results[policy].hits);
    const double lru = (double)(row->requests - cell->lru.hits);
    return misses < lru ? 100 * (lru - misses) / lru
           : misses > 0 ? -100 * (misses - lru) / misses
                        : 0;
}

static unsigned cells_run(const struct hitrate_report *report, const struct hitrate_row *row)
{
    unsigned count = 0;
    for (unsigned s = 0; s < report->size_count; s++) {
        count += row->cells[s].capacity != 0;
    }
    return count;
}

static double row_reduction(const struct hitrate_report *report, const struct hitrate_row *row,
                            unsigned policy)
{
    double sum = 0;
    for (unsigned s = 0; s < report->size_count; s++) {
        if (row->cells[s].capacity != 0) {
            sum += hitrate_reduction(row, &row->cells[s], policy);
        }
    }
    return sum / cells_run(report, row);
}

struct summary {
    unsigned rows; /* that had a size large enough */
    double mean;
    double worst; /* of a trace */
};

static struct summary summarize(const struct hitrate_report *report, unsigned policy)
{
    struct summary summary = {0};
    for (unsigned r = 0; r < report->row_count; r++) {
        if (cells_run(report, &report->rows[r]) == 0) {
            continue;
        }
        const double reduction = row_reduction(report, &report->rows[r], policy);
        if (summary.rows == 0 || reduction < summary.worst) {
            summary.worst = reduction;
        }
        summary.mean += reduction;
        summary.rows++;
    }
    summary.mean = summary.rows != 0 ? summary.mean / summary.rows : 0;
    return summary;
}

static double ratio(uint64_t part, uint64_t whole)
{
    return whole != 0 ? (double)part / (double)whole : 0;
}

static void print_heading(FILE *stream, const struct hitrate_report *report, const char *text)
{
    fprintf(stream, "%-*s", NAME_WIDTH, text);
    for (unsigned p = 0; p < report->policy_count; p++) {
        fprintf(stream, "%*s", COLUMN_WIDTH, report->policies[p]->name);
    }
    fputc('\n', stream);
}

static void print_details(FILE *stream, const struct hitrate_report *report)
{
    print_heading(stream, report, "hit ratio, %");
    for (unsigned r = 0; r < report->row_count; r++) {
        const struct hitrate_row *const row = &report->rows[r];
        for (unsigned s = 0; s < report->size_count; s++) {
            const struct hitrate_cell *const cell = &row->cells[s];
            if (cell->capacity == 0) {
                continue;
            }
            fprintf(stream, "%-*s%*" PRIu32, NAME_WIDTH - COLUMN_WIDTH, row->name, COLUMN_WIDTH,
                    cell->capacity);
            for (unsigned p = 0; p < report->policy_count; p++) {
                fprintf(stream, "%*.2f", COLUMN_WIDTH,
                        100 * ratio(cell->results[p].hits, row->requests));
            }
            fputc('\n', stream);
        }
    }
    fputc('\n', stream);
}

static void print_examined(FILE *stream, const struct hitrate_report *report)
{
    fprintf(stream, "%-*s", NAME_WIDTH, "examined per spill");
    for (unsigned p = 0; p < report->policy_count; p++) {
        uint64_t examined = 0;
        uint64_t spilled = 0;
        for (unsigned r = 0; r < report->row_count; r++) {
            for (unsigned s = 0; s < report->size_count; s++) {
                examined += report->rows[r].cells[s].results[p].examined;
                spilled += report->rows[r].cells[s].results[p].spilled;
            }
        }
        fprintf(stream, "%*.2f", COLUMN_WIDTH, ratio(examined, spilled));
    }
    fputc('\n', stream);
}

void hitrate_print(FILE *stream, const struct hitrate_report *report, bool details)
{
    if (details) {
        print_details(stream, report);
    }
    print_heading(stream, report, "fewer misses than LRU, %");
    for (unsigned r = 0; r < report->row_count; r++) {
        const struct hitrate_row *const row = &report->rows[r];
        fprintf(stream, "%-*s", NAME_WIDTH, row->name);
        if (cells_run(report, row) == 0) {
            fprintf(stream, "  every size is too small\n");
            continue;
        }
        for (unsigned p = 0; p < report->policy_count; p++) {
            fprintf(stream, "%*.2f", COLUMN_WIDTH, row_reduction(report, row, p));
        }
        fputc('\n', stream);
    }
    fprintf(stream, "%-*s", NAME_WIDTH, "mean");
    for (unsigned p = 0; p < report->policy_count; p++) {
        fprintf(stream, "%*.2f", COLUMN_WIDTH, summarize(report, p).mean);
    }
    fprintf(stream, "\n%-*s", NAME_WIDTH, "worst");
    for (unsigned p = 0; p < report->policy_count; p++) {
        fprintf(stream, "%*.2f", COLUMN_WIDTH, summarize(report, p).worst);
    }
    fputc('\n', stream);
    print_examined(stream, report);
}

static json_t *cell_json(const struct hitrate_report *report, const struct hitrate_row *row,
                         const struct hitrate_cell *cell)
{
    json_t *const policies = json_object();
    for (unsigned p = 0; p < report->policy_count; p++) {
        const struct hitrate_result *const result = &cell->results[p];
        json_object_set_new(
            policies, report->policies[p]->name,
            json_pack("{s:I, s:f, s:f, s:f, s:I, s:I}", "hits", (json_int_t)result->hits,
                      "hit_ratio", ratio(result->hits, row->requests), "miss_ratio",
                      ratio(row->requests - result->hits, row->requests), "reduction",
                      hitrate_reduction(row, cell, p), "examined", (json_int_t)result->examined,
                      "spilled", (json_int_t)result->spilled));
    }
    return json_pack("{s:I, s:f, s:I, s:o}", "capacity", (json_int_t)cell->capacity, "percent",
                     cell->percent, "lru_hits", (json_int_t)cell->lru.hits, "policies", policies);
}

static json_t *row_json(const struct hitrate_report *report, const struct hitrate_row *row)
{
    json_t *const sizes = json_array();
    json_t *const reductions = json_object();
    for (unsigned s = 0; s < report->size_count; s++) {
        if (row->cells[s].capacity != 0) {
            json_array_append_new(sizes, cell_json(report, row, &row->cells[s]));
        }
    }
    for (unsigned p = 0; p < report->policy_count && json_array_size(sizes) != 0; p++) {
        json_object_set_new(reductions, report->policies[p]->name,
                            json_real(row_reduction(report, row, p)));
    }
    return json_pack("{s:s, s:I, s:I, s:o, s:o}", "trace", row->name, "requests",
                     (json_int_t)row->requests, "unique", (json_int_t)row->unique, "reduction",
                     reductions, "sizes", sizes);
}

bool hitrate_print_json(FILE *stream, const struct hitrate_report *report)
{
    json_t *const traces = json_array();
    for (unsigned r = 0; r < report->row_count; r++) {
        json_array_append_new(traces, row_json(report, &report->rows[r]));
    }
    json_t *const summaries = json_object();
    for (unsigned p = 0; p < report->policy_count; p++) {
        const struct summary summary = summarize(report, p);
        json_object_set_new(summaries, report->policies[p]->name,
                            json_pack("{s:f, s:f}", "mean", summary.mean, "worst", summary.worst));
    }
    json_t *const root = json_pack("{s:i, s:b, s:I, s:o, s:o}", "shards", (int)report->shards,
                                   "split", report->split, "seed", (json_int_t)report->seed,
                                   "reduction", summaries, "traces", traces);
    return json_out(stream, root);
}
