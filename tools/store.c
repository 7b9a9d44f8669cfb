/* SPDX-License-Identifier: MIT */
#include "store.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "input.h"
#include "progress.h"
#include "size.h"

static const struct argp_option store_options[] = {
    {"max-mem", 'm', "SIZE", 0, "Memory the store may use: 64M, 1.5G, bytes; 0 for no limit", 1},
    {"shards", 's', "N", 0, "Number of shards; 0, the default, lets the store choose", 1},
    {"path", 'p', "DIR", 0,
     "Directory for the files of the store; default: a fresh one in TMPDIR or /tmp, removed at the "
     "end",
     1},
    {"policy", 'P', "NAME", 0, "Which entries stay in RAM: slot-l, the default, slot12, lfu or lru",
     1},
    {0}};

static bool policy_parse(const char *name, spillkv_policy *policy_out)
{
    static const char *const names[] = {
        [SPILLKV_POLICY_SLOT_L] = "slot-l",
        [SPILLKV_POLICY_SLOT12] = "slot12",
        [SPILLKV_POLICY_LFU] = "lfu",
        [SPILLKV_POLICY_LRU] = "lru",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            *policy_out = (spillkv_policy)i;
            return true;
        }
    }
    return false;
}

static error_t parse_store_option(int key, char *value, struct argp_state *state)
{
    struct store_args *const args = state->input;
    uint64_t number = 0;
    switch (key) {
    case 'm':
        if (!size_parse(value, &args->max_mem)) {
            argp_error(state, "--max-mem: '%s' is not a size like 64M, 1.5G or 1000000", value);
        }
        args->max_mem_given = true;
        return 0;
    case 's':
        if (!number_parse(value, 0, SPILLKV_SHARDS_MAX, &number)) {
            argp_error(state, "--shards: '%s' is not a number from 0 to %u", value,
                       SPILLKV_SHARDS_MAX);
        }
        args->shards = (uint32_t)number;
        return 0;
    case 'p':
        if (*value == '\0') {
            argp_error(state, "--path: the name is empty");
        }
        args->path = value;
        return 0;
    case 'P':
        if (!policy_parse(value, &args->policy)) {
            argp_error(state, "--policy: '%s' is none of slot-l, slot12, lfu, lru", value);
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp store_argp = {.options = store_options, .parser = parse_store_option};

static void pass_message(void *context, spillkv_log_level level, const char *message)
{
    (void)context;
    if (level != SPILLKV_LOG_INFO) {
        progress_say("%s: %s", level == SPILLKV_LOG_ERROR ? "store error" : "store warning",
                     message);
    }
}

/* Names the directory of the store, making a fresh one if none is given. */
static bool choose_path(struct store *store, const char *given)
{
    if (given != NULL) {
        store->path = strdup(given);
    } else if (asprintf(&store->path, "%s/spillkv-XXXXXX", input_temporary_folder()) < 0) {
        store->path = NULL;
    }
    if (store->path == NULL) {
        progress_say("out of memory");
        return false;
    }
    if (given == NULL && mkdtemp(store->path) == NULL) {
        progress_say("cannot create a directory like %s: %s", store->path, strerror(errno));
        return false;
    }
    store->temporary = given == NULL;
    return true;
}

static void warn_of_tmpfs(const char *path)
{
    struct statfs about;
    if (statfs(path, &about) == 0 && about.f_type == TMPFS_MAGIC) {
        progress_say("warning: %s is a tmpfs: what is spilled there stays in memory", path);
    }
}

static bool forget_path(struct store *store)
{
    const bool removed = !store->temporary || rmdir(store->path) == 0 || errno == ENOENT;
    if (!removed) {
        progress_say("cannot remove %s: %s", store->path, strerror(errno));
    }
    free(store->path);
    *store = (struct store){0};
    return removed;
}

bool store_open(struct store *store, const struct store_args *args)
{
    *store = (struct store){0};
    if (!choose_path(store, args->path)) {
        free(store->path);
        store->path = NULL;
        return false;
    }
    spillkv_options options;
    spillkv_options_init(&options);
    options.path = store->path;
    options.max_mem = args->max_mem;
    options.shards = args->shards;
    options.hash_seed = args->hash_seed;
    options.policy = args->policy;
    options.log = pass_message;
    const spillkv_status status = spillkv_open(&options, &store->kv);
    if (status != SPILLKV_OK) {
        progress_say("cannot open a store in %s: %s%s", store->path, spillkv_strerror(status),
                     status == SPILLKV_EINVAL ? " (is max-mem too small for the shards?)" : "");
        forget_path(store);
        return false;
    }
    warn_of_tmpfs(store->path);
    return true;
}

bool store_close(struct store *store)
{
    const spillkv_status status = spillkv_close(store->kv);
    if (status != SPILLKV_OK) {
        progress_say("closing the store in %s: %s", store->path, spillkv_strerror(status));
    }
    return forget_path(store) && status == SPILLKV_OK;
}
