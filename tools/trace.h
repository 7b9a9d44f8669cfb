/* SPDX-License-Identifier: MIT */
/**
 * Traces: the keys that a program asked for, in order, numbered by their first appearance.
 */
#ifndef TOOLS_TRACE_H
#define TOOLS_TRACE_H

#include <stdbool.h>
#include <stdint.h>

struct trace {
    char *name;
    uint32_t *keys; /* numbers below `unique` */
    uint64_t count;
    uint32_t unique;
};

/** How the keys lie in a file. */
enum trace_format {
    TRACE_AUTO,  /* by the file's name: .u32, .csv, .oracleGeneral(.bin), anything else is lines */
    TRACE_U32,   /* little-endian 32-bit numbers */
    TRACE_LINES, /* one key in each line */
    TRACE_CSV,   /* time,key,...: the second field; a first line that is a heading is skipped */
    TRACE_ORACLE /* libCacheSim's oracleGeneral: records of 24 bytes */
};

/** @return false if there is no such format */
bool trace_format_parse(const char *name, enum trace_format *format_out);

/**
 * Reads a file, by way of `xz -dc` or `zstd -dc` if it is called .xz or .zst.
 *
 * @param most  requests to read; 0: all
 * @return false after a message; otherwise trace_free() it
 */
bool trace_read(const char *path, enum trace_format format, uint64_t most, struct trace *trace_out);

void trace_free(struct trace *trace);

/* For readers and makers of traces. */

/** A trace being put together; zeroed is the start. */
struct trace_builder {
    struct trace trace;
    uint64_t room;       /* of trace.keys */
    uint64_t *originals; /* hash table of the keys met: as they were */
    uint32_t *numbers;   /* and their numbers + 1; 0: empty */
    uint64_t mask;
};

/** Adds a request. @return false when memory or numbers are used up */
bool trace_add(struct trace_builder *builder, uint64_t key);

/** Takes the trace out, empty if `valid` is false, and frees the rest; returns `valid`. */
bool trace_finish(struct trace_builder *builder, const char *name, bool valid,
                  struct trace *trace_out);

#endif
