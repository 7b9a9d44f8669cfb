#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that no SQL is built from input: what SQLite is given is text of the source, in which at
most numbers are filled in.

Usage: check_sql.py SOURCE_ROOT
"""

import re
import sys
from pathlib import Path

# Calls that take SQL, and what they may be given: constant tables, and a text of the line below.
CALL = re.compile(r'\bsqlite3_(?:exec|prepare\w*|get_table)\s*\(\s*[^,]+,\s*([^,]+),')
ALLOWED = {
    ('disk/connection.c', 'statement_texts[i]'),
    ('disk/schema.c', 'setting->get'),
    ('disk/schema.c', 'sql'),  # of run(), which is checked like a call
    ('disk/store.c', 'text'),
}
RUN = re.compile(r'\brun\(db,\s*([^,]+),')
RUN_ALLOWED = re.compile(r'"|settings\[i\]\.set$')
# Text that is SQL, as a literal: no other text may be put into it.
SQL = re.compile(r'"\s*(?:PRAGMA|BEGIN|COMMIT|ROLLBACK|REPLACE|INSERT|DELETE|SELECT|UPDATE|CREATE|'
                 r'ATTACH|VACUUM)\b[^"]*"')
TEXT_PUT_IN = re.compile(r'%[-+ #0-9.*]*[sc]')
BUILDERS = re.compile(r'\bsqlite3_(?:v?mprintf|v?snprintf|str_\w+)\b')


def problems_of(name, text):
    for found in CALL.finditer(text):
        sql = found.group(1).strip()
        if not sql.startswith('"') and (name, sql) not in ALLOWED:
            yield f'{name}: SQL from {sql}'
    if name == 'disk/schema.c':
        for found in RUN.finditer(text):
            if not RUN_ALLOWED.match(found.group(1).strip()):
                yield f'{name}: SQL from {found.group(1)}'
    for found in SQL.finditer(text):
        if TEXT_PUT_IN.search(found.group(0)):
            yield f'{name}: text is put into {found.group(0)}'
    for found in BUILDERS.finditer(text):
        yield f'{name}: {found.group(0)}'


def main():
    src = Path(sys.argv[1]) / 'src'
    problems = []
    calls = 0
    for path in sorted(src.rglob('*.[ch]')):
        text = path.read_text(encoding='utf-8')
        calls += len(CALL.findall(text))
        problems += problems_of(path.relative_to(src).as_posix(), text)
    print(*problems, f'{calls} calls with SQL, {len(problems)} wrong', sep='\n')
    return 1 if problems or calls == 0 else 0


if __name__ == '__main__':
    sys.exit(main())
