/* SPDX-License-Identifier: MIT */
/**
 * Where the library's memory comes from.
 *
 * Small, rare allocations (handles, arrays) come from skv_alloc(). Large aligned ranges (pieces,
 * large entries) come from skv_pages_alloc(): jemalloc arenas of the library's own when built with
 * jemalloc, else mmap. Entries are never allocated one by one.
 *
 * Nothing here counts against max_mem by itself: the owner charges the budget.
 */
#ifndef SKV_BASE_ALLOC_H
#define SKV_BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

/** Uninitialised memory aligned for any type, or NULL. Release with skv_free(). */
SKV_MUST_CHECK void *skv_alloc(size_t bytes);
/** Zeroed memory aligned to a cache line, or NULL. Release with skv_free(). */
SKV_MUST_CHECK void *skv_alloc_zeroed(size_t bytes);
/** Grows or shrinks; on NULL the old memory is untouched. */
SKV_MUST_CHECK void *skv_realloc(void *memory, size_t bytes);
void skv_free(void *memory);

/**
 * Zeroed memory straight from the system, aligned to `align` (a power of two, at least a page), or
 * NULL. What is never touched never becomes resident. `huge` asks for huge pages; without it they
 * are refused, so that memory given back in parts stays given back.
 */
SKV_MUST_CHECK void *skv_pages_alloc(size_t bytes, size_t align, bool huge);
/** Gives a whole range back to the system at once. `bytes` as allocated. */
void skv_pages_free(void *memory, size_t bytes);
/** Gives the pages of a part of a range back to the system; the addresses stay ours and read as
 *  zero. Only whole pages inside the part go. Huge pages must have been refused before. */
void skv_pages_purge(void *memory, size_t bytes);
/** Asks for huge pages, or refuses them: the kernel then no longer fills purged parts up again. */
void skv_pages_advise(void *memory, size_t bytes, bool huge);
/** What the allocator itself takes at most for so many bytes allocated above. */
uint64_t skv_pages_metadata_bytes(uint64_t bytes);
/** Bytes rounded up to whole pages of the system. */
size_t skv_pages_round(size_t bytes);

/**
 * For tests: called before each allocation above; returning false makes that allocation fail.
 * NULL (the default) switches it off. Not thread-safe against running allocations.
 */
typedef bool skv_alloc_hook(void *context, size_t bytes);
void skv_alloc_set_hook(skv_alloc_hook *hook, void *context);

#endif
