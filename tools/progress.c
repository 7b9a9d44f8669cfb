/* SPDX-License-Identifier: MIT */
/**
 * One mutex guards the terminal: the thread that draws and those that have a message take turns.
 * The workers only add to an atomic counter.
 *
 * Memory is sampled every few milliseconds because a peak between two drawings of the bar would be
 * missed; reading /proc/self/status costs about 30 us. Linux may keep the last 64 page faults of
 * each thread out of its counter, which is the precision of the figure.
 */
#include "progress.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "memory.h"
#include "size.h"

#define SAMPLE_NS 5000000u
#define DRAW_NS   100000000u
#define LINE_NS   5000000000u
#define BAR_WIDTH 30u

static struct {
    /* Constant after progress_start(). */
    bool quiet;
    bool terminal;
    uint64_t baseline;
    pthread_t thread;

    /* Atomic, relaxed: figures to look at. */
    _Atomic uint64_t done;

    /* Guarded by lock. */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool running;
    bool bar_shown;
    const char *phase; /* NULL between phases */
    uint64_t total;
    uint64_t began_ns;
    uint64_t drawn_ns;
    uint64_t peak;
} progress = {.lock = PTHREAD_MUTEX_INITIALIZER};

uint64_t progress_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t progress_anonymous_memory(void)
{
    return memory_figure(0, "RssAnon");
}

static void clear_bar(void)
{
    if (progress.bar_shown) {
        fputs("\r\033[K", stderr);
        progress.bar_shown = false;
    }
}

void progress_say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    pthread_mutex_lock(&progress.lock);
    clear_bar();
    fputs("spillkv: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    pthread_mutex_unlock(&progress.lock);
    va_end(arguments);
}

static uint64_t sample_memory(void)
{
    const uint64_t now = progress_anonymous_memory();
    if (now > progress.peak) {
        progress.peak = now;
    }
    return now > progress.baseline ? now - progress.baseline : 0;
}

/* Draws the bar, or writes a line now and then; the lock is held. */
static void draw(uint64_t now, uint64_t memory)
{
    if (progress.quiet || progress.phase == NULL ||
        now - progress.drawn_ns < (progress.terminal ? DRAW_NS : LINE_NS)) {
        return;
    }
    const uint64_t done = atomic_load_explicit(&progress.done, memory_order_relaxed);
    const double part = progress.total != 0 ? (double)done / (double)progress.total : 1;
    const double seconds = (double)(now - progress.began_ns) / 1e9;
    char text[SIZE_TEXT];
    progress.drawn_ns = now;
    if (progress.terminal) {
        char bar[BAR_WIDTH + 1];
        const size_t full = (size_t)(part * BAR_WIDTH);
        memset(bar, ' ', BAR_WIDTH);
        memset(bar, '#', full < BAR_WIDTH ? full : BAR_WIDTH);
        bar[BAR_WIDTH] = '\0';
        fprintf(stderr, "\r\033[K%-6s [%s] %3.0f%%  %.0f/s  store %s", progress.phase, bar,
                part * 100, (double)done / seconds, size_format(memory, text));
        progress.bar_shown = true;
    } else {
        fprintf(stderr, "%s: %.0f%%, %.0f/s, store %s\n", progress.phase, part * 100,
                (double)done / seconds, size_format(memory, text));
    }
}

static void *watch(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&progress.lock);
    while (progress.running) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += SAMPLE_NS;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        pthread_cond_timedwait(&progress.wake, &progress.lock, &until);
        draw(progress_now_ns(), sample_memory());
    }
    pthread_mutex_unlock(&progress.lock);
    return NULL;
}

bool progress_start(bool quiet, uint64_t baseline)
{
    pthread_condattr_t attributes;
    progress.quiet = quiet;
    progress.terminal = isatty(STDERR_FILENO) != 0;
    progress.baseline = baseline;
    progress.peak = 0;
    progress.running = true;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&progress.wake, &attributes);
    pthread_condattr_destroy(&attributes);
    const int failure = pthread_create(&progress.thread, NULL, watch, NULL);
    if (failure != 0) {
        progress.running = false;
        pthread_cond_destroy(&progress.wake);
        progress_say("cannot start a thread: %s", strerror(failure));
    }
    return failure == 0;
}

uint64_t progress_stop(void)
{
    pthread_mutex_lock(&progress.lock);
    progress.running = false;
    sample_memory();
    clear_bar();
    pthread_cond_signal(&progress.wake);
    pthread_mutex_unlock(&progress.lock);
    pthread_join(progress.thread, NULL);
    pthread_cond_destroy(&progress.wake);
    return progress.peak;
}

void progress_begin(const char *phase, uint64_t total)
{
    atomic_store(&progress.done, 0);
    pthread_mutex_lock(&progress.lock);
    progress.phase = phase;
    progress.total = total;
    progress.began_ns = progress_now_ns();
    progress.drawn_ns = progress.began_ns;
    pthread_mutex_unlock(&progress.lock);
}

void progress_add(uint64_t steps)
{
    atomic_fetch_add_explicit(&progress.done, steps, memory_order_relaxed);
}

void progress_end(void)
{
    pthread_mutex_lock(&progress.lock);
    const uint64_t done = atomic_load(&progress.done);
    const double seconds = (double)(progress_now_ns() - progress.began_ns) / 1e9;
    char text[SIZE_TEXT];
    const uint64_t memory = sample_memory();
    clear_bar();
    if (!progress.quiet && !progress.terminal) {
        fprintf(stderr, "%s: %llu done in %.2f s, store %s\n", progress.phase,
                (unsigned long long)done, seconds, size_format(memory, text));
    }
    progress.phase = NULL;
    pthread_mutex_unlock(&progress.lock);
}
