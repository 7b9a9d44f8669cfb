#!/bin/bash
# SPDX-License-Identifier: MIT
# Installs what the build, the tests and the tools need (Debian and its relatives). Only what is
# missing; asks for nothing. Of Redis the tools are enough: they hold the server, without a service.
# With --peers also the stores that bench/ycsb compares with; each of them is optional.
set -euo pipefail

packages=(
    gcc g++ libc6-dev binutils meson ninja-build pkg-config python3
    libsqlite3-dev libxxhash-dev libjemalloc-dev
    libcriterion-dev
    libgsl-dev libjansson-dev sqlite3
    libhiredis-dev redis-tools gnuplot-nox
    clang-14 libclang-rt-14-dev clang clang-tidy clang-format cppcheck
    gcovr valgrind
)
if [ "${1:-}" = --peers ]; then
    packages+=(librocksdb-dev liblmdb-dev libtkrzw-dev libleveldb-dev libwiredtiger-dev)
fi

if ! command -v apt-get >/dev/null; then
    echo "setup: no apt-get here; install these by hand: ${packages[*]}" >&2
    exit 0
fi

missing=()
for package in "${packages[@]}"; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
echo "setup: installing ${missing[*]}"
# An index that is missing or out of date names packages that cannot be had.
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}"
