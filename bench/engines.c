/* SPDX-License-Identifier: MIT */
/**
 * The engines are weak symbols: one whose file is not linked, as its library is missing or the
 * program has no use for it, has the address NULL.
 */
#include "engines.h"

#include <error.h>
#include <string.h>

#define WEAK __attribute__((weak))

extern const struct engine engine_leveldb WEAK;
extern const struct engine engine_lmdb WEAK;
extern const struct engine engine_predecessor WEAK;
extern const struct engine engine_redis WEAK;
extern const struct engine engine_rocksdb WEAK;
extern const struct engine engine_spillkv WEAK;
extern const struct engine engine_sqlite WEAK;
extern const struct engine engine_striped WEAK;
extern const struct engine engine_tkrzw WEAK;
extern const struct engine engine_wiredtiger WEAK;

static const struct known {
    const char *name;
    const struct engine *engine;
    const char *needs; /* what is said if it is not linked */
} known[] = {
    {"spillkv", &engine_spillkv, NULL},
    {"rocksdb", &engine_rocksdb, "built without librocksdb-dev"},
    {"lmdb", &engine_lmdb, "built without liblmdb-dev"},
    {"tkrzw", &engine_tkrzw, "built without libtkrzw-dev"},
    {"leveldb", &engine_leveldb, "built without libleveldb-dev"},
    {"wiredtiger", &engine_wiredtiger, "built without libwiredtiger-dev"},
    {"sqlite", &engine_sqlite, NULL},
    {"predecessor", &engine_predecessor, NULL},
    {"striped", &engine_striped, NULL},
    {"redis", &engine_redis, "built without libhiredis-dev"},
};

#define KNOWN (sizeof known / sizeof *known)

/* Why an engine cannot be used here; NULL if it can. */
static const char *lack_of(const struct known *one)
{
    if (one->engine == NULL) {
        return one->needs != NULL ? one->needs : "not in this program";
    }
    return one->engine->lacks != NULL ? one->engine->lacks() : NULL;
}

enum engines_found engines_find(const char *name, const struct engine **engine_out)
{
    size_t i = 0;
    *engine_out = NULL;
    while (i < KNOWN && strcmp(known[i].name, name) != 0) {
        i++;
    }
    if (i == KNOWN) {
        error(0, 0, "no engine '%s'", name);
        return ENGINES_UNKNOWN;
    }
    const char *const reason = lack_of(&known[i]);
    if (reason != NULL) {
        error(0, 0, "%s is left out: %s", name, reason);
        return ENGINES_LEFT_OUT;
    }
    *engine_out = known[i].engine;
    return ENGINES_FOUND;
}

const struct engine *engines_at(unsigned number)
{
    for (size_t i = 0; i < KNOWN; i++) {
        if (known[i].engine != NULL && number-- == 0) {
            return known[i].engine;
        }
    }
    return NULL;
}
