#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs a test under valgrind's memcheck and fails if any of its processes did something wrong, which
# Criterion does not notice: it runs each test in a process of its own and ignores how that exits.
# Leaks count if nothing points at them any more. What only looks like one, memory reached by a
# pointer into its midst, is left to LeakSanitizer: here it is what Criterion's own threads hold.
# Usage: memcheck.sh TEST ARGUMENT...
set -uo pipefail

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

code=0
export SPILLKV_MEMCHECK=1
valgrind --trace-children=yes --fair-sched=try --log-file="$logs/%p" --leak-check=full \
    --show-leak-kinds=definite --errors-for-leak-kinds=definite "$@" || code=$?

# Processes that were killed by a test's intent have no summary.
for log in "$logs"/*; do
    if grep -q 'ERROR SUMMARY: [1-9]' "$log"; then
        cat "$log"
        code=1
    fi
done
exit "$code"
