/* SPDX-License-Identifier: MIT */
/**
 * A store as the commands open it: from options of the command line, in a directory of its own
 * unless one is named.
 */
#ifndef TOOLS_STORE_H
#define TOOLS_STORE_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include <spillkv/spillkv.h>

/** What the command line says about the store; all zero is the default. */
struct store_args {
    uint64_t max_mem;
    bool max_mem_given;
    uint32_t shards;
    const char *path;   /* NULL: a fresh directory, removed at the end */
    uint64_t hash_seed; /* 0: random */
    spillkv_policy policy;
};

/** Parser of --max-mem, --shards, --path and --policy, to be a child of a command's; takes
 *  store_args. */
extern const struct argp store_argp;

struct store {
    spillkv *kv;
    char *path;
    bool temporary;
};

/**
 * Opens a store; its messages go to standard error.
 *
 * @return false after a message; nothing is left behind then
 */
bool store_open(struct store *store, const struct store_args *args);

/** Closes it and removes the directory if it was made here; false after a message. */
bool store_close(struct store *store);

#endif
