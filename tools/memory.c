/* SPDX-License-Identifier: MIT */
#include "memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint64_t memory_figure(pid_t process, const char *name)
{
    char path[64] = "/proc/self/status";
    char wanted[64];
    char text[4096];
    if (process != 0) {
        snprintf(path, sizeof path, "/proc/%d/status", (int)process);
    }
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return 0;
    }
    const ssize_t size = read(file, text, sizeof text - 1);
    close(file);
    if (size <= 0) {
        return 0;
    }
    text[size] = '\0';
    snprintf(wanted, sizeof wanted, "\n%s:", name);
    const char *const found = strstr(text, wanted);
    return found != NULL ? strtoull(found + strlen(wanted), NULL, 10) * 1024 : 0;
}
