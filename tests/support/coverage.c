/* SPDX-License-Identifier: MIT */
/*
 * Children of tests end with _exit(), which writes no counts of coverage: what they alone run, as
 * the handlers of fork(), would seem never to have run. Linked with --wrap=_exit in such builds.
 */
void __gcov_dump(void);
_Noreturn void __real__exit(int code);
_Noreturn void __wrap__exit(int code);

_Noreturn void __wrap__exit(int code)
{
    __gcov_dump();
    __real__exit(code);
}
