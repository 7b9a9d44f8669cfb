/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. Small allocations are plain malloc: they are few, and with jemalloc linked malloc is
 * jemalloc. Pages come from mmap, or from two jemalloc arenas of the library's own:
 *
 *   arena of huge ranges    every mapping it makes is advised MADV_HUGEPAGE
 *   arena of small ranges   every mapping it makes is advised MADV_NOHUGEPAGE
 *
 * One arena with advice per range was rejected: jemalloc pads each range by a page, so neighbours
 * would differ in advice, the kernel could not merge them, and 32768 pieces (64 GB) would reach its
 * limit of 65530 mappings a process (vm.max_map_count).
 *
 * Both decay times are 0. jemalloc then purges a freed range in the freeing call, with
 * MADV_DONTNEED because it retains addresses (opt.retain) instead of unmapping them: resident
 * memory falls at once, the addresses are reused, and what is reused is zero.
 *
 * Invariant: whether a range came from jemalloc is decided once per process, so that freeing needs
 * no header to tell.
 */
#include "base/alloc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef SKV_HAVE_JEMALLOC
#include <jemalloc/jemalloc.h>
#include <pthread.h>
#include <stdio.h>
#endif

static skv_alloc_hook *test_hook; /* set by tests only, before they start threads */
static void *test_hook_context;

void skv_alloc_set_hook(skv_alloc_hook *hook, void *context)
{
    test_hook = hook;
    test_hook_context = context;
}

static bool may_allocate(size_t bytes)
{
    return SKV_LIKELY(test_hook == NULL) || test_hook(test_hook_context, bytes);
}

void *skv_alloc(size_t bytes)
{
    return may_allocate(bytes) ? malloc(bytes != 0 ? bytes : 1) : NULL;
}

void *skv_alloc_zeroed(size_t bytes)
{
    if (bytes > SIZE_MAX - SKV_CACHE_LINE || !may_allocate(bytes)) {
        return NULL;
    }
    const size_t lines = bytes / SKV_CACHE_LINE + (bytes % SKV_CACHE_LINE != 0 || bytes == 0);
    void *const memory = aligned_alloc(SKV_CACHE_LINE, lines * SKV_CACHE_LINE);
    return memory != NULL ? memset(memory, 0, lines * SKV_CACHE_LINE) : NULL;
}

void *skv_realloc(void *memory, size_t bytes)
{
    return may_allocate(bytes) ? realloc(memory, bytes != 0 ? bytes : 1) : NULL;
}

void skv_free(void *memory)
{
    free(memory);
}

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

size_t skv_pages_round(size_t bytes)
{
    return (bytes + page_bytes() - 1) & ~(page_bytes() - 1);
}

void skv_pages_advise(void *memory, size_t bytes, bool huge)
{
    /* Only advice: a kernel without huge pages refuses it, and the memory works as well. */
    (void)madvise(memory, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

void skv_pages_purge(void *memory, size_t bytes)
{
    /* Rounded inwards: with pages larger than the part, the neighbours' bytes must survive. */
    const uintptr_t begin = ((uintptr_t)memory + page_bytes() - 1) & ~(page_bytes() - 1);
    const uintptr_t end = ((uintptr_t)memory + bytes) & ~(page_bytes() - 1);
    if (begin < end) {
        uint8_t *const first = (uint8_t *)memory + (begin - (uintptr_t)memory);
        (void)madvise(first, end - begin, MADV_DONTNEED);
    }
}

static void *map_pages(size_t bytes)
{
    /* No reserve: a table takes all the addresses it can ever need and touches few at first. */
    void *const memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory != MAP_FAILED ? memory : NULL;
}

static void unmap_pages(void *memory, size_t bytes)
{
    /* A hole in a mapping makes two of it, which the system may refuse; the pages must go. */
    if (bytes != 0 && munmap(memory, bytes) != 0) {
        skv_pages_purge(memory, bytes);
    }
}

static void *map_aligned(size_t bytes, size_t align)
{
    /* The system puts mappings side by side, so after an aligned one the next is aligned too. */
    uint8_t *const exact = map_pages(bytes);
    if (exact == NULL || ((uintptr_t)exact & (align - 1)) == 0) {
        return exact;
    }
    unmap_pages(exact, bytes);
    uint8_t *const wide = map_pages(bytes + align);
    if (wide == NULL) {
        return NULL;
    }
    const size_t lead = (size_t)(-(uintptr_t)wide & (align - 1));
    unmap_pages(wide, lead);
    unmap_pages(wide + lead + bytes, align - lead);
    return wide + lead;
}

#ifdef SKV_HAVE_JEMALLOC

uint64_t skv_pages_metadata_bytes(uint64_t bytes)
{
    /* For 2 MiB a page of its radix tree, which has a word for each page of ours, and a
     * descriptor. */
    return bytes / ((uint64_t)2 << 20) * (4096 + 256);
}

static pthread_once_t arenas_once = PTHREAD_ONCE_INIT;
/* Constant after arenas_once. */
static bool arenas_ready;
static unsigned arenas[2];              /* by `huge` */
static extent_hooks_t arena_hooks[2];   /* by `huge` */
static extent_alloc_t *system_alloc[2]; /* jemalloc's own hooks, by `huge` */
static size_t large_min;                /* smaller ranges would share pages with others */

static void *extent_alloc(extent_hooks_t *hooks, void *address, size_t size, size_t align,
                          bool *zero, bool *commit, unsigned arena)
{
    const bool huge = hooks == &arena_hooks[true];
    void *const memory = system_alloc[huge](hooks, address, size, align, zero, commit, arena);
    if (memory != NULL) {
        skv_pages_advise(memory, size, huge);
    }
    return memory;
}

static bool arena_control(unsigned arena, const char *name, void *old, size_t old_bytes,
                          void *value, size_t value_bytes)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "arena.%u.%s", arena, name);
    return mallctl(path, old, old != NULL ? &old_bytes : NULL, value, value_bytes) == 0;
}

static bool make_arena(bool huge)
{
    size_t size = sizeof(arenas[huge]);
    if (mallctl("arenas.create", &arenas[huge], &size, NULL, 0) != 0) {
        return false;
    }
    ssize_t at_once = 0;
    extent_hooks_t *old = NULL;
    if (!arena_control(arenas[huge], "dirty_decay_ms", NULL, 0, &at_once, sizeof(at_once)) ||
        !arena_control(arenas[huge], "muzzy_decay_ms", NULL, 0, &at_once, sizeof(at_once)) ||
        !arena_control(arenas[huge], "extent_hooks", &old, sizeof(old), NULL, 0)) {
        return false;
    }
    /* Set after creation, so that the arena's own few pages are not put on huge ones. */
    arena_hooks[huge] = *old;
    system_alloc[huge] = old->alloc;
    arena_hooks[huge].alloc = extent_alloc;
    extent_hooks_t *ours = &arena_hooks[huge];
    return arena_control(arenas[huge], "extent_hooks", NULL, 0, &ours, sizeof(ours));
}

static void make_arenas(void)
{
    size_t size = sizeof(large_min);
    arenas_ready = mallctl("arenas.lextent.0.size", &large_min, &size, NULL, 0) == 0 &&
                   make_arena(false) && make_arena(true);
}

static bool have_arenas(void)
{
    (void)pthread_once(&arenas_once, make_arenas);
    return arenas_ready;
}

static void *take_pages(size_t bytes, size_t align, bool huge)
{
    if (!have_arenas()) {
        return map_aligned(bytes, align);
    }
    /* Zeroing costs nothing: jemalloc knows that what it purged reads as zero. Nor do pages that
     * are never touched. */
    const int flags = MALLOCX_ALIGN(align) | MALLOCX_ZERO | MALLOCX_ARENA(arenas[huge]);
    return mallocx(bytes > large_min ? bytes : large_min, flags | MALLOCX_TCACHE_NONE);
}

static void drop_pages(void *memory, size_t bytes)
{
    if (have_arenas()) {
        dallocx(memory, MALLOCX_TCACHE_NONE);
    } else {
        unmap_pages(memory, bytes);
    }
}

#else

uint64_t skv_pages_metadata_bytes(uint64_t bytes)
{
    (void)bytes;
    return 0;
}

static void *take_pages(size_t bytes, size_t align, bool huge)
{
    (void)huge;
    return map_aligned(bytes, align);
}

static void drop_pages(void *memory, size_t bytes)
{
    unmap_pages(memory, bytes);
}

#endif

void *skv_pages_alloc(size_t bytes, size_t align, bool huge)
{
    if (bytes == 0 || bytes > SIZE_MAX / 4 || align > SIZE_MAX / 4 || !may_allocate(bytes)) {
        return NULL;
    }
    const size_t whole = skv_pages_round(bytes);
    void *const memory = take_pages(whole, align, huge);
    if (memory != NULL) {
        /* Also when it comes from an arena: an earlier owner may have refused huge pages. */
        skv_pages_advise(memory, whole, huge);
    }
    return memory;
}

void skv_pages_free(void *memory, size_t bytes)
{
    if (memory != NULL) {
        drop_pages(memory, skv_pages_round(bytes));
    }
}
