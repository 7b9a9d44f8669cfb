#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds spillkv with its checks on and runs tests by name. TESTING.md says what each is about.
#
# Usage: tools/test.sh [NAME...] [-OPTION...]
#
# Without a NAME: every test of the ordinary build. A NAME is
#   a suite of it   unit api model fault stress slow corpus tools bench abi lint ...
#   asan            all of them with AddressSanitizer and UndefinedBehaviorSanitizer, but for the
#                   stores that the benchmarks compare with
#   tsan            all of them with ThreadSanitizer, but for the benchmarks
#   full            the random operations with every invariant checked at every step
#   fuzz            libFuzzer on each target, SPILLKV_FUZZ_SECONDS (20) each
#   memcheck        the unit tests under valgrind (half an hour)
#   coverage        which lines and branches are run (half an hour)
#   all             everything above
# Options are handed to `meson test`. Builds are kept in $SPILLKV_BUILD (build).
set -euo pipefail
cd "$(dirname "$0")/.."

tools/setup.sh

root=${SPILLKV_BUILD:-build}
options=()
launcher=()

# build NAME OPTION...: configures a build directory once, and builds nothing yet.
build() {
    local dir=$root/$1
    shift
    [ -f "$dir/build.ninja" ] ||
        meson setup "$dir" -Dtests=enabled -Dtools=enabled -Dbench=enabled "$@"
}

# run NAME ARGUMENT...
run() {
    local dir=$root/$1
    shift
    "${launcher[@]}" meson test -C "$dir" --print-errorlogs "$@" "${options[@]}"
}

ordinary() {
    build debug --buildtype=debugoptimized -Ddebug_checks=cheap
    run debug "$@"
}

asan() {
    build asan --buildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false \
        -Ddebug_checks=cheap
    run asan --no-suite lint --no-suite engines
}

# ThreadSanitizer of these compilers cannot place its shadow if the kernel randomises much of the
# address (vm.mmap_rnd_bits above 28): then its programs are run without randomisation.
tsan() {
    CC=clang CXX=clang++ build tsan --buildtype=debugoptimized -Db_sanitize=thread \
        -Db_lundef=false -Ddebug_checks=cheap
    ninja -C "$root/tsan"
    if ! runs_often "$root/tsan/tests/planted/planted_race" && setarch "$(uname -m)" -R true; then
        echo 'tests run without address randomisation'
        launcher=(setarch "$(uname -m)" -R)
    fi
    run tsan --no-suite lint --no-suite bench --no-suite engines
    launcher=()
}

runs_often() {
    for _ in 1 2 3 4 5; do
        "$1" --filter=planted/quiet >/dev/null 2>&1 || return 1
    done
}

full() {
    build full --buildtype=debugoptimized -Ddebug_checks=full
    run full --suite model
}

fuzz() {
    CC=clang CXX=clang++ build fuzz --buildtype=debugoptimized -Db_sanitize=address,undefined \
        -Db_lundef=false -Ddebug_checks=cheap -Dfuzz=enabled
    ninja -C "$root/fuzz" fuzz
    run fuzz --no-rebuild --suite fuzz
}

memcheck() {
    build memcheck --buildtype=debugoptimized -Djemalloc=disabled -Ddebug_checks=cheap
    run memcheck --setup memcheck --suite unit
}

coverage() {
    tools/coverage.sh
}

suites=()
names=()
while [ $# -gt 0 ]; do
    case $1 in
    -*)
        options=("$@")
        break
        ;;
    asan | tsan | full | fuzz | memcheck | coverage) names+=("$1") ;;
    all) names+=(ordinary asan tsan full fuzz memcheck coverage) ;;
    *) suites+=(--suite "$1") ;;
    esac
    shift
done

if [ ${#suites[@]} -gt 0 ] || [ ${#names[@]} -eq 0 ]; then
    ordinary "${suites[@]}"
fi
for name in "${names[@]}"; do
    "$name"
done
