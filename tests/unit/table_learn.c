/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "table/learn.h"
#include "table/policy.h"

static struct skv_policy policy;
static struct skv_learn learn;

static void set_up(void)
{
    skv_policy_init(&policy, SKV_POLICY_SLOT12, 1);
    skv_policy_learn(&policy, &learn);
}

TestSuite(learn, .init = set_up);

static uint32_t cell_of(uint32_t f, uint32_t g, uint32_t age)
{
    return (f << 3 | g) << 5 | age;
}

static void work(unsigned turns)
{
    for (unsigned i = 0; i < turns * SKV_LEARN_CLASSES; i++) {
        skv_learn_step(&learn);
    }
}

/* Slots met and uses found, turn by turn, as often as the formula foretells, times `factor`. */
static void see(uint32_t cell, uint32_t slots, double factor)
{
    for (uint32_t i = 0; i < slots; i++) {
        skv_learn_count(&learn.met[cell]);
    }
    const double uses = slots * 3 * skv_policy_formula(cell) / 100 * factor;
    for (uint32_t i = 0; i < (uint32_t)uses; i++) {
        skv_learn_count(&learn.uses[cell]);
    }
}

Test(learn, starts_in_the_order_of_the_formula)
{
    for (uint32_t i = 1; i < SKV_LEARN_CELLS; i++) {
        const double here = skv_policy_formula(i);
        const double before = skv_policy_formula(i - 1);
        if (here > before * 1.001) {
            cr_assert(gt(u32, learn.scores[i], learn.scores[i - 1]));
        } else if (here < before * 0.999) {
            cr_assert(lt(u32, learn.scores[i], learn.scores[i - 1]));
        }
    }
}

Test(learn, keeps_the_formula_while_nothing_is_seen)
{
    static struct skv_learn before;
    before = learn;
    work(50);
    cr_expect(eq(int, memcmp(before.scores, learn.scores, sizeof(learn.scores)), 0));
}

Test(learn, keeps_the_formula_where_it_is_right)
{
    static struct skv_learn before;
    before = learn;
    for (unsigned turn = 0; turn < 40; turn++) {
        for (uint32_t age = 0; age < SKV_LEARN_AGES; age++) {
            see(cell_of(2, 3, age), 20000, 1);
        }
        work(1);
    }
    for (uint32_t age = 0; age < SKV_LEARN_AGES; age++) {
        const int was = before.scores[cell_of(2, 3, age)];
        const int is = learn.scores[cell_of(2, 3, age)];
        /* 2048 are a factor of two. */
        cr_expect(lt(int, abs(was - is), 200), "age %u: %d, %d", age, was, is);
    }
}

Test(learn, raises_what_is_used_more_than_foretold)
{
    for (unsigned turn = 0; turn < 40; turn++) {
        for (uint32_t age = 0; age < SKV_LEARN_AGES; age++) {
            see(cell_of(2, 3, age), 1000, 1);
            see(cell_of(5, 3, age), 1000, 1.0 / 8);
            see(cell_of(1, 3, age), 1000, 4);
        }
        work(1);
    }
    for (uint32_t age = 0; age < SKV_LEARN_AGES; age++) {
        const uint32_t middle = learn.scores[cell_of(2, 3, age)];
        cr_expect(lt(u32, learn.scores[cell_of(5, 3, age)], middle), "age %u", age);
        cr_expect(gt(u32, learn.scores[cell_of(1, 3, age)], middle), "age %u", age);
    }
}

Test(learn, forgets)
{
    see(cell_of(2, 3, 4), 1000, 1);
    work(400);
    for (uint32_t i = 0; i < SKV_LEARN_CELLS; i++) {
        cr_assert(eq(u32, learn.uses[i], 0));
        cr_assert(eq(u32, learn.met[i], 0));
    }
}

Test(learn, counts_do_not_wrap)
{
    uint32_t count = UINT32_MAX - 3 * SKV_LEARN_UNIT;
    for (unsigned i = 0; i < 10; i++) {
        skv_learn_count(&count);
        cr_assert(gt(u32, count, UINT32_MAX - 3 * SKV_LEARN_UNIT));
    }
}

Test(learn, counts_uses_and_slots_by_history_and_age)
{
    const uint32_t bits = skv_policy_new(&policy);
    for (unsigned i = 0; i < 3; i++) {
        skv_policy_miss(&policy, 4);
    }
    skv_policy_meet(&policy, bits);
    (void)skv_policy_use(&policy, bits);
    cr_expect(eq(u32, learn.met[3], SKV_LEARN_UNIT));
    cr_expect(eq(u32, learn.uses[3], SKV_LEARN_UNIT));
}

Test(learn, works_over_all_classes_in_a_quarter_of_the_residents)
{
    for (unsigned i = 0; i < 1000; i++) {
        skv_learn_miss(&learn, 51200);
    }
    cr_expect(eq(u32, learn.next, 1000 / 100));
}
