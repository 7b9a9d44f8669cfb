/* SPDX-License-Identifier: MIT */
#include "hitrate_advise.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>

#include "json_out.h"
#include "table/advise.h"

static const char *const names[HITRATE_ADVICE_SIZES] = {"half", "twice", "four"};

static const enum skv_advise_size sizes[HITRATE_ADVICE_SIZES] = {SKV_ADVISE_HALF, SKV_ADVISE_TWICE,
                                                                 SKV_ADVISE_FOUR};

/* An estimate that is off by more, in points, is marked. */
#define GOAL 3.0

bool hitrate_advise_run(const struct hitrate_policy *policy, const struct trace *trace,
                        const struct hitrate_cache *cache, struct hitrate_advice *advice_out)
{
    struct hitrate_cache other = *cache;
    struct hitrate_result result;
    const double gets = (double)(trace->count - trace->unique);
    const double scale = gets > 0 ? 100 / gets : 0;
    *advice_out = (struct hitrate_advice){0};
    other.advise = true;
    if (!policy->run(policy, trace, &other, &result)) {
        return false;
    }
    other.advise = false;
    double expected[SKV_ADVISE_SIZES];
    skv_advise_expect(result.misses, gets, (double)result.hits, expected);
    advice_out->now = scale * (double)result.hits;
    for (int i = 0; i < HITRATE_ADVICE_SIZES; i++) {
        advice_out->estimated[i] = scale * expected[sizes[i]];
        const uint64_t capacity = ((uint64_t)cache->capacity << sizes[i]) / 2;
        other.capacity = capacity < 1 ? 1 : capacity < UINT32_MAX ? (uint32_t)capacity : UINT32_MAX;
        struct hitrate_result real;
        if (!policy->run(policy, trace, &other, &real)) {
            return false;
        }
        advice_out->real[i] = scale * (double)real.hits;
    }
    return true;
}

struct errors {
    unsigned count;
    double sum[HITRATE_ADVICE_SIZES];
    double worst[HITRATE_ADVICE_SIZES];
};

static double mean(const struct errors *errors, int size)
{
    return errors->count != 0 ? errors->sum[size] / errors->count : 0;
}

static struct errors sum_errors(const struct hitrate_report *report)
{
    struct errors errors = {0};
    for (unsigned r = 0; r < report->row_count; r++) {
        for (unsigned s = 0; s < report->size_count; s++) {
            const struct hitrate_cell *const cell = &report->rows[r].cells[s];
            for (int i = 0; i < HITRATE_ADVICE_SIZES && cell->capacity != 0; i++) {
                const double error = fabs(cell->advice.estimated[i] - cell->advice.real[i]);
                errors.sum[i] += error;
                errors.worst[i] = error > errors.worst[i] ? error : errors.worst[i];
            }
            errors.count += cell->capacity != 0;
        }
    }
    return errors;
}

static void print_cell(FILE *stream, const struct hitrate_row *row, const struct hitrate_cell *cell)
{
    const struct hitrate_advice *const advice = &cell->advice;
    fprintf(stream, "%-14s%10" PRIu32 "%8.2f", row->name, cell->capacity, advice->now);
    for (int i = 0; i < HITRATE_ADVICE_SIZES; i++) {
        const double error = advice->estimated[i] - advice->real[i];
        fprintf(stream, "%10.2f%8.2f%7.2f%c", advice->estimated[i], advice->real[i], error,
                fabs(error) > GOAL ? '*' : ' ');
    }
    fputc('\n', stream);
}

void hitrate_advise_print(FILE *stream, const struct hitrate_report *report)
{
    const struct errors errors = sum_errors(report);
    fprintf(stream, "%-14s%10s%8s", "hit ratio, %", "entries", "now");
    for (int i = 0; i < HITRATE_ADVICE_SIZES; i++) {
        fprintf(stream, "%10s%8s%7s ", names[i], "real", "error");
    }
    fputc('\n', stream);
    for (unsigned r = 0; r < report->row_count; r++) {
        for (unsigned s = 0; s < report->size_count; s++) {
            if (report->rows[r].cells[s].capacity != 0) {
                print_cell(stream, &report->rows[r], &report->rows[r].cells[s]);
            }
        }
    }
    fprintf(stream, "%-32s", "mean error");
    for (int i = 0; i < HITRATE_ADVICE_SIZES; i++) {
        fprintf(stream, "%25.2f ", mean(&errors, i));
    }
    fprintf(stream, "\n%-32s", "worst");
    for (int i = 0; i < HITRATE_ADVICE_SIZES; i++) {
        fprintf(stream, "%25.2f ", errors.worst[i]);
    }
    fputc('\n', stream);
}

static json_t *cell_json(const struct hitrate_row *row, const struct hitrate_cell *cell)
{
    json_t *const object =
        json_pack("{s:s, s:I, s:f}", "trace", row->name, "capacity", (json_int_t)cell->capacity,
                  "hit_ratio", cell->advice.now / 100);
    for (int i = 0; i < HITRATE_ADVICE_SIZES; i++) {
        json_object_set_new(object, names[i],
                            json_pack("{s:f, s:f}", "estimated", cell->advice.estimated[i] / 100,
                                      "real", cell->advice.real[i] / 100));
    }
    return object;
}

bool hitrate_advise_print_json(FILE *stream, const struct hitrate_report *report)
{
    const struct errors errors = sum_errors(report);
    json_t *const cells = json_array();
    json_t *const summaries = json_object();
    for (unsigned r = 0; r < report->row_count; r++) {
        for (unsigned s = 0; s < report->size_count; s++) {
            if (report->rows[r].cells[s].capacity != 0) {
                json_array_append_new(cells,
                                      cell_json(&report->rows[r], &report->rows[r].cells[s]));
            }
        }
    }
    for (int i = 0; i < HITRATE_ADVICE_SIZES; i++) {
        json_object_set_new(summaries, names[i],
                            json_pack("{s:f, s:f}", "mean", mean(&errors, i) / 100, "worst",
                                      errors.worst[i] / 100));
    }
    return json_out(stream, json_pack("{s:o, s:o}", "errors", summaries, "sizes", cells));
}
