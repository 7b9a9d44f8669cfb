/* SPDX-License-Identifier: MIT */
/**
 * What a key-value store has to offer to be compared: one file engine_NAME.c for each, which ends
 * in a struct of functions, to be listed in engines.c.
 *
 * An engine may use max_mem bytes of anonymous memory, give or take, for entries and caches, and
 * the page cache of the system as it likes; its file says how it is told. Nothing has to survive
 * the process. Threads: those that attached themselves call set, get, del and get_many at once; the
 * rest is called when nothing else runs.
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
    uint64_t entries; /* about as many will be stored, for engines that must know; 0: unknown */
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

/** Keys of a batch, at most. */
#define ENGINE_BATCH_MAX 256u

/** A key of a batch and what became of it. */
struct engine_read {
    const void *key;
    void *buffer;
    size_t size; /* out */
    enum engine_answer answer;
};

struct engine {
    const char *name;
    const char *about; /* how it is set up, in a line */
    bool evicts;       /* entries may go missing when memory is used up */
    bool unbounded;    /* it takes no budget: all of it is in RAM, or mapped from a file */

    /** Says why the engine cannot be used here; NULL if it can; left out: it can. */
    const char *(*lacks)(void);
    /** Opens an empty store; NULL after a message. */
    void *(*open)(const struct engine_options *options);
    /**
     * Makes what one thread hands to the next four functions; NULL after a message. Left out: they
     * take the store itself.
     */
    void *(*attach)(void *db);
    /** Ends that, in the same thread. */
    void (*detach)(void *handle);

    /** Stores a value; false after a message. */
    bool (*set)(void *handle, const void *key, size_t key_size, const void *value,
                size_t value_size);
    /** Copies a value to a buffer; a value that does not fit is a failure. */
    enum engine_answer (*get)(void *handle, const void *key, size_t key_size, void *buffer,
                              size_t capacity, size_t *size_out);
    /** Removes a key and tells whether it was there, unless the engine cannot know. */
    enum engine_answer (*del)(void *handle, const void *key, size_t key_size);
    /** Gets up to ENGINE_BATCH_MAX keys of one size into buffers of one capacity; left out: it can
     *  do that only one by one. */
    void (*get_many)(void *handle, struct engine_read *reads, size_t count, size_t key_size,
                     size_t capacity);

    /** Ends what was begun: batches, work in the background; false after a message. */
    bool (*flush)(void *db);
    /** Waits for what goes on after a flush and would disturb what is measured next; may be left
     *  out. */
    void (*settle)(void *db);
    /** Closes and frees; files may stay; false after a message. */
    bool (*close)(void *db);

    /* What only the benchmark rss needs; others may leave it out. */

    /** Reports its memory, also while others set and get; false after a message. */
    bool (*account)(void *db, struct engine_account *out);
    /** The process that holds the entries; 0: this one. */
    pid_t (*process)(void *db);
};

/* Those that a program links; see engines.h. */
extern const struct engine engine_leveldb;
extern const struct engine engine_lmdb;
extern const struct engine engine_predecessor;
extern const struct engine engine_redis;
extern const struct engine engine_rocksdb;
extern const struct engine engine_spillkv;
extern const struct engine engine_sqlite;
extern const struct engine engine_striped;
extern const struct engine engine_tkrzw;
extern const struct engine engine_wiredtiger;

/** What a thread hands to the functions that take a handle; NULL after a message. */
static inline void *engine_attach(const struct engine *engine, void *db)
{
    return engine->attach != NULL ? engine->attach(db) : db;
}

/** Ends that; NULL is fine. */
static inline void engine_detach(const struct engine *engine, void *handle)
{
    if (engine->detach != NULL && handle != NULL) {
        engine->detach(handle);
    }
}

#endif
