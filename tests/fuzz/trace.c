/* SPDX-License-Identifier: MIT */
/* The readers of traces, of `spillkv replay` and of bench/hitrate: any file in every format. */
#include "trace.h"

#include <string.h>
#include <sys/mman.h>

#include "fuzz.h"

/* Numbers are given in the order in which keys appear. */
static void expect_sane(const struct trace *trace, uint64_t most)
{
    uint32_t next = 0;
    FUZZ_CHECK(trace->count != 0 && (most == 0 || trace->count <= most));
    FUZZ_CHECK(trace->name != NULL);
    for (uint64_t i = 0; i < trace->count; i++) {
        FUZZ_CHECK(trace->keys[i] <= next);
        next += trace->keys[i] == next;
    }
    FUZZ_CHECK(next == trace->unique);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int file = -1;
    static char path[64];
    struct fuzz_bytes bytes = {data, size};
    const enum trace_format format = (enum trace_format)(fuzz_u8(&bytes) % (TRACE_ORACLE + 1));
    const uint8_t most = fuzz_u8(&bytes);
    struct trace trace;
    if (file < 0) {
        fuzz_hush();
        file = memfd_create("trace", MFD_CLOEXEC);
        FUZZ_CHECK(file >= 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    }
    FUZZ_CHECK(ftruncate(file, 0) == 0);
    FUZZ_CHECK(pwrite(file, bytes.at, bytes.size, 0) == (ssize_t)bytes.size);
    if (trace_read(path, format, most, &trace)) {
        expect_sane(&trace, most);
    } else {
        FUZZ_CHECK(trace.keys == NULL && trace.name == NULL && trace.count == 0);
    }
    trace_free(&trace);
    return 0;
}
