/* SPDX-License-Identifier: MIT */
/**
 * What a key-value store has to offer to be compared: one file engine_NAME.c for each, which ends
 * in a struct of functions, to be listed in compare.c.
 *
 * An engine may use max_mem bytes of anonymous memory, give or take, for entries and caches, and
 * the page cache of the system as it likes. Nothing has to survive the process. Threads: set and
 * get are called from several at once, the others when nothing else runs.
 */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct engine_options {
    const char *path; /* an empty directory */
    uint64_t max_mem; /* bytes */
    uint32_t shards;  /* where an engine has some; 0: it chooses */
};

enum engine_answer {
    ENGINE_FOUND,
    ENGINE_MISSING,
    ENGINE_FAILED /* after a message */
};

/** What an engine says of its memory, in bytes; 0 where it says nothing. */
struct engine_account {
    uint64_t charged; /* all that counts against max_mem */
    uint64_t entries; /* of it, what holds entries, with the garbage between them */
    uint64_t table;   /* of it, what finds them */
    uint64_t live;    /* of what holds entries, at least this much is not garbage */
};

struct engine {
    const char *name;
    const char *about; /* how it is set up, in a line */
    bool evicts;       /* entries may go missing when memory is used up */

    /** Opens an empty store; NULL after a message. */
    void *(*open)(const struct engine_options *options);
    /** Stores a value; false after a message. */
    bool (*set)(void *db, const void *key, size_t key_size, const void *value, size_t value_size);
    /** Copies a value to a buffer; a value that does not fit is a failure. */
    enum engine_answer (*get)(void *db, const void *key, size_t key_size, void *buffer,
                              size_t capacity, size_t *size_out);
    /** Ends what was begun: batches, work in the background; false after a message. */
    bool (*flush)(void *db);
    /** Closes and frees; files may stay; false after a message. */
    bool (*close)(void *db);

    /* What only the benchmark rss needs; others may leave it out. */

    /** Says why the engine cannot be used here; NULL if it can. */
    const char *(*lacks)(void);
    /** Removes a key. */
    enum engine_answer (*del)(void *db, const void *key, size_t key_size);
    /** Reports its memory, also while others set and get; false after a message. */
    bool (*account)(void *db, struct engine_account *out);
    /** The process that holds the entries; 0: this one. */
    pid_t (*process)(void *db);
};

extern const struct engine engine_redis;
extern const struct engine engine_spillkv;
extern const struct engine engine_sqlite;

#endif
