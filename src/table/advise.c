/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. What is expected of a larger size is the misses that were counted times the part of the
 * simulated ones that it leaves; of the smaller one, what its simulation misses more. Frequent keys
 * that happen to be in the sample, or not, hit at all sizes and do not count in either.
 *
 * A hash table with linear probing, one for all sizes; a size is a bit in the records, a
 * clock, and a hand that goes round over the table. To make room the hand takes a batch of
 * residents, of which the lowest-scored part leaves, by the same code as in the shard (victims.h).
 * The logs of the shard are left out: with a smaller part that leaves a hand in the order of hashes
 * chooses as well, and what it does worse it does at all sizes. Pure loops are the exception.
 *
 * Ages count in ticks of each size, so each has its own history of a key and learns its own scores
 * (lesson.h): with the shard's scores for all, loops are off by up to 14 points, as what is overdue
 * at one size is just due at another.
 *
 * Records of no size are dead. They stay until the table is full, so that nothing moves but in
 * purge(); if that does not free enough the threshold is lowered. If there are far fewer records
 * than places (max_mem was lowered, values have grown) it starts anew with a higher one: what is in
 * RAM of the keys that were not sampled before cannot be known. Until the largest size is full
 * again, first uses of such keys are not counted.
 */
#include "table/advise.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "table/sweep.h"
#include "table/victims.h"

#define HASH_SHIFT 24u
#define UNITS_MOST ((UINT64_C(1) << HASH_SHIFT) - 1)

#define RESIDENT    0x1000u
#define POLICY_BITS (RESIDENT - 1)

/** A batch is such a part of the residents, but at least and at most so many. */
#define BATCH_PART  32u
#define BATCH_LEAST 32u
#define BATCH_MOST  128u
/** Of a batch so much leaves: as good a choice without logs as SKV_VICTIMS_PERCENT is with two. */
#define CHOSEN_PERCENT 10
/** An entry may take such a part of a size. */
#define LARGE_PART 4u
/** With fewer records than this part of what could be, more keys should be sampled. */
#define FEW_PART 16u

static uint64_t hash_of(const struct skv_advise_record *record)
{
    return record->key >> HASH_SHIFT;
}

static uint64_t units_of(const struct skv_advise_record *record)
{
    return record->key & UNITS_MOST;
}

static bool is_resident(const struct skv_advise_record *record, int size)
{
    return (record->bits[size] & RESIDENT) != 0;
}

static bool is_dead(const struct skv_advise_record *record)
{
    uint32_t any = 0;
    for (int size = 0; size < SKV_ADVISE_SIZES; size++) {
        any |= record->bits[size];
    }
    return (any & RESIDENT) == 0;
}

static uint32_t home_of(const struct skv_advise *advise, uint64_t hash)
{
    return (uint32_t)(hash * UINT64_C(0x9e3779b97f4a7c15) >> 32) & advise->mask;
}

/** The record of a hash, or the place for it. */
static struct skv_advise_record *find(const struct skv_advise *advise, uint64_t hash)
{
    uint32_t at = home_of(advise, hash);
    while (advise->records[at].key != 0 && hash_of(&advise->records[at]) != hash) {
        at = (at + 1) & advise->mask;
    }
    return &advise->records[at];
}

size_t skv_advise_bytes(uint32_t records, bool learns)
{
    return records * sizeof(struct skv_advise_record) +
           (learns ? SKV_ADVISE_SIZES * sizeof(struct skv_lesson) : 0);
}

bool skv_advise_init(struct skv_advise *advise, uint32_t records, bool learns, uint64_t seed)
{
    memset(advise, 0, sizeof(*advise));
    advise->records = skv_alloc_zeroed(skv_advise_bytes(records, learns));
    if (advise->records == NULL) {
        return false;
    }
    if (learns) {
        advise->lessons = (struct skv_lesson *)(advise->records + records);
    }
    advise->mask = records - 1;
    advise->most = records / 8 * 7;
    skv_sample_init(&advise->sample);
    for (int size = 0; size < SKV_ADVISE_SIZES; size++) {
        skv_policy_init(&advise->rams[size].policy, SKV_POLICY_SLOT12, seed + (uint64_t)size);
        if (learns) {
            skv_lesson_init(&advise->lessons[size]);
        }
    }
    return true;
}

void skv_advise_fini(struct skv_advise *advise)
{
    skv_free(advise->records);
    memset(advise, 0, sizeof(*advise));
}

void skv_advise_set_capacities(struct skv_advise *advise, const uint64_t bytes[SKV_ADVISE_SIZES])
{
    for (int size = 0; size < SKV_ADVISE_SIZES; size++) {
        advise->rams[size].capacity = bytes[size] / 8;
    }
}

/* Records that go. */

static void leave(struct skv_advise *advise, struct skv_advise_record *record, int size)
{
    struct skv_advise_ram *const ram = &advise->rams[size];
    if (is_resident(record, size)) {
        record->bits[size] &= POLICY_BITS;
        ram->residents--;
        ram->used -= units_of(record);
    }
}

static void leave_all(struct skv_advise *advise, struct skv_advise_record *record)
{
    for (int size = 0; size < SKV_ADVISE_SIZES; size++) {
        leave(advise, record, size);
    }
}

/** Closes the gap with those behind it that may be nearer to their home. */
static void remove_at(struct skv_advise *advise, uint32_t at)
{
    struct skv_advise_record *const records = advise->records;
    const uint32_t mask = advise->mask;
    for (uint32_t next = (at + 1) & mask; records[next].key != 0; next = (next + 1) & mask) {
        const uint32_t home = home_of(advise, hash_of(&records[next]));
        if (((next - home) & mask) >= ((next - at) & mask)) {
            records[at] = records[next];
            at = next;
        }
    }
    records[at].key = 0;
    advise->count--;
}

/** Removes what is dead or sampled no more. */
static void purge(struct skv_advise *advise)
{
    for (uint32_t at = 0; at <= advise->mask;) {
        struct skv_advise_record *const record = &advise->records[at];
        const bool stays = record->key == 0 ||
                           (skv_sample_has(&advise->sample, hash_of(record)) && !is_dead(record));
        if (stays) {
            at++;
        } else {
            leave_all(advise, record);
            remove_at(advise, at);
        }
    }
}

static void make_place(struct skv_advise *advise)
{
    if (advise->count < advise->most) {
        return;
    }
    purge(advise);
    while (advise->count > advise->most / 8 * 7) {
        skv_sample_lower(&advise->sample);
        purge(advise);
    }
}

void skv_advise_clear(struct skv_advise *advise)
{
    if (advise->records == NULL) {
        return;
    }
    memset(advise->records, 0, (advise->mask + 1) * sizeof(*advise->records));
    skv_sample_clear(&advise->sample);
    advise->count = 0;
    advise->is_full = false;
    for (int size = 0; size < SKV_ADVISE_SIZES; size++) {
        advise->rams[size].used = 0;
        advise->rams[size].residents = 0;
    }
}

/** Starts anew with more keys where those that are sampled have become too few. */
static void sample_more(struct skv_advise *advise)
{
    const uint32_t residents = advise->rams[SKV_ADVISE_FOUR].residents;
    if (advise->is_full && advise->sample.threshold != SKV_SAMPLE_ALL &&
        residents < advise->most / FEW_PART) {
        skv_advise_clear(advise);
        skv_sample_raise(&advise->sample, advise->most / 2 / (residents + 1));
    }
}

/* One size. */

static uint32_t score(const struct skv_advise *advise, int size, uint32_t bits)
{
    const struct skv_policy *const policy = &advise->rams[size].policy;
    return advise->lessons != NULL ? skv_lesson_score(&advise->lessons[size], policy, bits)
                                   : skv_policy_score(policy, bits);
}

/** Examines a batch, of which at least one leaves. */
static void examine(struct skv_advise *advise, int size)
{
    struct skv_advise_ram *const ram = &advise->rams[size];
    struct skv_advise_record *batch[BATCH_MOST];
    uint32_t count = 0;
    uint32_t amount = ram->residents / BATCH_PART;
    amount = amount < BATCH_LEAST ? BATCH_LEAST : amount > BATCH_MOST ? BATCH_MOST : amount;
    struct skv_victims victims;
    skv_victims_init(&victims);
    for (uint32_t i = 0; i <= advise->mask && count < amount; i++) {
        struct skv_advise_record *const record = &advise->records[ram->hand];
        ram->hand = (ram->hand + 1) & advise->mask;
        if (record->key != 0 && is_resident(record, size)) {
            const uint32_t bits = record->bits[size] & POLICY_BITS;
            batch[count++] = record;
            skv_victims_add(&victims, score(advise, size, bits), (uint32_t)units_of(record),
                            skv_policy_is_unused(bits));
        }
    }
    (void)skv_victims_choose(&victims, SKV_VICTIMS_SOME, CHOSEN_PERCENT);
    for (uint32_t i = 0; i < count; i++) {
        if (skv_victims_take(&victims, victims.scores[i], victims.sizes[i])) {
            leave(advise, batch[i], size);
        }
    }
}

/** Looks for old ages, as sweep.h. */
static void sweep(struct skv_advise *advise, int size)
{
    struct skv_advise_ram *const ram = &advise->rams[size];
    const uint32_t places = advise->mask + 1;
    const uint32_t count = 4 * places / (SKV_SWEEP_TICKS * ram->residents) + 1;
    for (uint32_t i = 0; i < count; i++) {
        struct skv_advise_record *const record = &advise->records[ram->sweep];
        ram->sweep = (ram->sweep + 1) & advise->mask;
        if (record->key == 0) {
            continue;
        }
        const uint32_t bits = record->bits[size] & POLICY_BITS;
        if (advise->lessons != NULL) {
            skv_lesson_meet(&advise->lessons[size], &ram->policy, bits);
        }
        record->bits[size] =
            (uint16_t)((record->bits[size] & RESIDENT) | skv_policy_expire(&ram->policy, bits));
    }
}

static void bring_in(struct skv_advise *advise, struct skv_advise_record *record, int size)
{
    struct skv_advise_ram *const ram = &advise->rams[size];
    const uint64_t units = units_of(record);
    const double scaled = (double)ram->capacity * advise->sample.part;
    const uint64_t capacity = scaled < (double)(UINT64_MAX / 2) ? (uint64_t)scaled : UINT64_MAX / 2;
    const bool fits = units <= capacity / LARGE_PART;
    if (ram->used + units > capacity) {
        advise->is_full = advise->is_full || size == SKV_ADVISE_FOUR;
    }
    while (ram->residents > 0 && ram->used + (fits ? units : 0) > capacity) {
        examine(advise, size);
    }
    if (!fits) {
        return;
    }
    record->bits[size] |= RESIDENT;
    ram->used += units;
    ram->residents++;
    skv_policy_miss(&ram->policy, ram->residents);
    if (advise->lessons != NULL) {
        skv_lesson_miss(&advise->lessons[size], ram->residents, advise->sample.part);
    }
    sweep(advise, size);
}

/** A use of a key whose history the size has, or got from the shard just now. */
static void use(struct skv_advise *advise, struct skv_advise_record *record, int size,
                bool from_shard)
{
    struct skv_advise_ram *const ram = &advise->rams[size];
    const uint32_t bits = record->bits[size] & POLICY_BITS;
    if (advise->lessons != NULL && !from_shard) {
        skv_lesson_use(&advise->lessons[size], &ram->policy, bits);
    }
    record->bits[size] =
        (uint16_t)((record->bits[size] & RESIDENT) | skv_policy_use(&ram->policy, bits));
}

static void count_get(struct skv_advise *advise, const struct skv_advise_record *record)
{
    advise->samples++;
    for (int size = 0; size < SKV_ADVISE_SIZES; size++) {
        if (!is_resident(record, size)) {
            advise->rams[size].misses += 1 / advise->sample.part;
        }
    }
}

/* All sizes. */

/** The history that the shard has of a key, in ticks and gaps of a size. */
static uint32_t translate(const struct skv_advise *advise, int size,
                          const struct skv_advise_key *key)
{
    const struct skv_policy *const policy = &advise->rams[size].policy;
    const int larger = size - SKV_ADVISE_ONE;
    const uint32_t age = skv_policy_age(key->policy, key->bits);
    const uint32_t now = larger < 0 ? age * 2 : age >> larger;
    /* A class of gaps is about twice the one above it. */
    const int gap = (int)(key->bits & 7);
    const int scaled = gap + larger > 7 ? 7 : gap + larger < 1 ? 1 : gap + larger;
    uint32_t bits = (key->bits & 0x78) | (gap != 0 ? (uint32_t)scaled : 0);
    if (age != SKV_POLICY_ANCIENT && now < SKV_POLICY_EXPIRED) {
        bits |= (policy->now > now ? policy->now - now : policy->now + SKV_POLICY_TICKS - now) << 7;
    }
    return bits;
}

/** Adds a record; NULL if the key is no longer sampled. */
static struct skv_advise_record *add(struct skv_advise *advise, const struct skv_advise_key *key,
                                     uint64_t units)
{
    const uint64_t hash = key->hash & SKV_SAMPLE_MASK;
    make_place(advise);
    if (!skv_sample_has(&advise->sample, hash)) {
        return NULL;
    }
    struct skv_advise_record *const record = find(advise, hash);
    record->key = hash << HASH_SHIFT | units;
    for (int size = 0; size < SKV_ADVISE_SIZES; size++) {
        record->bits[size] = (uint16_t)translate(advise, size, key);
    }
    advise->count++;
    return record;
}

static void resize(struct skv_advise *advise, struct skv_advise_record *record, uint64_t units)
{
    for (int size = 0; size < SKV_ADVISE_SIZES; size++) {
        if (is_resident(record, size)) {
            advise->rams[size].used += units - units_of(record);
        }
    }
    record->key = hash_of(record) << HASH_SHIFT | units;
}

static void note(struct skv_advise *advise, const struct skv_advise_key *key, bool is_get,
                 bool is_use)
{
    const uint64_t hash = key->hash & SKV_SAMPLE_MASK;
    uint64_t units = (key->bytes + 7) / 8;
    units = units < 1 ? 1 : units < UNITS_MOST ? units : UNITS_MOST;
    sample_more(advise);
    if (!is_get && !is_use) {
        skv_sample_add(&advise->sample, hash);
    }
    skv_sample_compare(&advise->sample, key->keys);
    struct skv_advise_record *record = find(advise, hash);
    const bool is_new = record->key == 0;
    if (is_new) {
        record = add(advise, key, units);
        if (record == NULL) {
            return;
        }
    } else if (units_of(record) != units) {
        resize(advise, record, units);
    }
    if (is_get && (advise->is_full || !is_new)) {
        count_get(advise, record);
    }
    for (int size = 0; size < SKV_ADVISE_SIZES; size++) {
        if (is_use) {
            use(advise, record, size, is_new);
        }
        if (!is_resident(record, size)) {
            advise->rams[size].policy.scores = key->policy->scores;
            bring_in(advise, record, size);
        }
    }
}

void skv_advise_get(struct skv_advise *advise, const struct skv_advise_key *key)
{
    note(advise, key, true, true);
}

void skv_advise_insert(struct skv_advise *advise, const struct skv_advise_key *key)
{
    note(advise, key, false, false);
}

void skv_advise_overwrite(struct skv_advise *advise, const struct skv_advise_key *key)
{
    note(advise, key, false, true);
}

void skv_advise_missed(struct skv_advise *advise, uint64_t hash)
{
    struct skv_advise_record *const record = find(advise, hash & SKV_SAMPLE_MASK);
    count_get(advise, record);
    for (int size = 0; size < SKV_ADVISE_SIZES && record->key != 0; size++) {
        if (is_resident(record, size)) {
            use(advise, record, size, false);
        }
    }
}

void skv_advise_leave(struct skv_advise *advise, uint64_t hash)
{
    struct skv_advise_record *const record = find(advise, hash & SKV_SAMPLE_MASK);
    if (record->key != 0) {
        leave_all(advise, record);
        remove_at(advise, (uint32_t)(record - advise->records));
    }
}

void skv_advise_del(struct skv_advise *advise, uint64_t hash)
{
    skv_sample_remove(&advise->sample, hash);
    skv_advise_leave(advise, hash);
}

static double within(double number, double least, double most)
{
    return number < least ? least : number > most ? most : number;
}

void skv_advise_expect(const double misses[SKV_ADVISE_SIZES], double gets, double hits,
                       double expected[SKV_ADVISE_SIZES])
{
    const double now = misses[SKV_ADVISE_ONE];
    expected[SKV_ADVISE_HALF] = within(hits - (misses[SKV_ADVISE_HALF] - now), 0, hits);
    expected[SKV_ADVISE_ONE] = hits;
    for (int size = SKV_ADVISE_TWICE; size < SKV_ADVISE_SIZES; size++) {
        const double left = now > 0 ? misses[size] / now : 1;
        expected[size] = within(gets - (gets - hits) * left, expected[size - 1], gets);
    }
}

bool skv_advise_check(const struct skv_advise *advise)
{
    uint32_t count = 0;
    uint32_t residents[SKV_ADVISE_SIZES] = {0};
    uint64_t used[SKV_ADVISE_SIZES] = {0};
    for (uint32_t at = 0; advise->records != NULL && at <= advise->mask; at++) {
        const struct skv_advise_record *const record = &advise->records[at];
        if (record->key == 0) {
            continue;
        }
        count++;
        SKV_CHECK(find(advise, hash_of(record)) == record);
        SKV_CHECK(skv_sample_has(&advise->sample, hash_of(record)));
        for (int size = 0; size < SKV_ADVISE_SIZES; size++) {
            residents[size] += is_resident(record, size);
            used[size] += is_resident(record, size) ? units_of(record) : 0;
        }
    }
    SKV_CHECK(count == advise->count && count <= advise->most);
    for (int size = 0; size < SKV_ADVISE_SIZES; size++) {
        SKV_CHECK(residents[size] == advise->rams[size].residents);
        SKV_CHECK(used[size] == advise->rams[size].used);
    }
    return true;
}
