/* SPDX-License-Identifier: MIT */
/**
 * Clang's thread-safety analysis for C functions; empty for other compilers.
 *
 * SKV_GUARDED_BY is documentation only: clang 14 rejects guarded_by on a field that names another
 * field in C.
 */
#ifndef SKV_BASE_TSA_H
#define SKV_BASE_TSA_H

#if defined(__clang__)
#define SKV_TSA(x) __attribute__((x))
#else
#define SKV_TSA(x)
#endif

#define SKV_CAPABILITY(name) SKV_TSA(capability(name))
#define SKV_REQUIRES(...)    SKV_TSA(requires_capability(__VA_ARGS__))
#define SKV_EXCLUDES(...)    SKV_TSA(locks_excluded(__VA_ARGS__))
#define SKV_ACQUIRE(...)     SKV_TSA(acquire_capability(__VA_ARGS__))
#define SKV_TRY_ACQUIRE(...) SKV_TSA(try_acquire_capability(__VA_ARGS__))
#define SKV_RELEASE(...)     SKV_TSA(release_capability(__VA_ARGS__))
#define SKV_ASSERT_HELD(...) SKV_TSA(assert_capability(__VA_ARGS__))
#define SKV_NO_TSA           SKV_TSA(no_thread_safety_analysis)
#define SKV_GUARDED_BY(x)

#endif
