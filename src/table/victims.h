/* SPDX-License-Identifier: MIT */
/**
 * Which of a batch of examined entries leave RAM.
 *
 * A batch is taken from the old ends of two logs, newcomers (entries new in RAM) and survivors
 * (entries examined and kept), and of what is in it a part with the lowest scores is chosen:
 *
 *     init, add ... add, choose, take ... take
 *
 * Knows scores and sizes only, neither where entries are nor who keeps them, so that the store and
 * the simulation in bench/hitrate choose by the same code.
 *
 * Threads: none here; a batch belongs to its caller.
 */
#ifndef SKV_TABLE_VICTIMS_H
#define SKV_TABLE_VICTIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Of what is examined so much is chosen: see src/README.md for the measurement. */
#define SKV_VICTIMS_PERCENT 20
/** Newcomers are examined at this many times the rate of their share. */
#define SKV_VICTIMS_NEWCOMERS_RATE 3
/** Scores are told apart by their upper 8 bits. */
#define SKV_VICTIMS_BINS 256

enum skv_victims_wish {
    SKV_VICTIMS_SOME, /* the lowest-scored part, all when none was ever used */
    SKV_VICTIMS_ALL,
    SKV_VICTIMS_NONE
};

struct skv_victims {
    size_t bins[SKV_VICTIMS_BINS]; /* sizes by score */
    size_t size;                   /* of all entries added */
    bool all_unused;               /* none was used since it came */
    uint32_t below;                /* scores in lower bins are chosen */
    size_t quota;                  /* to be chosen of bin `below` */
};

/** How much of a batch of `amount` is to come from the survivors, by how much is in the logs. */
uint64_t skv_victims_survivors(uint64_t amount, uint64_t newcomers, uint64_t survivors);

void skv_victims_init(struct skv_victims *victims);

/** Adds an entry that is not garbage, with its score and its size in any unit. */
static inline void skv_victims_add(struct skv_victims *victims, uint32_t score, size_t size,
                                   bool is_unused)
{
    victims->bins[score >> 8] += size;
    victims->size += size;
    victims->all_unused = victims->all_unused && is_unused;
}

/** Draws the line; all entries were added. */
void skv_victims_choose(struct skv_victims *victims, enum skv_victims_wish wish);

/** Whether an entry that was added is chosen. Ask once for each, in the order in which of equal
 *  ones the first are to go. */
bool skv_victims_take(struct skv_victims *victims, uint32_t score, size_t size);

#endif
