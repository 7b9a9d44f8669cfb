/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. The search of Wing and Gong, breadth first along time. A configuration is what the key
 * holds and which of the operations that have begun and not ended have happened already; all of
 * them that are possible are kept, each once (Lowe's memo). When an operation ends it must have
 * happened: where it has not, some of the others that are under way happen first, then it does.
 * More need not happen then, it may as well later. A read that sees what the key holds happens at
 * once: that excludes nothing.
 *
 * Rejected: depth first with a memo of all sets of operations, which takes memory by the square of
 * the history's length; here it does not grow with it.
 */
#include "support/linear_check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct event {
    uint64_t moment;
    size_t op;
    bool is_end;
};

struct configuration {
    uint64_t value;
    uint32_t happened; /* a bit for each thread */
};

struct set {
    struct configuration *items;
    size_t count;
    size_t capacity;
};

struct search {
    const struct linear_op *ops;
    const struct linear_op *under_way[LINEAR_THREADS_MAX]; /* by thread */
    struct set now;
    struct set next;
    struct set work;
};

static void *checked(void *memory)
{
    if (memory == NULL) {
        (void)fputs("out of memory\n", stderr);
        abort();
    }
    return memory;
}

static void add(struct set *set, struct configuration item)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->items[i].value == item.value && set->items[i].happened == item.happened) {
            return;
        }
    }
    if (set->count == set->capacity) {
        set->capacity = set->capacity * 2 + 16;
        set->items = checked(realloc(set->items, set->capacity * sizeof(*set->items)));
    }
    set->items[set->count++] = item;
}

static uint32_t bit_of(const struct linear_op *op)
{
    return UINT32_C(1) << op->thread;
}

/* Whether an operation may happen, and what the key holds then. */
static bool apply(const struct linear_op *op, uint64_t *value)
{
    const uint64_t before = *value;
    switch (op->kind) {
    case LINEAR_SET:
        *value = op->value;
        return true;
    case LINEAR_READ:
        *value = op->value;
        return before == op->value || before == LINEAR_ANY;
    case LINEAR_SEEN:
        return before != LINEAR_ABSENT;
    case LINEAR_TAKEN:
        *value = LINEAR_ABSENT;
        return before != LINEAR_ABSENT;
    case LINEAR_CLEAR:
        *value = LINEAR_ABSENT;
        return true;
    }
    abort();
}

static bool only_reads(const struct linear_op *op)
{
    return op->kind == LINEAR_READ || op->kind == LINEAR_SEEN;
}

/* Reads that see what the key holds happen. */
static void read_at_once(const struct search *search, struct configuration *item)
{
    for (uint32_t i = 0; i < LINEAR_THREADS_MAX && item->value != LINEAR_ANY; i++) {
        const struct linear_op *const op = search->under_way[i];
        uint64_t value = item->value;
        if (op != NULL && only_reads(op) && (item->happened & bit_of(op)) == 0 &&
            apply(op, &value)) {
            item->happened |= bit_of(op);
        }
    }
}

static void begin(struct search *search, const struct linear_op *op)
{
    if (op->thread >= LINEAR_THREADS_MAX || search->under_way[op->thread] != NULL) {
        (void)fputs("a thread does two operations at a time\n", stderr);
        abort();
    }
    search->under_way[op->thread] = op;
    for (size_t i = 0; i < search->now.count; i++) {
        read_at_once(search, &search->now.items[i]);
    }
}

/* What may follow on a configuration in which `op` has not happened, until it has. */
static void let_happen(struct search *search, struct configuration from, const struct linear_op *op)
{
    struct set *const work = &search->work;
    work->count = 0;
    add(work, from);
    for (size_t at = 0; at < work->count; at++) {
        for (uint32_t i = 0; i < LINEAR_THREADS_MAX; i++) {
            const struct linear_op *const other = search->under_way[i];
            struct configuration item = work->items[at];
            if (other == NULL || (item.happened & bit_of(other)) != 0 ||
                !apply(other, &item.value)) {
                continue;
            }
            item.happened |= bit_of(other);
            read_at_once(search, &item);
            if ((item.happened & bit_of(op)) != 0) {
                item.happened &= ~bit_of(op);
                add(&search->next, item);
            } else {
                add(work, item);
            }
        }
    }
}

/* Whether any configuration is left in which the operation has happened. */
static bool end(struct search *search, const struct linear_op *op)
{
    const struct set before = search->now;
    search->next.count = 0;
    for (size_t i = 0; i < before.count; i++) {
        struct configuration item = before.items[i];
        if ((item.happened & bit_of(op)) != 0) {
            item.happened &= ~bit_of(op);
            add(&search->next, item);
        } else {
            let_happen(search, item, op);
        }
    }
    search->now = search->next;
    search->next = before;
    search->under_way[op->thread] = NULL;
    return search->now.count != 0;
}

static int compare_events(const void *a, const void *b)
{
    const uint64_t x = ((const struct event *)a)->moment;
    const uint64_t y = ((const struct event *)b)->moment;
    return (x > y) - (x < y);
}

static int compare_ops(const void *a, const void *b)
{
    const uint64_t x = ((const struct linear_op *)a)->begin;
    const uint64_t y = ((const struct linear_op *)b)->begin;
    return (x > y) - (x < y);
}

bool linear_check(struct linear_op *ops, size_t count, uint64_t initial, size_t *failed_out)
{
    struct search search = {.ops = ops};
    struct event *const events = checked(calloc(2 * count + 1, sizeof(*events)));
    bool right = true;
    *failed_out = count;
    qsort(ops, count, sizeof(*ops), compare_ops);
    for (size_t i = 0; i < count; i++) {
        events[2 * i] = (struct event){.moment = ops[i].begin, .op = i};
        events[2 * i + 1] = (struct event){.moment = ops[i].end, .op = i, .is_end = true};
    }
    qsort(events, 2 * count, sizeof(*events), compare_events);
    add(&search.now, (struct configuration){.value = initial});
    for (size_t i = 0; i < 2 * count && right; i++) {
        const struct linear_op *const op = &ops[events[i].op];
        if (!events[i].is_end) {
            begin(&search, op);
        } else if (!end(&search, op)) {
            *failed_out = events[i].op;
            right = false;
        }
    }
    free(events);
    free(search.now.items);
    free(search.next.items);
    free(search.work.items);
    return right;
}

/* Shrinking. */

/* Those that ended after a moment, in a copy. */
static size_t copy_since(const struct linear_op *ops, size_t count, uint64_t moment,
                         struct linear_op *to)
{
    size_t copied = 0;
    for (size_t i = 0; i < count; i++) {
        if (ops[i].end >= moment) {
            to[copied++] = ops[i];
        }
    }
    return copied;
}

static bool fails_since(const struct linear_op *ops, size_t count, uint64_t moment,
                        uint64_t initial, struct linear_op *room)
{
    size_t failed;
    const size_t copied = copy_since(ops, count, moment, room);
    return !linear_check(room, copied, initial, &failed);
}

/* Whether it still fails without one of them. */
static bool fails_without(const struct linear_op *ops, size_t count, size_t without,
                          uint64_t initial, struct linear_op *room)
{
    size_t failed;
    memcpy(room, ops, without * sizeof(*ops));
    memcpy(room + without, ops + without + 1, (count - without - 1) * sizeof(*ops));
    return !linear_check(room, count - 1, initial, &failed);
}

/* The latest moment since when they have no order. What fails from some moment on, whatever the key
 * held then, fails from every earlier one. */
static uint64_t latest_since(const struct linear_op *ops, size_t count, uint64_t last,
                             struct linear_op *room)
{
    uint64_t fails = 0;
    for (uint64_t passes = last + 1; fails + 1 < passes;) {
        const uint64_t middle = fails + (passes - fails) / 2;
        if (fails_since(ops, count, middle, LINEAR_ANY, room)) {
            fails = middle;
        } else {
            passes = middle;
        }
    }
    return fails;
}

size_t linear_shrink(struct linear_op *ops, size_t count, uint64_t initial, size_t failed)
{
    struct linear_op *const room = checked(calloc(count, sizeof(*room)));
    const uint64_t last = ops[failed].end;
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        if (ops[i].begin <= last) {
            ops[left++] = ops[i];
        }
    }
    count = left;
    if (fails_since(ops, count, 0, LINEAR_ANY, room)) {
        initial = LINEAR_ANY;
        count = copy_since(ops, count, latest_since(ops, count, last, room), ops);
    }
    for (size_t i = 0; i < count;) {
        if (only_reads(&ops[i]) && fails_without(ops, count, i, initial, room)) {
            memmove(ops + i, ops + i + 1, (count - i - 1) * sizeof(*ops));
            count--;
        } else {
            i++;
        }
    }
    free(room);
    return count;
}

void linear_print(FILE *stream, const struct linear_op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct linear_op *const op = &ops[i];
        (void)fprintf(stream, "  thread %2" PRIu32 "  %10" PRIu64 " .. %10" PRIu64 "  %-12s",
                      op->thread, op->begin, op->end, op->name);
        switch (op->kind) {
        case LINEAR_SET:
            (void)fprintf(stream, "%" PRIu64 "\n", op->value);
            break;
        case LINEAR_READ:
            if (op->value == LINEAR_ABSENT) {
                (void)fputs("found nothing\n", stream);
            } else {
                (void)fprintf(stream, "found %" PRIu64 "\n", op->value);
            }
            break;
        case LINEAR_SEEN:
        case LINEAR_TAKEN:
            (void)fputs("found it\n", stream);
            break;
        case LINEAR_CLEAR:
            (void)fputs("\n", stream);
            break;
        }
    }
}
