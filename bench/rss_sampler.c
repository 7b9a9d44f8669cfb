/* SPDX-License-Identifier: MIT */
/**
 * Samples are taken under one lock, by the thread and at the end of a phase by its owner. The most
 * of each phase is kept apart from the list, which may get full.
 */
#include "rss_sampler.h"

#include <error.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "memory.h"
#include "progress.h"

#define EVERY_NS 20000000

struct sampler {
    /* Constant. */
    struct rss_run *run;
    void *db;
    pid_t process;
    uint64_t began_ns;
    pthread_t thread;

    _Atomic bool ended;

    /* Guarded by lock. */
    pthread_mutex_t lock;
    unsigned phase;
};

static uint64_t greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void sampler_take(struct sampler *sampler)
{
    struct rss_run *const run = sampler->run;
    struct engine_account account = {0};
    pthread_mutex_lock(&sampler->lock);
    run->engine->account(sampler->db, &account);
    const uint64_t rss = memory_figure(sampler->process, "RssAnon");
    const uint64_t ns = progress_now_ns() - sampler->began_ns;
    struct rss_phase *const phase = &run->phases[sampler->phase];
    phase->samples++;
    phase->rss_most = greater(phase->rss_most, rss);
    phase->rss_last = rss;
    phase->charged_most = greater(phase->charged_most, account.charged);
    if (run->sample_count < RSS_SAMPLES_MAX) {
        run->samples[run->sample_count++] = (struct rss_sample){
            .seconds = (float)((double)ns / 1e9), .rss = rss, .charged = account.charged};
    }
    pthread_mutex_unlock(&sampler->lock);
}

static void *watch(void *context)
{
    struct sampler *const sampler = context;
    const struct timespec pause = {.tv_nsec = EVERY_NS};
    while (!atomic_load(&sampler->ended)) {
        sampler_take(sampler);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

struct sampler *sampler_start(struct rss_run *run, void *db)
{
    struct sampler *const sampler = calloc(1, sizeof *sampler);
    if (sampler == NULL) {
        error(0, 0, "out of memory");
        return NULL;
    }
    sampler->run = run;
    sampler->db = db;
    sampler->process = run->engine->process(db);
    sampler->began_ns = progress_now_ns();
    pthread_mutex_init(&sampler->lock, NULL);
    const int failure = pthread_create(&sampler->thread, NULL, watch, sampler);
    if (failure != 0) {
        error(0, failure, "cannot start a thread");
        pthread_mutex_destroy(&sampler->lock);
        free(sampler);
        return NULL;
    }
    return sampler;
}

void sampler_phase(struct sampler *sampler, unsigned phase)
{
    pthread_mutex_lock(&sampler->lock);
    sampler->phase = phase;
    pthread_mutex_unlock(&sampler->lock);
}

void sampler_stop(struct sampler *sampler)
{
    if (sampler != NULL) {
        atomic_store(&sampler->ended, true);
        pthread_join(sampler->thread, NULL);
        pthread_mutex_destroy(&sampler->lock);
        free(sampler);
    }
}
