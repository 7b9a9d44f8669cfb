/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "gnuplot.h"
#include "hitrate_report.h"

#define PANEL_WIDTH   420u
#define PANEL_HEIGHT  320u
#define PANEL_COLUMNS 3u

static void draw_row(FILE *stream, const struct hitrate_report *report,
                     const struct hitrate_row *row)
{
    fprintf(stream, "$data << END\n");
    for (unsigned s = 0; s < report->size_count; s++) {
        const struct hitrate_cell *const cell = &row->cells[s];
        if (cell->capacity == 0) {
            continue;
        }
        fprintf(stream, "%u", cell->capacity);
        for (unsigned p = 0; p < report->policy_count; p++) {
            fprintf(stream, " %.6f", 1 - (double)cell->results[p].hits / (double)row->requests);
        }
        fputc('\n', stream);
    }
    fprintf(stream, "END\nset title ");
    gnuplot_quote(stream, row->name);
    fprintf(stream, " noenhanced\nplot ");
    for (unsigned p = 0; p < report->policy_count; p++) {
        fprintf(stream, "%s$data using 1:%u with linespoints title ", p != 0 ? ", " : "", p + 2);
        gnuplot_quote(stream, report->policies[p]->name);
    }
    fputc('\n', stream);
}

static bool is_drawable(const struct hitrate_report *report, const struct hitrate_row *row)
{
    for (unsigned s = 0; s < report->size_count; s++) {
        if (row->cells[s].capacity != 0) {
            return true;
        }
    }
    return false;
}

static void draw_rows(FILE *stream, const struct hitrate_report *report, unsigned columns,
                      unsigned lines)
{
    fprintf(stream,
            "set logscale x\nset yrange [0:*]\nset xlabel 'entries'\nset ylabel 'miss ratio'\n"
            "set key bottom left\nset grid\nset multiplot layout %u,%u\n",
            lines, columns);
    for (unsigned r = 0; r < report->row_count; r++) {
        if (is_drawable(report, &report->rows[r])) {
            draw_row(stream, report, &report->rows[r]);
        }
    }
    fprintf(stream, "unset multiplot\n");
}

bool hitrate_draw(const char *path, const struct hitrate_report *report)
{
    unsigned panels = 0;
    for (unsigned r = 0; r < report->row_count; r++) {
        panels += is_drawable(report, &report->rows[r]);
    }
    if (panels == 0) {
        return true;
    }
    const unsigned columns = panels < PANEL_COLUMNS ? panels : PANEL_COLUMNS;
    const unsigned lines = (panels + PANEL_COLUMNS - 1) / PANEL_COLUMNS;
    struct gnuplot gnuplot = gnuplot_open(path, columns * PANEL_WIDTH, lines * PANEL_HEIGHT);
    if (gnuplot.stream != NULL) {
        draw_rows(gnuplot.stream, report, columns, lines);
    }
    return gnuplot_close(&gnuplot, path);
}
