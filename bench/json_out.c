/* SPDX-License-Identifier: MIT */
#include "json_out.h"

/* Decimals of a number: enough for what was measured. */
#define DECIMALS 8

bool json_out(FILE *stream, json_t *root)
{
    const bool written =
        root != NULL &&
        json_dumpf(root, stream, JSON_INDENT(2) | JSON_REAL_PRECISION(DECIMALS)) == 0 &&
        fputc('\n', stream) != EOF;
    json_decref(root);
    return written;
}
