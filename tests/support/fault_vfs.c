/* SPDX-License-Identifier: MIT */
#include "support/fault_vfs.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "support/model.h"

struct fault {
    _Atomic int countdown; /* calls until it fails; below 1: over, or never */
    _Atomic int rc;
    _Atomic bool set;
    _Atomic bool ever;
    _Atomic uint32_t one_in; /* 0: counted; else by dice */
    _Atomic uint64_t calls;
};

struct fault_file {
    sqlite3_file base;
    sqlite3_file *under; /* owned */
};

static struct fault faults[FAULT_KINDS];
static _Atomic int failures;
static _Atomic uint64_t mappings;
static _Atomic uint32_t yield_one_in;

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_changed = PTHREAD_COND_INITIALIZER;
static bool gate_shut[FAULT_KINDS]; /* guarded by gate_lock, as the next */
static int gate_waiting;

static void pass_gate(enum fault_kind kind)
{
    pthread_mutex_lock(&gate_lock);
    while (gate_shut[kind]) {
        gate_waiting++;
        pthread_cond_broadcast(&gate_changed);
        pthread_cond_wait(&gate_changed, &gate_lock);
        gate_waiting--;
    }
    pthread_mutex_unlock(&gate_lock);
}

void fault_vfs_hold(enum fault_kind kind)
{
    pthread_mutex_lock(&gate_lock);
    gate_shut[kind] = true;
    pthread_mutex_unlock(&gate_lock);
}

void fault_vfs_wait_held(void)
{
    while (!fault_vfs_is_held(1000)) {
    }
}

bool fault_vfs_is_held(int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&gate_lock);
    while (gate_waiting == 0 &&
           pthread_cond_timedwait(&gate_changed, &gate_lock, &until) != ETIMEDOUT) {
    }
    const bool held = gate_waiting != 0;
    pthread_mutex_unlock(&gate_lock);
    return held;
}

void fault_vfs_release(void)
{
    pthread_mutex_lock(&gate_lock);
    memset(gate_shut, 0, sizeof(gate_shut));
    pthread_cond_broadcast(&gate_changed);
    pthread_mutex_unlock(&gate_lock);
}

void fault_vfs_set_yield(uint32_t one_in)
{
    atomic_store(&yield_one_in, one_in);
}

static void yield_now_and_then(uint64_t dice)
{
    const uint32_t one_in = atomic_load(&yield_one_in);
    if (one_in != 0 && model_random(&dice) % one_in == 0) {
        (void)sched_yield();
    }
}

/* SQLITE_OK or what the call is to fail with. */
static int due(enum fault_kind kind)
{
    struct fault *fault = &faults[kind];
    int left;

    pass_gate(kind);
    uint64_t dice = atomic_fetch_add(&fault->calls, 1);
    yield_now_and_then(dice);
    if (!fault->set) {
        return SQLITE_OK;
    }
    const uint32_t one_in = fault->one_in;
    if (one_in != 0) {
        if (model_random(&dice) % one_in != 0) {
            return SQLITE_OK;
        }
        atomic_fetch_add(&failures, 1);
        return fault->rc;
    }
    left = atomic_fetch_sub(&fault->countdown, 1);
    if (left == 1 || (left < 1 && fault->ever)) {
        atomic_fetch_add(&failures, 1);
        return fault->rc;
    }
    return SQLITE_OK;
}

void fault_vfs_set(enum fault_kind kind, int n, int rc, bool ever)
{
    faults[kind].rc = rc;
    faults[kind].ever = ever;
    faults[kind].one_in = 0;
    atomic_store(&faults[kind].countdown, n);
    faults[kind].set = true;
}

void fault_vfs_set_some(enum fault_kind kind, uint32_t one_in, int rc)
{
    faults[kind].rc = rc;
    faults[kind].one_in = one_in;
    faults[kind].set = true;
}

void fault_vfs_clear(void)
{
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        faults[kind].set = false;
    }
    atomic_store(&failures, 0);
}

int fault_vfs_failures(void)
{
    return atomic_load(&failures);
}

uint64_t fault_vfs_calls(enum fault_kind kind)
{
    return atomic_load(&faults[kind].calls);
}

uint64_t fault_vfs_mappings(void)
{
    return atomic_load(&mappings);
}

static sqlite3_file *under(sqlite3_file *file)
{
    return ((struct fault_file *)(void *)file)->under;
}

static int fault_close(sqlite3_file *file)
{
    const int failure = due(FAULT_CLOSE);
    const int rc = under(file)->pMethods->xClose(under(file));
    sqlite3_free(under(file));
    return failure != SQLITE_OK ? failure : rc;
}

static int fault_read(sqlite3_file *file, void *buffer, int size, sqlite3_int64 offset)
{
    int rc = due(FAULT_READ);
    if (rc == SQLITE_OK) {
        return under(file)->pMethods->xRead(under(file), buffer, size, offset);
    }
    memset(buffer, 0, (size_t)size);
    return rc;
}

static int fault_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 offset)
{
    int rc = due(FAULT_WRITE);
    if (rc == SQLITE_OK) {
        return under(file)->pMethods->xWrite(under(file), bytes, size, offset);
    }
    if (rc == SQLITE_FULL) {
        (void)under(file)->pMethods->xWrite(under(file), bytes, size / 2, offset);
    }
    return rc;
}

static int fault_truncate(sqlite3_file *file, sqlite3_int64 bytes)
{
    int rc = due(FAULT_TRUNCATE);
    return rc != SQLITE_OK ? rc : under(file)->pMethods->xTruncate(under(file), bytes);
}

static int fault_sync(sqlite3_file *file, int flags)
{
    const int rc = due(FAULT_SYNC);
    return rc != SQLITE_OK ? rc : under(file)->pMethods->xSync(under(file), flags);
}

static int fault_file_size(sqlite3_file *file, sqlite3_int64 *bytes_out)
{
    int rc = due(FAULT_SIZE);
    return rc != SQLITE_OK ? rc : under(file)->pMethods->xFileSize(under(file), bytes_out);
}

static int fault_lock(sqlite3_file *file, int level)
{
    const int rc = due(FAULT_LOCK);
    return rc != SQLITE_OK ? rc : under(file)->pMethods->xLock(under(file), level);
}

static int fault_unlock(sqlite3_file *file, int level)
{
    return under(file)->pMethods->xUnlock(under(file), level);
}

static int fault_check_reserved_lock(sqlite3_file *file, int *locked_out)
{
    return under(file)->pMethods->xCheckReservedLock(under(file), locked_out);
}

static int fault_file_control(sqlite3_file *file, int op, void *argument)
{
    return under(file)->pMethods->xFileControl(under(file), op, argument);
}

static int fault_sector_size(sqlite3_file *file)
{
    return under(file)->pMethods->xSectorSize(under(file));
}

static int fault_device_characteristics(sqlite3_file *file)
{
    return under(file)->pMethods->xDeviceCharacteristics(under(file));
}

/* Nothing is ever mapped; that it was asked for is what tests want to know. */
static int fault_fetch(sqlite3_file *file, sqlite3_int64 offset, int size, void **memory_out)
{
    (void)file, (void)offset, (void)size;
    *memory_out = NULL;
    atomic_fetch_add(&mappings, 1);
    return SQLITE_OK;
}

static int fault_unfetch(sqlite3_file *file, sqlite3_int64 offset, void *memory)
{
    (void)file, (void)offset, (void)memory;
    return SQLITE_OK;
}

static const sqlite3_io_methods fault_methods = {
    3,
    fault_close,
    fault_read,
    fault_write,
    fault_truncate,
    fault_sync,
    fault_file_size,
    fault_lock,
    fault_unlock,
    fault_check_reserved_lock,
    fault_file_control,
    fault_sector_size,
    fault_device_characteristics,
    NULL,
    NULL,
    NULL,
    NULL,
    fault_fetch,
    fault_unfetch,
};

static sqlite3_vfs *vfs_under(void)
{
    sqlite3_vfs *ours = sqlite3_vfs_find("spillkv");
    return ours != NULL ? ours : sqlite3_vfs_find(NULL);
}

static int fault_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags,
                      int *flags_out)
{
    struct fault_file *file = (struct fault_file *)(void *)base;
    int rc = due(FAULT_OPEN);

    (void)vfs;
    base->pMethods = NULL;
    if (rc != SQLITE_OK) {
        return rc;
    }
    file->under = sqlite3_malloc(vfs_under()->szOsFile);
    if (file->under == NULL) {
        return SQLITE_NOMEM;
    }
    memset(file->under, 0, (size_t)vfs_under()->szOsFile);
    rc = vfs_under()->xOpen(vfs_under(), name, file->under, flags, flags_out);
    if (rc != SQLITE_OK) {
        sqlite3_free(file->under);
        return rc;
    }
    base->pMethods = &fault_methods;
    return SQLITE_OK;
}

static int fault_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    (void)vfs;
    return vfs_under()->xDelete(vfs_under(), name, sync);
}

static int fault_access(sqlite3_vfs *vfs, const char *name, int flags, int *result_out)
{
    (void)vfs;
    return vfs_under()->xAccess(vfs_under(), name, flags, result_out);
}

static int fault_full_pathname(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    (void)vfs;
    return vfs_under()->xFullPathname(vfs_under(), name, size, out);
}

static int fault_randomness(sqlite3_vfs *vfs, int size, char *out)
{
    (void)vfs;
    return vfs_under()->xRandomness(vfs_under(), size, out);
}

static int fault_sleep(sqlite3_vfs *vfs, int microseconds)
{
    (void)vfs;
    return vfs_under()->xSleep(vfs_under(), microseconds);
}

static int fault_current_time(sqlite3_vfs *vfs, double *out)
{
    (void)vfs;
    return vfs_under()->xCurrentTime(vfs_under(), out);
}

void fault_vfs_register(void)
{
    static sqlite3_vfs vfs;

    sqlite3_initialize();
    if (vfs.zName != NULL) {
        return;
    }
    vfs.iVersion = 1;
    vfs.szOsFile = sizeof(struct fault_file);
    vfs.mxPathname = 4096;
    vfs.zName = FAULT_VFS_NAME;
    vfs.xOpen = fault_open;
    vfs.xDelete = fault_delete;
    vfs.xAccess = fault_access;
    vfs.xFullPathname = fault_full_pathname;
    vfs.xRandomness = fault_randomness;
    vfs.xSleep = fault_sleep;
    vfs.xCurrentTime = fault_current_time;
    sqlite3_vfs_register(&vfs, 0);
}
