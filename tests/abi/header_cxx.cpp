/* SPDX-License-Identifier: MIT */
/* Shows that the public header is C++17 too and that its functions link from there. */
#include <spillkv/spillkv.h>

int main()
{
    spillkv_options options;
    spillkv_options_init(&options);
    return options.path == nullptr && spillkv_strerror(SPILLKV_OK) != nullptr ? 0 : 1;
}
