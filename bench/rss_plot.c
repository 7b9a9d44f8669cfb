/* SPDX-License-Identifier: MIT */
/**
 * gnuplot draws. A curve has some hundred points, each the most of the samples it stands for, so
 * that no peak is lost.
 */
#include "rss_plot.h"

#include <errno.h>
#include <error.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "program.h"
#include "size.h"

#define PROGRAM      "gnuplot"
#define POINTS       800u
#define PANEL_WIDTH  1000u
#define PANEL_HEIGHT 340u
#define MEBIBYTE     1048576.0

bool rss_plot_ready(void)
{
    char *const program = program_find(PROGRAM);
    if (program == NULL) {
        error(0, 0, "--svg needs " PROGRAM ", which is not installed (gnuplot-nox)");
    }
    free(program);
    return program != NULL;
}

static bool same_panel(const struct rss_run *a, const struct rss_run *b)
{
    return a->churn == b->churn && a->options.max_mem == b->options.max_mem;
}

/* The number of runs from the first on that share its panel. */
static unsigned panel_runs(struct rss_run *const *runs, unsigned count)
{
    unsigned found = 1;
    while (found < count && same_panel(runs[0], runs[found])) {
        found++;
    }
    return found;
}

/* Seconds, RssAnon, charged. */
static void write_data(FILE *script, const struct rss_run *run, unsigned number)
{
    const uint32_t step = run->sample_count / POINTS + 1;
    fprintf(script, "$run%u << END\n", number);
    for (uint32_t i = 0; i < run->sample_count; i += step) {
        uint64_t rss = 0;
        uint64_t charged = 0;
        for (uint32_t k = i; k < i + step && k < run->sample_count; k++) {
            rss = run->samples[k].rss > rss ? run->samples[k].rss : rss;
            charged = run->samples[k].charged > charged ? run->samples[k].charged : charged;
        }
        fprintf(script, "%.3f %.3f %.3f\n", (double)run->samples[i].seconds, (double)rss / MEBIBYTE,
                (double)charged / MEBIBYTE);
    }
    fprintf(script, "END\n");
}

static void write_panel(FILE *script, struct rss_run *const *runs, unsigned count, unsigned first)
{
    const uint64_t max_mem = runs[0]->options.max_mem;
    char text[SIZE_TEXT];
    fprintf(script, "set title '%s, max\\_mem %s'\nplot [] [0:]", runs[0]->churn->name,
            size_format(max_mem, text));
    for (unsigned i = 0; i < count; i++) {
        fprintf(script,
                " $run%u using 1:2 with lines lw 1.5 lc %u title '%s, RssAnon', $run%u using 1:3 "
                "with lines dt 3 lc %u title '%s, charged',",
                first + i, i + 1, runs[i]->engine->name, first + i, i + 1, runs[i]->engine->name);
    }
    fprintf(script,
            " %.3f with lines lc 'black' title 'max\\_mem', %.3f with lines dt 2 lc 'black' title "
            "'1.05 max\\_mem + 8 MiB'\n",
            (double)max_mem / MEBIBYTE, (double)rss_bound(max_mem) / MEBIBYTE);
}

/* In single quotes, where one is written twice. */
static void write_name(FILE *script, const char *name)
{
    for (; *name != '\0'; name++) {
        fprintf(script, *name == '\'' ? "''" : "%c", *name);
    }
}

static void write_script(FILE *script, struct rss_run *const *runs, unsigned count,
                         const char *file)
{
    unsigned panels = 0;
    for (unsigned i = 0; i < count; i += panel_runs(runs + i, count - i)) {
        panels++;
    }
    for (unsigned i = 0; i < count; i++) {
        write_data(script, runs[i], i);
    }
    fprintf(script, "set terminal svg size %u,%u background 'white'\nset output '", PANEL_WIDTH,
            PANEL_HEIGHT * panels);
    write_name(script, file);
    fprintf(script,
            "'\nset key outside right top\nset grid\nset xlabel 'seconds'\nset ylabel 'MiB'\n"
            "set multiplot layout %u,1\n",
            panels);
    unsigned next = 0;
    for (unsigned i = 0; i < count; i = next) {
        next = i + panel_runs(runs + i, count - i);
        write_panel(script, runs + i, next - i, i);
    }
    fprintf(script, "unset multiplot\n");
}

bool rss_plot(const char *file, struct rss_run *const *runs, unsigned count)
{
    FILE *const script = popen(PROGRAM, "w");
    if (script == NULL) {
        error(0, errno, "cannot start " PROGRAM);
        return false;
    }
    write_script(script, runs, count, file);
    if (pclose(script) != 0) {
        error(0, 0, PROGRAM " could not write %s", file);
        return false;
    }
    return true;
}
