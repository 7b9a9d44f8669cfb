#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds spillkv with its checks on and runs every test. Arguments go to `meson test`.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/setup.sh

if [ ! -f build/debug/build.ninja ]; then
    meson setup build/debug --buildtype=debug \
        -Dtests=enabled -Dtools=enabled -Dbench=enabled
fi
meson test -C build/debug --print-errorlogs "$@"
