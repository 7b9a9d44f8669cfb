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
#define SKV_VICTIMS_PERCENT 15
/** Newcomers are examined at this many times the rate of their share. */
#define SKV_VICTIMS_NEWCOMERS_RATE 3
/** Entries of a batch at most. */
#define SKV_VICTIMS_MAX 512u
/** With fewer entries a batch does not tell a load from anything else. */
#define SKV_VICTIMS_LOAD_LEAST 32u

enum skv_victims_wish {
    SKV_VICTIMS_SOME, /* the lowest-scored part; all of a load */
    SKV_VICTIMS_ALL,
    SKV_VICTIMS_NONE
};

struct skv_victims {
    uint16_t scores[SKV_VICTIMS_MAX];
    uint32_t sizes[SKV_VICTIMS_MAX];
    uint32_t count;
    bool all_unused; /* none was used since it came */
    size_t size;     /* of all together */
    uint32_t below;  /* lower scores are chosen */
    size_t quota;    /* to be chosen of score `below` */
};

/** How much of a batch of `amount` is to come from the survivors, by how much is in the logs. */
uint64_t skv_victims_survivors(uint64_t amount, uint64_t newcomers, uint64_t survivors);

/** Starts a batch. */
static inline void skv_victims_init(struct skv_victims *victims)
{
    victims->count = 0;
    victims->all_unused = true;
    victims->size = 0;
}

/** Adds one of at most SKV_VICTIMS_MAX entries, with its score and its size in any unit. */
static inline void skv_victims_add(struct skv_victims *victims, uint32_t score, uint32_t size,
                                   bool is_unused)
{
    victims->scores[victims->count] = (uint16_t)score;
    victims->sizes[victims->count++] = size;
    victims->all_unused = victims->all_unused && is_unused;
    victims->size += size;
}

/**
 * Draws the line; all entries were added. May be called again.
 *
 * @param percent  how much of the size SKV_VICTIMS_SOME means
 * @return whether a part was chosen, rather than all or none
 */
bool skv_victims_choose(struct skv_victims *victims, enum skv_victims_wish wish, uint32_t percent);

/** Whether an entry that was added is chosen. Ask once for each, in the order in which of equal
 *  ones the first are to go. */
bool skv_victims_take(struct skv_victims *victims, uint32_t score, uint32_t size);

#endif
