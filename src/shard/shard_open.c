/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. Open fills a zeroed shard and on any failure calls close on the half-built object; close
 * therefore accepts every prefix of it. What the shard holds for good (the struct, the batch's
 * buffers, an allowance for SQLite) is charged to the budget here, so that a budget too small for
 * its shards is refused at open and not found out later.
 */
#include "base/alloc.h"
#include "shard/shard_private.h"

/** What a connection takes with a small page cache, its schema and statements (measured), and the
 *  buffer of its VFS. */
#define SQLITE_ALLOWANCE ((uint64_t)224 << 10)
/** What SQLite's journal in memory takes for each segment overwritten in a transaction. */
#define JOURNAL_BYTES ((uint64_t)8400)

static uint64_t journal_bytes(uint32_t batch_segments)
{
    return batch_segments * JOURNAL_BYTES;
}

uint64_t skv_shard_fixed_bytes(uint32_t group_count, uint32_t batch_segments,
                               uint32_t advise_records)
{
    uint64_t bytes = sizeof(struct skv_shard) + skv_table_directory_bytes(group_count) +
                     (advise_records != 0 ? skv_advise_bytes(advise_records, true) : 0);
    if (batch_segments != 0) {
        bytes += skv_batch_bytes(batch_segments) + SQLITE_ALLOWANCE + journal_bytes(batch_segments);
    }
    return bytes;
}

uint64_t skv_shard_least_bytes(const struct skv_shard *shard)
{
    return SKV_RAM_SPARES * shard->ram.segment_bytes +
           skv_table_directory_bytes(shard->table.group_count);
}

static spillkv_status open_store(struct skv_shard *shard, const struct skv_shard_options *options)
{
    char message[256] = "";
    const struct skv_store_options store = {
        .file = options->file,
        .vfs = options->vfs,
        .checksum_seed = skv_secret_seed(options->secret) + options->number,
        .cache_bytes = options->cache_bytes,
    };
    shard->journal_bytes = journal_bytes(options->batch_segments);
    shard->sqlite_least = SQLITE_ALLOWANCE + shard->journal_bytes;
    if (!skv_budget_charge(shard->budget, SKV_MEMORY_SQLITE, shard->sqlite_least)) {
        return SPILLKV_EFULL;
    }
    shard->sqlite_charge = shard->sqlite_least;
    const uint64_t scratch = skv_batch_bytes(options->batch_segments);
    if (!skv_budget_charge(shard->budget, SKV_MEMORY_SCRATCH, scratch)) {
        return SPILLKV_EFULL;
    }
    shard->scratch_charge = scratch;
    spillkv_status status = skv_batch_init(&shard->batch, options->batch_segments);
    if (status == SPILLKV_OK) {
        status = skv_store_open(&store, &shard->store, message, sizeof(message));
    }
    if (status != SPILLKV_OK && message[0] != '\0') {
        skv_log_write(shard->log, SPILLKV_LOG_ERROR, "%s: %s", options->file, message);
    }
    return status;
}

static spillkv_status open_advise(struct skv_shard *shard, const struct skv_shard_options *options)
{
    const uint32_t records = options->advise_records;
    const bool learns = options->policy == SPILLKV_POLICY_SLOT_L;
    if (records == 0) {
        return SPILLKV_OK;
    }
    const uint64_t bytes = skv_advise_bytes(records, learns);
    if (!skv_budget_charge(shard->budget, SKV_MEMORY_FIXED, bytes)) {
        return SPILLKV_EFULL;
    }
    shard->fixed_charge += bytes;
    return skv_advise_init(&shard->advise, records, learns, options->seed) ? SPILLKV_OK
                                                                           : SPILLKV_ENOMEM;
}

/** Everything after the locks, in the order in which close undoes it backwards. */
static spillkv_status build(struct skv_shard *shard, const struct skv_shard_options *options)
{
    if (!skv_budget_charge(shard->budget, SKV_MEMORY_FIXED, sizeof(*shard))) {
        return SPILLKV_EFULL;
    }
    shard->fixed_charge = sizeof(*shard);
    spillkv_status status = open_advise(shard, options);
    if (status == SPILLKV_OK) {
        status = skv_table_init(&shard->table, options->budget, options->shard_bits,
                                options->group_count);
    }
    if (status == SPILLKV_OK) {
        status = skv_ram_init(&shard->ram, options->budget, options->clock);
    }
    if (status == SPILLKV_OK && options->mode == SKV_SHARD_SPILL) {
        status = open_store(shard, options);
    }
    return status;
}

static bool init_locks(struct skv_shard *shard)
{
    if (!skv_mutex_init(&shard->lock, SKV_RANK_SHARD)) {
        return false;
    }
    if (skv_mutex_init(&shard->io, SKV_RANK_IO)) {
        if (skv_mutex_init(&shard->spill, SKV_RANK_SPILL)) {
            return true;
        }
        skv_mutex_fini(&shard->io);
    }
    skv_mutex_fini(&shard->lock);
    return false;
}

static void init_policy(struct skv_shard *shard, const struct skv_shard_options *options)
{
    static const enum skv_policy_kind kinds[] = {
        [SPILLKV_POLICY_SLOT_L] = SKV_POLICY_SLOT12,
        [SPILLKV_POLICY_SLOT12] = SKV_POLICY_SLOT12,
        [SPILLKV_POLICY_LFU] = SKV_POLICY_LFU,
        [SPILLKV_POLICY_LRU] = SKV_POLICY_LRU,
    };

    skv_policy_init(&shard->policy, kinds[options->policy], options->seed);
    if (options->policy == SPILLKV_POLICY_SLOT_L) {
        skv_policy_learn(&shard->policy, &shard->learn);
    }
}

spillkv_status skv_shard_open(const struct skv_shard_options *options, struct skv_shard **shard_out)
{
    *shard_out = NULL;
    struct skv_shard *shard = skv_alloc_zeroed(sizeof(*shard));
    if (shard == NULL) {
        return SPILLKV_ENOMEM;
    }
    shard->budget = options->budget;
    shard->secret = options->secret;
    shard->log = options->log;
    shard->mode = options->mode;
    shard->store_worth = options->store_worth;
    shard->number = options->number;
    shard->quantum_bytes = SKV_QUANTUM_BYTES;
    if (options->mode == SKV_SHARD_SPILL &&
        options->batch_segments * SKV_QUANTUM_BYTES_PER_SEGMENT < SKV_QUANTUM_BYTES) {
        shard->quantum_bytes = options->batch_segments * SKV_QUANTUM_BYTES_PER_SEGMENT;
    }
    atomic_init(&shard->oldest, UINT64_MAX);
    if (!init_locks(shard)) {
        skv_free(shard);
        return SPILLKV_ESYSTEM;
    }
    init_policy(shard, options);
    skv_space_init(&shard->space);
    spillkv_status status = build(shard, options);
    if (status != SPILLKV_OK) {
        (void)skv_shard_close(&shard);
        return status;
    }
    skv_mutex_lock(&shard->lock);
    skv_shard_charge_arrays_locked(shard);
    skv_mutex_unlock(&shard->lock);
    *shard_out = shard;
    return SPILLKV_OK;
}

spillkv_status skv_shard_close(struct skv_shard **shard_inout)
{
    struct skv_shard *const shard = *shard_inout;
    *shard_inout = NULL;
    if (shard == NULL) {
        return SPILLKV_OK;
    }
    const spillkv_status status = skv_store_close(&shard->store);
    skv_batch_fini(&shard->batch);
    skv_space_fini(&shard->space);
    skv_ram_fini(&shard->ram);
    skv_table_fini(&shard->table);
    skv_advise_fini(&shard->advise);
    skv_budget_discharge(shard->budget, SKV_MEMORY_SQLITE, shard->sqlite_charge);
    skv_budget_discharge(shard->budget, SKV_MEMORY_SCRATCH, shard->scratch_charge);
    skv_budget_discharge(shard->budget, SKV_MEMORY_FIXED,
                         shard->fixed_charge + shard->array_charge);
    skv_mutex_fini(&shard->spill);
    skv_mutex_fini(&shard->io);
    skv_mutex_fini(&shard->lock);
    skv_free(shard);
    return status;
}

uint64_t skv_shard_count(struct skv_shard *shard)
{
    skv_mutex_lock(&shard->lock);
    skv_shard_apply_inbox_locked(shard);
    const uint64_t count = shard->counters.entries_ram + shard->counters.entries_spilled +
                           skv_shard_count_waiting_locked(shard);
    skv_mutex_unlock(&shard->lock);
    return count;
}

/** Empties the file: what was wrong with the old one is over, and its memory is given back. When
 *  that fails its rows are of free ids: compaction will delete them. */
static void clear_store(struct skv_shard *shard) SKV_REQUIRES(shard->spill)
    SKV_EXCLUDES(shard->lock)
{
    skv_mutex_lock(&shard->io);
    const spillkv_status status = skv_store_clear(shard->store);
    if (status == SPILLKV_OK) {
        skv_shard_charge_sqlite(shard, true);
        atomic_store_explicit(&shard->last_write, SPILLKV_OK, memory_order_relaxed);
    }
    skv_mutex_unlock(&shard->io);
    skv_mutex_lock(&shard->lock);
    if (status == SPILLKV_OK) {
        skv_space_clear(&shard->space);
    }
    atomic_store_explicit(&shard->wants_compaction, skv_shard_is_wasteful_locked(shard),
                          memory_order_relaxed);
    skv_mutex_unlock(&shard->lock);
}

void skv_shard_clear(struct skv_shard *shard)
{
    skv_mutex_lock(&shard->spill);
    skv_mutex_lock(&shard->lock);
    shard->examination = (struct skv_examination){0};
    skv_inbox_clear(&shard->inbox);
    skv_table_clear(&shard->table);
    skv_advise_clear(&shard->advise);
    skv_ram_clear(&shard->ram);
    (void)skv_ram_refill(&shard->ram);
    skv_space_abandon(&shard->space);
    shard->counters.entries_ram = 0;
    shard->counters.entries_spilled = 0;
    shard->counters.bytes_ram = 0;
    shard->counters.bytes_spilled = 0;
    shard->disk_moves++;
    shard->clears++;
    atomic_store_explicit(&shard->oldest, UINT64_MAX, memory_order_relaxed);
    skv_mutex_unlock(&shard->lock);
    if (shard->store != NULL) {
        clear_store(shard);
    }
    skv_mutex_unlock(&shard->spill);
}

spillkv_status skv_shard_settle(struct skv_shard *shard)
{
    skv_mutex_lock(&shard->spill);
    const spillkv_status status = skv_shard_last_write(shard);
    skv_mutex_unlock(&shard->spill);
    return status;
}

spillkv_status skv_shard_last_write(const struct skv_shard *shard)
{
    return (spillkv_status)atomic_load_explicit(&shard->last_write, memory_order_relaxed);
}

uint64_t skv_shard_oldest(const struct skv_shard *shard)
{
    return atomic_load_explicit(&shard->oldest, memory_order_relaxed);
}

/** Adds a block of counters, all of which are uint64_t, to another. */
static void add_counters(spillkv_counters *sum, const spillkv_counters *more)
{
    uint64_t *const to = (uint64_t *)sum;
    const uint64_t *const from = (const uint64_t *)more;
    for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++) {
        to[i] += from[i];
    }
}

_Static_assert(sizeof(spillkv_counters) % sizeof(uint64_t) == 0, "counters are all uint64_t");

void skv_shard_add_counters(struct skv_shard *shard, spillkv_counters *sum)
{
    skv_mutex_lock(&shard->lock);
    skv_shard_apply_inbox_locked(shard);
    spillkv_counters now = shard->counters;
    now.ram_segments = shard->ram.in_use;
    now.garbage_ram = shard->ram.garbage;
    now.disk_segments = shard->space.packed_count + shard->space.lone_count;
    now.live_bytes = shard->space.packed_live_bytes + shard->space.lone_live_bytes;
    skv_mutex_unlock(&shard->lock);
    now.file_bytes = shard->store != NULL ? skv_store_file_bytes(shard->store) : 0;
    add_counters(sum, &now);
}
