#!/bin/bash
# SPDX-License-Identifier: MIT
# Fuzzes a target for some seconds, beginning with its corpus, which is left as it is.
# SPILLKV_FUZZ_SECONDS: how long (20); SPILLKV_FUZZ_KEEP: a directory for what is found new.
# Usage: run.sh TARGET CORPUS
set -euo pipefail

target=$1
corpus=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
found=$scratch/found
if [ -n "${SPILLKV_FUZZ_KEEP:-}" ]; then
    found=$SPILLKV_FUZZ_KEEP/$(basename "$corpus")
fi
mkdir -p "$found"

# Files of the stores are many and short-lived. What breaks the target is kept where it is run.
memory=/dev/shm
[ -w "$memory" ] || memory=$scratch
TMPDIR=$(mktemp -d "$memory/spillkv-fuzz-XXXXXX")
export TMPDIR
trap 'rm -rf "$scratch" "$TMPDIR"' EXIT

"$target" "$found" "$corpus" -max_total_time="${SPILLKV_FUZZ_SECONDS:-20}" -max_len=4096 \
    -timeout=60 -rss_limit_mb=4096 -print_final_stats=1 -artifact_prefix="$PWD/"
