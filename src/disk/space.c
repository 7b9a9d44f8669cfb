/* SPDX-License-Identifier: MIT */
/*
 * DESIGN
 *
 * One 16-bit word per segment id says all: free, the live bytes in units of 8, or one of three
 * special values. Which entries are live is known by the table's slots alone; a bitmap per segment
 * would take 128 bytes where two do.
 *
 *        0           free; the file may hold an old row of it
 *        GONE        free, and the file holds no row of it
 *        1 .. 1018   packed entries, live bytes / 8
 *        TAKEN       taken, nothing added yet
 *        LONE        a lone row (its bytes are known to whoever drops it)
 *        DOOMED      a lone row to be deleted, listed in doomed[] or being deleted right now
 *
 * Free ids are found by going around with a cursor. A heap of free ids would cost 4 bytes for each,
 * and going around costs a constant per id taken: ids are reused only when at least a tenth is
 * free. When the file is to get shorter, the cursor stays in the part that will be left.
 *
 * Invariant: free_count, packed_count, lone_count and the sums agree with the words, and doomed[]
 * has room for every lone row there is, so dropping an entry never needs memory.
 */
#include "disk/space.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

#define STATE_FREE     0
#define STATE_LIVE_MAX (SKV_SEGMENT_BYTES / 8)
#define STATE_GONE     0xfffc
#define STATE_DOOMED   0xfffd
#define STATE_LONE     0xfffe
#define STATE_TAKEN    0xffff

/* Ids looked at by one call of skv_space_choose_sparse(): a few microseconds. */
#define SCAN_IDS_MAX 4096

static bool is_free(uint16_t state)
{
    return state == STATE_FREE || state == STATE_GONE;
}

static bool is_packed(uint16_t state)
{
    return state != STATE_FREE && state <= STATE_LIVE_MAX;
}

void skv_space_init(struct skv_space *space)
{
    *space = (struct skv_space){.cursor = 1, .sparse_cursor = 1};
}

void skv_space_fini(struct skv_space *space)
{
    skv_free(space->state);
    skv_free(space->generation);
    skv_free(space->doomed);
    skv_space_init(space);
}

uint64_t skv_space_overhead_bytes(const struct skv_space *space)
{
    return (uint64_t)space->capacity * (sizeof(*space->state) + sizeof(*space->generation)) +
           (uint64_t)space->doomed_capacity * sizeof(*space->doomed);
}

/* Half as much again, so that the copying is a constant per id; at least `needed`. */
static uint32_t grown(uint32_t capacity, uint64_t needed)
{
    uint64_t wanted = (uint64_t)capacity + capacity / 2 + 64;
    uint64_t most = (uint64_t)SKV_SEGMENT_ID_MAX + 1;

    wanted = wanted > needed ? wanted : needed;
    return (uint32_t)(wanted < most ? wanted : most);
}

/* Lone rows and those that were: each may have to be listed as doomed. */
static uint64_t doomable(const struct skv_space *space)
{
    return (uint64_t)space->lone_count + space->doomed_count + space->deleting_count;
}

/* Makes an array longer; what is new is 0. */
static bool grow_words(uint16_t **words, uint32_t count, uint32_t wanted)
{
    uint16_t *more = skv_realloc(*words, wanted * sizeof(*more));

    if (more == NULL) {
        return false;
    }
    memset(more + count, 0, (wanted - count) * sizeof(*more));
    *words = more;
    return true;
}

spillkv_status skv_space_reserve(struct skv_space *space, uint32_t ids)
{
    uint64_t states = (uint64_t)space->count + ids + 1;
    uint64_t dooms = doomable(space) + ids;

    if (states > space->capacity && space->capacity <= SKV_SEGMENT_ID_MAX) {
        uint32_t capacity = grown(space->capacity, states);
        if (!grow_words(&space->state, space->capacity, capacity) ||
            !grow_words(&space->generation, space->capacity, capacity)) {
            return SPILLKV_ENOMEM;
        }
        space->capacity = capacity;
    }
    if (dooms > space->doomed_capacity && space->doomed_capacity <= SKV_SEGMENT_ID_MAX) {
        uint32_t capacity = grown(space->doomed_capacity, dooms);
        uint32_t *doomed = skv_realloc(space->doomed, capacity * sizeof(*doomed));
        if (doomed == NULL) {
            return SPILLKV_ENOMEM;
        }
        space->doomed = doomed;
        space->doomed_capacity = capacity;
    }
    return SPILLKV_OK;
}

/* The next free id at or after the cursor, going around; there must be one. */
static uint32_t next_free(struct skv_space *space)
{
    uint32_t id = space->cursor;

    SKV_CHECK(space->free_count != 0);
    for (;; id++) {
        if (id > space->count) {
            id = 1;
        }
        if (is_free(space->state[id])) {
            space->cursor = id + 1;
            return id;
        }
    }
}

static uint32_t take_as(struct skv_space *space, uint16_t state)
{
    bool can_append = space->count < SKV_SEGMENT_ID_MAX && space->count + 1 < space->capacity;
    bool reuse = (uint64_t)space->free_count * 10 > space->count || !can_append;
    uint32_t id;

    if (space->free_count != 0 && reuse && !space->append_only) {
        id = next_free(space);
        space->free_count--;
        space->gone_count -= space->state[id] == STATE_GONE;
    } else if (can_append) {
        id = ++space->count;
    } else {
        return 0;
    }
    if (id <= space->highest) {
        space->reuses++;
    } else {
        space->highest = id;
    }
    space->state[id] = state;
    space->generation[id]++;
    return id;
}

uint32_t skv_space_take(struct skv_space *space)
{
    return take_as(space, STATE_TAKEN);
}

uint32_t skv_space_take_lone(struct skv_space *space, uint64_t bytes)
{
    uint32_t id = doomable(space) < space->doomed_capacity ? take_as(space, STATE_LONE) : 0;

    if (id != 0) {
        space->lone_count++;
        space->lone_live_bytes += bytes;
    }
    return id;
}

static void release(struct skv_space *space, uint32_t id)
{
    space->state[id] = STATE_FREE;
    space->free_count++;
}

void skv_space_cancel(struct skv_space *space, uint32_t id)
{
    SKV_CHECK(id != 0 && id <= space->count && space->state[id] == STATE_TAKEN);
    release(space, id);
}

void skv_space_cancel_lone(struct skv_space *space, uint32_t id, uint64_t bytes)
{
    SKV_CHECK(id != 0 && id <= space->count && space->state[id] == STATE_LONE);
    SKV_CHECK(space->lone_live_bytes >= bytes);
    space->lone_count--;
    space->lone_live_bytes -= bytes;
    release(space, id);
}

void skv_space_add(struct skv_space *space, uint32_t id, size_t bytes)
{
    size_t live = 0;

    SKV_CHECK(id != 0 && id <= space->count && bytes % 8 == 0 && bytes != 0);
    if (is_packed(space->state[id])) {
        live = space->state[id];
    } else {
        SKV_CHECK(space->state[id] == STATE_TAKEN);
        space->packed_count++;
    }
    live += bytes / 8;
    SKV_CHECK(live <= STATE_LIVE_MAX);
    space->state[id] = (uint16_t)live;
    space->packed_live_bytes += bytes;
}

static void drop_lone(struct skv_space *space, uint32_t id, size_t bytes)
{
    SKV_CHECK(space->state[id] == STATE_LONE && space->lone_live_bytes >= bytes);
    space->lone_count--;
    space->lone_live_bytes -= bytes;
    space->state[id] = STATE_DOOMED;
    SKV_CHECK(space->doomed_count < space->doomed_capacity);
    space->doomed[space->doomed_count++] = id;
}

void skv_space_drop(struct skv_space *space, uint32_t id, size_t bytes)
{
    SKV_CHECK(id != 0 && id <= space->count);
    if (!is_packed(space->state[id])) {
        drop_lone(space, id, bytes);
        return;
    }
    SKV_CHECK(bytes % 8 == 0 && bytes / 8 <= space->state[id]);
    space->state[id] = (uint16_t)(space->state[id] - bytes / 8);
    space->packed_live_bytes -= bytes;
    if (space->state[id] == STATE_FREE) {
        space->packed_count--;
        space->free_count++;
    }
}

uint32_t skv_space_doomed(struct skv_space *space, uint32_t *ids_out, uint32_t max)
{
    uint32_t count = space->doomed_count < max ? space->doomed_count : max;

    if (count != 0) {
        space->doomed_count -= count;
        space->deleting_count += count;
        memcpy(ids_out, space->doomed + space->doomed_count, count * sizeof(*ids_out));
    }
    return count;
}

void skv_space_undoomed(struct skv_space *space, const uint32_t *ids, uint32_t count)
{
    SKV_CHECK(count <= space->deleting_count);
    space->deleting_count -= count;
    for (uint32_t i = 0; i < count; i++) {
        SKV_CHECK(ids[i] <= space->count && space->state[ids[i]] == STATE_DOOMED);
        space->state[ids[i]] = STATE_GONE;
        space->free_count++;
        space->gone_count++;
    }
}

void skv_space_redoom(struct skv_space *space, const uint32_t *ids, uint32_t count)
{
    SKV_CHECK(count <= space->deleting_count);
    SKV_CHECK((uint64_t)space->doomed_count + count <= space->doomed_capacity);
    space->deleting_count -= count;
    for (uint32_t i = 0; i < count; i++) {
        SKV_CHECK(ids[i] <= space->count && space->state[ids[i]] == STATE_DOOMED);
        space->doomed[space->doomed_count++] = ids[i];
    }
}

size_t skv_space_live(const struct skv_space *space, uint32_t id)
{
    if (id == 0 || id > space->count || !is_packed(space->state[id])) {
        return 0;
    }
    return (size_t)space->state[id] * 8;
}

bool skv_space_is_sparse(const struct skv_space *space)
{
    return (uint64_t)space->packed_count * SKV_SEGMENT_BYTES >
           space->packed_live_bytes + space->packed_live_bytes / 3 + 4 * SKV_SEGMENT_BYTES;
}

uint32_t skv_space_choose_sparse(struct skv_space *space, uint32_t *ids_out, uint32_t max)
{
    uint32_t ids = space->count < SCAN_IDS_MAX ? space->count : SCAN_IDS_MAX;
    uint64_t limit = SKV_SEGMENT_BYTES / 10 * 9;
    uint32_t found = 0;

    if (space->packed_count != 0) {
        uint64_t average = space->packed_live_bytes / space->packed_count;
        limit = average < limit ? average : limit;
    }
    for (; ids != 0 && found < max; ids--, space->sparse_cursor++) {
        if (space->sparse_cursor > space->count) {
            space->sparse_cursor = 1;
        }
        uint16_t state = space->state[space->sparse_cursor];
        if (is_packed(state) && (uint64_t)state * 8 <= limit) {
            ids_out[found++] = space->sparse_cursor;
        }
    }
    return found;
}

uint32_t skv_space_doom_free(struct skv_space *space, uint32_t *ids_out, uint32_t max)
{
    uint64_t room = space->doomed_capacity - doomable(space);
    uint32_t ids = space->count < SCAN_IDS_MAX ? space->count : SCAN_IDS_MAX;
    uint32_t found = 0;

    max = max < room ? max : (uint32_t)room;
    for (; ids != 0 && found < max; ids--, space->free_cursor++) {
        if (space->free_cursor == 0 || space->free_cursor > space->count) {
            space->free_cursor = 1;
        }
        if (space->state[space->free_cursor] == STATE_FREE) {
            space->state[space->free_cursor] = STATE_DOOMED;
            space->free_count--;
            space->deleting_count++;
            ids_out[found++] = space->free_cursor;
        }
    }
    return found;
}

bool skv_space_is_hollow(const struct skv_space *space)
{
    return space->free_count - space->gone_count > (space->count - space->gone_count) / 4 + 16;
}

void skv_space_clear(struct skv_space *space)
{
    if (space->count != 0) {
        memset(space->state, 0, ((size_t)space->count + 1) * sizeof(*space->state));
    }
    space->count = 0;
    space->free_count = 0;
    space->gone_count = 0;
    space->packed_count = 0;
    space->lone_count = 0;
    space->doomed_count = 0;
    space->deleting_count = 0;
    space->cursor = 1;
    space->sparse_cursor = 1;
    space->free_cursor = 1;
    space->packed_live_bytes = 0;
    space->lone_live_bytes = 0;
}

void skv_space_abandon(struct skv_space *space)
{
    const uint32_t count = space->count;
    skv_space_clear(space);
    space->count = count;
    space->free_count = count;
}

bool skv_space_check(const struct skv_space *space)
{
    uint32_t free_count = 0;
    uint32_t gone_count = 0;
    uint32_t packed_count = 0;
    uint32_t lone_count = 0;
    uint32_t doomed_count = 0;
    uint64_t live_bytes = 0;

    SKV_CHECK(space->count == 0 || space->count < space->capacity);
    SKV_CHECK(space->count <= space->highest && space->highest <= SKV_SEGMENT_ID_MAX);
    for (uint32_t id = 1; id <= space->count; id++) {
        uint16_t state = space->state[id];
        free_count += is_free(state);
        gone_count += state == STATE_GONE;
        packed_count += is_packed(state);
        lone_count += state == STATE_LONE;
        doomed_count += state == STATE_DOOMED;
        live_bytes += is_packed(state) ? (uint64_t)state * 8 : 0;
        SKV_CHECK(state <= STATE_LIVE_MAX || state >= STATE_GONE);
    }
    for (uint32_t id = space->count + 1; id < space->capacity; id++) {
        SKV_CHECK(space->state[id] == STATE_FREE);
    }
    for (uint32_t i = 0; i < space->doomed_count; i++) {
        SKV_CHECK(space->doomed[i] <= space->count);
        SKV_CHECK(space->state[space->doomed[i]] == STATE_DOOMED);
    }
    SKV_CHECK(free_count == space->free_count && packed_count == space->packed_count);
    SKV_CHECK(lone_count == space->lone_count && gone_count == space->gone_count);
    SKV_CHECK(doomed_count == space->doomed_count + space->deleting_count);
    SKV_CHECK(live_bytes == space->packed_live_bytes);
    SKV_CHECK(lone_count != 0 || space->lone_live_bytes == 0);
    SKV_CHECK(doomable(space) <= space->doomed_capacity);
    return true;
}
