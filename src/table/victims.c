/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. The line is drawn by counting, not by sorting: sizes are summed in bins by score, and the
 * bin in which the wanted part of the whole is reached is chosen in part, first come first. A bin
 * is a range of 3 % of the score.
 *
 * While nothing of a batch was ever used (a pure load) all of it is chosen: no copy would gain
 * anything.
 */
#include "table/victims.h"

#include <string.h>

uint64_t skv_victims_survivors(uint64_t amount, uint64_t newcomers, uint64_t survivors)
{
    const uint64_t sum = newcomers * SKV_VICTIMS_NEWCOMERS_RATE + survivors;
    return sum != 0 ? amount * survivors / sum : 0;
}

void skv_victims_init(struct skv_victims *victims)
{
    memset(victims->bins, 0, sizeof(victims->bins));
    victims->size = 0;
    victims->all_unused = true;
}

void skv_victims_choose(struct skv_victims *victims, enum skv_victims_wish wish)
{
    victims->below = 0;
    victims->quota = 0;
    if (wish == SKV_VICTIMS_NONE) {
        return;
    }
    if (wish == SKV_VICTIMS_ALL || victims->all_unused) {
        victims->below = SKV_VICTIMS_BINS;
        return;
    }
    size_t left = victims->size * SKV_VICTIMS_PERCENT / 100 + 1;
    uint32_t bin = 0;
    while (bin < SKV_VICTIMS_BINS - 1 && victims->bins[bin] < left) {
        left -= victims->bins[bin++];
    }
    victims->below = bin;
    victims->quota = left;
}

bool skv_victims_take(struct skv_victims *victims, uint32_t score, size_t size)
{
    const uint32_t bin = score >> 8;
    if (bin != victims->below) {
        return bin < victims->below;
    }
    if (victims->quota == 0) {
        return false;
    }
    victims->quota -= size < victims->quota ? size : victims->quota;
    return true;
}
