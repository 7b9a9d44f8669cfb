/* SPDX-License-Identifier: MIT */
/**
 * Caches to compare with. Each keeps its queues as lists in one array of links by key, with a head
 * for each queue behind the last key; a key is in one queue at most.
 */
#include <stdlib.h>

#include "hitrate_policy.h"

#define QUEUES 4u
#define NONE   QUEUES /* a key that is in no queue */

struct link {
    uint32_t next; /* towards the newest */
    uint32_t prev;
};

struct queues {
    struct link *links;
    uint8_t *queue_of;  /* by key */
    uint8_t *frequency; /* by key */
    uint32_t heads;     /* of queue q: links[heads + q] */
    uint32_t count[QUEUES];
};

static bool open_queues(struct queues *queues, uint32_t unique)
{
    queues->links = malloc((unique + (size_t)QUEUES) * sizeof(*queues->links));
    queues->queue_of = malloc(unique);
    queues->frequency = calloc(unique, 1);
    if (queues->links == NULL || queues->queue_of == NULL || queues->frequency == NULL) {
        return false;
    }
    queues->heads = unique;
    for (uint32_t i = 0; i < unique; i++) {
        queues->queue_of[i] = NONE;
    }
    for (uint32_t q = 0; q < QUEUES; q++) {
        queues->links[unique + q] = (struct link){unique + q, unique + q};
        queues->count[q] = 0;
    }
    return true;
}

static void close_queues(struct queues *queues)
{
    free(queues->links);
    free(queues->queue_of);
    free(queues->frequency);
}

static void leave(struct queues *queues, uint32_t key)
{
    const struct link link = queues->links[key];
    queues->links[link.prev].next = link.next;
    queues->links[link.next].prev = link.prev;
    queues->count[queues->queue_of[key]]--;
    queues->queue_of[key] = NONE;
}

/* As the newest; from the queue it was in. */
static void enter(struct queues *queues, uint32_t key, uint32_t queue)
{
    if (queues->queue_of[key] != NONE) {
        leave(queues, key);
    }
    const uint32_t head = queues->heads + queue;
    const uint32_t newest = queues->links[head].prev;
    queues->links[key] = (struct link){.next = head, .prev = newest};
    queues->links[newest].next = key;
    queues->links[head].prev = key;
    queues->count[queue]++;
    queues->queue_of[key] = (uint8_t)queue;
}

static uint32_t oldest(const struct queues *queues, uint32_t queue)
{
    return queues->links[queues->heads + queue].next;
}

bool hitrate_run_lru(const struct hitrate_policy *policy, const struct trace *trace,
                     const struct hitrate_cache *cache, struct hitrate_result *result_out)
{
    (void)policy;
    *result_out = (struct hitrate_result){0};
    struct queues queues = {0};
    const bool valid = open_queues(&queues, trace->unique);
    for (uint64_t i = 0; valid && i < trace->count; i++) {
        const uint32_t key = trace->keys[i];
        if (queues.queue_of[key] == 0) {
            result_out->hits++;
        } else if (queues.count[0] == cache->capacity) {
            leave(&queues, oldest(&queues, 0));
        }
        enter(&queues, key, 0);
    }
    close_queues(&queues);
    return valid;
}

/* S3-FIFO. */

enum {
    SMALL,
    MAIN,
    GHOST
};

#define S3_FREQUENCY_MAX 3
#define S3_MOVES         2 /* uses that move a key from the small queue to the main one */

static void s3_evict_small(struct queues *queues, uint32_t ghosts)
{
    for (bool evicted = false; !evicted && queues->count[SMALL] != 0;) {
        const uint32_t key = oldest(queues, SMALL);
        evicted = queues->frequency[key] < S3_MOVES;
        enter(queues, key, evicted ? GHOST : MAIN);
        queues->frequency[key] = 0;
    }
    if (queues->count[GHOST] > ghosts) {
        leave(queues, oldest(queues, GHOST));
    }
}

static void s3_evict_main(struct queues *queues)
{
    uint32_t key = oldest(queues, MAIN);
    while (queues->frequency[key] != 0) {
        queues->frequency[key]--;
        enter(queues, key, MAIN);
        key = oldest(queues, MAIN);
    }
    leave(queues, key);
}

static bool s3_use(struct queues *queues, uint32_t key, uint32_t capacity)
{
    const uint32_t small = capacity / 10 != 0 ? capacity / 10 : 1;
    if (queues->queue_of[key] <= MAIN) {
        if (queues->frequency[key] < S3_FREQUENCY_MAX) {
            queues->frequency[key]++;
        }
        return true;
    }
    const bool is_ghost = queues->queue_of[key] == GHOST;
    if (is_ghost) {
        leave(queues, key);
    }
    while (queues->count[SMALL] + queues->count[MAIN] >= capacity) {
        if (queues->count[MAIN] > capacity - small || queues->count[SMALL] == 0) {
            s3_evict_main(queues);
        } else {
            s3_evict_small(queues, capacity - small);
        }
    }
    queues->frequency[key] = 0;
    enter(queues, key, is_ghost ? MAIN : SMALL);
    return false;
}

bool hitrate_run_s3fifo(const struct hitrate_policy *policy, const struct trace *trace,
                        const struct hitrate_cache *cache, struct hitrate_result *result_out)
{
    (void)policy;
    *result_out = (struct hitrate_result){0};
    struct queues queues = {0};
    const bool valid = open_queues(&queues, trace->unique);
    for (uint64_t i = 0; valid && i < trace->count; i++) {
        result_out->hits += s3_use(&queues, trace->keys[i], cache->capacity);
    }
    close_queues(&queues);
    return valid;
}

/* ARC, with the paper's names: T1 and T2 are in the cache, B1 and B2 were lately. */

enum {
    T1,
    T2,
    B1,
    B2
};

static void arc_replace(struct queues *queues, bool in_b2, uint32_t p)
{
    const uint32_t t1 = queues->count[T1];
    if (t1 != 0 && (t1 > p || (in_b2 && t1 == p) || queues->count[T2] == 0)) {
        enter(queues, oldest(queues, T1), B1);
    } else {
        enter(queues, oldest(queues, T2), B2);
    }
}

static void arc_new(struct queues *queues, uint32_t capacity, uint32_t p)
{
    const uint32_t *const count = queues->count;
    const uint32_t all = count[T1] + count[T2] + count[B1] + count[B2];
    if (count[T1] + count[B1] == capacity) {
        if (count[T1] < capacity) {
            leave(queues, oldest(queues, B1));
            arc_replace(queues, false, p);
        } else {
            leave(queues, oldest(queues, T1));
        }
    } else if (all >= capacity) {
        if (all == 2 * capacity) {
            leave(queues, oldest(queues, B2));
        }
        arc_replace(queues, false, p);
    }
}

static bool arc_use(struct queues *queues, uint32_t key, uint32_t capacity, uint32_t *p)
{
    const uint32_t queue = queues->queue_of[key];
    const uint32_t b1 = queues->count[B1];
    const uint32_t b2 = queues->count[B2];
    if (queue == NONE) {
        arc_new(queues, capacity, *p);
        enter(queues, key, T1);
        return false;
    }
    if (queue == B1) {
        const uint32_t step = b2 > b1 ? b2 / b1 : 1;
        *p = capacity - *p < step ? capacity : *p + step;
        arc_replace(queues, false, *p);
    } else if (queue == B2) {
        const uint32_t step = b1 > b2 ? b1 / b2 : 1;
        *p = *p < step ? 0 : *p - step;
        arc_replace(queues, true, *p);
    }
    enter(queues, key, T2);
    return queue == T1 || queue == T2;
}

bool hitrate_run_arc(const struct hitrate_policy *policy, const struct trace *trace,
                     const struct hitrate_cache *cache, struct hitrate_result *result_out)
{
    (void)policy;
    *result_out = (struct hitrate_result){0};
    struct queues queues = {0};
    uint32_t p = 0;
    const bool valid = open_queues(&queues, trace->unique);
    for (uint64_t i = 0; valid && i < trace->count; i++) {
        result_out->hits += arc_use(&queues, trace->keys[i], cache->capacity, &p);
    }
    close_queues(&queues);
    return valid;
}
