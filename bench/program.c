/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *program_find(const char *name)
{
    const char *const path = getenv("PATH");
    char *const folders = strdup(path != NULL ? path : "/usr/bin:/bin");
    char *found = NULL;
    char *rest = NULL;
    for (char *folder = folders != NULL ? strtok_r(folders, ":", &rest) : NULL;
         folder != NULL && found == NULL; folder = strtok_r(NULL, ":", &rest)) {
        if (asprintf(&found, "%s/%s", folder, name) < 0) {
            found = NULL;
        } else if (access(found, X_OK) != 0) {
            free(found);
            found = NULL;
        }
    }
    free(folders);
    return found;
}
