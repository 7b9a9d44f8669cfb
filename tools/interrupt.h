/* SPDX-License-Identifier: MIT */
/**
 * Ctrl-C and its like end the program in order, so that no files are left behind.
 */
#ifndef TOOLS_INTERRUPT_H
#define TOOLS_INTERRUPT_H

#include <stdbool.h>

/**
 * From now on SIGINT, SIGTERM and SIGHUP are noted and end the standard input; the second of a kind
 * kills. SIGPIPE is off.
 */
void interrupt_catch(void);

/** Tells whether such a signal came. */
bool interrupt_seen(void);

#endif
