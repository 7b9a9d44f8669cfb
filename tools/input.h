/* SPDX-License-Identifier: MIT */
/**
 * The bytes of an input file, mapped rather than read: pages of files are not counted in the
 * anonymous memory by which a store is judged.
 */
#ifndef TOOLS_INPUT_H
#define TOOLS_INPUT_H

#include <stdbool.h>
#include <stddef.h>

struct input {
    const char *name;          /* for messages; borrowed */
    const unsigned char *data; /* never NULL after input_open() */
    size_t size;
    void *map; /* NULL when empty */
};

/**
 * Opens a file; what cannot be mapped (a pipe, a file under /proc) is copied to a nameless file in
 * TMPDIR or /tmp first.
 *
 * @param name  "-" is the standard input; borrowed until input_close()
 * @return false after a message; *input is then empty
 */
bool input_open(struct input *input, const char *name);

/** Unmaps; an empty or closed input is allowed. */
void input_close(struct input *input);

/** The directory for temporary files: TMPDIR or /tmp. */
const char *input_temporary_folder(void);

#endif
