/* SPDX-License-Identifier: MIT */
#include "support/system_faults.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static struct {
    _Atomic int call; /* SYSTEM_CALLS: none */
    _Atomic int countdown;
    _Atomic int error;
    _Atomic bool ever;
    _Atomic int failures;
} plan = {.call = SYSTEM_CALLS};

void system_fail(enum system_call call, int n, int error, bool ever)
{
    plan.countdown = n;
    plan.error = error;
    plan.ever = ever;
    plan.failures = 0;
    plan.call = (int)call;
}

int system_recover(void)
{
    plan.call = SYSTEM_CALLS;
    return plan.failures;
}

/* 0, or what the call is to fail with. */
static int due(enum system_call call)
{
    if (plan.call != (int)call) {
        return 0;
    }
    const int left = atomic_fetch_sub(&plan.countdown, 1);
    if (left != 1 && (left > 1 || !plan.ever)) {
        return 0;
    }
    plan.failures++;
    return plan.error;
}

/* The same, with the error where the system leaves it. */
static bool fails(enum system_call call)
{
    const int error = due(call);
    if (error == 0) {
        return false;
    }
    errno = error;
    return true;
}

/* The linker's names: what is called __wrap_NAME is called for NAME. With the large offsets that
   Meson asks for, the calls that know offsets are named NAME64. */
#define WRAP(name, result, parameters, body)                                                       \
    result __real_##name parameters;                                                               \
    result __wrap_##name parameters;                                                               \
    result __wrap_##name parameters                                                                \
    {                                                                                              \
        return body;                                                                               \
    }
#define FAIL_OR(call, failed, name, arguments) fails(call) ? failed : __real_##name arguments

WRAP(fdopendir, DIR *, (int fd), FAIL_OR(SYSTEM_FDOPENDIR, NULL, fdopendir, (fd)))
WRAP(flock, int, (int fd, int how), FAIL_OR(SYSTEM_FLOCK, -1, flock, (fd, how)))
WRAP(fstat64, int, (int fd, struct stat *out), FAIL_OR(SYSTEM_FSTAT, -1, fstat64, (fd, out)))
WRAP(fstatat64, int, (int dir, const char *path, struct stat *out, int flags),
     FAIL_OR(SYSTEM_FSTATAT, -1, fstatat64, (dir, path, out, flags)))
WRAP(getrandom, ssize_t, (void *out, size_t size, unsigned flags),
     FAIL_OR(SYSTEM_GETRANDOM, -1, getrandom, (out, size, flags)))
WRAP(mkdir, int, (const char *path, mode_t mode), FAIL_OR(SYSTEM_MKDIR, -1, mkdir, (path, mode)))
WRAP(mmap64, void *, (void *at, size_t size, int protection, int flags, int fd, off_t offset),
     FAIL_OR(SYSTEM_MMAP, MAP_FAILED, mmap64, (at, size, protection, flags, fd, offset)))
WRAP(munmap, int, (void *at, size_t size), FAIL_OR(SYSTEM_MUNMAP, -1, munmap, (at, size)))
WRAP(read, ssize_t, (int fd, void *out, size_t size),
     FAIL_OR(SYSTEM_READ, -1, read, (fd, out, size)))
WRAP(readdir64, struct dirent *, (DIR * stream), FAIL_OR(SYSTEM_READDIR, NULL, readdir64, (stream)))
WRAP(realpath, char *, (const char *path, char *out),
     FAIL_OR(SYSTEM_REALPATH, NULL, realpath, (path, out)))
WRAP(stat64, int, (const char *path, struct stat *out),
     FAIL_OR(SYSTEM_STAT, -1, stat64, (path, out)))
/* Of all it tells, the number of processors. */
WRAP(sysconf, long, (int name),
     name == _SC_NPROCESSORS_ONLN && fails(SYSTEM_SYSCONF) ? -1 : __real_sysconf(name))
WRAP(unlink, int, (const char *path), FAIL_OR(SYSTEM_UNLINK, -1, unlink, (path)))
WRAP(unlinkat, int, (int dir, const char *path, int flags),
     FAIL_OR(SYSTEM_UNLINKAT, -1, unlinkat, (dir, path, flags)))

/* These return their error. */
#define RETURN_OR(call, name, arguments) fails(call) ? errno : __real_##name arguments

WRAP(pthread_atfork, int, (void (*before)(void), void (*parent)(void), void (*child)(void)),
     RETURN_OR(SYSTEM_ATFORK, pthread_atfork, (before, parent, child)))
WRAP(pthread_condattr_init, int, (pthread_condattr_t * attributes),
     RETURN_OR(SYSTEM_CONDATTR_INIT, pthread_condattr_init, (attributes)))
WRAP(pthread_condattr_setclock, int, (pthread_condattr_t * attributes, clockid_t clock),
     RETURN_OR(SYSTEM_CONDATTR_SETCLOCK, pthread_condattr_setclock, (attributes, clock)))
WRAP(pthread_cond_init, int, (pthread_cond_t * cond, const pthread_condattr_t *attributes),
     RETURN_OR(SYSTEM_COND_INIT, pthread_cond_init, (cond, attributes)))
WRAP(pthread_create, int,
     (pthread_t * thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context),
     RETURN_OR(SYSTEM_CREATE, pthread_create, (thread, attributes, run, context)))
WRAP(pthread_mutexattr_init, int, (pthread_mutexattr_t * attributes),
     RETURN_OR(SYSTEM_MUTEXATTR_INIT, pthread_mutexattr_init, (attributes)))
WRAP(pthread_mutexattr_settype, int, (pthread_mutexattr_t * attributes, int type),
     RETURN_OR(SYSTEM_MUTEXATTR_SETTYPE, pthread_mutexattr_settype, (attributes, type)))
WRAP(pthread_mutex_init, int, (pthread_mutex_t * mutex, const pthread_mutexattr_t *attributes),
     RETURN_OR(SYSTEM_MUTEX_INIT, pthread_mutex_init, (mutex, attributes)))
WRAP(pthread_sigmask, int, (int how, const sigset_t *set, sigset_t *old),
     RETURN_OR(SYSTEM_SIGMASK, pthread_sigmask, (how, set, old)))

#ifdef SKV_HAVE_JEMALLOC
WRAP(mallctl, int, (const char *name, void *old, size_t *old_size, void *new, size_t new_size),
     RETURN_OR(SYSTEM_MALLCTL, mallctl, (name, old, old_size, new, new_size)))
#endif

int __real_close(int fd);
int __wrap_close(int fd);

int __wrap_close(int fd)
{
    const int code = __real_close(fd);
    return fails(SYSTEM_CLOSE) ? -1 : code;
}

/* The mode is read whether it is given or not; it is passed on, and used only if it was. */
int __real_open64(const char *path, int flags, mode_t mode);
int __wrap_open64(const char *path, int flags, mode_t mode);
int __real_openat64(int dir, const char *path, int flags, mode_t mode);
int __wrap_openat64(int dir, const char *path, int flags, mode_t mode);

int __wrap_open64(const char *path, int flags, mode_t mode)
{
    return fails(SYSTEM_OPEN) ? -1 : __real_open64(path, flags, mode);
}

int __wrap_openat64(int dir, const char *path, int flags, mode_t mode)
{
    return fails(SYSTEM_OPENAT) ? -1 : __real_openat64(dir, path, flags, mode);
}

/* How much of `size` to do, or -1. */
static ssize_t part_of(enum system_call call, size_t size)
{
    const int error = due(call);
    if (error > 0) {
        errno = error;
        return -1;
    }
    return (ssize_t)(error == SYSTEM_PART ? (size + 1) / 2 : error == SYSTEM_NOTHING ? 0 : size);
}

ssize_t __real_pread64(int fd, void *out, size_t size, off_t offset);
ssize_t __wrap_pread64(int fd, void *out, size_t size, off_t offset);
ssize_t __real_pwrite64(int fd, const void *bytes, size_t size, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t size, off_t offset);

ssize_t __wrap_pread64(int fd, void *out, size_t size, off_t offset)
{
    const ssize_t part = part_of(SYSTEM_PREAD, size);
    return part < 0 ? -1 : __real_pread64(fd, out, (size_t)part, offset);
}

ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t size, off_t offset)
{
    const ssize_t part = part_of(SYSTEM_PWRITE, size);
    return part < 0 ? -1 : __real_pwrite64(fd, bytes, (size_t)part, offset);
}
