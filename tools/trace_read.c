/* SPDX-License-Identifier: MIT */
/**
 * Files of traces, compressed or not. A compressed one is read through a child process.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include "progress.h"
#include "trace.h"
#include "workload.h"

#define ORACLE_BYTES  24
#define ORACLE_KEY_AT 4
#define KEY_COLUMN    1 /* of CSV, from 0 */

struct source {
    FILE *stream;
    pid_t child; /* 0: none */
};

static bool ends_with(const char *text, size_t length, const char *end)
{
    const size_t size = strlen(end);
    return length >= size && strncasecmp(text + length - size, end, size) == 0;
}

static const char *decompressor_of(const char *path)
{
    const size_t length = strlen(path);
    return ends_with(path, length, ".xz") ? "xz" : ends_with(path, length, ".zst") ? "zstd" : NULL;
}

static bool open_child(const char *program, const char *path, struct source *source)
{
    int ends[2];
    if (pipe(ends) != 0) {
        progress_say("pipe: %s", strerror(errno));
        return false;
    }
    source->child = fork();
    if (source->child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execlp(program, program, "-dcq", "--", path, (char *)NULL);
        progress_say("cannot run %s: %s", program, strerror(errno));
        _exit(EXIT_FAILURE);
    }
    close(ends[1]);
    source->stream = source->child > 0 ? fdopen(ends[0], "rb") : NULL;
    if (source->stream == NULL) {
        progress_say("%s: %s", program, strerror(errno));
        close(ends[0]);
    }
    return source->stream != NULL;
}

static bool open_source(const char *path, struct source *source)
{
    const char *const program = decompressor_of(path);
    source->child = 0;
    if (access(path, R_OK) != 0) {
        progress_say("%s: %s", path, strerror(errno));
        return false;
    }
    if (program != NULL) {
        return open_child(program, path, source);
    }
    source->stream = fopen(path, "rb");
    if (source->stream == NULL) {
        progress_say("%s: %s", path, strerror(errno));
    }
    return source->stream != NULL;
}

/* A child that was not read to the end may die of that. */
static bool close_source(struct source *source, bool whole)
{
    const bool failed = ferror(source->stream) != 0;
    fclose(source->stream);
    int status = 0;
    if (source->child > 0 && waitpid(source->child, &status, 0) != source->child) {
        return false;
    }
    return !failed && (!whole || status == 0);
}

bool trace_format_parse(const char *name, enum trace_format *format_out)
{
    static const char *const names[] = {
        [TRACE_AUTO] = "auto", [TRACE_U32] = "u32",       [TRACE_LINES] = "lines",
        [TRACE_CSV] = "csv",   [TRACE_ORACLE] = "oracle",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            *format_out = (enum trace_format)i;
            return true;
        }
    }
    return false;
}

static enum trace_format format_of(const char *path)
{
    size_t length = strlen(path);
    if (decompressor_of(path) != NULL) {
        length -= strlen(strrchr(path, '.'));
    }
    if (ends_with(path, length, ".oracleGeneral") ||
        ends_with(path, length, ".oracleGeneral.bin")) {
        return TRACE_ORACLE;
    }
    return ends_with(path, length, ".u32")   ? TRACE_U32
           : ends_with(path, length, ".csv") ? TRACE_CSV
                                             : TRACE_LINES;
}

static uint64_t little_endian(const uint8_t *bytes, size_t size)
{
    uint64_t number = 0;
    while (size-- > 0) {
        number = number << 8 | bytes[size];
    }
    return number;
}

static bool read_records(FILE *stream, bool oracle, uint64_t most, struct trace_builder *builder)
{
    const size_t size = oracle ? ORACLE_BYTES : sizeof(uint32_t);
    uint8_t record[ORACLE_BYTES];
    while (builder->trace.count < most) {
        const size_t got = fread(record, 1, size, stream);
        if (got != size) {
            return got == 0;
        }
        const uint64_t key = oracle ? little_endian(record + ORACLE_KEY_AT, sizeof(uint64_t))
                                    : little_endian(record, sizeof(uint32_t));
        if (!trace_add(builder, key)) {
            return false;
        }
    }
    return true;
}

/* Texts as keys: by 64 bits of a hash, which does not meet itself among what fits into memory. */
static uint64_t text_key(const char *text, size_t size)
{
    uint64_t key = size;
    for (size_t at = 0; at < size; at += sizeof key) {
        uint64_t word = 0;
        memcpy(&word, text + at, size - at < sizeof word ? size - at : sizeof word);
        key = workload_mix(key ^ word) + word;
    }
    return key;
}

/* The n-th field of a line, from 0. */
static const char *field(const char *line, unsigned n, size_t *size_out)
{
    while (n-- > 0) {
        const char *const comma = strchr(line, ',');
        if (comma == NULL) {
            return NULL;
        }
        line = comma + 1;
    }
    *size_out = strcspn(line, ",\r\n");
    return line;
}

static bool is_heading(const char *line)
{
    return *line != '-' && (*line < '0' || *line > '9');
}

static bool read_lines(FILE *stream, bool csv, uint64_t most, struct trace_builder *builder)
{
    char *line = NULL;
    size_t room = 0;
    bool valid = true;
    bool is_first = true;
    while (valid && builder->trace.count < most && getline(&line, &room, stream) >= 0) {
        if (csv && is_first && is_heading(line)) {
            is_first = false;
            continue;
        }
        is_first = false;
        size_t size = strcspn(line, "\r\n");
        const char *const key = csv ? field(line, KEY_COLUMN, &size) : line;
        valid = key != NULL && trace_add(builder, text_key(key, size));
    }
    free(line);
    return valid;
}

bool trace_read(const char *path, enum trace_format format, uint64_t most, struct trace *trace_out)
{
    struct trace_builder builder = {0};
    struct source source;
    *trace_out = (struct trace){0};
    if (!open_source(path, &source)) {
        return false;
    }
    most = most != 0 ? most : UINT64_MAX;
    format = format != TRACE_AUTO ? format : format_of(path);
    const bool text = format == TRACE_LINES || format == TRACE_CSV;
    bool valid = text ? read_lines(source.stream, format == TRACE_CSV, most, &builder)
                      : read_records(source.stream, format == TRACE_ORACLE, most, &builder);
    const bool whole = builder.trace.count < most;
    valid = close_source(&source, whole) && valid && builder.trace.count != 0;
    const char *const slash = strrchr(path, '/');
    if (!trace_finish(&builder, slash != NULL ? slash + 1 : path, valid, trace_out)) {
        progress_say("%s: not a trace, damaged, or too large", path);
        return false;
    }
    trace_out->name[strcspn(trace_out->name, ".")] = '\0';
    return true;
}
