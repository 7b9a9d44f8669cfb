/* SPDX-License-Identifier: MIT */
/**
 * Calls of the system that fail on order. Link with --wrap for each of system_faults.txt: then the
 * library's own calls, and no other library's, come by here.
 *
 * Threads: safe from any thread.
 */
#ifndef SKV_TESTS_SUPPORT_SYSTEM_FAULTS_H
#define SKV_TESTS_SUPPORT_SYSTEM_FAULTS_H

#include <stdbool.h>

enum system_call {
    SYSTEM_CLOSE, /* closes all the same */
    SYSTEM_FDOPENDIR,
    SYSTEM_FLOCK,
    SYSTEM_FSTAT,
    SYSTEM_FSTATAT,
    SYSTEM_GETRANDOM,
    SYSTEM_MALLCTL,
    SYSTEM_MKDIR,
    SYSTEM_MMAP,
    SYSTEM_MUNMAP,
    SYSTEM_OPEN,
    SYSTEM_OPENAT,
    SYSTEM_PREAD,
    SYSTEM_PWRITE,
    SYSTEM_READ,
    SYSTEM_READDIR,
    SYSTEM_REALPATH,
    SYSTEM_STAT,
    SYSTEM_SYSCONF,
    SYSTEM_UNLINK,
    SYSTEM_UNLINKAT,
    SYSTEM_ATFORK,
    SYSTEM_CONDATTR_INIT,
    SYSTEM_CONDATTR_SETCLOCK,
    SYSTEM_COND_INIT,
    SYSTEM_CREATE,
    SYSTEM_MUTEXATTR_INIT,
    SYSTEM_MUTEXATTR_SETTYPE,
    SYSTEM_MUTEX_INIT,
    SYSTEM_SIGMASK,
    SYSTEM_CALLS
};

/** Instead of an error number: the call does a part of what it was asked for, or nothing. */
#define SYSTEM_PART    (-1)
#define SYSTEM_NOTHING (-2)

/**
 * Makes the n-th call from now on fail; n counts from 1. Only one kind of call fails at a time.
 *
 * @param error  an error number, or for reads and writes one of the above
 * @param ever   all later calls of the kind fail too
 */
void system_fail(enum system_call call, int n, int error, bool ever);
/** Ends it; returns how many calls failed. */
int system_recover(void);

#endif
