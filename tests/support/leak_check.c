/* SPDX-License-Identifier: MIT */
/**
 * Makes a leak fail the Criterion test that leaked (AddressSanitizer builds only).
 *
 * LeakSanitizer looks for leaks when a process exits, but by then Criterion's worker has reported
 * its test as passed, and Criterion ignores the worker's exit status. So the leaks are looked for
 * here, after the test and its teardown but inside the function that runs them.
 *
 * Linked as an object into each test executable, with
 * -Wl,--wrap=criterion_internal_test_main.
 */
#include <criterion/criterion.h>
#include <sanitizer/lsan_interface.h>
#include <stdlib.h>

/* Names that the linker makes up. */
void __real_criterion_internal_test_main(void (*body)(void));
void __wrap_criterion_internal_test_main(void (*body)(void));

void __wrap_criterion_internal_test_main(void (*body)(void))
{
    __real_criterion_internal_test_main(body);
    if (__lsan_do_recoverable_leak_check() != 0)
        abort();
}
