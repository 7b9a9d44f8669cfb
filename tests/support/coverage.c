/* SPDX-License-Identifier: MIT */
/*
 * Children of tests end with _exit(), and broken invariants with abort(), which write no counts of
 * coverage: what they alone run, as the handlers of fork(), would seem never to have run. Linked
 * with --wrap=_exit and --wrap=abort in such builds.
 */
void __gcov_dump(void);
_Noreturn void __real__exit(int code);
_Noreturn void __wrap__exit(int code);
_Noreturn void __real_abort(void);
_Noreturn void __wrap_abort(void);

_Noreturn void __wrap__exit(int code)
{
    __gcov_dump();
    __real__exit(code);
}

_Noreturn void __wrap_abort(void)
{
    __gcov_dump();
    __real_abort();
}
