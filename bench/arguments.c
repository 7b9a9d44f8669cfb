/* SPDX-License-Identifier: MIT */
#include "arguments.h"

#include <error.h>
#include <stdlib.h>
#include <string.h>

#include "size.h"

uint64_t arguments_number(struct argp_state *state, const char *text, uint64_t min, uint64_t max)
{
    uint64_t number;
    if (!number_parse(text, min, max, &number)) {
        argp_error(state, "'%s' is not a number from %llu to %llu", text, (unsigned long long)min,
                   (unsigned long long)max);
    }
    return number;
}

uint64_t arguments_size(struct argp_state *state, const char *text, uint64_t min, uint64_t max)
{
    uint64_t size;
    if (!size_parse(text, &size) || size < min || size > max) {
        argp_error(state, "'%s' is not a size like 64M, 1.5G or 1000000, or out of range", text);
    }
    return size;
}

bool arguments_each(const char *list, bool (*take)(void *context, const char *word), void *context)
{
    char *const words = strdup(list);
    char *rest = NULL;
    bool taken = words != NULL;
    if (!taken) {
        error(0, 0, "out of memory");
    }
    for (char *word = taken ? strtok_r(words, ",", &rest) : NULL; word != NULL && taken;
         word = strtok_r(NULL, ",", &rest)) {
        taken = take(context, word);
    }
    free(words);
    return taken;
}
