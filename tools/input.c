/* SPDX-License-Identifier: MIT */
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "progress.h"

const char *input_temporary_folder(void)
{
    const char *const folder = getenv("TMPDIR");
    return folder != NULL && folder[0] != '\0' ? folder : "/tmp";
}

/* Opens a file that is gone when it is closed; -1 after a message. */
static int open_nameless(void)
{
    char *path = NULL;
    if (asprintf(&path, "%s/spillkv-input-XXXXXX", input_temporary_folder()) < 0) {
        progress_say("out of memory");
        return -1;
    }
    const int file = mkostemp(path, O_CLOEXEC);
    if (file < 0) {
        progress_say("cannot create a file like %s: %s", path, strerror(errno));
    } else {
        unlink(path);
    }
    free(path);
    return file;
}

static bool write_all(int file, const char *data, size_t size)
{
    while (size > 0) {
        const ssize_t written = write(file, data, size);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        if (written > 0) {
            data += written;
            size -= (size_t)written;
        }
    }
    return true;
}

/* Copies all that can be read from a descriptor to a nameless file; -1 after a message. */
static int copy_to_nameless(int from, const char *name)
{
    const int to = open_nameless();
    if (to < 0) {
        return -1;
    }
    char buffer[1 << 16];
    for (;;) {
        const ssize_t got = read(from, buffer, sizeof buffer);
        if (got == 0) {
            return to;
        }
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            progress_say("cannot read %s: %s", name, strerror(errno));
            break;
        }
        if (!write_all(to, buffer, (size_t)got)) {
            progress_say("cannot copy %s to %s: %s", name, input_temporary_folder(),
                         strerror(errno));
            break;
        }
    }
    close(to);
    return -1;
}

static bool map_file(struct input *input, int file)
{
    struct stat about;
    if (fstat(file, &about) != 0) {
        progress_say("cannot read %s: %s", input->name, strerror(errno));
        return false;
    }
    input->data = (const unsigned char *)"";
    if (about.st_size == 0) {
        return true;
    }
    const size_t size = (size_t)about.st_size;
    void *const map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0);
    if (map == MAP_FAILED) {
        progress_say("cannot map %s: %s", input->name, strerror(errno));
        return false;
    }
    input->map = map;
    input->data = map;
    input->size = size;
    return true;
}

/* A file of known size that is to be taken from its beginning. */
static bool can_be_mapped(int file)
{
    struct stat about;
    return fstat(file, &about) == 0 && S_ISREG(about.st_mode) && about.st_size > 0 &&
           lseek(file, 0, SEEK_CUR) == 0;
}

bool input_open(struct input *input, const char *name)
{
    const bool standard = strcmp(name, "-") == 0;
    *input = (struct input){.name = standard ? "standard input" : name};
    int file = standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        progress_say("cannot open %s: %s", name, strerror(errno));
        return false;
    }
    if (!can_be_mapped(file)) {
        const int copy = copy_to_nameless(file, input->name);
        if (!standard) {
            close(file);
        }
        if (copy < 0) {
            return false;
        }
        file = copy;
    }
    const bool mapped = map_file(input, file);
    if (file != STDIN_FILENO) {
        close(file);
    }
    return mapped;
}

void input_close(struct input *input)
{
    if (input->map != NULL) {
        munmap(input->map, input->size);
    }
    *input = (struct input){0};
}
