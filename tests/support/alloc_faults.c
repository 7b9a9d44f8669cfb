/* SPDX-License-Identifier: MIT */
#include "support/alloc_faults.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/alloc.h"
#include "support/model.h"

static _Atomic unsigned fail_at; /* 0: none */
static _Atomic bool fail_ever;
static _Atomic uint32_t fail_one_in; /* 0: counted */
static _Atomic uint64_t seen;
static _Atomic unsigned failures;

static bool is_due(uint64_t number)
{
    const uint32_t one_in = atomic_load(&fail_one_in);
    const unsigned at = atomic_load(&fail_at);
    if (one_in != 0) {
        uint64_t dice = number;
        return model_random(&dice) % one_in == 0;
    }
    return at != 0 && (number == at || (number > at && atomic_load(&fail_ever)));
}

static bool may_allocate(void)
{
    if (!is_due(atomic_fetch_add(&seen, 1) + 1)) {
        return true;
    }
    atomic_fetch_add(&failures, 1);
    return false;
}

static bool our_hook(void *context, size_t bytes)
{
    (void)context, (void)bytes;
    return may_allocate();
}

void alloc_faults_watch_ours(void)
{
    skv_alloc_set_hook(our_hook, NULL);
}

static sqlite3_mem_methods plain;

static void *sqlite_malloc(int bytes)
{
    return may_allocate() ? plain.xMalloc(bytes) : NULL;
}

static void *sqlite_realloc(void *memory, int bytes)
{
    return may_allocate() ? plain.xRealloc(memory, bytes) : NULL;
}

bool alloc_faults_watch_sqlite(void)
{
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &plain) != SQLITE_OK) {
        return false;
    }
    sqlite3_mem_methods failing = plain;
    failing.xMalloc = sqlite_malloc;
    failing.xRealloc = sqlite_realloc;
    return sqlite3_config(SQLITE_CONFIG_MALLOC, &failing) == SQLITE_OK &&
           sqlite3_initialize() == SQLITE_OK;
}

void alloc_faults_set(unsigned n, bool ever)
{
    atomic_store(&fail_one_in, 0);
    atomic_store(&fail_at, n);
    atomic_store(&fail_ever, ever);
    atomic_store(&seen, 0);
    atomic_store(&failures, 0);
}

void alloc_faults_set_some(uint32_t one_in)
{
    atomic_store(&fail_at, 0);
    atomic_store(&failures, 0);
    atomic_store(&fail_one_in, one_in);
}

unsigned alloc_faults_failures(void)
{
    return atomic_load(&failures);
}
