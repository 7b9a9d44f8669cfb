#!/bin/bash
# SPDX-License-Identifier: MIT
# Shows that programs can get spillkv in both ways, with a shared and with a static library: as a
# Meson subproject, and installed, with plain cc and pkg-config. Works in a temporary directory.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

work=$(mktemp -d "${TMPDIR:-/tmp}/spillkv-consumers.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Runs a command and shows what it said only if it fails.
quietly() {
    "$@" >"$work/log" 2>&1 || {
        cat "$work/log"
        return 1
    }
}

as_subproject() {
    local kind=$1
    local build=$work/subproject-$kind
    quietly meson setup "$build" "$work/consumer" --default-library="$kind" \
        --force-fallback-for=spillkv
    quietly meson test -C "$build" --print-errorlogs consumer
}

# Without jemalloc, tests and tools: as a packager of the smallest library would.
installed() {
    local kind=$1
    local build=$work/build-$kind prefix=$work/prefix-$kind
    local program=$work/program-$kind
    quietly meson setup "$build" "$root" --default-library="$kind" --prefix="$prefix" \
        --libdir=lib -Dtests=disabled -Dtools=disabled -Dbench=disabled -Djemalloc=disabled
    quietly meson install -C "$build"

    local flags query=(--cflags --libs)
    [ "$kind" = shared ] || query+=(--static)
    flags=$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig \
        pkg-config "${query[@]}" spillkv)
    # shellcheck disable=SC2086 # flags is a list of options
    cc -std=c11 -Wall -Wextra -Werror "$root/tests/consumer/consumer.c" $flags -o "$program"
    LD_LIBRARY_PATH=$prefix/lib "$program"
    if [ "$kind" = static ] && ldd "$program" | grep -q libspillkv; then
        echo 'the static program needs the shared library'
        return 1
    fi
}

cp -r "$root/tests/consumer" "$work/consumer"
ln -s "$root" "$work/consumer/subprojects/spillkv"
for kind in shared static; do
    as_subproject "$kind"
    echo "consumer as a subproject, $kind: ok"
    installed "$kind"
    echo "consumer by pkg-config, $kind: ok"
done
