#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares what the tests ran of src/ with the list of what they cannot run, and why.

Usage: check_coverage.py SOURCE_ROOT GCOVR_JSON [--list]

A line is named by its function and its text, so that the list outlives changes elsewhere. --list
prints what is missing from the list in its format, without reasons.
"""

import json
import sys
from pathlib import Path

LIST = 'tests/uncovered.txt'
# Branches of these abort the program: that they never do is what the tests show.
ASSERTIONS = 'SKV_CHECK'
BRANCHES_WANTED = 95.0


def read_list(path):
    """{(function, text): reason}: "FILE: FUNCTION", then lines "    CODE" and the "        reason"
    for the ones right above it."""
    entries = {}
    where, codes, explained = None, [], False
    for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
        if not line.strip() or line.startswith('#'):
            continue
        if line.startswith('        ') and codes:
            for code in codes:
                entries[where, code] += ' ' + line.strip()
            explained = True
        elif line.startswith('    ') and where is not None:
            codes = [*([] if explained else codes), line.strip()]
            entries[where, line.strip()] = ''
            explained = False
        elif not line.startswith(' '):
            where, codes, explained = line.strip(), [], False
        else:
            sys.exit(f'{path}:{number}: neither a function, nor code, nor a reason')
    return entries


def function_at(file, number):
    """"FILE: FUNCTION" of a line."""
    starts = [f for f in file['functions'] if f['lineno'] <= number]
    return f"{file['file']}: {max(starts, key=lambda f: f['lineno'])['name'] if starts else '-'}"


def measure(report, root):
    """Totals, and {(function, text): line} of lines of which a branch was never taken. Lines that
    did not run come after such a branch, and are not named again."""
    totals = {'lines': 0, 'lines run': 0, 'branches': 0, 'branches taken': 0}
    missing = {}
    for file in report['files']:
        source = (root / file['file']).read_text(encoding='utf-8').splitlines()
        follows = False
        for line in file['lines']:
            if line.get('gcovr/noncode'):
                continue
            number = line['line_number']
            text = source[number - 1].strip()
            branches = [] if ASSERTIONS in text else line['branches']
            taken = sum(b['count'] > 0 for b in branches)
            totals['lines'] += 1
            totals['lines run'] += line['count'] > 0
            totals['branches'] += len(branches)
            totals['branches taken'] += taken
            if taken < len(branches) or line['count'] == 0:
                if line['count'] > 0 or not follows:
                    missing.setdefault((function_at(file, number), text), number)
                follows = True
            else:
                follows = False
    return totals, missing


def main():
    root = Path(sys.argv[1])
    report = json.loads(Path(sys.argv[2]).read_text(encoding='utf-8'))
    entries = read_list(root / LIST)
    totals, missing = measure(report, root)
    unlisted = {key: number for key, number in missing.items() if key not in entries}
    if '--list' in sys.argv:
        last = None
        for where, text in unlisted:
            print(*([f'\n{where}'] if where != last else []), f'    {text}', sep='\n')
            last = where
        return 0
    for (where, text), number in unlisted.items():
        print(f'{where}, line {number}: not covered, and no reason in {LIST}: {text}')
    unexplained = [key for key, reason in entries.items() if not reason]
    for where, text in unexplained:
        print(f'{LIST}: no reason: {where}: {text}')
    for key in entries:
        if key not in missing:
            print(f'note: covered this time, or gone: {key[0]}: {key[1]}')
    part = {what: 100 * totals[f'{what} {done}'] / totals[what]
            for what, done in (('lines', 'run'), ('branches', 'taken'))}
    for what, done in (('lines', 'run'), ('branches', 'taken')):
        print(f'{what}: {part[what]:.1f} %, {totals[f"{what} {done}"]} of {totals[what]}')
    print(f'{len(missing)} places with something uncovered, {len(unlisted)} without a reason')
    return 1 if unlisted or unexplained or part['branches'] < BRANCHES_WANTED else 0


if __name__ == '__main__':
    sys.exit(main())
