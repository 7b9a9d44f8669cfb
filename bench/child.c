/* SPDX-License-Identifier: MIT */
#include "child.h"

#include <errno.h>
#include <error.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

void *child_share(size_t bytes)
{
    void *const memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        error(0, errno, "cannot share memory");
        return NULL;
    }
    return memory;
}

void child_unshare(void *memory, size_t bytes)
{
    if (memory != NULL) {
        munmap(memory, bytes);
    }
}

bool child_run(bool (*work)(void *context), void *context)
{
    const pid_t parent = getpid();
    const pid_t child = fork();
    int state = 0;
    if (child == 0) {
        const bool alone = prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent;
        _exit(!alone && work(context) ? 0 : 1);
    }
    if (child < 0) {
        error(0, errno, "cannot start a process");
        return false;
    }
    while (waitpid(child, &state, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(state) && WEXITSTATUS(state) == 0;
}
