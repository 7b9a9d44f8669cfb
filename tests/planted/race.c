/* SPDX-License-Identifier: MIT */
/* A data race, which ThreadSanitizer must turn into a failed test. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <pthread.h>

#define ROUNDS 1000

struct counter {
    pthread_mutex_t mutex;
    int guarded;
    int bare;
};

static void *count_guarded(void *argument)
{
    struct counter *counter = argument;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&counter->mutex);
        counter->guarded++;
        pthread_mutex_unlock(&counter->mutex);
    }
    return NULL;
}

static void *count_bare(void *argument)
{
    struct counter *counter = argument;
    for (int i = 0; i < ROUNDS; i++)
        counter->bare++;
    return NULL;
}

static void run_two(void *(*body)(void *), struct counter *counter)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        cr_assert(eq(int, pthread_create(&threads[i], NULL, body, counter), 0));
    for (int i = 0; i < 2; i++)
        cr_assert(eq(int, pthread_join(threads[i], NULL), 0));
}

Test(planted, quiet)
{
    struct counter counter = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    run_two(count_guarded, &counter);
    cr_expect(eq(int, counter.guarded, 2 * ROUNDS));
}

Test(planted, error)
{
    struct counter counter = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    run_two(count_bare, &counter);
    cr_expect(ge(int, counter.bare, 1));
}
