/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. Everything is built in one order and torn down in the other, by the same close that ends
 * a whole store. The spillers are started last and stopped first.
 *
 * Making room is a loop around a shard's set: the shard says that the budget gives nothing, changes
 * nothing, and is asked again after something was freed somewhere. It ends because every round
 * either frees memory or finds nothing left to free.
 */
#include "engine/engine.h"

#include "base/alloc.h"
#include "engine/sizes.h"

/** How often a set tries again though there was nothing to free for it. */
#define VAIN_MOST 16

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
                                 const struct skv_sizes *sizes, uint32_t number)
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
        .store_worth = sizes->shards > 1 ? &kv->worth : NULL,
        .file = file,
        .vfs = options->sqlite_vfs,
        .policy = options->policy,
        .mode = sizes->mode,
        .number = number,
        .shard_bits = sizes->shard_bits,
        .group_count = sizes->groups,
        .batch_segments = sizes->batch_segments,
        .cache_bytes = sizes->cache_bytes,
        .advise_records = sizes->advise_records,
        .seed = skv_hash(&kv->secret, &number, sizeof(number)),
    };
    const spillkv_status status = skv_shard_open(&shard, &kv->shards[number]);
    skv_free(file);
    return status;
}

static spillkv_status open_shards(spillkv *kv, const spillkv_options *options,
                                  const struct skv_sizes *sizes)
{
    const uint64_t own = sizeof(*kv) + sizes->shards * sizeof(*kv->shards) +
                         sizes->spillers * SKV_SPILLER_STACK_BYTES;
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

static spillkv_status build(spillkv *kv, const spillkv_options *options,
                            const struct skv_sizes *sizes)
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
    const struct skv_sizes sizes = skv_sizes_choose(options);
    const struct skv_log log = {.write = options->log, .context = options->log_context};
    if (!skv_sizes_are_enough(options, &sizes)) {
        skv_log_write(&log, SPILLKV_LOG_ERROR, "max_mem is too small for %u shards", sizes.shards);
        return SPILLKV_EINVAL;
    }
    spillkv *const kv = skv_alloc_zeroed(sizeof(*kv));
    if (kv == NULL) {
        return SPILLKV_ENOMEM;
    }
    kv->log = log;
    kv->mode = sizes.mode;
    kv->shard_shift = 63 - sizes.shard_bits;
    spillkv_status status = SPILLKV_ESYSTEM;
    if (skv_fork_watch() && skv_secret_init(&kv->secret, options->hash_seed) &&
        skv_budget_init(&kv->budget, skv_sizes_limit(options->max_mem), sizes.segment_bytes)) {
        kv->forks = atomic_load_explicit(&skv_fork_count, memory_order_relaxed);
        status = build(kv, options, &sizes);
        if (status == SPILLKV_OK) {
            skv_engine_apply_limit(kv, options->max_mem);
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
    for (uint32_t i = 0; i < kv->shard_count; i++) {
        if (skv_shard_pinned(kv->shards[i]) != 0) {
            return SPILLKV_EBUSY;
        }
    }
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
    if (SKV_UNLIKELY(size > atomic_load_explicit(&kv->large_bytes, memory_order_relaxed)) &&
        kv->mode == SKV_SHARD_SPILL) {
        if (key->nowait) {
            return SPILLKV_WOULD_BLOCK;
        }
        return skv_shard_set_on_disk(shard, key, value, value_size);
    }
    const uint64_t refusals = skv_budget_refusals(&kv->budget);
    const spillkv_status status = skv_shard_set(shard, key, value, value_size);
    return status == SPILLKV_EFULL && skv_budget_refusals(&kv->budget) != refusals ? SPILLKV_ENOMEM
                                                                                   : status;
}

/** What a set or pin that the budget refuses goes through. */
struct making_room {
    uint64_t goal;   /* bytes to free at a time */
    uint64_t wanted; /* bytes of room with which it should succeed */
    uint32_t vain;   /* so often in a row there was nothing to free */
};

/** What kept a shard from spilling last, if anything did. */
static spillkv_status why_full(const spillkv *kv)
{
    spillkv_status status = SPILLKV_OK;
    for (uint32_t i = 0; i < kv->shard_count && status == SPILLKV_OK; i++) {
        status = skv_shard_last_write(kv->shards[i]);
    }
    return status == SPILLKV_OK ? SPILLKV_EFULL : status;
}

/**
 * Frees memory, in the caller's own thread. SPILLKV_OK: worth another try.
 *
 * That nothing is left to free need not mean that memory is full: another thread may just have
 * freed it all, and others have used it since. So who finds nothing looks again a few times; where
 * entries stay for good, only if there is room now.
 */
static spillkv_status free_for(spillkv *kv, struct making_room *making)
{
    const spillkv_status status = skv_spillers_free(&kv->spillers, making->goal);
    making->vain = status == SPILLKV_OK ? 0 : making->vain;
    const bool again =
        status == SPILLKV_EFULL && ++making->vain < VAIN_MOST &&
        (kv->mode != SKV_SHARD_KEEP || skv_budget_room(&kv->budget) >= making->wanted);
    if (again) {
        return SPILLKV_OK;
    }
    return status == SPILLKV_EFULL ? why_full(kv) : status;
}

/** The same for a call that may not be allowed to wait, with what it tells. */
static spillkv_status make_room(spillkv *kv, const struct skv_key *key, struct making_room *making)
{
    if (key->nowait && kv->mode == SKV_SHARD_SPILL) {
        skv_spillers_ask(&kv->spillers, making->wanted);
        return SPILLKV_WOULD_BLOCK;
    }
    atomic_fetch_add_explicit(&kv->helped, 1, memory_order_relaxed);
    const spillkv_status status = free_for(kv, making);
    if (SKV_UNLIKELY(status == SPILLKV_OK)) {
        atomic_store_explicit(&kv->reported_full, false, memory_order_relaxed);
        return SPILLKV_OK;
    }
    if (status == SPILLKV_EFULL) {
        skv_engine_report_full(kv);
    }
    return status;
}

/** Either all tables have what max_mem allows them, or one group has the longest run there is. */
static void report_no_slot(spillkv *kv)
{
    if (skv_budget_table_is_full(&kv->budget)) {
        skv_engine_report_full(kv);
    } else if (!atomic_exchange_explicit(&kv->reported_full, true, memory_order_relaxed)) {
        skv_log_write(&kv->log, SPILLKV_LOG_ERROR,
                      "a group of keys is as large as one can be: too many keys for the number of "
                      "shards, or keys made to collide under a known hash_seed");
    }
}

spillkv_status skv_engine_set(spillkv *kv, const struct skv_key *key, const void *value,
                              size_t value_size)
{
    struct skv_shard *const shard = skv_engine_shard(kv, key->hash);
    struct making_room making = {
        .goal = kv->budget.segment_bytes,
        .wanted = kv->budget.segment_bytes + key->size + value_size,
    };
    if (SKV_UNLIKELY(key->size + value_size >
                     atomic_load_explicit(&kv->most_bytes, memory_order_relaxed))) {
        return SPILLKV_EFULL;
    }
    for (;;) {
        spillkv_status status = try_set(kv, shard, key, value, value_size);
        if (SKV_UNLIKELY(status == SKV_ENOSLOT)) {
            report_no_slot(kv);
            return SPILLKV_EFULL;
        }
        if (SKV_LIKELY(status != SPILLKV_EFULL)) {
            skv_spillers_nudge(&kv->spillers);
            skv_spillers_nudge_compaction(&kv->spillers, shard);
            return status;
        }
        status = make_room(kv, key, &making);
        if (status != SPILLKV_OK) {
            return status;
        }
    }
}

spillkv_status skv_engine_pin(spillkv *kv, const struct skv_key *key, struct skv_pin *pin)
{
    struct skv_shard *const shard = skv_engine_shard(kv, key->hash);
    struct making_room making = {0};
    for (;;) {
        const uint64_t refusals = skv_budget_refusals(&kv->budget);
        spillkv_status status = skv_shard_pin(shard, key, pin);
        skv_spillers_nudge(&kv->spillers);
        if (SKV_LIKELY(status != SPILLKV_EFULL)) {
            return status;
        }
        if (skv_budget_refusals(&kv->budget) != refusals) {
            return SPILLKV_ENOMEM;
        }
        making.wanted = kv->budget.segment_bytes + key->size + pin->value_size;
        making.goal = making.wanted;
        if (pin->value_size > kv->budget.segment_bytes &&
            making.wanted > skv_engine_room_most(kv)) {
            return SPILLKV_EFULL; /* all others would leave for nothing */
        }
        status = make_room(kv, key, &making);
        if (status != SPILLKV_OK) {
            return status;
        }
    }
}

spillkv_status skv_engine_resolve(spillkv *kv, struct skv_shard *shard)
{
    struct making_room making = {.goal = kv->budget.segment_bytes,
                                 .wanted = 2 * kv->budget.segment_bytes};
    for (;;) {
        spillkv_status status = skv_shard_resolve_inbox(shard);
        if (SKV_LIKELY(status != SPILLKV_EFULL)) {
            return status == SKV_ENOSLOT ? SPILLKV_EFULL : status;
        }
        status = free_for(kv, &making);
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

/** Waits for a batch that is being written. What failed last is tried once more, and that is what
 *  counts: the fault may be gone, and there may be nothing left to write that would show it. */
static spillkv_status settle_shard(struct skv_shard *shard)
{
    bool worked;
    return skv_shard_settle(shard) == SPILLKV_OK ? SPILLKV_OK : skv_shard_spill(shard, 1, &worked);
}

spillkv_status skv_engine_flush(spillkv *kv)
{
    if (kv->mode == SKV_SHARD_SPILL) {
        while (skv_spillers_are_wanted(&kv->spillers)) {
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
