#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that the public headers, the version script and the library name the same functions.

Usage: check_symbols.py NM LIBRARY MAP HEADER...
"""

import re
import subprocess
import sys
from pathlib import Path


def exported(nm, library):
    out = subprocess.run([nm, '-D', '--defined-only', library], check=True,
                         capture_output=True, text=True).stdout
    # The version node itself is listed as an absolute symbol.
    return {line.split()[-1].split('@')[0] for line in out.splitlines()
            if line.split()[-2] != 'A'}


def mapped(path):
    text = Path(path).read_text(encoding='utf-8')
    return set(re.findall(r'^\s+(\w+);', text.split('local:')[0], re.MULTILINE))


def declared(paths):
    text = ''.join(Path(path).read_text(encoding='utf-8') for path in paths)
    text = re.sub(r'/\*.*?\*/', '', text, flags=re.DOTALL)
    return set(re.findall(r'^SPILLKV_API\b[^;(]*?(\w+)\(', text, re.MULTILINE))


def main():
    nm, library, map_path, *headers = sys.argv[1:]
    sets = {
        'library': exported(nm, library),
        'version script': mapped(map_path),
        'headers': declared(headers),
    }
    names = set().union(*sets.values())
    wrong = 0
    for name in sorted(names):
        missing = [where for where, found in sets.items() if name not in found]
        if missing:
            print(f'{name}: not in the {", not in the ".join(missing)}')
            wrong += 1
        if not name.startswith('spillkv_'):
            print(f'{name}: is not named spillkv_*')
            wrong += 1
    print(f'{len(names)} functions, {wrong} problems')
    return 1 if wrong or not names else 0


if __name__ == '__main__':
    sys.exit(main())
