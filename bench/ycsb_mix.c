/* SPDX-License-Identifier: MIT */
/**
 * A key that another thread is changing is left to it: nobody waits for anybody here. The draws are
 * one long array, in which each thread of each phase starts somewhere else.
 */
#include "ycsb_mix.h"

#include <stdatomic.h>
#include <string.h>

#include "workload.h"

/* Keys of YCSB_HOT. */
#define HOT_KEYS 10000u
/* Keys of YCSB_ABSENT have numbers from here on. */
#define ABSENT_FIRST (UINT64_C(1) << 40)

static const struct ycsb_mix mixes[] = {
    {.name = "a", .about = "half gets, half updates, Zipf", .keys = YCSB_ZIPF, .update = 50},
    {.name = "b", .about = "95 % gets, 5 % updates, Zipf", .keys = YCSB_ZIPF, .update = 5},
    {.name = "c", .about = "gets, Zipf", .keys = YCSB_ZIPF},
    {.name = "d",
     .about = "95 % gets of the latest, 5 % inserts",
     .keys = YCSB_LATEST,
     .insert = 5},
    {.name = "f", .about = "half gets, half get and update, Zipf", .keys = YCSB_ZIPF, .modify = 50},
    {.name = "uniform", .about = "gets, uniform", .keys = YCSB_UNIFORM},
    {.name = "absent", .about = "gets of keys that do not exist", .keys = YCSB_ABSENT},
    {.name = "churn",
     .about = "half gets, half deletes and reinserts, uniform",
     .keys = YCSB_UNIFORM,
     .toggle = 50},
    {.name = "hot", .about = "gets of the same 10 000 keys", .keys = YCSB_HOT},
    {.name = "spill",
     .about = "half inserts, half gets of the same 10 000 keys",
     .keys = YCSB_HOT,
     .insert = 50},
};

#define MIXES (sizeof mixes / sizeof *mixes)

const struct ycsb_mix *ycsb_mix_find(const char *name)
{
    for (size_t i = 0; i < MIXES; i++) {
        if (strcmp(mixes[i].name, name) == 0) {
            return &mixes[i];
        }
    }
    return NULL;
}

const struct ycsb_mix *ycsb_mix_at(unsigned number)
{
    return number < MIXES ? &mixes[number] : NULL;
}

bool ycsb_begin(struct crew_worker *worker)
{
    const struct ycsb_state *const state = worker->context;
    worker->handle = engine_attach(state->engine, state->db);
    worker->place = workload_random(&worker->random);
    return worker->handle != NULL;
}

void ycsb_end(struct crew_worker *worker)
{
    const struct ycsb_state *const state = worker->context;
    engine_detach(state->engine, worker->handle);
    worker->handle = NULL;
}

size_t ycsb_key_room(const struct ycsb_state *state)
{
    return state->key_size * state->batch;
}

size_t ycsb_value_room(const struct ycsb_state *state)
{
    return state->value_size * state->batch;
}

static void make_key(const struct ycsb_state *state, uint64_t index, uint8_t *key)
{
    workload_key(state->seed, index, key, state->key_size);
}

/* Spreads a number below HOT_KEYS over all records. */
static uint64_t hot_key(const struct ycsb_state *state, uint64_t number)
{
    return state->records <= HOT_KEYS ? number % state->records
                                      : number * (state->records / HOT_KEYS);
}

static uint64_t draw(struct crew_worker *worker)
{
    const struct ycsb_state *const state = worker->context;
    switch (state->mix->keys) {
    case YCSB_ZIPF:
        return state->draws[worker->place++ % YCSB_DRAWS];
    case YCSB_LATEST: {
        const uint64_t last = atomic_load_explicit(&state->next, memory_order_relaxed) - 1;
        return last - state->draws[worker->place++ % YCSB_DRAWS];
    }
    case YCSB_HOT:
        return hot_key(state, workload_below(&worker->random, HOT_KEYS));
    case YCSB_ABSENT:
        return ABSENT_FIRST + (workload_random(&worker->random) >> 24);
    case YCSB_UNIFORM:
        break;
    }
    return workload_below(&worker->random, state->records);
}

static void note_verdict(struct crew_worker *worker, enum marks_verdict verdict)
{
    worker->findings.wrong += verdict == MARKS_WRONG;
    worker->findings.missing += verdict == MARKS_MISSING;
}

static void get(struct crew_worker *worker, uint64_t index)
{
    const struct ycsb_state *const state = worker->context;
    size_t size = 0;
    make_key(state, index, worker->key);
    const struct marks_view view = marks_look(state->marks, index);
    const enum engine_answer answer = state->engine->get(
        worker->handle, worker->key, state->key_size, worker->value, state->value_size, &size);
    if (answer == ENGINE_FAILED) {
        worker->findings.failed++;
    } else if (answer == ENGINE_FOUND && size != state->value_size) {
        worker->findings.wrong++;
    } else {
        note_verdict(worker,
                     marks_judge(state->marks, view, answer, worker->key, worker->value, size));
    }
}

static void get_absent(struct crew_worker *worker, uint64_t index)
{
    const struct ycsb_state *const state = worker->context;
    size_t size = 0;
    make_key(state, index, worker->key);
    const enum engine_answer answer = state->engine->get(
        worker->handle, worker->key, state->key_size, worker->value, state->value_size, &size);
    worker->findings.failed += answer == ENGINE_FAILED;
    worker->findings.wrong += answer == ENGINE_FOUND;
}

static void judge_batch(struct crew_worker *worker, const struct engine_read *reads,
                        const struct marks_view *views)
{
    const struct ycsb_state *const state = worker->context;
    const bool absent = state->mix->keys == YCSB_ABSENT;
    for (unsigned i = 0; i < state->batch; i++) {
        const struct engine_read *const read = &reads[i];
        if (read->answer == ENGINE_FAILED) {
            worker->findings.failed++;
        } else if (absent || (read->answer == ENGINE_FOUND && read->size != state->value_size)) {
            worker->findings.wrong += read->answer == ENGINE_FOUND;
        } else {
            note_verdict(worker, marks_judge(state->marks, views[i], read->answer, read->key,
                                             read->buffer, read->size));
        }
    }
}

/* Several gets by one call. */
static void get_batch(struct crew_worker *worker)
{
    const struct ycsb_state *const state = worker->context;
    struct engine_read reads[ENGINE_BATCH_MAX];
    struct marks_view views[ENGINE_BATCH_MAX];
    uint64_t indexes[ENGINE_BATCH_MAX];
    const bool absent = state->mix->keys == YCSB_ABSENT;
    for (unsigned i = 0; i < state->batch; i++) {
        uint8_t *const key = worker->key + i * state->key_size;
        indexes[i] = draw(worker);
        make_key(state, indexes[i], key);
        reads[i] =
            (struct engine_read){.key = key, .buffer = worker->value + i * state->value_size};
        if (!absent) {
            marks_prefetch(state->marks, indexes[i]);
        }
    }
    for (unsigned i = 0; i < state->batch && !absent; i++) {
        views[i] = marks_look(state->marks, indexes[i]);
    }
    state->engine->get_many(worker->handle, reads, state->batch, state->key_size,
                            state->value_size);
    judge_batch(worker, reads, views);
    worker->more += state->batch - 1;
}

/* Sets a key that is claimed. */
static void set(struct crew_worker *worker, const struct marks_claim *claim)
{
    const struct ycsb_state *const state = worker->context;
    worker->kind = CREW_WRITE;
    make_key(state, claim->index, worker->key);
    marks_value(claim, worker->key, worker->value, state->value_size);
    worker->findings.failed += !state->engine->set(worker->handle, worker->key, state->key_size,
                                                   worker->value, state->value_size);
    marks_settle(state->marks, claim);
}

static void del(struct crew_worker *worker, const struct marks_claim *claim)
{
    const struct ycsb_state *const state = worker->context;
    worker->kind = CREW_WRITE;
    make_key(state, claim->index, worker->key);
    const enum engine_answer answer =
        state->engine->del(worker->handle, worker->key, state->key_size);
    worker->findings.failed += answer == ENGINE_FAILED;
    worker->findings.missing += answer == ENGINE_MISSING;
    marks_settle(state->marks, claim);
}

static void update(struct crew_worker *worker, uint64_t index)
{
    const struct ycsb_state *const state = worker->context;
    struct marks_claim claim;
    while (!marks_claim_set(state->marks, index, &claim)) {
        index = draw(worker);
    }
    set(worker, &claim);
}

static void toggle(struct crew_worker *worker, uint64_t index)
{
    const struct ycsb_state *const state = worker->context;
    struct marks_claim claim;
    for (;;) {
        if (marks_claim_del(state->marks, index, &claim)) {
            del(worker, &claim);
            return;
        }
        if (!marks_present(state->marks, index) && marks_claim_set(state->marks, index, &claim)) {
            set(worker, &claim);
            return;
        }
        index = draw(worker);
    }
}

/* The next key that was never there; an update when there is no room for more. */
static void insert(struct crew_worker *worker, uint64_t instead)
{
    struct ycsb_state *const state = worker->context;
    struct marks_claim claim;
    uint64_t index = atomic_load(&state->next);
    while (index < state->marks->capacity &&
           !atomic_compare_exchange_weak(&state->next, &index, index + 1)) {
    }
    if (index == state->marks->capacity) {
        update(worker, instead);
    } else if (marks_claim_set(state->marks, index, &claim)) {
        set(worker, &claim);
    }
}

void ycsb_load(struct crew_worker *worker, uint64_t index)
{
    const struct ycsb_state *const state = worker->context;
    struct marks_claim claim;
    if (marks_claim_set(state->marks, index, &claim)) {
        set(worker, &claim);
    }
}

void ycsb_operate(struct crew_worker *worker, uint64_t number)
{
    (void)number;
    const struct ycsb_state *const state = worker->context;
    const struct ycsb_mix *const mix = state->mix;
    if (state->batch > 1) {
        get_batch(worker);
        return;
    }
    const uint64_t index = draw(worker);
    if (mix->keys == YCSB_ABSENT) {
        get_absent(worker, index);
        return;
    }
    marks_prefetch(state->marks, index);
    unsigned part = (unsigned)workload_below(&worker->random, 100);
    if (part < mix->update) {
        update(worker, index);
    } else if ((part -= mix->update) < mix->insert) {
        insert(worker, index);
    } else if ((part -= mix->insert) < mix->modify) {
        get(worker, index);
        update(worker, index);
    } else if ((part -= mix->modify) < mix->toggle) {
        toggle(worker, index);
    } else {
        get(worker, index);
    }
}
