/* SPDX-License-Identifier: MIT */
#include "entries.h"

#include "workload.h"

bool entries_begin(struct crew_worker *worker)
{
    const struct entries *const entries = worker->context;
    worker->handle = engine_attach(entries->engine, entries->db);
    return worker->handle != NULL;
}

void entries_end(struct crew_worker *worker)
{
    const struct entries *const entries = worker->context;
    engine_detach(entries->engine, worker->handle);
    worker->handle = NULL;
}

void entries_set(struct crew_worker *worker, uint64_t index)
{
    const struct entries *const entries = worker->context;
    workload_key(entries->seed, index, worker->key, entries->key_size);
    workload_value(worker->key, worker->value, entries->value_size);
    worker->findings.failed += !entries->engine->set(worker->handle, worker->key, entries->key_size,
                                                     worker->value, entries->value_size);
}

void entries_get(struct crew_worker *worker, uint64_t index)
{
    (void)index;
    const struct entries *const entries = worker->context;
    const uint64_t chosen = entries->zipf != NULL ? zipf_index(entries->zipf, &worker->random)
                                                  : workload_below(&worker->random, entries->count);
    size_t size = 0;
    workload_key(entries->seed, chosen, worker->key, entries->key_size);
    const enum engine_answer answer = entries->engine->get(
        worker->handle, worker->key, entries->key_size, worker->value, entries->value_size, &size);
    if (answer == ENGINE_FOUND) {
        worker->findings.wrong +=
            size != entries->value_size || !workload_value_is(worker->key, worker->value, size);
    } else {
        worker->findings.missing += answer == ENGINE_MISSING;
        worker->findings.failed += answer == ENGINE_FAILED;
    }
}

bool entries_flush(void *context)
{
    const struct entries *const entries = context;
    return entries->engine->flush(entries->db);
}
