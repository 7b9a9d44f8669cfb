/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. The line is drawn by counting, not by sorting, and exactly: sizes are summed by the upper
 * 8 bits of the scores, then, of those with which the wanted part of the whole is reached, by the
 * lower 8. Of equal scores the first ones go.
 *
 * The upper bits alone were tried: a step of 3 % of the score hides which of the entries that are
 * not yet due is the youngest, and a sixteenth of all that is gained over LRU is lost.
 *
 * While nothing of a batch was ever used (a pure load) all of it is chosen: no copy would gain
 * anything.
 */
#include "table/victims.h"

#define BINS 256u

uint64_t skv_victims_survivors(uint64_t amount, uint64_t newcomers, uint64_t survivors)
{
    const uint64_t sum = newcomers * SKV_VICTIMS_NEWCOMERS_RATE + survivors;
    return sum != 0 ? amount * survivors / sum : 0;
}

/* The bin in which the first `*left` of the sizes end; *left becomes what is to be taken of it. */
static uint32_t find_bin(const size_t bins[BINS], size_t *left)
{
    uint32_t bin = 0;
    while (bin < BINS - 1 && bins[bin] < *left) {
        *left -= bins[bin++];
    }
    return bin;
}

static void draw_line(struct skv_victims *victims, uint32_t percent)
{
    size_t upper[BINS] = {0};
    size_t lower[BINS] = {0};
    for (uint32_t i = 0; i < victims->count; i++) {
        upper[victims->scores[i] >> 8] += victims->sizes[i];
    }
    victims->quota = victims->size * percent / 100 + 1;
    const uint32_t high = find_bin(upper, &victims->quota);
    for (uint32_t i = 0; i < victims->count; i++) {
        if (victims->scores[i] >> 8 == high) {
            lower[victims->scores[i] & 255] += victims->sizes[i];
        }
    }
    victims->below = high << 8 | find_bin(lower, &victims->quota);
}

bool skv_victims_choose(struct skv_victims *victims, enum skv_victims_wish wish, uint32_t percent)
{
    const bool is_load = victims->all_unused && victims->count >= SKV_VICTIMS_LOAD_LEAST;
    const bool is_part = wish == SKV_VICTIMS_SOME && !is_load;
    victims->below = 0;
    victims->quota = 0;
    if (is_part) {
        draw_line(victims, percent);
    } else if (wish != SKV_VICTIMS_NONE) {
        victims->below = UINT16_MAX + 1;
    }
    return is_part;
}

bool skv_victims_take(struct skv_victims *victims, uint32_t score, uint32_t size)
{
    if (score != victims->below) {
        return score < victims->below;
    }
    if (victims->quota == 0) {
        return false;
    }
    victims->quota -= size < victims->quota ? size : victims->quota;
    return true;
}
