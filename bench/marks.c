/* SPDX-License-Identifier: MIT */
/**
 * A version grows by one when a key is deleted or comes back, and by two when it is overwritten.
 * Bits beside it say what is going on, so that a reader knows all states that it may see the key
 * in: from the version before it looked up to the one after, and the next one if a change goes on.
 */
#include "marks.h"

#include <stdatomic.h>

#include "child.h"
#include "workload.h"

#define VERSION  UINT32_C(0x3fffffff)
#define SETTING  UINT32_C(0x40000000)
#define DELETING UINT32_C(0x80000000)
#define CHANGING (SETTING | DELETING)

static bool is_present(uint32_t version)
{
    return version % 2 != 0;
}

static uint32_t version_after(uint32_t version, uint32_t change)
{
    const unsigned step = change == SETTING && is_present(version) ? 2 : 1;
    return (version + step) & VERSION;
}

bool marks_init(struct marks *marks, uint64_t capacity)
{
    *marks =
        (struct marks){.words = child_share(capacity * sizeof *marks->words), .capacity = capacity};
    return marks->words != NULL;
}

void marks_fini(struct marks *marks)
{
    child_unshare(marks->words, marks->capacity * sizeof *marks->words);
    *marks = (struct marks){0};
}

void marks_prefetch(const struct marks *marks, uint64_t index)
{
    __builtin_prefetch(&marks->words[index], 1);
}

bool marks_present(const struct marks *marks, uint64_t index)
{
    return is_present(atomic_load(&marks->words[index]) & VERSION);
}

static bool claim(struct marks *marks, uint64_t index, uint32_t change,
                  struct marks_claim *claim_out)
{
    uint32_t before = atomic_load(&marks->words[index]);
    *claim_out = (struct marks_claim){
        .index = index, .before = before, .after = version_after(before, change)};
    return (before & CHANGING) == 0 && (change == SETTING || is_present(before)) &&
           atomic_compare_exchange_strong(&marks->words[index], &before, before | change);
}

bool marks_claim_set(struct marks *marks, uint64_t index, struct marks_claim *claim_out)
{
    return claim(marks, index, SETTING, claim_out);
}

bool marks_claim_del(struct marks *marks, uint64_t index, struct marks_claim *claim_out)
{
    return claim(marks, index, DELETING, claim_out);
}

void marks_settle(struct marks *marks, const struct marks_claim *claim)
{
    atomic_store(&marks->words[claim->index], claim->after);
}

/* The number that all of a value follows from. */
static uint64_t stamp_of(const uint8_t *key, uint32_t version)
{
    uint64_t word;
    memcpy(&word, key, sizeof word);
    return workload_mix(word ^ version);
}

void marks_value(const struct marks_claim *claim, const uint8_t *key, uint8_t *value, size_t size)
{
    const uint64_t stamp = stamp_of(key, claim->after);
    workload_value((const uint8_t *)&stamp, value, size);
}

struct marks_view marks_look(const struct marks *marks, uint64_t index)
{
    return (struct marks_view){.index = index, .before = atomic_load(&marks->words[index])};
}

enum marks_verdict marks_judge(const struct marks *marks, struct marks_view view,
                               enum engine_answer answer, const uint8_t *key, const uint8_t *value,
                               size_t size)
{
    const uint32_t now = atomic_load(&marks->words[view.index]);
    const uint32_t first = view.before & VERSION;
    const uint32_t change = now & CHANGING;
    const uint32_t last = change != 0 ? version_after(now & VERSION, change) : now & VERSION;
    const uint32_t steps = (last - first) & VERSION;
    bool absent = !is_present(first);
    for (uint32_t i = 0; i <= steps; i++) {
        const uint32_t version = (first + i) & VERSION;
        absent = absent || (marks->deletes && !is_present(version));
        const uint64_t stamp = stamp_of(key, version);
        if (answer == ENGINE_FOUND && is_present(version) &&
            workload_value_is((const uint8_t *)&stamp, value, size)) {
            return MARKS_RIGHT;
        }
    }
    if (answer == ENGINE_FOUND) {
        return MARKS_WRONG;
    }
    return absent ? MARKS_RIGHT : MARKS_MISSING;
}
