/* SPDX-License-Identifier: MIT */
/* `spillkv repl`: any bytes as the lines that it is given. What it prints stays printable. */
#include <string.h>

#include "command.h"
#include "fuzz.h"

static void expect_printable(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        FUZZ_CHECK((text[i] >= 0x20 && text[i] < 0x7f) || text[i] == '\n' || text[i] == '\t');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[] = "repl";
    char memory[] = "--max-mem=4M";
    char shards[] = "--shards=1";
    char *argv[] = {name, memory, shards, NULL};
    char *text = NULL;
    size_t text_size = 0;
    FILE *const out = open_memstream(&text, &text_size);
    /* An empty one cannot be opened. */
    FILE *const in = fmemopen((void *)(uintptr_t)(size != 0 ? (const void *)data : "\n"),
                              size != 0 ? size : 1, "r");
    FILE *const old_in = stdin;
    FILE *const old_out = stdout;
    FUZZ_CHECK(in != NULL && out != NULL);
    fuzz_hush();
    stdin = in;
    stdout = out;
    const int code = command_repl(3, argv);
    stdin = old_in;
    stdout = old_out;
    FUZZ_CHECK(code == COMMAND_OK);
    FUZZ_CHECK(fclose(in) == 0 && fclose(out) == 0);
    expect_printable(text, text_size);
    free(text);
    return 0;
}
