/* SPDX-License-Identifier: MIT */
#include "gnuplot.h"

#include <error.h>
#include <signal.h>

void gnuplot_quote(FILE *stream, const char *text)
{
    fputc('\'', stream);
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            fputc('\'', stream);
        }
        fputc(*text, stream);
    }
    fputc('\'', stream);
}

struct gnuplot gnuplot_open(const char *path, unsigned width, unsigned height)
{
    struct gnuplot gnuplot = {.previous = signal(SIGPIPE, SIG_IGN)};
    gnuplot.stream = popen("gnuplot", "w");
    if (gnuplot.stream != NULL) {
        fprintf(gnuplot.stream,
                "set terminal svg size %u,%u dynamic background 'white'\nset output ", width,
                height);
        gnuplot_quote(gnuplot.stream, path);
        fputc('\n', gnuplot.stream);
    }
    return gnuplot;
}

bool gnuplot_close(struct gnuplot *gnuplot, const char *path)
{
    const bool drawn = gnuplot->stream != NULL && pclose(gnuplot->stream) == 0;
    signal(SIGPIPE, gnuplot->previous);
    if (!drawn) {
        error(0, 0, "%s: the chart was not drawn", path);
    }
    return drawn;
}
