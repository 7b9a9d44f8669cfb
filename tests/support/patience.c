/* SPDX-License-Identifier: MIT */
/*
 * Under valgrind every test may take forty times as long as its suite says. Must be linked as an
 * object: Criterion finds the hook in a section of its own.
 */
#include <criterion/criterion.h>
#include <criterion/hooks.h>
#include <stdlib.h>

#define TIMES 40

ReportHook(PRE_ALL)(struct criterion_test_set *set)
{
    if (getenv("SPILLKV_MEMCHECK") == NULL) {
        return;
    }
    FOREACH_SET(struct criterion_suite_set * suite, set->suites)
    {
        if (suite->suite.data != NULL) {
            suite->suite.data->timeout *= TIMES;
        }
        FOREACH_SET(struct criterion_test * test, suite->tests)
        {
            test->data->timeout *= TIMES;
        }
    }
}
