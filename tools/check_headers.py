#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that every header compiles alone.

Usage: check_headers.py SOURCE_ROOT COMPILER...
"""

import subprocess
import sys
from pathlib import Path


def main():
    root = Path(sys.argv[1])
    compiler = sys.argv[2:]
    flags = ['-std=c11', '-D_GNU_SOURCE', '-DSKV_DEBUG_LEVEL=2', '-Wall', '-Wextra', '-Werror',
             '-Wno-unused-function', '-I', root / 'include', '-I', root / 'src', '-fsyntax-only',
             '-x', 'c', '-']
    failed = 0
    headers = sorted([*(root / 'src').rglob('*.h'), *(root / 'include').rglob('*.h')])
    for header in headers:
        # By way of an #include: as the main file it would be a header compiled as a program.
        run = subprocess.run([*compiler, *flags], input=f'#include "{header}"\n', text=True,
                             check=False)
        failed += run.returncode != 0
    print(f'{len(headers)} headers, {failed} do not compile alone')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
