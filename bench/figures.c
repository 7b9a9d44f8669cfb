/* SPDX-License-Identifier: MIT */
#include "figures.h"

#include <stdbool.h>
#include <string.h>

#define NAME_WIDTH 52

/* The place of a figure; the end when there is none of that section and name. */
static unsigned find(const struct figures *figures, const char *section, const char *name)
{
    unsigned i = 0;
    while (i < figures->count && (strcmp(figures->list[i].section, section) != 0 ||
                                  strcmp(figures->list[i].name, name) != 0)) {
        i++;
    }
    return i;
}

void figures_add_wanted(struct figures *figures, const char *section, const char *name,
                        const char *unit, double wanted, double sample)
{
    const unsigned i = find(figures, section, name);
    if (i == FIGURES_MAX) {
        return;
    }
    struct figure *const figure = &figures->list[i];
    if (i == figures->count) {
        *figure = (struct figure){.section = section, .name = name, .unit = unit};
        figure->wanted = wanted;
        figures->count++;
    }
    if (figure->count < MEDIAN_MAX) {
        figure->samples[figure->count++] = sample;
    }
}

void figures_add(struct figures *figures, const char *section, const char *name, const char *unit,
                 double sample)
{
    figures_add_wanted(figures, section, name, unit, 0, sample);
}

static double extreme(const struct figure *figure, bool most)
{
    double found = figure->samples[0];
    for (unsigned i = 1; i < figure->count; i++) {
        if (most ? figure->samples[i] > found : figure->samples[i] < found) {
            found = figure->samples[i];
        }
    }
    return found;
}

static double middle(const struct figure *figure)
{
    return median(figure->samples, figure->count);
}

double figures_median(const struct figures *figures, const char *section, const char *name)
{
    const unsigned i = find(figures, section, name);
    return i < figures->count ? middle(&figures->list[i]) : 0;
}

static int decimals(double number)
{
    return number < 10 ? 2 : number < 1000 ? 1 : 0;
}

void figures_print(FILE *stream, const struct figures *figures)
{
    const char *section = "";
    for (unsigned i = 0; i < figures->count; i++) {
        const struct figure *const figure = &figures->list[i];
        const double least = extreme(figure, false);
        const double most = extreme(figure, true);
        const double number = middle(figure);
        if (strcmp(section, figure->section) != 0) {
            section = figure->section;
            fprintf(stream, "%s%-*s %10s %10s %10s\n", i != 0 ? "\n" : "", NAME_WIDTH + 2, section,
                    "median", "least", "most");
        }
        fprintf(stream, "  %-*s %10.*f %10.*f %10.*f %s", NAME_WIDTH, figure->name,
                decimals(number), number, decimals(least), least, decimals(most), most,
                figure->unit);
        if (figure->wanted > 0) {
            fprintf(stream, "  (wanted: %g%s)", figure->wanted,
                    number <= figure->wanted ? "" : ", MISSED");
        }
        fputc('\n', stream);
    }
}

json_t *figures_json(const struct figures *figures)
{
    json_t *const array = json_array();
    for (unsigned i = 0; i < figures->count; i++) {
        const struct figure *const figure = &figures->list[i];
        json_t *const object = json_pack(
            "{s:s, s:s, s:s, s:f, s:f, s:f, s:i}", "section", figure->section, "name", figure->name,
            "unit", figure->unit, "median", middle(figure), "least", extreme(figure, false), "most",
            extreme(figure, true), "samples", (int)figure->count);
        if (figure->wanted > 0) {
            json_object_set_new(object, "wanted", json_real(figure->wanted));
        }
        json_array_append_new(array, object);
    }
    return array;
}
