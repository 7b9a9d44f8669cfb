#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks bench/hitrate: exact hits of generated traces, and that all formats say the same.

Usage: hitrate.py HITRATE [--print]
"""

import json
import lzma
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

POLICIES = ['slot-l', 'slot12', 'lfu', 'lru12', 'lru', 'arc', 's3-fifo', 'belady']
TRACES = ['zipf', 'drift', 'scan', 'loop', 'zigzag']
SIZE = ':60000:3000'
SHARDS = [1, 8]

# Hits by number of shards and trace, for capacities of 150 and 600 entries, in the order above.
HITS = {
    1: {
        'zipf': [[35877, 35734, 35309, 29436, 29653, 34686, 35414, 41253],
                 [46172, 46023, 45986, 42764, 42883, 44860, 45477, 50880]],
        'drift': [[28156, 27765, 24719, 26611, 26755, 28350, 26454, 38087],
                  [37905, 37119, 35525, 37722, 37875, 38240, 36549, 46511]],
        'scan': [[23594, 23343, 22381, 19073, 19102, 23341, 23753, 27693],
                 [30562, 30615, 29804, 24849, 24133, 30576, 29475, 34075]],
        'loop': [[1413, 0, 0, 0, 0, 0, 0, 2850],
                 [9684, 10162, 0, 0, 0, 0, 0, 11400]],
        'zigzag': [[1608, 1502, 2378, 2735, 2850, 2701, 420, 2850],
                   [5718, 6875, 9411, 11211, 11400, 10801, 1680, 11400]],
    },
    8: {
        'zipf': [[34737, 34673, 34605, 29351, 29653, 34686, 35414, 41253],
                 [45919, 45901, 45851, 42732, 42883, 44860, 45477, 50880]],
        'drift': [[28161, 27812, 25496, 26526, 26755, 28350, 26454, 38087],
                  [37007, 36883, 35420, 37686, 37875, 38240, 36549, 46511]],
        'scan': [[22792, 22735, 22009, 18999, 19102, 23341, 23753, 27693],
                 [30461, 30487, 29688, 24879, 24133, 30576, 29475, 34075]],
        'loop': [[11, 0, 0, 0, 0, 0, 0, 2850],
                 [8086, 8294, 0, 0, 0, 0, 0, 11400]],
        'zigzag': [[1655, 1428, 2336, 2564, 2850, 2701, 420, 2850],
                   [5369, 6123, 9158, 10163, 11400, 10801, 1680, 11400]],
    },
}


def run(program, *arguments):
    out = subprocess.run([program, '--json', '--quiet', *arguments], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    return json.loads(out)['traces']


def hits_of(trace):
    return [[size['policies'][name]['hits'] for name in POLICIES] for size in trace['sizes']]


def generated(program, shards):
    arguments = [f'--generate={name}{SIZE}' for name in TRACES]
    traces = run(program, f'--policy={",".join(POLICIES)}', '--sizes=150,600', f'--shards={shards}',
                 *arguments)
    return {trace['trace']: hits_of(trace) for trace in traces}


def write_files(folder, keys):
    """The same requests in every format."""
    files = {
        'a.u32': struct.pack(f'<{len(keys)}I', *keys),
        'b.txt': ''.join(f'key {k}\n' for k in keys).encode(),
        'c.csv': ''.join(f'{t},k{k},{k % 7},9\n' for t, k in enumerate(keys)).encode(),
        'd.csv': b'time,key,size\n' + b''.join(b'%d,%d,1\n' % (t, k) for t, k in enumerate(keys)),
        'e.oracleGeneral.bin': b''.join(struct.pack('<IQIq', t, k << 33, 1, -1)
                                        for t, k in enumerate(keys)),
    }
    files['f.u32.xz'] = lzma.compress(files['a.u32'])
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [str(folder / name) for name in files]


def check_formats(program):
    keys = [k * k * 7 % 1013 for i in range(20) for k in range(i * 37, i * 37 + 400)]
    with tempfile.TemporaryDirectory() as name:
        traces = run(program, '--sizes=20%,120', *write_files(Path(name), keys))
    for trace in traces:
        assert trace['requests'] == len(keys), trace
        assert trace['unique'] == len(set(keys)), trace
        assert trace['sizes'] == traces[0]['sizes'], trace['trace']
    assert len(traces) == 6


def check_damaged(program):
    with tempfile.TemporaryDirectory() as name:
        for file, data in [('short.u32', b'12345'), ('bad.u32.xz', b'no xz'), ('empty.txt', b'')]:
            path = Path(name) / file
            path.write_bytes(data)
            done = subprocess.run([program, '--quiet', path], check=False, capture_output=True)
            assert done.returncode == 1, file
            assert b'not a trace' in done.stderr, done.stderr


def main():
    program = sys.argv[1]
    found = {shards: generated(program, shards) for shards in SHARDS}
    if sys.argv[2:] == ['--print']:
        print(json.dumps(found))
        return 0
    check_formats(program)
    check_damaged(program)
    wrong = 0
    for shards in SHARDS:
        for name in TRACES:
            if found[shards][name] != HITS[shards][name]:
                wrong += 1
                print(f'{name}, {shards} shards: {found[shards][name]}')
    print(f'{len(SHARDS) * len(TRACES)} traces, {wrong} with other hits')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
