/* SPDX-License-Identifier: MIT */
/* Opens a store in a directory of its own, sets a key, gets it back and closes the store. */
#define _XOPEN_SOURCE 700
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <spillkv/spillkv.h>

#define MAX_MEM ((uint64_t)64 << 20)

static int fail(const char *what, spillkv_status status)
{
    fprintf(stderr, "%s: %s\n", what, spillkv_strerror(status));
    return 1;
}

static int use(spillkv *kv)
{
    char value[16] = {0};
    size_t size = 0;

    spillkv_status status = spillkv_set(kv, "key", 3, "value", 5);
    if (status != SPILLKV_OK)
        return fail("set", status);
    status = spillkv_get(kv, "key", 3, value, sizeof value, &size);
    if (status != SPILLKV_OK || size != 5 || memcmp(value, "value", 5) != 0)
        return fail("get", status);
    return 0;
}

int main(void)
{
    char path[] = "/tmp/spillkv-consumer.XXXXXX";
    if (mkdtemp(path) == NULL) {
        perror("mkdtemp");
        return 1;
    }

    spillkv *kv = NULL;
    spillkv_options options;
    spillkv_options_init(&options);
    options.path = path;
    options.max_mem = MAX_MEM;
    spillkv_status status = spillkv_open(&options, &kv);
    if (status != SPILLKV_OK)
        return fail("open", status);

    int failed = use(kv);
    status = spillkv_close(kv);
    if (status != SPILLKV_OK)
        failed = fail("close", status);
    rmdir(path);
    return failed;
}
