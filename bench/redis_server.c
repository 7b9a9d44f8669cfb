/* SPDX-License-Identifier: MIT */
/**
 * Debian's package redis-server adds a service and a link to what redis-tools has already: the
 * program behind redis-check-rdb is the server when it is called so.
 */
#include "redis_server.h"

#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "program.h"

#define NAME     "redis-server"
#define NAME_TOO "redis-check-rdb"
/* How long it may take to end in order. */
#define PATIENCE 500u
#define PAUSE_NS 10000000

static char *find(void)
{
    char *const found = program_find(NAME);
    return found != NULL ? found : program_find(NAME_TOO);
}

bool redis_server_found(void)
{
    char *const found = find();
    free(found);
    return found != NULL;
}

/* In the child, where only what a signal handler may call is allowed. */
static _Noreturn void become_server(pid_t parent, const char *program, char *const *arguments)
{
    const int nothing = open("/dev/null", O_RDWR);
    /* Ctrl-C is for the benchmark, which ends the server when it is done with it. */
    setsid();
    const bool ready = prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent &&
                       dup2(nothing, STDIN_FILENO) >= 0 && dup2(nothing, STDOUT_FILENO) >= 0;
    if (ready) {
        execv(program, arguments);
    }
    _exit(127);
}

pid_t redis_server_start(const char *folder, const char *socket, uint64_t max_mem)
{
    const pid_t parent = getpid();
    pid_t server = -1;
    char *memory = NULL;
    char *const program = find();
    if (program == NULL || asprintf(&memory, "%" PRIu64, max_mem) < 0) {
        error(0, 0, "redis: cannot be started");
        free(program);
        return -1;
    }
    /* execv() does not change them, but its type says it might. */
    const char *const arguments[] = {NAME,
                                     "--port",
                                     "0",
                                     "--unixsocket",
                                     socket,
                                     "--dir",
                                     folder,
                                     "--save",
                                     "",
                                     "--appendonly",
                                     "no",
                                     "--maxmemory",
                                     memory,
                                     "--maxmemory-policy",
                                     "allkeys-lfu",
                                     "--daemonize",
                                     "no",
                                     NULL};
    server = fork();
    if (server == 0) {
        become_server(parent, program, (char *const *)arguments);
    }
    if (server < 0) {
        error(0, errno, "redis: cannot be started");
    }
    free(memory);
    free(program);
    return server;
}

bool redis_server_runs(pid_t server)
{
    siginfo_t about = {0};
    return waitid(P_PID, (id_t)server, &about, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           about.si_pid == 0;
}

void redis_server_stop(pid_t server)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    kill(server, SIGTERM);
    for (unsigned i = 0; i < PATIENCE && redis_server_runs(server); i++) {
        nanosleep(&pause, NULL);
    }
    if (redis_server_runs(server)) {
        kill(server, SIGKILL);
    }
    while (waitpid(server, NULL, 0) < 0 && errno == EINTR) {
    }
}
