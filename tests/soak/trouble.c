/* SPDX-License-Identifier: MIT */
#include "soak/trouble.h"

#include <sqlite3.h>
#include <stddef.h>
#include <time.h>

#include "support/alloc_faults.h"
#include "support/fault_vfs.h"
#include "support/model.h"

/* Milliseconds at most. */
#define TROUBLE_MOST 700
#define REST_MOST    1200

/* One way in which a disk fails. */
struct way {
    enum fault_kind kind;
    int rc;
    bool always;
};

static const struct way ways[] = {
    {FAULT_WRITE, SQLITE_FULL, true},
    {FAULT_WRITE, SQLITE_FULL, false},
    {FAULT_WRITE, SQLITE_IOERR_WRITE, true},
    {FAULT_WRITE, SQLITE_IOERR_WRITE, false},
    {FAULT_READ, SQLITE_IOERR_READ, true},
    {FAULT_READ, SQLITE_IOERR_READ, false},
    {FAULT_READ, SQLITE_IOERR_SHORT_READ, false},
    {FAULT_TRUNCATE, SQLITE_IOERR_TRUNCATE, true},
    {FAULT_SIZE, SQLITE_IOERR_FSTAT, false},
    {FAULT_OPEN, SQLITE_CANTOPEN, true},
    {FAULT_CLOSE, SQLITE_IOERR_CLOSE, true},
};

static uint32_t dice(struct trouble *trouble, uint32_t sides)
{
    return (uint32_t)(model_random(&trouble->random) % sides);
}

/* Fails always, or one time in 2 to 64. */
static void break_disk(struct trouble *trouble)
{
    const struct way *const way = &ways[dice(trouble, sizeof(ways) / sizeof(ways[0]))];
    const uint32_t one_in = way->always ? 1 : 2u << dice(trouble, 6);
    fault_vfs_set_some(way->kind, one_in, way->rc);
}

/* Memory, or the disk in one or two ways. Not both: what a disk refuses of an undo is owed in
   memory, and if there is none of that either the file is lost. */
static void begin(struct trouble *trouble)
{
    const uint32_t kind = dice(trouble, 4);
    atomic_fetch_add(trouble->epoch, 1);
    if (kind == 0) {
        alloc_faults_set_some(2u << dice(trouble, 10));
        return;
    }
    break_disk(trouble);
    if (kind == 1) {
        break_disk(trouble);
    }
}

static void end(struct trouble *trouble)
{
    atomic_fetch_add(trouble->faults, (uint64_t)fault_vfs_failures() + alloc_faults_failures());
    fault_vfs_clear();
    alloc_faults_set_some(0);
    atomic_fetch_add(trouble->epoch, 1);
}

static void rest(struct trouble *trouble, uint32_t most_ms)
{
    const struct timespec time = {.tv_nsec = 1000000};
    for (uint32_t ms = 1 + dice(trouble, most_ms); ms > 0 && !atomic_load(trouble->over); ms--) {
        (void)nanosleep(&time, NULL);
    }
}

void *trouble_run(void *context)
{
    struct trouble *const trouble = context;
    while (!atomic_load(trouble->over)) {
        rest(trouble, REST_MOST);
        begin(trouble);
        rest(trouble, TROUBLE_MOST);
        end(trouble);
    }
    return NULL;
}
