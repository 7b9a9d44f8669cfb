/* SPDX-License-Identifier: MIT */
#include "rss_report.h"

#include <inttypes.h>

#include "json_out.h"
#include "size.h"

/* Of the budget, at the end of a phase. */
#define HELD_LEAST 0.95
#define NAME_WIDTH 22

/* The phases of a run in one row. */
struct summary {
    uint64_t rss_most;
    uint64_t rss_last;
    double held_least;
    bool stopped; /* a phase may have ended before the budget was full */
};

static double part(uint64_t bytes, uint64_t max_mem)
{
    return (double)bytes / (double)max_mem;
}

/* The share of the budget that entries and slots have. */
static double held(const struct rss_run *run, const struct engine_account *account)
{
    return part(account->entries + account->table, run->options.max_mem);
}

static struct summary summarize(const struct rss_run *run)
{
    struct summary sum = {.held_least = run->phases_done != 0 ? 1 : 0};
    for (unsigned i = 0; i < run->phases_done; i++) {
        const struct rss_phase *const phase = &run->phases[i];
        const double share = held(run, &phase->flushed);
        sum.rss_most = phase->rss_most > sum.rss_most ? phase->rss_most : sum.rss_most;
        sum.rss_last = phase->rss_last;
        sum.held_least = share < sum.held_least ? share : sum.held_least;
        sum.stopped = sum.stopped || phase->times.stopped;
    }
    return sum;
}

/* "within", or by how much it is not. */
static const char *verdict(uint64_t rss, uint64_t max_mem, char text[SIZE_TEXT])
{
    char size[SIZE_TEXT];
    const uint64_t bound = rss_bound(max_mem);
    snprintf(text, SIZE_TEXT, "%s%s", rss > bound ? "MISSED by " : "within",
             rss > bound ? size_format(rss - bound, size) : "");
    return text;
}

bool rss_verified(const struct rss_run *run)
{
    return run->done && run->findings.missing == 0 && run->findings.wrong == 0 &&
           run->findings.failed == 0;
}

static void print_phase(FILE *stream, const struct rss_run *run, unsigned number)
{
    const struct rss_phase *const phase = &run->phases[number];
    const uint64_t max_mem = run->options.max_mem;
    char most[SIZE_TEXT];
    char last[SIZE_TEXT];
    char written[SIZE_TEXT];
    char text[SIZE_TEXT];
    fprintf(stream, "%-*s %10s %9.0f %11s %6.1f%% %11s %6.1f%% %8.1f%% %7.1f%% %8.1f%%", NAME_WIDTH,
            run->churn->phases[number].name, size_format(phase->written, written),
            (double)phase->times.operations / phase->times.seconds,
            size_format(phase->rss_most, most), 100 * part(phase->rss_most, max_mem),
            size_format(phase->rss_last, last), 100 * part(phase->rss_last, max_mem),
            100 * part(phase->charged_most, max_mem), 100 * held(run, &phase->ended),
            100 * held(run, &phase->flushed));
    if (phase->flushed.live != 0) {
        fprintf(stream, " %6.1f%%",
                100 * part(phase->flushed.live + phase->flushed.table, max_mem));
    } else {
        fprintf(stream, " %7s", "-");
    }
    fprintf(stream, "  %s%s\n", verdict(phase->rss_most, max_mem, text),
            phase->times.stopped ? ", stopped" : "");
}

void rss_print_run(FILE *stream, const struct rss_run *run)
{
    char memory[SIZE_TEXT];
    char before[SIZE_TEXT];
    fprintf(stream,
            "%s with %s: max_mem %s, %u threads; RssAnon before there was a store: %s, in the "
            "figures below\n",
            run->churn->name, run->engine->name, size_format(run->options.max_mem, memory),
            run->options.threads, size_format(run->rss_before, before));
    fprintf(stream, "%-*s %10s %9s %19s %19s %9s %8s %9s %7s\n", NAME_WIDTH, "phase", "written",
            "ops/s", "RssAnon, most", "last", "charged", "held", "flushed", "live");
    for (unsigned i = 0; i < run->phases_done; i++) {
        print_phase(stream, run, i);
    }
    fputc('\n', stream);
}

void rss_print_final(FILE *stream, struct rss_run *const *runs, unsigned count)
{
    fprintf(stream,
            "charged: the most of the engine's own account; held: entries with their garbage, and "
            "slots, at the\nend of the phase, and once it was flushed; live: of that, keys, "
            "values, headers and slots\n\n%-12s %-8s %10s %19s %19s %10s  %s\n",
            "FINAL", "engine", "max_mem", "RssAnon, most", "last", "held least",
            "RssAnon, at most 1.05 max_mem + 8 MiB");
    for (unsigned i = 0; i < count; i++) {
        const struct rss_run *const run = runs[i];
        const struct summary sum = summarize(run);
        const uint64_t max_mem = run->options.max_mem;
        char memory[SIZE_TEXT];
        char most[SIZE_TEXT];
        char last[SIZE_TEXT];
        char text[SIZE_TEXT];
        fprintf(stream, "%-12s %-8s %10s %11s %6.1f%% %11s %6.1f%% %9.1f%%  %s%s%s\n",
                run->churn->name, run->engine->name, size_format(max_mem, memory),
                size_format(sum.rss_most, most), 100 * part(sum.rss_most, max_mem),
                size_format(sum.rss_last, last), 100 * part(sum.rss_last, max_mem),
                100 * sum.held_least,
                run->done ? verdict(sum.rss_most, max_mem, text) : "did not get to the end",
                run->done && sum.held_least < HELD_LEAST ? "; held: MISSED 95 %" : "",
                sum.stopped ? "; phases were stopped" : "");
    }
    for (unsigned i = 0; i < count; i++) {
        const struct crew_findings *const found = &runs[i]->findings;
        if (!rss_verified(runs[i])) {
            fprintf(stream,
                    "%s with %s: %" PRIu64 " values missing, %" PRIu64 " wrong; %" PRIu64
                    " calls failed; phases done: %u of %u\n",
                    runs[i]->churn->name, runs[i]->engine->name, found->missing, found->wrong,
                    found->failed, runs[i]->phases_done, runs[i]->churn->count);
        }
    }
}

static json_t *account_json(const struct engine_account *account)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "charged", (json_int_t)account->charged, "entries",
                     (json_int_t)account->entries, "table", (json_int_t)account->table, "live",
                     (json_int_t)account->live);
}

static json_t *phase_json(const struct rss_run *run, unsigned number)
{
    const struct rss_phase *const phase = &run->phases[number];
    return json_pack(
        "{s:s, s:I, s:I, s:f, s:b, s:I, s:I, s:I, s:I, s:b, s:f, s:f, s:o, s:o}", "phase",
        run->churn->phases[number].name, "written", (json_int_t)phase->written, "operations",
        (json_int_t)phase->times.operations, "seconds", phase->times.seconds, "stopped",
        phase->times.stopped, "samples", (json_int_t)phase->samples, "rss_most",
        (json_int_t)phase->rss_most, "rss_last", (json_int_t)phase->rss_last, "charged_most",
        (json_int_t)phase->charged_most, "rss_within",
        phase->rss_most <= rss_bound(run->options.max_mem), "held_at_end", held(run, &phase->ended),
        "held_flushed", held(run, &phase->flushed), "account_at_end", account_json(&phase->ended),
        "account_flushed", account_json(&phase->flushed));
}

static json_t *run_json(const struct rss_run *run)
{
    const struct summary sum = summarize(run);
    json_t *const phases = json_array();
    for (unsigned i = 0; i < run->phases_done; i++) {
        json_array_append_new(phases, phase_json(run, i));
    }
    return json_pack(
        "{s:s, s:s, s:I, s:i, s:I, s:b, s:I, s:I, s:b, s:f, s:b, s:I, s:I, s:I, s:I, s:o}", "churn",
        run->churn->name, "engine", run->engine->name, "max_mem", (json_int_t)run->options.max_mem,
        "threads", (int)run->options.threads, "rss_before", (json_int_t)run->rss_before, "verified",
        rss_verified(run), "rss_most", (json_int_t)sum.rss_most, "rss_last",
        (json_int_t)sum.rss_last, "rss_within",
        run->done && sum.rss_most <= rss_bound(run->options.max_mem), "held_least", sum.held_least,
        "held_enough", run->done && sum.held_least >= HELD_LEAST, "missing",
        (json_int_t)run->findings.missing, "wrong", (json_int_t)run->findings.wrong, "failed",
        (json_int_t)run->findings.failed, "evicted", (json_int_t)run->evicted, "phases", phases);
}

bool rss_print_json(FILE *stream, struct rss_run *const *runs, unsigned count)
{
    json_t *const array = json_array();
    for (unsigned i = 0; i < count; i++) {
        json_array_append_new(array, run_json(runs[i]));
    }
    return json_out(stream, json_pack("{s:o}", "runs", array));
}
