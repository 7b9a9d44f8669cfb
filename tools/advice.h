/* SPDX-License-Identifier: MIT */
/**
 * What spillkv_advise() reports, as a table and as JSON.
 */
#ifndef TOOLS_ADVICE_H
#define TOOLS_ADVICE_H

#include <jansson.h>
#include <stdio.h>

#include <spillkv/spillkv.h>

/** Writes a line for each size. */
void advice_print(FILE *stream, const spillkv_advice *advice);

/** @return NULL when memory ran out */
json_t *advice_json(const spillkv_advice *advice);

#endif
