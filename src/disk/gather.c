/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. One run of bytes and where it belongs: pages come in the order of their numbers, so
 * nothing cleverer would gather more. Where there is no memory for it, nothing is gathered.
 */
#include "disk/gather.h"

#include <string.h>

#include "base/alloc.h"

void skv_gather_fini(struct skv_gather *gather)
{
    skv_free(gather->bytes);
    *gather = (struct skv_gather){0};
}

bool skv_gather_add(struct skv_gather *gather, int64_t offset, const void *bytes, size_t size)
{
    const bool follows = gather->size == 0 || offset == gather->offset + (int64_t)gather->size;
    if (!follows || size > SKV_GATHER_BYTES - gather->size) {
        return false;
    }
    if (gather->bytes == NULL) {
        gather->bytes = skv_alloc(SKV_GATHER_BYTES);
        if (gather->bytes == NULL) {
            return false;
        }
    }
    if (gather->size == 0) {
        gather->offset = offset;
    }
    memcpy(gather->bytes + gather->size, bytes, size);
    gather->size += size;
    return true;
}
