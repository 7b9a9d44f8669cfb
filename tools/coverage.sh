#!/bin/bash
# SPDX-License-Identifier: MIT
# Measures which lines and branches of src/ the tests run, and fails if one that they do not run has
# no reason in tests/uncovered.txt. Leaves build/coverage/coverage.html behind.
set -euo pipefail
cd "$(dirname "$0")/.."

build=${SPILLKV_BUILD:-build}/coverage
command -v gcovr >/dev/null || {
    echo 'coverage: needs gcovr (apt-get install gcovr)' >&2
    exit 1
}

# One copy of the counters: with a shared library each program would have two.
if [ ! -f $build/build.ninja ]; then
    meson setup $build --buildtype=debug -Db_coverage=true -Ddefault_library=static \
        -Ddebug_checks=off -Dtests=enabled -Dtools=enabled -Dbench=disabled
fi
ninja -C $build
find $build -name '*.gcda' -delete

# Counting makes everything some times slower.
meson test -C $build --no-rebuild --print-errorlogs -t 8 --suite unit --suite api --suite fault

# The mutants of tests/linear are other sources by the same names.
gcovr --root . --filter src/ --exclude-directories '.*spillkv_mutant_.*' \
    --object-directory $build $build --json $build/coverage.json \
    --html-details $build/coverage.html
tools/check_coverage.py . $build/coverage.json
