/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "table/lesson.h"

static struct skv_policy policy;
static struct skv_lesson lesson;

static void set_up(void)
{
    skv_policy_init(&policy, SKV_POLICY_SLOT12, 1);
    policy.now = 20;
    skv_lesson_init(&lesson);
}

TestSuite(lesson, .init = set_up);

static uint32_t bits_of(uint32_t f, uint32_t g, uint32_t age)
{
    return (policy.now - age) << 7 | f << 3 | g;
}

/* All classes are worked over so many times. */
static void work(unsigned turns)
{
    for (unsigned i = 0; i < turns * SKV_LESSON_CLASSES; i++) {
        skv_lesson_miss(&lesson, 1, 1);
    }
}

/* Every history up to an age of 15 is met, and used as often as its formula says, but one, which is
 * used `factor` times as often. */
static void see(uint32_t special, double factor)
{
    for (uint32_t i = 0; i < 16 * 8 * 16; i++) {
        const uint32_t bits = bits_of(i >> 7, i >> 4 & 7, i & 15);
        for (int n = 0; n < 40; n++) {
            skv_lesson_meet(&lesson, &policy, bits);
        }
        const double formula = skv_policy_formula(skv_policy_cell(&policy, bits));
        const double uses = formula * (bits == special ? factor : 1);
        for (int n = 0; n < (int)(uses + 0.5); n++) {
            skv_lesson_use(&lesson, &policy, bits);
        }
    }
}

Test(lesson, scores_as_a_policy_that_learned_nothing)
{
    static struct skv_learn learn;
    skv_policy_learn(&policy, &learn);
    for (uint32_t i = 0; i < 16 * 8 * 16; i++) {
        const uint32_t bits = bits_of(i >> 7, i >> 4 & 7, i & 15);
        cr_assert(
            eq(u32, skv_lesson_score(&lesson, &policy, bits), skv_policy_score(&policy, bits)));
    }
}

Test(lesson, raises_what_is_used_more_than_the_formula_says)
{
    const uint32_t special = bits_of(1, 3, 6);
    see(0, 1);
    work(1);
    see(special, 200);
    work(1);
    cr_expect(gt(dbl, lesson.rate, 0));
    const uint32_t raised = skv_lesson_score(&lesson, &policy, special);
    skv_lesson_init(&lesson);
    cr_expect(gt(u32, raised, skv_lesson_score(&lesson, &policy, special) + SKV_LEARN_OCTAVE / 4));
}

Test(lesson, gives_up_the_formula_sooner_for_a_smaller_part_of_the_keys)
{
    const uint32_t special = bits_of(1, 3, 6);
    uint32_t scores[2];
    for (int i = 0; i < 2; i++) {
        skv_lesson_init(&lesson);
        lesson.rate = 0.001;
        for (int n = 0; n < 4; n++) {
            skv_lesson_use(&lesson, &policy, special);
        }
        for (unsigned n = 0; n < SKV_LESSON_CLASSES; n++) {
            skv_lesson_miss(&lesson, 1, i == 0 ? 1 : 0.01);
        }
        scores[i] = skv_lesson_score(&lesson, &policy, special);
    }
    cr_expect(gt(u32, scores[1], scores[0]));
}

Test(lesson, forgets)
{
    const uint32_t special = bits_of(1, 3, 6);
    see(special, 200);
    const uint32_t before = lesson.uses[3 << 5 | 6];
    work(1);
    cr_expect(lt(u32, lesson.uses[3 << 5 | 6], before));
    work(2000);
    cr_expect(eq(u32, lesson.uses[3 << 5 | 6], 0));
    cr_expect(eq(u32, lesson.met[3 << 5 | 6], 0));
}

Test(lesson, works_over_a_class_for_a_part_of_the_residents)
{
    for (uint32_t i = 0; i < 256; i++) {
        skv_lesson_miss(&lesson, 1024, 1);
    }
    /* All classes while a quarter of the residents comes in. */
    cr_expect(eq(u32, lesson.next, 0));
    cr_expect(eq(u64, lesson.credit, 0));
}
