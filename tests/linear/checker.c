/* SPDX-License-Identifier: MIT */
/* The checker of histories: those that have an order, those that have none, and what is shown. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/linear_check.h"
#include "support/model.h"

#define OPS_MOST 2000

static struct linear_op ops[OPS_MOST];
static size_t count;

/* An operation of a thread from one moment to another. */
static void add(enum linear_kind kind, uint32_t thread, uint64_t begin, uint64_t end,
                uint64_t value)
{
    cr_assert_lt(count, OPS_MOST);
    ops[count++] = (struct linear_op){
        .begin = begin, .end = end, .value = value, .thread = thread, .kind = kind, .name = "op"};
}

static bool has_order(void)
{
    size_t failed;
    return linear_check(ops, count, LINEAR_ABSENT, &failed);
}

static void begin_test(void)
{
    count = 0;
}

TestSuite(checker, .init = begin_test, .timeout = 60);

Test(checker, accepts_nothing)
{
    cr_expect(has_order());
}

Test(checker, accepts_calls_one_after_the_other)
{
    add(LINEAR_READ, 0, 1, 2, LINEAR_ABSENT);
    add(LINEAR_SET, 0, 3, 4, 7);
    add(LINEAR_READ, 1, 5, 6, 7);
    add(LINEAR_SEEN, 1, 7, 8, 0);
    add(LINEAR_TAKEN, 0, 9, 10, 0);
    add(LINEAR_READ, 1, 11, 12, LINEAR_ABSENT);
    add(LINEAR_SET, 1, 13, 14, 8);
    add(LINEAR_CLEAR, 0, 15, 16, 0);
    add(LINEAR_READ, 1, 17, 18, LINEAR_ABSENT);
    cr_expect(has_order());
}

Test(checker, accepts_the_old_or_the_new_value_while_it_is_set)
{
    add(LINEAR_SET, 0, 1, 2, 7);
    add(LINEAR_SET, 0, 3, 10, 8);
    add(LINEAR_READ, 1, 4, 5, 7);
    add(LINEAR_READ, 1, 6, 7, 8);
    cr_expect(has_order());
}

Test(checker, rejects_the_old_value_after_the_new_one_was_seen)
{
    add(LINEAR_SET, 0, 1, 2, 7);
    add(LINEAR_SET, 0, 3, 10, 8);
    add(LINEAR_READ, 1, 4, 5, 8);
    add(LINEAR_READ, 2, 6, 7, 7);
    cr_expect_not(has_order());
}

Test(checker, rejects_a_lost_set)
{
    add(LINEAR_SET, 0, 1, 2, 7);
    add(LINEAR_READ, 1, 3, 4, LINEAR_ABSENT);
    cr_expect_not(has_order());
}

Test(checker, rejects_an_old_value)
{
    add(LINEAR_SET, 0, 1, 2, 7);
    add(LINEAR_SET, 0, 3, 4, 8);
    add(LINEAR_READ, 1, 5, 6, 7);
    cr_expect_not(has_order());
}

Test(checker, rejects_a_value_that_comes_back_after_a_delete)
{
    add(LINEAR_SET, 0, 1, 2, 7);
    add(LINEAR_TAKEN, 0, 3, 4, 0);
    add(LINEAR_SEEN, 1, 5, 6, 0);
    cr_expect_not(has_order());
}

Test(checker, rejects_a_value_from_the_future)
{
    add(LINEAR_READ, 1, 1, 2, 7);
    add(LINEAR_SET, 0, 3, 4, 7);
    cr_expect_not(has_order());
}

Test(checker, rejects_two_deletes_of_one_set)
{
    add(LINEAR_SET, 0, 1, 2, 7);
    add(LINEAR_TAKEN, 1, 3, 8, 0);
    add(LINEAR_TAKEN, 2, 4, 9, 0);
    cr_expect_not(has_order());
    add(LINEAR_SET, 3, 5, 20, 8);
    cr_expect(has_order());
}

Test(checker, accepts_a_set_that_survives_a_clear_or_does_not)
{
    add(LINEAR_CLEAR, 0, 1, 10, 0);
    add(LINEAR_SET, 1, 2, 9, 7);
    add(LINEAR_READ, 1, 11, 12, 7);
    cr_expect(has_order());
    ops[2].value = LINEAR_ABSENT;
    ops[2].kind = LINEAR_READ;
    cr_expect(has_order());
}

Test(checker, rejects_a_set_that_survives_a_later_clear)
{
    add(LINEAR_SET, 1, 1, 2, 7);
    add(LINEAR_CLEAR, 0, 3, 4, 0);
    add(LINEAR_READ, 1, 5, 6, 7);
    cr_expect_not(has_order());
}

/* Neither order of the two sets suits both readers. */
Test(checker, rejects_readers_who_see_two_sets_in_two_orders)
{
    add(LINEAR_SET, 0, 1, 20, 7);
    add(LINEAR_SET, 1, 2, 21, 8);
    add(LINEAR_READ, 2, 3, 4, 7);
    add(LINEAR_READ, 2, 5, 6, 8);
    add(LINEAR_READ, 3, 7, 8, 7);
    cr_expect_not(has_order());
    ops[4].value = 8;
    cr_expect(has_order());
}

/* A search that takes the first order that works at the moment ends in a dead end here. */
Test(checker, comes_back_from_orders_that_lead_nowhere)
{
    add(LINEAR_SET, 0, 1, 30, 7);
    add(LINEAR_SET, 1, 2, 31, 8);
    add(LINEAR_TAKEN, 2, 3, 32, 0);
    add(LINEAR_SEEN, 3, 4, 5, 0);
    add(LINEAR_READ, 3, 6, 7, LINEAR_ABSENT);
    add(LINEAR_READ, 3, 8, 9, 8);
    add(LINEAR_READ, 3, 33, 34, 8);
    cr_expect(has_order());
    ops[6].value = 7;
    cr_expect_not(has_order());
}

/* What a thread does next, and what it sees, on a key that holds `value`. */
static void act(uint64_t *random, uint32_t thread, uint64_t begin, uint64_t end, uint64_t *value)
{
    const uint32_t kind = (uint32_t)(model_random(random) % 6);
    if (kind < 2) {
        *value = end;
        add(LINEAR_SET, thread, begin, end, end);
    } else if (kind == 2) {
        *value = LINEAR_ABSENT;
        add(LINEAR_CLEAR, thread, begin, end, 0);
    } else if (kind == 3 && *value != LINEAR_ABSENT) {
        *value = LINEAR_ABSENT;
        add(LINEAR_TAKEN, thread, begin, end, 0);
    } else if (kind == 4 && *value != LINEAR_ABSENT) {
        add(LINEAR_SEEN, thread, begin, end, 0);
    } else {
        add(LINEAR_READ, thread, begin, end, *value);
    }
}

/* One operation happens at each moment, on a key that is atomic; it was called some moments before
 * and returns some moments later. */
static void make_history(uint64_t *random, uint32_t threads)
{
    uint64_t value = LINEAR_ABSENT;
    uint64_t returned[LINEAR_THREADS_MAX] = {0};
    count = 0;
    for (uint64_t moment = 10; moment < 1000; moment++) {
        const uint32_t thread = (uint32_t)(model_random(random) % threads);
        if (returned[thread] >= moment) {
            continue;
        }
        const uint64_t earlier = moment - model_random(random) % 10;
        const uint64_t begin = earlier > returned[thread] ? earlier : moment;
        returned[thread] = moment + model_random(random) % 10;
        /* All different, calls before what happens and returns after it. */
        act(random, thread, begin * 100 + thread, returned[thread] * 100 + 50 + thread, &value);
    }
}

Test(checker, accepts_whatever_an_atomic_key_shows)
{
    uint64_t random = 5;
    for (unsigned i = 0; i < 200; i++) {
        make_history(&random, 2 + i % 7);
        cr_assert(has_order(), "history %u", i);
    }
}

/* Mostly: a wrong value may be right by chance, where it is set at the same time. */
Test(checker, rejects_histories_with_one_read_that_is_wrong)
{
    uint64_t random = 6;
    unsigned rejected = 0;
    for (unsigned i = 0; i < 200; i++) {
        make_history(&random, 2 + i % 7);
        size_t at = count / 2;
        while (ops[at].kind != LINEAR_READ || ops[at].value == LINEAR_ABSENT) {
            at++;
        }
        const uint64_t right = ops[at].value;
        for (size_t j = 0; j < at && ops[at].value == right; j++) {
            ops[at].value = ops[j].kind == LINEAR_SET ? ops[j].value : right;
        }
        rejected += !has_order();
    }
    cr_expect_gt(rejected, 195, "%u", rejected);
}

/* What a stale read is known by does not depend on what went before. */
Test(checker, finds_one_old_value_in_a_long_history_and_shows_the_set_and_the_read)
{
    for (uint64_t i = 0; i < 400; i++) {
        add(LINEAR_SET, 0, 10 * i + 1, 10 * i + 2, i + 1);
        add(LINEAR_READ, 1, 10 * i + 3, 10 * i + 4, i == 300 ? 299 : i + 1);
        add(LINEAR_SEEN, 2, 10 * i + 5, 10 * i + 6, 0);
    }
    size_t failed;
    cr_assert_not(linear_check(ops, count, LINEAR_ABSENT, &failed));
    cr_expect_eq(ops[failed].value, 299);
    const size_t left = linear_shrink(ops, count, LINEAR_ABSENT, failed);
    cr_assert_eq(left, 2);
    cr_expect_eq(ops[0].kind, LINEAR_SET);
    cr_expect_eq(ops[0].value, 301);
    cr_expect_eq(ops[1].kind, LINEAR_READ);
    cr_expect_eq(ops[1].value, 299);
}

Test(checker, keeps_writers_that_are_needed_when_it_shows_less)
{
    add(LINEAR_SET, 0, 1, 2, 5);
    add(LINEAR_SET, 0, 3, 40, 7);
    add(LINEAR_SET, 1, 4, 41, 8);
    add(LINEAR_READ, 2, 5, 6, 7);
    add(LINEAR_SEEN, 4, 7, 8, 0);
    add(LINEAR_READ, 2, 9, 10, 8);
    add(LINEAR_READ, 3, 11, 12, 7);
    size_t failed;
    cr_assert_not(linear_check(ops, count, LINEAR_ABSENT, &failed));
    const size_t left = linear_shrink(ops, count, LINEAR_ABSENT, failed);
    /* All but the one that only saw that the key is there. */
    cr_expect_eq(left, count - 1);
    size_t again;
    cr_expect_not(linear_check(ops, left, LINEAR_ANY, &again));
}

Test(checker, shows_what_only_the_beginning_explains)
{
    add(LINEAR_READ, 0, 1, 2, 9);
    size_t failed;
    cr_assert_not(linear_check(ops, count, LINEAR_ABSENT, &failed));
    cr_expect_eq(linear_shrink(ops, count, LINEAR_ABSENT, failed), 1);
}

Test(checker, prints_a_line_for_each)
{
    char *text = NULL;
    size_t size = 0;
    add(LINEAR_SET, 3, 1, 2, 77);
    add(LINEAR_READ, 4, 3, 4, LINEAR_ABSENT);
    FILE *const stream = open_memstream(&text, &size);
    linear_print(stream, ops, count);
    cr_assert_eq(fclose(stream), 0);
    cr_expect_not_null(strstr(text, "thread  3"));
    cr_expect_not_null(strstr(text, "77\n"));
    cr_expect_not_null(strstr(text, "found nothing\n"));
    free(text);
}
