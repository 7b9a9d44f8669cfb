/* SPDX-License-Identifier: MIT */
#include "size.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* More digits of a fraction than this say nothing about bytes. */
#define FRACTION_DIGITS 9

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The shift that a suffix stands for, -1 if it is none. */
static int suffix_shift(const char *suffix)
{
    static const char letters[] = "KMGT";
    if (*suffix == '\0') {
        return 0;
    }
    for (int i = 0; letters[i] != '\0'; i++) {
        const char lower = (char)(letters[i] - 'A' + 'a');
        if (*suffix != letters[i] && *suffix != lower) {
            continue;
        }
        const char *rest = suffix + 1;
        if (*rest == '\0' || strcasecmp(rest, "b") == 0 || strcasecmp(rest, "ib") == 0) {
            return 10 * (i + 1);
        }
    }
    return -1;
}

bool size_parse(const char *text, uint64_t *bytes_out)
{
    *bytes_out = 0;
    const char *at = text;
    uint64_t whole = 0;
    if (!is_digit(*at)) {
        return false;
    }
    for (; is_digit(*at); at++) {
        if (__builtin_mul_overflow(whole, (uint64_t)10, &whole) ||
            __builtin_add_overflow(whole, (uint64_t)(*at - '0'), &whole)) {
            return false;
        }
    }
    double fraction = 0;
    const bool has_fraction = *at == '.';
    if (has_fraction) {
        const char *const first = ++at;
        double unit = 1;
        for (; is_digit(*at); at++) {
            unit /= 10;
            fraction += unit * (*at - '0');
        }
        if (at == first || at - first > FRACTION_DIGITS) {
            return false;
        }
    }
    const int shift = suffix_shift(at);
    if (shift < 0 || (has_fraction && shift == 0) || whole > UINT64_MAX >> shift) {
        return false;
    }
    const uint64_t part = (uint64_t)(fraction * (double)((uint64_t)1 << shift));
    return !__builtin_add_overflow(whole << shift, part, bytes_out);
}

bool number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *number_out)
{
    *number_out = 0;
    if (!is_digit(*text)) {
        return false;
    }
    char *end = NULL;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || number < min || number > max) {
        return false;
    }
    *number_out = number;
    return true;
}

const char *size_format(uint64_t bytes, char buffer[SIZE_TEXT])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        snprintf(buffer, SIZE_TEXT, "%u B", (unsigned)bytes);
        return buffer;
    }
    double amount = (double)bytes;
    size_t unit = 0;
    while (amount >= 1024 && unit + 1 < sizeof units / sizeof *units) {
        amount /= 1024;
        unit++;
    }
    snprintf(buffer, SIZE_TEXT, "%.1f %s", amount, units[unit]);
    return buffer;
}

const char *duration_format(double nanoseconds, char buffer[SIZE_TEXT])
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    double amount = nanoseconds;
    size_t unit = 0;
    while (amount >= 1000 && unit + 1 < sizeof units / sizeof *units) {
        amount /= 1000;
        unit++;
    }
    snprintf(buffer, SIZE_TEXT, "%.*f %s", amount < 10 && unit > 0 ? 2 : (amount < 100 ? 1 : 0),
             amount, units[unit]);
    return buffer;
}
