#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks who includes whom: the folder is the layer, and includes only point down.

Usage: check_layers.py SOURCE_ROOT
"""

import re
import sys
from pathlib import Path

# What a layer's files may include: folders of src/, or single headers of them. A layer may always
# include itself and the public header.
LAYERS = {
    'base': [],
    'budget': ['base'],
    'table': ['base', 'budget'],
    'ram': ['base', 'budget'],
    'disk': ['base'],
    'shard': ['base', 'budget', 'table', 'ram', 'disk'],
    'engine': ['base', 'budget', 'shard/shard.h', 'disk/directory.h'],
    'api': ['base', 'engine'],
}

# Exceptions to the line above: headers a layer must not see although it may include their folder.
FORBIDDEN = {
    'table': ['base/mutex.h'],
    'ram': ['base/mutex.h'],
    'disk': ['base/mutex.h'],
}

# Foreign headers and the only places that may include them (beside tests, bench and tools).
FOREIGN = {
    'sqlite3.h': ['disk/'],
    'jemalloc/jemalloc.h': ['base/alloc.', 'budget/pieces.'],
    'xxhash.h': ['base/hash.'],
    'pthread.h': ['base/', 'disk/directory.', 'disk/vfs.', 'engine/', 'api/'],
}

# Folders beside src/ that see the public header only, and their exceptions.
PUBLIC_ONLY = ['tools', 'bench', 'tests/api', 'tests/stress', 'tests/slow', 'tests/consumer',
               'tests/abi']
SEE_ALL = ['bench/micro', 'bench/hitrate']

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.MULTILINE)


def c_files(folder):
    return sorted(p for p in folder.rglob('*') if p.suffix in ('.c', '.h', '.cpp'))


def includes(path):
    return INCLUDE.findall(path.read_text(encoding='utf-8'))


def check_quoted(name, layer, target, root):
    """An include of ours, from the file src/name."""
    if target.startswith('.') or '/' not in target:
        return f'write "{target}" from src/, as "<layer>/<file>.h"'
    if not (root / 'src' / target).is_file():
        return f'"{target}" does not exist in src/'
    folder = target.split('/')[0]
    if folder == layer:
        return None
    if target in FORBIDDEN.get(layer, []):
        return f'{layer} must not include "{target}"'
    allowed = LAYERS[layer]
    if folder not in allowed and target not in allowed:
        return f'{layer} must not include "{target}"'
    if target.endswith('_private.h'):
        return f'"{target}" is private to {folder}'
    return None


def check_angled(name, target):
    places = FOREIGN.get(target)
    if places is not None and not any(name.startswith(p) for p in places):
        return f'<{target}> may be included only by {", ".join(places)}'
    return None


def check_library(root):
    src = root / 'src'
    for path in c_files(src):
        name = path.relative_to(src).as_posix()
        layer = name.split('/')[0]
        if layer not in LAYERS:
            yield name, f'"{layer}" is not a layer'
            continue
        found = includes(path)
        for kind, target in found:
            problem = (check_quoted(name, layer, target, root) if kind == '"'
                       else check_angled(name, target))
            if problem:
                yield name, problem
        own = name[:-2] + '.h'
        if name.endswith('.c') and (src / own).is_file() and found[:1] != [('"', own)]:
            yield name, f'its own header "{own}" must be its first include'


def check_public_only(root):
    for folder in PUBLIC_ONLY:
        for path in c_files(root / folder):
            name = path.relative_to(root).as_posix()
            if any(name.startswith(p) for p in SEE_ALL):
                continue
            for kind, target in includes(path):
                if kind == '"' and (root / 'src' / target).is_file():
                    yield name, f'may include <spillkv/...> only, not "{target}"'


def check_cycles(root):
    src = root / 'src'
    graph = {}
    for path in src.rglob('*.h'):
        targets = [t for kind, t in includes(path) if kind == '"']
        graph[path.relative_to(src).as_posix()] = targets
    done = set()

    def walk(name, trail):
        if name in trail:
            yield name, 'includes itself: ' + ' -> '.join(trail[trail.index(name):] + [name])
        elif name not in done:
            for target in graph.get(name, []):
                yield from walk(target, trail + [name])
            done.add(name)

    for name in sorted(graph):
        yield from walk(name, [])


def main():
    root = Path(sys.argv[1])
    problems = [*check_library(root), *check_public_only(root), *check_cycles(root)]
    for name, problem in problems:
        print(f'{name}: {problem}')
    print(f'{len(problems)} wrong includes')
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
