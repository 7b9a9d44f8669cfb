/* SPDX-License-Identifier: MIT */
/**
 * A Redis server as a child, for one run: in memory only, reached by a socket in a directory of the
 * run. It dies with the thread that started it.
 */
#ifndef BENCH_REDIS_SERVER_H
#define BENCH_REDIS_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** Tells whether the program is installed. */
bool redis_server_found(void);

/**
 * Starts the server, which opens the socket some time later.
 *
 * @param folder  an empty directory
 * @return its process; -1 after a message
 */
pid_t redis_server_start(const char *folder, const char *socket, uint64_t max_mem);

/** Tells whether it has not ended. */
bool redis_server_runs(pid_t server);

/** Ends it and waits for that. */
void redis_server_stop(pid_t server);

#endif
