#!/bin/sh
# SPDX-License-Identifier: MIT
# Checks the C files against .clang-format; with --fix formats them.
# Usage: check_format.sh [--fix] [SOURCE_ROOT]
set -eu

mode='--dry-run -Werror'
if [ "${1:-}" = --fix ]; then
    mode=-i
    shift
fi
cd "${1:-$(dirname "$0")/..}"

# Other versions format a little differently; 77 tells Meson that the test was skipped.
formatter=$(command -v clang-format-14 || command -v clang-format || true)
case $([ -z "$formatter" ] || "$formatter" --version) in
*'version 14.'*) ;;
*)
    echo 'clang-format 14 not found: not checked'
    exit 77
    ;;
esac

# shellcheck disable=SC2086 # mode is a list of options
find include src tests bench tools \( -name '*.c' -o -name '*.h' -o -name '*.cpp' \) -print0 |
    xargs -0 "$formatter" --style=file $mode
