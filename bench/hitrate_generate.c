/* SPDX-License-Identifier: MIT */
/**
 * Traces made on the spot, in integers only. Ranks are drawn by octaves: each octave of ranks is
 * as likely as any other, so rank r has about 1 / (r + 1) of the popularity of rank 0.
 */
#include "hitrate_generate.h"

#include <error.h>
#include <stdlib.h>
#include <string.h>

#include "size.h"
#include "workload.h"

#define DEFAULT_REQUESTS ((uint64_t)1000000)
#define DEFAULT_KEYS     ((uint64_t)20000)
#define KEYS_MAX         ((uint64_t)1 << 30)
#define REQUESTS_MAX     ((uint64_t)1 << 40)
/* Keys that never come again have this bit. */
#define FRESH ((uint64_t)1 << 40)
/* Of drift: a rank changes its key with one request in so many. */
#define DRIFT_EVERY 8
/* Of scan: a run is as long as a quarter of the keys, and twice as many other requests follow. */
#define SCAN_PART 4
#define SCAN_CALM 2

struct generator {
    uint64_t keys;
    uint64_t index; /* of the request */
    uint64_t random;
    uint64_t fresh;   /* keys used up that never come again */
    uint64_t *key_of; /* by rank, for drift */
    unsigned octaves; /* of ranks */
};

static uint64_t draw_rank(struct generator *generator)
{
    for (;;) {
        const uint64_t octave = workload_below(&generator->random, generator->octaves);
        const uint64_t first = ((uint64_t)1 << octave) - 1;
        const uint64_t rank = first + workload_below(&generator->random, first + 1);
        if (rank < generator->keys) {
            return rank;
        }
    }
}

static uint64_t next_zipf(struct generator *generator)
{
    return draw_rank(generator);
}

static uint64_t next_drift(struct generator *generator)
{
    if (generator->index % DRIFT_EVERY == 0) {
        generator->key_of[draw_rank(generator)] = FRESH | generator->fresh++;
    }
    return generator->key_of[draw_rank(generator)];
}

static uint64_t next_scan(struct generator *generator)
{
    const uint64_t run = generator->keys / SCAN_PART + 1;
    if (generator->index / run % (SCAN_CALM + 1) == SCAN_CALM) {
        return FRESH | generator->fresh++;
    }
    return draw_rank(generator);
}

static uint64_t next_loop(struct generator *generator)
{
    return generator->index % generator->keys;
}

static uint64_t next_zigzag(struct generator *generator)
{
    const uint64_t at = generator->index % (2 * generator->keys);
    return at < generator->keys ? at : 2 * generator->keys - 1 - at;
}

static const struct kind {
    const char *name;
    uint64_t (*next)(struct generator *generator);
} kinds[] = {
    {"zipf", next_zipf}, {"drift", next_drift},   {"scan", next_scan},
    {"loop", next_loop}, {"zigzag", next_zigzag},
};

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(name, kinds[i].name) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

static bool make(const struct kind *kind, struct generator *generator, uint64_t requests,
                 struct trace_builder *builder)
{
    while (((uint64_t)1 << generator->octaves) <= generator->keys) {
        generator->octaves++;
    }
    generator->key_of = malloc(generator->keys * sizeof(*generator->key_of));
    bool valid = generator->key_of != NULL;
    for (uint64_t i = 0; valid && i < generator->keys; i++) {
        generator->key_of[i] = i;
    }
    for (; valid && generator->index < requests; generator->index++) {
        valid = trace_add(builder, kind->next(generator));
    }
    free(generator->key_of);
    return valid;
}

bool trace_generate(const char *text, uint64_t seed, struct trace *trace_out)
{
    *trace_out = (struct trace){0};
    char *const copy = strdup(text);
    if (copy == NULL) {
        error(0, 0, "no memory");
        return false;
    }
    char *rest = copy;
    const char *const name = strsep(&rest, ":");
    const char *const requests_text = strsep(&rest, ":");
    const char *const keys_text = strsep(&rest, ":");
    uint64_t requests = DEFAULT_REQUESTS;
    struct generator generator = {.keys = DEFAULT_KEYS, .random = workload_mix(seed)};
    const struct kind *const kind = find_kind(name);
    bool valid = kind != NULL && rest == NULL;
    valid =
        valid && (requests_text == NULL || number_parse(requests_text, 1, REQUESTS_MAX, &requests));
    valid = valid && (keys_text == NULL || number_parse(keys_text, 1, KEYS_MAX, &generator.keys));
    if (!valid) {
        error(0, 0, "'%s' is not zipf, drift, scan, loop or zigzag with :REQUESTS:KEYS", text);
    } else {
        struct trace_builder builder = {0};
        valid = make(kind, &generator, requests, &builder);
        valid = trace_finish(&builder, kind->name, valid, trace_out);
        if (!valid) {
            error(0, 0, "%s: no memory", text);
        }
    }
    free(copy);
    return valid;
}
