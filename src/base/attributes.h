/* SPDX-License-Identifier: MIT */
/** What the compilers can be told about our functions; empty where they cannot. */
#ifndef SKV_BASE_ATTRIBUTES_H
#define SKV_BASE_ATTRIBUTES_H

#define SKV_MUST_CHECK          __attribute__((warn_unused_result))
#define SKV_PRINTF(text, first) __attribute__((format(printf, text, first)))
#define SKV_ALWAYS_INLINE       inline __attribute__((always_inline))
#define SKV_LIKELY(x)           __builtin_expect(!!(x), 1)
#define SKV_UNLIKELY(x)         __builtin_expect(!!(x), 0)

/** Bytes of a cache line: what one thread writes often is kept this far from what others read. */
#define SKV_CACHE_LINE 64

#endif
