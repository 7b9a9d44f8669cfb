/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. The formula grows with f + 1, so a class of several f has one formula, that of f = 0, if
 * its entries are counted f + 1 times. What it foretells counts for as many uses as the classes of
 * learn.c that are one here do together, and for less if only a part of the keys is seen: by the
 * root of the part, as its noise is larger too.
 */
#include "table/lesson.h"

#include <math.h>
#include <string.h>

#define F_HIGH 4u /* f from here on is the second class */
/** Uses that the formula counts for. */
#define PRIOR ((double)(8 * SKV_LEARN_UNIT))

static uint32_t cell_of(const struct skv_policy *policy, uint32_t bits)
{
    const uint32_t high = (bits >> 3 & 15) >= F_HIGH;
    return high << 8 | (bits & 7) << 5 | skv_policy_age(policy, bits);
}

void skv_lesson_init(struct skv_lesson *lesson)
{
    memset(lesson, 0, sizeof(*lesson));
    for (uint32_t i = 0; i < SKV_LESSON_CELLS; i++) {
        lesson->weights[i] = 1;
    }
}

void skv_lesson_use(struct skv_lesson *lesson, const struct skv_policy *policy, uint32_t bits)
{
    skv_learn_count(&lesson->uses[cell_of(policy, bits)]);
}

void skv_lesson_meet(struct skv_lesson *lesson, const struct skv_policy *policy, uint32_t bits)
{
    skv_learn_count_many(&lesson->met[cell_of(policy, bits)], (bits >> 3 & 15) + 1);
}

static void weigh_class(struct skv_lesson *lesson, uint32_t first, double prior)
{
    /* f + 1 of an entry in the middle of each class. */
    static const double middles[] = {2, 8};
    double formula[SKV_LEARN_AGES];
    double learned[SKV_LEARN_AGES];
    double weights[SKV_LEARN_AGES];
    const double middle = middles[first >> 8];
    for (uint32_t age = 0; age < SKV_LEARN_AGES; age++) {
        const uint32_t i = first + age;
        const double chance = lesson->rate * skv_policy_formula(i & 255);
        const double expected = skv_learn_expected(chance, lesson->met[i]);
        formula[age] = chance * middle;
        learned[age] = chance * middle * (lesson->uses[i] + prior) / (expected + prior);
    }
    skv_learn_weigh(formula, learned, weights);
    for (uint32_t age = 0; age < SKV_LEARN_AGES; age++) {
        lesson->weights[first + age] = (float)weights[age];
    }
}

static void step(struct skv_lesson *lesson, double prior)
{
    const uint32_t first = lesson->next * SKV_LEARN_AGES;
    if (lesson->rate > 0) {
        weigh_class(lesson, first, prior);
    }
    for (uint32_t i = first; i < first + SKV_LEARN_AGES; i++) {
        lesson->uses_sum += lesson->uses[i];
        lesson->expected_sum += skv_learn_expected(skv_policy_formula(i & 255), lesson->met[i]);
        skv_learn_fade(&lesson->uses[i]);
        skv_learn_fade(&lesson->met[i]);
    }
    if (++lesson->next == SKV_LESSON_CLASSES) {
        if (lesson->uses_sum > 0 && lesson->expected_sum > 0) {
            lesson->rate = lesson->uses_sum / lesson->expected_sum;
        }
        lesson->next = 0;
        lesson->uses_sum = 0;
        lesson->expected_sum = 0;
    }
}

void skv_lesson_miss(struct skv_lesson *lesson, uint64_t residents, double part)
{
    lesson->credit += UINT64_C(4) * SKV_LESSON_CLASSES;
    if (lesson->credit >= residents) {
        lesson->credit = 0;
        step(lesson, PRIOR * sqrt(part));
    }
}

uint32_t skv_lesson_score(const struct skv_lesson *lesson, const struct skv_policy *policy,
                          uint32_t bits)
{
    const double weight = (double)lesson->weights[cell_of(policy, bits)];
    return skv_learn_score(skv_policy_formula(skv_policy_cell(policy, bits)) * weight);
}
