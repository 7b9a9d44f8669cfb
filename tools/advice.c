/* SPDX-License-Identifier: MIT */
#include "advice.h"

#include <inttypes.h>

#include "size.h"

#define SIZES 4

/* In the order in which they are shown. */
static const struct {
    const char *name;
    unsigned halves; /* of max_mem */
} sizes[SIZES] = {{"half", 1}, {"now", 2}, {"twice", 4}, {"four", 8}};

static double ratio(const spillkv_advice *advice, int size)
{
    const uint64_t hits[SIZES] = {advice->hits_half, advice->hits, advice->hits_twice,
                                  advice->hits_four};
    return advice->gets != 0 ? (double)hits[size] / (double)advice->gets : 0;
}

void advice_print(FILE *stream, const spillkv_advice *advice)
{
    if (advice->samples == 0) {
        fprintf(stream, "max_mem: nothing is known of other sizes\n");
        return;
    }
    fprintf(stream,
            "hit ratio of the gets that found their key, by max_mem; others than now are estimated "
            "from %" PRIu64 " gets\n",
            advice->samples);
    for (int i = 0; i < SIZES; i++) {
        char text[SIZE_TEXT];
        fprintf(stream, "  %-10s %12s %7.2f %%\n", sizes[i].name,
                size_format(advice->max_mem / 2 * sizes[i].halves, text), 100 * ratio(advice, i));
    }
}

json_t *advice_json(const spillkv_advice *advice)
{
    json_t *const ratios = json_object();
    for (int i = 0; i < SIZES; i++) {
        json_object_set_new(ratios, sizes[i].name, json_real(ratio(advice, i)));
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:o}", "max_mem", (json_int_t)advice->max_mem, "gets",
                     (json_int_t)advice->gets, "samples", (json_int_t)advice->samples,
                     "sampled_keys", (json_int_t)advice->sampled_keys, "hit_ratio", ratios);
}
