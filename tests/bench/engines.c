/* SPDX-License-Identifier: MIT */
/**
 * What every engine of the benchmarks has to do, under so little memory that most of it is not
 * there. Usage: engines NAME
 */
#include "engines.h"

#include <error.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scratch.h"
#include "workload.h"

#define ENTRIES    30000u
#define MAX_MEM    ((uint64_t)2 << 20)
#define KEY_SIZE   ((size_t)16)
#define VALUE_MOST ((size_t)3000)
#define BATCH      32u
#define EXIT_SKIP  77

static unsigned faults;

#define EXPECT(fact)                                                                               \
    do {                                                                                           \
        if (!(fact)) {                                                                             \
            error_at_line(0, 0, __FILE__, __LINE__, "not so: %s", #fact);                          \
            faults++;                                                                              \
        }                                                                                          \
    } while (0)

struct test {
    const struct engine *engine;
    void *handle;
    uint8_t key[KEY_SIZE];
    uint8_t value[VALUE_MOST];
    uint8_t wanted[VALUE_MOST];
};

/* Values of many sizes, other ones in each version. */
static size_t make(struct test *test, uint64_t index, unsigned version)
{
    const size_t size =
        (size_t)(workload_mix(index + version) % 200 + (index % 500 == 0 ? 2000 : 0));
    const uint64_t stamp = workload_mix(index * 8 + version);
    workload_key(1, index, test->key, KEY_SIZE);
    workload_value((const uint8_t *)&stamp, test->wanted, size);
    return size;
}

static void set(struct test *test, uint64_t index, unsigned version)
{
    const size_t size = make(test, index, version);
    EXPECT(test->engine->set(test->handle, test->key, KEY_SIZE, test->wanted, size));
}

static bool holds(struct test *test, uint64_t index, unsigned version)
{
    const size_t wanted = make(test, index, version);
    size_t size = 0;
    return test->engine->get(test->handle, test->key, KEY_SIZE, test->value, VALUE_MOST, &size) ==
               ENGINE_FOUND &&
           size == wanted && memcmp(test->value, test->wanted, size) == 0;
}

static bool lacks(struct test *test, uint64_t index)
{
    size_t size = 0;
    make(test, index, 0);
    return test->engine->get(test->handle, test->key, KEY_SIZE, test->value, VALUE_MOST, &size) ==
           ENGINE_MISSING;
}

static bool deleted(uint64_t index)
{
    return index % 3 == 0;
}

static void expect_batches(struct test *test)
{
    static uint8_t keys[BATCH][KEY_SIZE];
    static uint8_t values[BATCH][VALUE_MOST];
    struct engine_read reads[BATCH];
    for (uint64_t first = 0; first + BATCH <= ENTRIES; first += 10 * BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            workload_key(1, first + i, keys[i], KEY_SIZE);
            reads[i] = (struct engine_read){.key = keys[i], .buffer = values[i]};
        }
        test->engine->get_many(test->handle, reads, BATCH, KEY_SIZE, VALUE_MOST);
        for (unsigned i = 0; i < BATCH; i++) {
            const size_t size = make(test, first + i, 2);
            EXPECT(reads[i].answer == (deleted(first + i) ? ENGINE_MISSING : ENGINE_FOUND));
            EXPECT(deleted(first + i) ||
                   (reads[i].size == size && memcmp(values[i], test->wanted, size) == 0));
        }
    }
}

static void test_all(struct test *test)
{
    const struct engine *const engine = test->engine;
    for (uint64_t i = 0; i < ENTRIES; i++) {
        set(test, i, 1);
    }
    for (uint64_t i = 0; i < ENTRIES; i++) {
        EXPECT(holds(test, i, 1));
        EXPECT(lacks(test, ENTRIES + i));
    }
    for (uint64_t i = 0; i < ENTRIES; i++) {
        set(test, i, 2);
        EXPECT(holds(test, i, 2));
    }
    for (uint64_t i = 0; i < ENTRIES; i++) {
        make(test, i, 2);
        EXPECT(!deleted(i) || engine->del(test->handle, test->key, KEY_SIZE) == ENGINE_FOUND);
    }
    for (uint64_t i = 0; i < ENTRIES; i++) {
        EXPECT(deleted(i) ? lacks(test, i) : holds(test, i, 2));
    }
    if (engine->get_many != NULL) {
        expect_batches(test);
    }
    for (uint64_t i = 0; i < ENTRIES; i += 3) {
        set(test, i, 3);
        EXPECT(holds(test, i, 3));
    }
}

/* What one handle stored is there for another, before and after a flush. */
static void test_handles(struct test *test, void *db)
{
    void *const first = test->handle;
    for (unsigned round = 0; round < 2; round++) {
        test->handle = first;
        set(test, 1, 4 + round);
        test->handle = engine_attach(test->engine, db);
        EXPECT(test->handle != NULL && holds(test, 1, 4 + round));
        engine_detach(test->engine, test->handle);
        EXPECT(test->engine->flush(db));
        if (test->engine->settle != NULL) {
            test->engine->settle(db);
        }
    }
    test->handle = first;
    EXPECT(holds(test, 1, 5));
    EXPECT(holds(test, 2, 2));
}

int main(int argc, char **argv)
{
    static struct test test;
    const enum engines_found found =
        argc == 2 ? engines_find(argv[1], &test.engine) : ENGINES_UNKNOWN;
    if (found != ENGINES_FOUND) {
        return found == ENGINES_LEFT_OUT ? EXIT_SKIP : EXIT_FAILURE;
    }
    char *const path = scratch_make(NULL);
    const struct engine_options options = {.path = path, .max_mem = MAX_MEM, .entries = ENTRIES};
    void *const db = path != NULL ? test.engine->open(&options) : NULL;
    EXPECT(db != NULL);
    if (db != NULL) {
        test.handle = engine_attach(test.engine, db);
        test_all(&test);
        test_handles(&test, db);
        engine_detach(test.engine, test.handle);
        EXPECT(test.engine->close(db));
    }
    scratch_remove(path);
    printf("%s: %u faults\n", test.engine->name, faults);
    return faults == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
