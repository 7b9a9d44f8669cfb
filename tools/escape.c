/* SPDX-License-Identifier: MIT */
#include "escape.h"

#include <string.h>

/* The longest that one byte can become: \xHH. */
#define ESCAPE_LONGEST 4

static size_t escape_byte(unsigned char byte, char out[ESCAPE_LONGEST])
{
    static const char digits[] = "0123456789abcdef";
    static const char plain[] = "\n\r\t\\";
    static const char letters[] = "nrt\\";
    const char *const found = byte != 0 ? strchr(plain, byte) : NULL;
    if (found == NULL && byte >= 0x20 && byte < 0x7f) {
        out[0] = (char)byte;
        return 1;
    }
    out[0] = '\\';
    if (found != NULL) {
        out[1] = letters[found - plain];
        return 2;
    }
    out[1] = 'x';
    out[2] = digits[byte >> 4];
    out[3] = digits[byte & 15];
    return 4;
}

void escape_write(FILE *stream, const void *data, size_t size)
{
    const unsigned char *const bytes = data;
    for (size_t i = 0; i < size; i++) {
        char text[ESCAPE_LONGEST];
        fwrite(text, 1, escape_byte(bytes[i], text), stream);
    }
}

const char *escape_brief(const void *data, size_t size, char buffer[ESCAPE_BRIEF])
{
    static const char more[] = "...";
    const unsigned char *const bytes = data;
    size_t used = 0;
    for (size_t i = 0; i < size; i++) {
        if (used + ESCAPE_LONGEST + sizeof more > ESCAPE_BRIEF) {
            memcpy(buffer + used, more, sizeof more);
            return buffer;
        }
        used += escape_byte(bytes[i], buffer + used);
    }
    buffer[used] = '\0';
    return buffer;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Reads what follows a backslash; returns how many characters that took, 0 if it is no escape. */
static size_t read_escape(const char *text, size_t size, char *out)
{
    static const char letters[] = "nrt\\";
    static const char plain[] = "\n\r\t\\";
    if (size == 0 || text[0] == '\0') {
        return 0;
    }
    const char *const found = strchr(letters, text[0]);
    if (found != NULL) {
        *out = plain[found - letters];
        return 1;
    }
    if (text[0] != 'x' || size < 3 || digit_value(text[1]) < 0 || digit_value(text[2]) < 0) {
        return 0;
    }
    *out = (char)(digit_value(text[1]) << 4 | digit_value(text[2]));
    return 3;
}

bool escape_undo(char *text, size_t size_in, size_t *size_out)
{
    size_t used = 0;
    *size_out = 0;
    for (size_t i = 0; i < size_in; i++) {
        char byte = text[i];
        if (byte == '\\') {
            const size_t taken = read_escape(text + i + 1, size_in - i - 1, &byte);
            if (taken == 0) {
                return false;
            }
            i += taken;
        }
        text[used++] = byte;
    }
    *size_out = used;
    return true;
}
