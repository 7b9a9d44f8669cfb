/* SPDX-License-Identifier: MIT */
/**
 * What it costs to find what leaves RAM, by the share of the entries that is in RAM.
 *
 * One shard is loaded, then its entries are read at random, all alike or by a Zipf law. What is
 * read from disk comes to RAM and what leaves has a valid copy there, so that the calls that spill
 * write nothing: their time is that of examining.
 */
#include <error.h>
#include <stdio.h>

#include "gnuplot.h"
#include "micro.h"
#include "micro_shard.h"
#include "workload.h"
#include "zipf.h"

#define SECTION  "residency"
#define EXPONENT 0.99
/* Examining, on average. */
#define EXAMINE_MOST 250

/* So many times the entries in RAM come and go before it is measured, and again while it is; or so
 * many entries at most. */
#define TURNS     2
#define LEFT_MOST 100000

/* Entries of ten thousand in RAM. */
static const unsigned shares[] = {5000, 2500, 1000, 500, 100, 50, 10};

#define SHARES (sizeof shares / sizeof *shares)

#define CHART_WIDTH  900u
#define CHART_HEIGHT 360u

enum law_name {
    UNIFORM,
    ZIPF,
    LAWS
};

static const char *const law_names[LAWS] = {"uniform", "Zipf"};

/* What is shown of each law and share. */
struct names {
    char cost[48];
    char examined[48];
};

static struct names names[LAWS][SHARES];

struct law {
    enum law_name name;
    struct zipf zipf; /* ranks 0: all alike */
    uint64_t state;
};

struct cost {
    uint64_t ns;
    uint64_t left;
    uint64_t examined;
};

static uint64_t draw_entry(struct law *law, uint64_t entries)
{
    return law->zipf.ranks == 0 ? workload_random(&law->state) % entries
                                : zipf_index(&law->zipf, &law->state);
}

/* Reads until as many entries as wanted left RAM. */
static bool turn_over(struct micro_shard *one, const struct micro *micro, struct law *law,
                      uint64_t resident, uint64_t wanted, struct cost *cost)
{
    uint8_t key[MICRO_KEY_SIZE];
    const uint64_t slack = resident / 64 + 1;
    const spillkv_counters before = micro_shard_counters(one);
    *cost = (struct cost){0};
    while (cost->left < wanted) {
        for (uint64_t i = 0; i < slack; i++) {
            workload_key(micro->seed, draw_entry(law, micro->cold_entries), key, sizeof key);
            if (!micro_shard_check(one, key, false)) {
                return false;
            }
        }
        const uint64_t began = micro_thread_ns();
        if (!micro_shard_free(one, resident)) {
            return false;
        }
        cost->ns += micro_thread_ns() - began;
        const spillkv_counters after = micro_shard_counters(one);
        cost->left = after.clean_evictions - before.clean_evictions;
        cost->examined = after.examined - before.examined;
        if (after.spills != before.spills) {
            error(0, 0, "residency: an entry was written");
            return false;
        }
    }
    return true;
}

static bool measure(struct micro_shard *one, struct micro *micro, struct law *law, size_t share)
{
    struct names *const shown = &names[law->name][share];
    const uint64_t resident = micro->cold_entries * shares[share] / 10000;
    const uint64_t wanted = TURNS * resident < LEFT_MOST ? TURNS * resident : LEFT_MOST;
    struct cost cost;
    if (!turn_over(one, micro, law, resident, wanted, &cost) ||
        !turn_over(one, micro, law, resident, wanted, &cost)) {
        return false;
    }
    const double left = (double)cost.left;
    snprintf(shown->cost, sizeof shown->cost, "%s, %g %% in RAM", law_names[law->name],
             shares[share] / 100.0);
    snprintf(shown->examined, sizeof shown->examined, "%s, %g %%, examined", law_names[law->name],
             shares[share] / 100.0);
    figures_add_wanted(&micro->figures, SECTION, shown->cost, "ns", EXAMINE_MOST,
                       (double)cost.ns / left);
    figures_add(&micro->figures, SECTION, shown->examined, "entries", (double)cost.examined / left);
    return true;
}

/* All entries are spilled and have come back once, so that each has a copy. */
static bool prepare(struct micro_shard *one, const struct micro *micro)
{
    return micro_shard_fill(one, micro, micro->cold_entries) && micro_shard_spill(one, 0);
}

bool micro_residency(struct micro *micro)
{
    struct law laws[] = {{.name = UNIFORM, .state = micro->seed},
                         {.name = ZIPF, .state = micro->seed}};
    struct micro_shard one;
    if (!micro_shard_open(&one, micro, micro->cold_entries)) {
        return false;
    }
    zipf_init(&laws[ZIPF].zipf, micro->cold_entries, EXPONENT);
    bool done = prepare(&one, micro);
    for (size_t law = 0; law < LAWS; law++) {
        for (size_t share = 0; done && share < SHARES; share++) {
            done = measure(&one, micro, &laws[law], share);
        }
    }
    micro_shard_close(&one);
    return done;
}

static void draw_panels(FILE *stream, const struct figures *figures)
{
    fprintf(stream, "$data << END\n");
    for (size_t share = 0; share < SHARES; share++) {
        fprintf(stream, "%g", shares[share] / 100.0);
        for (size_t law = 0; law < LAWS; law++) {
            fprintf(stream, " %.3f %.3f", figures_median(figures, SECTION, names[law][share].cost),
                    figures_median(figures, SECTION, names[law][share].examined));
        }
        fputc('\n', stream);
    }
    fprintf(stream, "END\nset logscale x\nset yrange [0:*]\nset grid\nset key bottom left\n"
                    "set xlabel '%% of the entries in RAM'\nset multiplot layout 1,2\n");
    static const char *const titles[] = {"ns of CPU for each entry that leaves",
                                         "entries examined for each that leaves"};
    for (unsigned panel = 0; panel < 2; panel++) {
        fprintf(stream, "set ylabel ");
        gnuplot_quote(stream, titles[panel]);
        for (unsigned law = 0; law < LAWS; law++) {
            fprintf(stream, "%s $data using 1:%u with linespoints title ",
                    law == 0 ? "\nplot" : ",", 2 + 2 * law + panel);
            gnuplot_quote(stream, law_names[law]);
        }
        fputc('\n', stream);
    }
    fprintf(stream, "unset multiplot\n");
}

bool micro_residency_draw(const char *path, const struct figures *figures)
{
    if (names[UNIFORM][0].cost[0] == '\0') {
        error(0, 0, "--chart: the part " SECTION " was not measured");
        return false;
    }
    struct gnuplot gnuplot = gnuplot_open(path, CHART_WIDTH, CHART_HEIGHT);
    if (gnuplot.stream != NULL) {
        draw_panels(gnuplot.stream, figures);
    }
    return gnuplot_close(&gnuplot, path);
}
