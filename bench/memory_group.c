/* SPDX-License-Identifier: MIT */
#include "memory_group.h"

#include <errno.h>
#include <error.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_MODE 0700

/* Where groups of memory are, and the file of their bound: version 1, version 2. */
static const struct version {
    const char *sign; /* a file that is there */
    const char *folder;
    const char *bound;
} versions[] = {
    {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory",
     "memory.limit_in_bytes"},
    {"/sys/fs/cgroup/cgroup.controllers", "/sys/fs/cgroup", "memory.max"},
};

/* Writes a number to a file of a group; false after a message. */
static bool write_number(const char *group, const char *name, uint64_t number)
{
    char *path = NULL;
    FILE *const file = asprintf(&path, "%s/%s", group, name) >= 0 ? fopen(path, "w") : NULL;
    bool written = file != NULL && fprintf(file, "%" PRIu64 "\n", number) > 0;
    written = file != NULL && fclose(file) == 0 && written;
    if (!written) {
        error(0, errno, "cannot write %s of %s", name, group);
    }
    free(path);
    return written;
}

char *memory_group_make(uint64_t bytes)
{
    const struct version *version = versions;
    char *group = NULL;
    if (access(version->sign, F_OK) != 0) {
        version++;
    }
    if (asprintf(&group, "%s/spillkv-bench-%d", version->folder, (int)getpid()) < 0) {
        error(0, 0, "out of memory");
        return NULL;
    }
    if (mkdir(group, FOLDER_MODE) != 0) {
        error(0, errno, "cannot make the control group %s", group);
        free(group);
        return NULL;
    }
    if (!write_number(group, version->bound, bytes)) {
        memory_group_remove(group);
        return NULL;
    }
    return group;
}

bool memory_group_join(const char *group)
{
    return write_number(group, "cgroup.procs", (uint64_t)getpid());
}

void memory_group_remove(char *group)
{
    if (group != NULL && rmdir(group) != 0) {
        error(0, errno, "cannot remove %s", group);
    }
    free(group);
}
