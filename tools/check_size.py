#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that lines, functions and files stay short enough to be read at one go.

Usage: check_size.py SOURCE_ROOT
"""

import sys
from pathlib import Path

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
LINE_COLUMNS_MAX = 100
FOLDERS = ['include', 'src', 'tests', 'bench', 'tools']
C_SUFFIXES = ('.c', '.h', '.cpp')
SUFFIXES = C_SUFFIXES + ('.py', '.sh')


def long_functions(lines):
    """Functions are found by the format: their braces, and no others, stand alone in column 0."""
    start = None
    for number, line in enumerate(lines, 1):
        if line == '{':
            start = number
        elif line == '}' and start is not None:
            length = number - start - 1
            if length > FUNCTION_LINES_MAX:
                yield start, length
            start = None


def problems_of(path, root):
    name = path.relative_to(root).as_posix()
    lines = path.read_text(encoding='utf-8').splitlines()
    if len(lines) > FILE_LINES_MAX:
        yield f'{name}: {len(lines)} lines, at most {FILE_LINES_MAX}'
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_COLUMNS_MAX:
            yield f'{name}:{number}: {len(line)} columns, at most {LINE_COLUMNS_MAX}'
    if path.suffix in C_SUFFIXES:
        for start, length in long_functions(lines):
            yield f'{name}:{start}: function of {length} lines, at most {FUNCTION_LINES_MAX}'


def main():
    root = Path(sys.argv[1])
    count = 0
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob('*')):
            if path.suffix in SUFFIXES and path.is_file():
                for problem in problems_of(path, root):
                    print(problem)
                    count += 1
    print(f'{count} too long')
    return 1 if count else 0


if __name__ == '__main__':
    sys.exit(main())
