#include <stdio.h>

#include <spillkv/spillkv.h>

int main(void)
{
    spillkv_options options;
    spillkv_options_init(&options);
    options.path = "example.store";       /* cold entries go to files in here */
    options.max_mem = (uint64_t)64 << 20; /* what the store may take in all */

    spillkv *kv;
    spillkv_status status = spillkv_open(&options, &kv);
    char value[32];
    size_t size = 0;
    if (status == SPILLKV_OK) {
        status = spillkv_set(kv, "greeting", 8, "hello", 5);
    }
    if (status == SPILLKV_OK) {
        status = spillkv_get(kv, "greeting", 8, value, sizeof(value), &size);
    }
    printf("%s: %.*s\n", spillkv_strerror(status), (int)size, value);
    return spillkv_close(kv) == SPILLKV_OK && status == SPILLKV_OK ? 0 : 1;
}
