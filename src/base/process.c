/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. /proc/self/statm is one short line; its second number counts resident pages, its third
 * those of them that belong to files or are shared.
 */
#include "base/process.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

uint64_t skv_process_rss(void)
{
    char line[128];
    uint64_t resident;
    uint64_t shared;
    const int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    const ssize_t size = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
    if (fd >= 0) {
        (void)close(fd);
    }
    if (size <= 0) {
        return 0;
    }
    line[size] = '\0';
    if (sscanf(line, "%*u %" SCNu64 " %" SCNu64, &resident, &shared) != 2 || shared > resident) {
        return 0;
    }
    return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}
