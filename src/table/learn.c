/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. In one tick an entry of age a is used with probability
 *
 *     h(a) = formula(a) * (uses(a) + PRIOR) / (formula(a) * slots(a) * ticks + PRIOR)
 *
 * where formula(a) is the formula's score times the one rate that makes the uses it foretells those
 * seen; so of nothing seen the formula remains, and of much seen the quotient. From the h of ages
 * to come follow the uses and the time in RAM to be expected within the horizon, and their quotient
 * V. The score is the formula's, times (V as learned / V as the formula has it) ^ 3/4.
 *
 * Measured on 13 published traces, in points of fewer misses than LRU: the exponent 1 instead of
 * 3/4 loses 0.4, fading half as fast 0.1. With a horizon of four cache-fulls instead of one
 * less is gained where popularity drifts.
 *
 * Doubles, but only operations that IEEE 754 rounds in one way (the build forbids fusing them), so
 * the scores are the same on every machine. A score's 16 bits are the upper ones of a float, which
 * are in its order.
 */
#include "table/learn.h"

#include <math.h>
#include <string.h>

#include "table/policy.h"
#include "table/sweep.h"

/* Uses that the formula counts for. */
#define PRIOR ((double)(2 * SKV_LEARN_UNIT))
/* Ticks to look ahead. */
#define HORIZON 4u
/* A turn takes 1 / FADING of the counts. */
#define FADING 32u
/* No entry is as sure to be used in one tick. */
#define CHANCE_MOST 0.95

/* As the scores of a float are cut: 2^-16 .. 2^16, in steps of 1 / SKV_LEARN_OCTAVE. */
#define FLOAT_SHIFT 12u
_Static_assert(1u << (23u - FLOAT_SHIFT) == SKV_LEARN_OCTAVE, "an octave is an exponent");
#define FLOAT_LOWEST ((127u - 16u) << (23u - FLOAT_SHIFT))

static double at_most(double number, double most)
{
    return number < most ? number : most;
}

/* The uses per tick that are to be expected of an entry of each age while it is kept. */
static void find_values(const double chances[SKV_LEARN_AGES], double values[SKV_LEARN_AGES])
{
    for (uint32_t age = 0; age < SKV_LEARN_AGES; age++) {
        double left = 1; /* the part not yet used */
        double time = 0;
        for (uint32_t tick = age; tick < age + HORIZON; tick++) {
            const double chance =
                at_most(chances[tick < SKV_LEARN_AGES ? tick : SKV_LEARN_AGES - 1], CHANCE_MOST);
            time += left * (1 - chance / 2);
            left *= 1 - chance;
        }
        values[age] = (1 - left) / time;
    }
}

uint16_t skv_learn_score(double worth)
{
    const float rounded = (float)worth;
    uint32_t bits;
    memcpy(&bits, &rounded, sizeof(bits));
    bits >>= FLOAT_SHIFT;
    bits = bits < FLOAT_LOWEST ? 0 : bits - FLOAT_LOWEST;
    return (uint16_t)(bits < UINT16_MAX ? bits : UINT16_MAX);
}

void skv_learn_init(struct skv_learn *learn)
{
    memset(learn, 0, sizeof(*learn));
    for (uint32_t i = 0; i < SKV_LEARN_CELLS; i++) {
        learn->scores[i] = skv_learn_score(skv_policy_formula(i));
    }
}

void skv_learn_fade(uint32_t *count)
{
    *count -= (*count + FADING - 1) / FADING;
}

double skv_learn_expected(double chance, uint32_t met)
{
    return chance * met * SKV_SWEEP_TICKS;
}

void skv_learn_weigh(const double formula[SKV_LEARN_AGES], const double learned[SKV_LEARN_AGES],
                     double weights[SKV_LEARN_AGES])
{
    double formula_values[SKV_LEARN_AGES];
    double learned_values[SKV_LEARN_AGES];
    find_values(formula, formula_values);
    find_values(learned, learned_values);
    for (uint32_t age = 0; age < SKV_LEARN_AGES; age++) {
        const double ratio = learned_values[age] / formula_values[age];
        weights[age] = sqrt(ratio * sqrt(ratio));
    }
}

static void score_class(struct skv_learn *learn, uint32_t first)
{
    double formula[SKV_LEARN_AGES];
    double learned[SKV_LEARN_AGES];
    double weights[SKV_LEARN_AGES];
    for (uint32_t age = 0; age < SKV_LEARN_AGES; age++) {
        const uint32_t i = first + age;
        const double chance = learn->rate * skv_policy_formula(i);
        const double expected = skv_learn_expected(chance, learn->met[i]);
        formula[age] = chance;
        learned[age] = chance * (learn->uses[i] + PRIOR) / (expected + PRIOR);
    }
    skv_learn_weigh(formula, learned, weights);
    for (uint32_t age = 0; age < SKV_LEARN_AGES; age++) {
        const double worth = skv_policy_formula(first + age) * weights[age];
        learn->scores[first + age] = skv_learn_score(worth);
    }
}

void skv_learn_step(struct skv_learn *learn)
{
    const uint32_t first = learn->next * SKV_LEARN_AGES;
    if (learn->rate > 0) {
        score_class(learn, first);
    }
    for (uint32_t i = first; i < first + SKV_LEARN_AGES; i++) {
        learn->uses_sum += learn->uses[i];
        learn->expected_sum += skv_learn_expected(skv_policy_formula(i), learn->met[i]);
        skv_learn_fade(&learn->uses[i]);
        skv_learn_fade(&learn->met[i]);
    }
    if (++learn->next == SKV_LEARN_CLASSES) {
        if (learn->uses_sum > 0 && learn->expected_sum > 0) {
            learn->rate = learn->uses_sum / learn->expected_sum;
        }
        learn->next = 0;
        learn->uses_sum = 0;
        learn->expected_sum = 0;
    }
}

void skv_learn_miss(struct skv_learn *learn, uint64_t residents)
{
    learn->credit += UINT64_C(4) * SKV_LEARN_CLASSES;
    if (learn->credit >= residents) {
        learn->credit = 0;
        skv_learn_step(learn);
    }
}
