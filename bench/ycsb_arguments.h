/* SPDX-License-Identifier: MIT */
/**
 * Options of the programs that put stores through mixes.
 */
#ifndef BENCH_YCSB_ARGUMENTS_H
#define BENCH_YCSB_ARGUMENTS_H

#include <argp.h>
#include <stdbool.h>

#include "ycsb_run.h"

struct ycsb_arguments {
    struct ycsb_options options;
    const char *mixes;   /* comma-separated; the default if it was not given */
    const char *threads; /* the same */
    bool json;
};

/** To be a child of a program's parser, with a struct ycsb_arguments as its input. */
extern const struct argp ycsb_argp;

/** What holds if nothing is said: many records that do not fit. */
struct ycsb_arguments ycsb_arguments_default(void);

/** Fills in what the lists say; false after a message. */
bool ycsb_arguments_read(struct ycsb_arguments *arguments);

#endif
