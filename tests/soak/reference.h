/* SPDX-License-Identifier: MIT */
/**
 * What the store should hold, kept beside it in plain memory, with a lock for each key: whoever
 * calls the store for a key holds the key's lock, so there is one right answer.
 *
 * Only clear and each go on beside all of them. A key may have been cleared if a clear ended or
 * began since it was set; it must have been if one was begun and ended since.
 *
 * Threads: any. Every function that finds a wrong answer says so on standard error and counts it.
 */
#ifndef SOAK_REFERENCE_H
#define SOAK_REFERENCE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <spillkv/spillkv.h>

/** Longest value of a reference. */
#define REFERENCE_VALUE_MOST ((size_t)300 << 10)

struct reference_key {
    pthread_mutex_t lock;
    /* Guarded by lock. */
    uint64_t attempts;   /* sets that were tried: each has a value of its own */
    uint64_t version;    /* the attempt that is there */
    uint64_t changes;    /* of this key, seen or done */
    uint64_t over_then;  /* clears that were over when its set began */
    uint64_t begun_then; /* clears that were begun when its set had ended */
    bool present;
};

struct reference {
    spillkv *kv;
    bool refuses; /* sets may come to SPILLKV_EFULL, whatever happens */
    bool drops;   /* keys may vanish */
    bool spills;  /* calls that must not wait may answer SPILLKV_WOULD_BLOCK */
    uint32_t numbers;
    struct reference_key *keys; /* by number */
    atomic_uint_fast64_t clears_begun;
    atomic_uint_fast64_t clears_over;
    atomic_uint_fast64_t epoch; /* odd: something is made to fail */

    atomic_uint_fast64_t operations;
    atomic_uint_fast64_t refused; /* operations that failed because something was made to */
    atomic_uint_fast64_t blocked; /* spillkv_try_ calls that would have had to wait */
    atomic_uint_fast64_t wrong;   /* wrong answers, and failures without a reason */
};

/** Keys of a batch at most, and values that a thread keeps pinned at most. */
#define REFERENCE_BATCH 8
#define REFERENCE_PINS  2

struct reference_pin {
    spillkv_pinned pinned; /* its value is NULL: none */
    uint32_t number;
    uint64_t version;
};

/** A thread's room for keys and values, and what it has pinned. */
struct reference_room {
    uint8_t *keys;   /* REFERENCE_BATCH of MODEL_KEY_MAX bytes */
    uint8_t *values; /* as many of REFERENCE_VALUE_MOST */
    struct reference_pin pins[REFERENCE_PINS];
    uint64_t random;
};

/** Makes an empty one; ends the program when memory runs out. */
void reference_init(struct reference *reference, uint32_t numbers);
void reference_fini(struct reference *reference);
/** Nothing is there any more; for a store that was just opened. */
void reference_reset(struct reference *reference, spillkv *kv);

void reference_room_init(struct reference_room *room, uint64_t random);
void reference_room_fini(struct reference_room *room);
uint32_t reference_dice(struct reference_room *room, uint32_t sides);

/* One call of the store each, checked. */

void reference_set(struct reference *reference, struct reference_room *room, uint32_t number);
void reference_get(struct reference *reference, struct reference_room *room, uint32_t number);
void reference_get_copy(struct reference *reference, struct reference_room *room, uint32_t number);
/** Into a buffer that is too small for most. */
void reference_get_little(struct reference *reference, struct reference_room *room,
                          uint32_t number);
void reference_del(struct reference *reference, struct reference_room *room, uint32_t number);
void reference_has(struct reference *reference, struct reference_room *room, uint32_t number);
/** Pins a key's value, and compares and unpins one that the thread pinned before. */
void reference_pin(struct reference *reference, struct reference_room *room, uint32_t number);
/** Does the latter with all. Before the store is closed. */
void reference_unpin_all(struct reference *reference, struct reference_room *room);
/* The same for several keys from `number` on. */
void reference_get_many(struct reference *reference, struct reference_room *room, uint32_t number);
void reference_set_many(struct reference *reference, struct reference_room *room, uint32_t number);
void reference_del_many(struct reference *reference, struct reference_room *room, uint32_t number);
/** One thread at a time. */
void reference_clear(struct reference *reference);

/** What a key was when an iteration began, and whether it was visited. */
struct reference_seen {
    uint64_t version;
    uint64_t changes;
    bool present;
    bool visited;
};

/** Visits all keys; `seen` has room for all numbers. */
void reference_each(struct reference *reference, struct reference_seen *seen);

/** Gets every key and compares, and the count; nothing else may go on. */
void reference_verify(struct reference *reference, struct reference_room *room);

/** Counts a call that is not about one key; says whether a failure has a reason.
 *  @param epoch  as it was before the call */
void reference_judge(struct reference *reference, const char *what, spillkv_status status,
                     uint64_t epoch);
/** Says what is wrong, and counts it. */
__attribute__((format(printf, 2, 3))) void reference_complain(struct reference *reference,
                                                              const char *format, ...);

#endif
