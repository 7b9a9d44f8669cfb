/* SPDX-License-Identifier: MIT */
/* DESIGN. One switch over the one enum: the compiler says when a status has no description. */
#include <spillkv/spillkv.h>

const char *spillkv_strerror(spillkv_status status)
{
    switch (status) {
    case SPILLKV_OK:
        return "success";
    case SPILLKV_NOT_FOUND:
        return "no such key";
    case SPILLKV_TOO_SMALL:
        return "the buffer is too small for the value";
    case SPILLKV_WOULD_BLOCK:
        return "the disk or memory would have to be waited for";
    case SPILLKV_EINVAL:
        return "invalid argument";
    case SPILLKV_ENOMEM:
        return "out of memory";
    case SPILLKV_EFULL:
        return "max_mem is used up";
    case SPILLKV_EIO:
        return "input/output error on a shard file";
    case SPILLKV_ENOSPC:
        return "no space left on the disk";
    case SPILLKV_ECORRUPT:
        return "a shard file is damaged";
    case SPILLKV_EBUSY:
        return "in use: the directory by another store, or the store by a pinned value";
    case SPILLKV_EFOREIGN:
        return "the directory holds a file that is not ours";
    case SPILLKV_EFORKED:
        return "the store belongs to the parent process";
    case SPILLKV_ESYSTEM:
        return "the system refused a thread, a lock or a random number";
    }
    return "unknown status";
}
