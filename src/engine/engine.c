/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. Sizes are chosen once, at open, from max_mem and the processors; then everything is built
 * in one order and torn down in the other, by the same close that ends a whole store. The spillers
 * are started last and stopped first.
 *
 * Making room is a loop around a shard's set: the shard says that the budget gives nothing, changes
 * nothing, and is asked again after something was freed somewhere. It ends because every round
 * either frees memory or finds nothing left to free.
 */
#include "engine/engine.h"

#include <unistd.h>

#include "base/alloc.h"

/** A shard should have so much memory at least, or there should be fewer shards. */
#define SHARE_WANTED ((uint64_t)8 << 20)
/** With this much it gets the largest segments. */
#define SHARE_LARGE        ((uint64_t)64 << 20)
#define SHARDS_PER_CPU     4
#define SHARDS_CHOSEN_MOST 64
/** Groups of a shard's table without a limit: fine for some 30 million keys a shard. */
#define GROUPS_UNBOUNDED 8192
/** Kept back from every limited store, with a 128th of it. */
#define RESERVE_LEAST ((uint64_t)32 << 10)
/** RAM segments that a shard needs to work at all. */
#define SEGMENTS_LEAST 10
/** How often a set tries again though there was nothing to free for it. */
#define VAIN_MOST 16
/** Stack that a spiller thread touches. */
#define STACK_BYTES ((uint64_t)64 << 10)

/** What open decides before it builds anything. */
struct sizes {
    enum skv_shard_mode mode;
    uint32_t shards;
    uint32_t shard_bits;
    uint32_t groups;
    uint32_t batch_segments;
    uint32_t spillers;
    size_t segment_bytes;
    uint64_t cache_bytes;
};

static uint32_t cpu_count(void)
{
    const long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > 1024 ? 1024 : (uint32_t)count;
}

/** The smallest power of two that is not below n, in bits. */
static uint32_t bits_for(uint64_t n)
{
    uint32_t bits = 0;
    while (((uint64_t)1 << bits) < n) {
        bits++;
    }
    return bits;
}

static uint32_t choose_shard_bits(const spillkv_options *options)
{
    if (options->shards != 0) {
        return bits_for(options->shards);
    }
    uint32_t wanted = cpu_count() * SHARDS_PER_CPU;
    wanted = wanted > SHARDS_CHOSEN_MOST ? SHARDS_CHOSEN_MOST : wanted;
    uint32_t bits = bits_for(wanted);
    while (bits > 0 && options->max_mem != 0 && options->max_mem >> bits < SHARE_WANTED) {
        bits--;
    }
    return bits;
}

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
    return value < least ? least : value > most ? most : value;
}

static struct sizes choose_sizes(const spillkv_options *options)
{
    struct sizes sizes = {
        .mode = options->path != NULL                   ? SKV_SHARD_SPILL
                : options->on_full == SPILLKV_FULL_DROP ? SKV_SHARD_DROP
                                                        : SKV_SHARD_KEEP,
        .shard_bits = choose_shard_bits(options),
    };
    sizes.shards = (uint32_t)1 << sizes.shard_bits;
    const uint64_t share = options->max_mem >> sizes.shard_bits;
    sizes.segment_bytes = share == 0 || share >= SHARE_LARGE ? (size_t)64 << 10
                          : share >= SHARE_WANTED            ? (size_t)32 << 10
                                                             : (size_t)16 << 10;
    /* Runs of buckets have fine steps up to a tenth of a segment; so many groups that half of the
       share as slots still makes runs of that length. */
    const uint64_t groups = share / (sizes.segment_bytes / 4);
    sizes.groups = share == 0 ? GROUPS_UNBOUNDED
                              : (uint32_t)1 << (bits_for(clamp(groups, 16, 1u << 20) + 1) - 1);
    sizes.batch_segments = share == 0 ? 16 : (uint32_t)clamp(share / 128 / 8192, 4, 16);
    sizes.cache_bytes =
        share == 0 ? (uint64_t)1 << 20 : clamp(share / 32, (uint64_t)128 << 10, (uint64_t)64 << 20);
    const bool limited = options->max_mem != 0 && sizes.mode != SKV_SHARD_KEEP;
    sizes.spillers = !limited                 ? 0
                     : options->spillers != 0 ? options->spillers
                                              : (uint32_t)clamp(cpu_count() / 4, 1, 4);
    if (sizes.mode != SKV_SHARD_SPILL) {
        sizes.batch_segments = 0;
    }
    return sizes;
}

/** What is not leased: SQLite's memory and growing arrays are charged when they have grown already,
 *  and must not take the account past max_mem. */
static uint64_t reserve(uint64_t max_mem)
{
    const uint64_t wanted = max_mem / 128 + RESERVE_LEAST;
    return max_mem == 0 ? 0 : wanted < max_mem ? wanted : max_mem - 1;
}

/** Whether the budget can hold what an empty store takes, and some entries. */
static bool is_enough(const spillkv_options *options, const struct sizes *sizes)
{
    const uint64_t shard = skv_shard_fixed_bytes(sizes->groups, sizes->batch_segments) +
                           SEGMENTS_LEAST * sizes->segment_bytes;
    return options->max_mem == 0 || options->max_mem - reserve(options->max_mem) >=
                                        sizes->shards * shard + sizes->spillers * STACK_BYTES;
}

static spillkv_status open_directory(spillkv *kv, const spillkv_options *options)
{
    char message[256] = "";
    const spillkv_status status =
        skv_directory_open(options->path, &kv->directory, message, sizeof(message));
    if (status != SPILLKV_OK) {
        skv_log_write(&kv->log, SPILLKV_LOG_ERROR, "%s: %s", options->path, message);
    }
    return status;
}

static spillkv_status open_shard(spillkv *kv, const spillkv_options *options,
                                 const struct sizes *sizes, uint32_t number)
{
    char *file = NULL;
    if (kv->directory != NULL) {
        file = skv_directory_shard_file(kv->directory, number);
        if (file == NULL) {
            return SPILLKV_ENOMEM;
        }
    }
    const struct skv_shard_options shard = {
        .budget = &kv->budget,
        .secret = &kv->secret,
        .log = &kv->log,
        .clock = &kv->clock,
        .file = file,
        .vfs = options->sqlite_vfs,
        .mode = sizes->mode,
        .number = number,
        .shard_bits = sizes->shard_bits,
        .group_count = sizes->groups,
        .batch_segments = sizes->batch_segments,
        .cache_bytes = sizes->cache_bytes,
        .seed = skv_hash(&kv->secret, &number, sizeof(number)),
    };
    const spillkv_status status = skv_shard_open(&shard, &kv->shards[number]);
    skv_free(file);
    return status;
}

static spillkv_status open_shards(spillkv *kv, const spillkv_options *options,
                                  const struct sizes *sizes)
{
    const uint64_t own =
        sizeof(*kv) + sizes->shards * sizeof(*kv->shards) + sizes->spillers * STACK_BYTES;
    if (!skv_budget_charge(&kv->budget, SKV_MEMORY_FIXED, own)) {
        return SPILLKV_EFULL;
    }
    kv->shards = skv_alloc_zeroed(sizes->shards * sizeof(struct skv_shard *));
    if (kv->shards == NULL) {
        return SPILLKV_ENOMEM;
    }
    spillkv_status status = SPILLKV_OK;
    while (status == SPILLKV_OK && kv->shard_count < sizes->shards) {
        status = open_shard(kv, options, sizes, kv->shard_count);
        kv->shard_count += status == SPILLKV_OK;
    }
    return status;
}

/** Closes what open_shards() opened, in reverse. */
static spillkv_status close_shards(spillkv *kv)
{
    spillkv_status status = SPILLKV_OK;
    while (kv->shard_count > 0) {
        const spillkv_status closed = skv_shard_close(&kv->shards[--kv->shard_count]);
        status = status == SPILLKV_OK ? closed : status;
    }
    skv_free(kv->shards);
    kv->shards = NULL;
    return status;
}

static spillkv_status build(spillkv *kv, const spillkv_options *options, const struct sizes *sizes)
{
    spillkv_status status = SPILLKV_OK;
    if (options->path != NULL) {
        status = open_directory(kv, options);
    }
    if (status == SPILLKV_OK) {
        status = open_shards(kv, options, sizes);
    }
    if (status == SPILLKV_OK) {
        if (!skv_spillers_init(&kv->spillers, &kv->budget, kv->shards, kv->shard_count)) {
            status = SPILLKV_ESYSTEM;
        } else if (!skv_spillers_start(&kv->spillers, sizes->spillers)) {
            skv_spillers_fini(&kv->spillers);
            status = SPILLKV_ESYSTEM;
        }
    }
    if (status == SPILLKV_EFULL) {
        /* With room left it is not the limit that refuses. */
        status = skv_budget_room(&kv->budget) >= kv->budget.segment_bytes ? SPILLKV_ENOMEM
                                                                          : SPILLKV_EINVAL;
    }
    if (status != SPILLKV_OK) {
        (void)close_shards(kv);
        (void)skv_directory_close(&kv->directory);
    }
    return status;
}

spillkv_status skv_engine_open(const spillkv_options *options, spillkv **kv_out)
{
    const struct sizes sizes = choose_sizes(options);
    const struct skv_log log = {.write = options->log, .context = options->log_context};
    if (!is_enough(options, &sizes)) {
        skv_log_write(&log, SPILLKV_LOG_ERROR, "max_mem is too small for %u shards", sizes.shards);
        return SPILLKV_EINVAL;
    }
    spillkv *const kv = skv_alloc_zeroed(sizeof(*kv));
    if (kv == NULL) {
        return SPILLKV_ENOMEM;
    }
    kv->log = log;
    kv->mode = sizes.mode;
    kv->max_mem = options->max_mem;
    kv->shard_shift = 63 - sizes.shard_bits;
    kv->large_bytes = options->max_mem == 0 ? UINT64_MAX : options->max_mem / 8;
    spillkv_status status = SPILLKV_ESYSTEM;
    if (skv_fork_watch() && skv_secret_init(&kv->secret, options->hash_seed) &&
        skv_budget_init(&kv->budget, options->max_mem - reserve(options->max_mem),
                        sizes.segment_bytes)) {
        kv->forks = atomic_load_explicit(&skv_fork_count, memory_order_relaxed);
        status = build(kv, options, &sizes);
        if (status == SPILLKV_OK) {
            kv->most_bytes =
                kv->mode == SKV_SHARD_SPILL ? UINT64_MAX : skv_budget_room(&kv->budget);
            *kv_out = kv;
            return SPILLKV_OK;
        }
        skv_budget_fini(&kv->budget);
    }
    skv_free(kv);
    return status;
}

spillkv_status skv_engine_close(spillkv *kv)
{
    skv_spillers_fini(&kv->spillers);
    spillkv_status status = close_shards(kv);
    const spillkv_status directory = skv_directory_close(&kv->directory);
    status = status == SPILLKV_OK ? directory : status;
    skv_budget_fini(&kv->budget);
    skv_free(kv);
    return status;
}

/** One attempt to store an entry. */
static spillkv_status try_set(spillkv *kv, struct skv_shard *shard, const struct skv_key *key,
                              const void *value, size_t value_size)
{
    const uint64_t size = key->size + value_size;
    if (SKV_UNLIKELY(size > kv->large_bytes) && kv->mode == SKV_SHARD_SPILL) {
        return skv_shard_set_on_disk(shard, key, value, value_size);
    }
    const uint64_t refusals = skv_budget_refusals(&kv->budget);
    const spillkv_status status = skv_shard_set(shard, key, value, value_size);
    return status == SPILLKV_EFULL && skv_budget_refusals(&kv->budget) != refusals ? SPILLKV_ENOMEM
                                                                                   : status;
}

spillkv_status skv_engine_set(spillkv *kv, const struct skv_key *key, const void *value,
                              size_t value_size)
{
    struct skv_shard *const shard = skv_engine_shard(kv, key->hash);
    const uint64_t wanted = kv->budget.segment_bytes + key->size + value_size;
    uint32_t vain = 0;
    if (SKV_UNLIKELY(key->size + value_size > kv->most_bytes)) {
        return SPILLKV_EFULL;
    }
    for (;;) {
        spillkv_status status = try_set(kv, shard, key, value, value_size);
        if (SKV_LIKELY(status != SPILLKV_EFULL)) {
            skv_spillers_nudge(&kv->spillers);
            skv_spillers_nudge_compaction(&kv->spillers, shard);
            return status;
        }
        atomic_fetch_add_explicit(&kv->helped, 1, memory_order_relaxed);
        status = skv_spillers_help(&kv->spillers);
        /* Nothing was left to free because another thread just freed it all: there is room now. */
        const bool again =
            status == SPILLKV_EFULL && skv_budget_room(&kv->budget) >= wanted && ++vain < VAIN_MOST;
        if (status != SPILLKV_OK && !again) {
            return status;
        }
    }
}

spillkv_status skv_engine_resolve(spillkv *kv, struct skv_shard *shard)
{
    for (;;) {
        spillkv_status status = skv_shard_resolve_inbox(shard);
        if (SKV_LIKELY(status != SPILLKV_EFULL)) {
            return status;
        }
        status = skv_spillers_help(&kv->spillers);
        if (status != SPILLKV_OK) {
            return status;
        }
    }
}

void skv_engine_clear(spillkv *kv)
{
    for (uint32_t i = 0; i < kv->shard_count; i++) {
        skv_shard_clear(kv->shards[i]);
        skv_spillers_nudge_compaction(&kv->spillers, kv->shards[i]);
    }
}

/** What each visited key needs. */
struct visiting {
    spillkv *kv;
    struct skv_shard *shard;
    spillkv_visit *visit;
    void *context;
    uint8_t *buffer; /* for values; grows */
    size_t capacity;
    spillkv_status status; /* the first failure */
    bool stopped;
};

/** Fetches the value into the growing buffer. */
static spillkv_status fetch(struct visiting *visiting, const struct skv_key *key, size_t *size_out)
{
    for (;;) {
        struct skv_sink sink = {
            .buffer = visiting->buffer, .capacity = visiting->capacity, .peek = true};
        const spillkv_status status = skv_shard_get(visiting->shard, key, &sink);
        *size_out = sink.value_size;
        if (status != SPILLKV_TOO_SMALL) {
            return status;
        }
        uint8_t *const buffer = skv_realloc(visiting->buffer, sink.value_size);
        if (buffer == NULL) {
            return SPILLKV_ENOMEM;
        }
        visiting->buffer = buffer;
        visiting->capacity = sink.value_size;
    }
}

static bool visit_key(void *context, const void *bytes, size_t size)
{
    struct visiting *const visiting = context;
    const struct skv_key key = skv_engine_key(visiting->kv, bytes, size);
    size_t value_size;
    const spillkv_status status = fetch(visiting, &key, &value_size);
    if (status == SPILLKV_OK) {
        visiting->stopped =
            visiting->visit(visiting->context, bytes, size, visiting->buffer, value_size) != 0;
    } else if (status != SPILLKV_NOT_FOUND && visiting->status == SPILLKV_OK) {
        visiting->status = status;
    }
    return !visiting->stopped && status != SPILLKV_ENOMEM;
}

spillkv_status skv_engine_each(spillkv *kv, spillkv_visit *visit, void *context)
{
    struct visiting visiting = {
        .kv = kv, .visit = visit, .context = context, .buffer = skv_alloc(4096), .capacity = 4096};
    if (visiting.buffer == NULL) {
        return SPILLKV_ENOMEM;
    }
    for (uint32_t i = 0; i < kv->shard_count && !visiting.stopped; i++) {
        visiting.shard = kv->shards[i];
        const spillkv_status resolved = skv_engine_resolve(kv, visiting.shard);
        visiting.status = visiting.status == SPILLKV_OK ? resolved : visiting.status;
        const uint32_t groups = skv_shard_group_count(visiting.shard);
        for (uint32_t group = 0; group < groups && !visiting.stopped; group++) {
            const spillkv_status status =
                skv_shard_scan(visiting.shard, group, visit_key, &visiting);
            skv_spillers_nudge_compaction(&kv->spillers, visiting.shard);
            visiting.status = visiting.status == SPILLKV_OK ? status : visiting.status;
            visiting.stopped = visiting.stopped || visiting.status == SPILLKV_ENOMEM;
        }
    }
    skv_free(visiting.buffer);
    return visiting.status;
}

/** Waits for a batch that is being written. What failed last is tried once more: the fault may be
 *  gone, and there may be nothing else left to do that would show it. */
static spillkv_status settle_shard(struct skv_shard *shard)
{
    const spillkv_status status = skv_shard_settle(shard);
    if (status == SPILLKV_OK) {
        return SPILLKV_OK;
    }
    bool worked;
    const spillkv_status again = skv_shard_spill(shard, 1, &worked);
    return again != SPILLKV_OK ? again : skv_shard_settle(shard);
}

spillkv_status skv_engine_flush(spillkv *kv)
{
    if (kv->mode == SKV_SHARD_SPILL) {
        while (skv_budget_room(&kv->budget) < kv->spillers.target_room) {
            const spillkv_status status = skv_spillers_help(&kv->spillers);
            if (status == SPILLKV_EFULL) {
                break;
            }
            if (status != SPILLKV_OK) {
                return status;
            }
        }
    }
    spillkv_status status = SPILLKV_OK;
    for (uint32_t i = 0; i < kv->shard_count; i++) {
        const spillkv_status last = settle_shard(kv->shards[i]);
        status = status == SPILLKV_OK ? last : status;
    }
    return status;
}

bool skv_engine_check(spillkv *kv)
{
    for (uint32_t i = 0; i < kv->shard_count; i++) {
        SKV_CHECK(skv_shard_check(kv->shards[i]));
    }
    return skv_budget_check(&kv->budget);
}
