#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that README.md shows the example that the tests build, word for word.

Usage: check_readme.py SOURCE_ROOT
"""

import re
import sys
from pathlib import Path


def main():
    root = Path(sys.argv[1])
    readme = (root / 'README.md').read_text(encoding='utf-8')
    example = (root / 'tests/abi/example.c').read_text(encoding='utf-8')
    blocks = re.findall(r'^```c\n(.*?)^```$', readme, re.MULTILINE | re.DOTALL)
    if example not in blocks:
        print('README.md does not show tests/abi/example.c')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
