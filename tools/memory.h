/* SPDX-License-Identifier: MIT */
/**
 * What the kernel says of the memory of a process.
 */
#ifndef TOOLS_MEMORY_H
#define TOOLS_MEMORY_H

#include <stdint.h>
#include <sys/types.h>

/**
 * Reads a figure of /proc/PID/status, such as "RssAnon".
 *
 * @param process  0: this one
 * @return bytes; 0 if that is unknown
 */
uint64_t memory_figure(pid_t process, const char *name);

#endif
