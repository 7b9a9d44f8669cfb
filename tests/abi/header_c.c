/* SPDX-License-Identifier: MIT */
/* Shows that the public header needs nothing before it and nothing but C11. */
#include <spillkv/spillkv.h>

int main(void)
{
    spillkv_options options;
    spillkv_options_init(&options);
    return options.path == NULL && spillkv_strerror(SPILLKV_OK) != NULL ? 0 : 1;
}
