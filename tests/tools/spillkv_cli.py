#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the program spillkv as a user would. Usage: spillkv_cli.py PATH_OF_SPILLKV [TEST...]"""

import json
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import unittest

PROGRAM = ""
TIMEOUT = 120


class Case(unittest.TestCase):
    """Each test has a TMPDIR of its own, in which the program must leave nothing behind."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.temporary = os.path.join(self.folder.name, "tmp")
        os.mkdir(self.temporary)
        self.environment = dict(os.environ, TMPDIR=self.temporary)

    def run_program(self, *arguments, text=b""):
        done = subprocess.run([PROGRAM, *arguments], input=text, capture_output=True,
                              env=self.environment, timeout=TIMEOUT, check=False)
        self.assertEqual(os.listdir(self.temporary), [], "files are left behind")
        return done

    def write(self, name, content):
        path = os.path.join(self.folder.name, name)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def load(self, *arguments, text=b"", code=0):
        """Runs `load --json` and returns the result; None unless the exit code promises one."""
        done = self.run_program("load", "--max-mem", "64M", "--json", *arguments, text=text)
        self.assertEqual(done.returncode, code, done.stderr)
        return json.loads(done.stdout) if code == 0 else None

    def refuse(self, *arguments, text=b"", says):
        done = self.run_program(*arguments, text=text)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(done.stdout, b"")
        self.assertIn(says, done.stderr.decode())


class Load(Case):
    def check(self, result, records, keys, size):
        self.assertTrue(result["verified"])
        self.assertEqual(result["input"]["records"], records)
        self.assertEqual(result["input"]["keys"], keys)
        self.assertEqual(result["input"]["bytes"], size)
        self.assertEqual(result["count"], keys)
        self.assertEqual(result["set"]["operations"], records)
        self.assertEqual(result["get"]["operations"], keys)
        total = result["stats"]["total"]
        self.assertEqual(total["sets"], records)
        self.assertEqual(total["entries_ram"] + total["entries_spilled"], keys)
        for phase in (result["set"], result["get"]):
            latency = phase["latency_ns"]
            steps = [latency[name] for name in ("p50", "p99", "p99.9", "max")]
            self.assertEqual(steps, sorted(steps))

    def test_last_record_of_a_tsv_key_counts(self):
        content = b"a\tone\nb\t\nc\twith\ttab\na\ttwo\na\tthree and more"
        result = self.load("--threads", "3", self.write("a.tsv", content))
        self.check(result, 5, 3, len(b"athree and more" b"b" b"cwith\ttab"))

    def test_many_repeated_keys_with_many_threads(self):
        source = random.Random(1)
        lines = [b"key%d\t%d" % (source.randrange(2000), number) for number in range(20000)]
        last = dict(line.split(b"\t") for line in lines)
        size = sum(len(key) + len(value) for key, value in last.items())
        for threads in ("1", "2", "7"):
            result = self.load("--threads", threads, "-", text=b"\n".join(lines) + b"\n")
            self.check(result, len(lines), len(last), size)

    def test_spills_and_reads_back(self):
        source = random.Random(2)
        lines = [b"key%d\t%s" % (number, source.randbytes(1500).hex().encode())
                 for number in range(8000)]
        done = self.run_program("load", "--max-mem", "16M", "--shards", "1", "--json", "-q", "-",
                                text=b"\n".join(lines))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, b"")
        result = json.loads(done.stdout)
        self.check(result, 8000, 8000, sum(len(line) - 1 for line in lines))
        self.assertEqual(result["stats"]["max_mem"], 16 << 20)
        self.assertLessEqual(result["stats"]["memory"]["total"], 16 << 20)
        self.assertGreater(result["stats"]["total"]["entries_spilled"], 0)
        self.assertTrue(0 < result["hit_ratio"] < 1)

    def test_stanzas(self):
        content = (b"\n\nPackage: one\nVersion: 1\nDescription: long\n text\n .\n more\n\n \t\n"
                   b"Package:two  \nVersion: 1\n\nPackage: one\nVersion: 2")
        result = self.load("--format", "stanza", self.write("available", content))
        self.check(result, 3, 2, len(b"two" b"Package:two  \nVersion: 1"
                                     b"one" b"Package: one\nVersion: 2"))

    def test_lines_are_counted_through_all_files(self):
        one = self.write("one", b"same\nsame\n\n")
        two = self.write("two", bytes(range(256)))
        result = self.load("--format", "lines", one, two)
        self.check(result, 5, 5, 8 + 255 + len("12345"))

    def test_bytes_of_any_kind(self):
        content = b"\0\t\0\n\xff\xfe\t\r\n" + b"k" * 65535 + b"\t" + b"v" * 3000000 + b"\n"
        self.check(self.load(self.write("odd", content)), 3, 3, 1 + 1 + 2 + 1 + 65535 + 3000000)

    def test_empty_input(self):
        for form in ("tsv", "stanza", "lines"):
            result = self.load("--format", form, "-", self.write("empty", b""), os.devnull)
            self.check(result, 0, 0, 0)
            self.assertIsNone(result["hit_ratio"])
        done = self.run_program("load", "--max-mem=64M", os.devnull)
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"no records", done.stderr)

    def test_no_limit(self):
        done = self.run_program("load", "--max-mem", "0", "-", text=b"a\tb\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"no limit", done.stdout)

    def test_table(self):
        done = self.run_program("load", "--max-mem", "64M", "-", text=b"a\tb\nc\td\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        for word in (b"max_mem", b"p99.9", b"RSS", b"verified: 2 values"):
            self.assertIn(word, done.stdout)

    def test_seed_is_reported(self):
        self.assertEqual(self.load("--seed", "77", "-", text=b"a\tb\n")["seed"], 77)

    def test_named_path_stays(self):
        path = os.path.join(self.folder.name, "here")
        os.mkdir(path)
        self.load("--path", path, "-", text=b"a\tb\n")
        self.assertEqual(os.listdir(path), [])


class Refusals(Case):
    def test_bad_sizes(self):
        for size in ("", "M", "-1", "64Q", "1e9", "0x10", "64 M", "1.5", "1.", ".5G", "nan",
                     "99999999999T", "18446744073709551616", "64MM", "64KiBi"):
            with self.subTest(size):
                self.refuse("load", "--max-mem=" + size, "-", says="is not a size")

    def test_good_sizes(self):
        for size, number in (("64M", 64 << 20), ("0.5g", 1 << 29), ("67108864", 1 << 26),
                             ("65536KiB", 1 << 26)):
            with self.subTest(size):
                self.assertEqual(self.load("--max-mem", size, "-")["stats"]["max_mem"], number)

    def test_bad_arguments(self):
        self.refuse(says="a command is needed")
        self.refuse("nonsense", says="is not a command")
        self.refuse("load", "-", says="--max-mem is needed")
        self.refuse("load", "--max-mem=64M", says="a file is needed")
        self.refuse("load", "--max-mem=64M", "--format=xml", "-", says="none of tsv")
        self.refuse("load", "--max-mem=64M", "--nonsense", "-", says="nonsense")
        self.refuse("load", "--max-mem=64M", "--seed=x", "-", says="--seed")
        self.refuse("repl", "more", says="no arguments")
        for number in ("0", "-1", "1025", "two", ""):
            self.refuse("load", "--max-mem=64M", "--threads=" + number, "-", says="--threads")
        for number in ("257", "-1", "x"):
            self.refuse("load", "--max-mem=64M", "--shards=" + number, "-", says="--shards")

    def test_bad_records_are_named(self):
        load = ("load", "--max-mem=64M", "-")
        stanza = ("load", "--max-mem=64M", "--format=stanza", "-")
        self.refuse(*load, text=b"a\tb\nno tab\n", says="standard input:2: no tab")
        self.refuse(*load, text=b"a\tb\nc\td\n\te", says=":3: the key is empty")
        self.refuse(*load, text=b"k" * 65536 + b"\tv", says=":1: the key is longer")
        self.refuse(*stanza, text=b"\nno colon\n", says=":2: a stanza begins without")
        self.refuse(*stanza, text=b"A: b\n\n c: d\n", says=":3: a stanza begins without")
        self.refuse(*stanza, text=b"A: b\n\nPackage: \n", says=":3: the key is empty")

    def test_bad_files(self):
        self.refuse("load", "--max-mem=64M", "/nonexistent", says="cannot open /nonexistent")
        self.refuse("load", "--max-mem=64M", self.folder.name, says="cannot read")

    def test_bad_path(self):
        self.refuse("load", "--max-mem=64M", "--path=/nonexistent/below", "-",
                    says="cannot open a store")
        self.refuse("repl", "--path", self.write("file", b"x"), says="cannot open a store")

    def test_max_mem_too_small(self):
        self.refuse("load", "--max-mem=1", "-", says="max-mem too small")

    def test_help_and_version(self):
        for arguments in (("--help",), ("load", "--help"), ("repl", "--help"),
                          ("replay", "--help"), ("--version",)):
            done = self.run_program(*arguments)
            self.assertEqual(done.returncode, 0)
            self.assertIn(b"spillkv", done.stdout)


class Replay(Case):
    def replay(self, *arguments, code=0):
        done = self.run_program("replay", "--json", "-q", *arguments)
        self.assertEqual(done.returncode, code, done.stderr)
        return json.loads(done.stdout)

    def trace(self, requests, keys, seed=1):
        source = random.Random(seed)
        numbers = [int(keys * source.random() ** 3) for _ in range(requests)]
        return numbers, self.write("trace.u32", struct.pack(f"<{requests}I", *numbers))

    def check(self, result, numbers):
        total = result["stats"]["total"]
        unique = len(set(numbers))
        self.assertTrue(result["verified"])
        self.assertEqual(result["requests"], len(numbers))
        self.assertEqual(result["unique"], unique)
        self.assertEqual(result["count"], unique)
        self.assertEqual(result["get"]["operations"], len(numbers))
        self.assertEqual(result["set"]["operations"], total["sets"])
        self.assertEqual(total["misses"], total["sets"])
        self.assertGreaterEqual(total["misses"], unique)
        self.assertEqual(total["hits"] + total["spilled_reads"] + total["misses"], len(numbers))
        self.assertAlmostEqual(result["hit_ratio"], total["hits"] / len(numbers), 6)

    def test_all_in_memory(self):
        numbers, path = self.trace(20000, 3000)
        result = self.replay("--max-mem", "0", "--threads", "1", path)
        self.check(result, numbers)
        unique = len(set(numbers))
        self.assertEqual(result["stats"]["total"]["hits"], len(numbers) - unique)
        self.assertEqual(result["entries_ram"], unique)

    def test_spills_with_every_policy(self):
        numbers, path = self.trace(60000, 20000)
        ratios = {}
        for policy in ("slot-l", "slot12", "lfu", "lru"):
            result = self.replay("--max-mem", "4M", "--shards", "1", "--value-size", "500",
                                 "--seed", "7", "--policy", policy, "--threads", "3", path)
            self.check(result, numbers)
            self.assertGreater(result["stats"]["total"]["spilled_reads"], 0)
            self.assertGreater(result["entries_ram"], 1000)
            self.assertLess(result["entries_ram"], len(set(numbers)))
            ratios[policy] = result["hit_ratio"]
            advice = result["advice"]
            total = result["stats"]["total"]
            self.assertEqual(advice["gets"], total["hits"] + total["spilled_reads"])
            steps = [advice["hit_ratio"][size] for size in ("half", "now", "twice", "four")]
            self.assertEqual(steps, sorted(steps))
            self.assertLess(steps[0], steps[3])
        self.assertGreater(ratios["slot-l"], ratios["lru"])

    def test_formats_and_sizes(self):
        lines = self.write("trace.txt", b"one\ntwo\none\n")
        csv = self.write("trace", b"time,key\n1,one,9\n2,two,9\n3,one,9\n")
        for size in ("0", "1", "7", "1M"):
            for arguments in ((lines,), ("--format", "csv", csv)):
                result = self.replay("--max-mem", "64M", "-t", "1", "-v", size, *arguments)
                self.check(result, [1, 2, 1])
        self.check(self.replay("--max-mem", "64M", "-t", "1", "-n", "2", lines), [1, 2])

    def test_table(self):
        _, path = self.trace(5000, 1000)
        done = self.run_program("replay", "--max-mem", "64M", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"verified: all values", done.stdout)
        self.assertIn(b"answered from RAM", done.stdout)

    def test_refusals(self):
        path = self.write("short.u32", b"12345")
        self.refuse("replay", "--max-mem", "64M", path, says="not a trace")
        self.refuse("replay", "--max-mem", "64M", "/nothing/here", says="No such file")
        self.refuse("replay", path, says="--max-mem is needed")
        self.refuse("replay", "--max-mem", "64M", says="a file is needed")
        self.refuse("replay", "--max-mem", "64M", path, path, says="one file is enough")
        self.refuse("replay", "--max-mem", "64M", "--policy", "x", path, says="'x' is none of")
        self.refuse("replay", "--max-mem", "64M", "--format", "x", path, says="'x' is none of")
        self.refuse("replay", "--max-mem", "64M", "-v", "1G", path, says="is not a size up to")


class Repl(Case):
    def answers(self, text, *arguments):
        done = self.run_program("repl", *arguments, text=text)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode().splitlines(), done.stderr.decode().splitlines()

    def test_session(self):
        out, err = self.answers(b"set a one two  three\nget a\nhas a\nhas b\nget b\ncount\n"
                                b"  set   b\nget b\nset a x\neach\ndel a\ndel a\nflush\n"
                                b"clear\ncount\nquit\ncount\n", "--max-mem", "64M")
        self.assertEqual(err, [])
        self.assertEqual(out[:8], ["ok", "one two  three", "yes", "no", "(not found)", "1",
                                   "ok", ""])
        self.assertEqual(out[8], "ok")
        self.assertEqual(sorted(out[9:11]), ["a\tx", "b\t"])
        self.assertEqual(out[11:], ["ok", "(not found)", "ok", "ok", "0"])

    def test_bytes_are_escaped(self):
        out, err = self.answers(b"set a\\x20b \\x00\xff\\n\\\\\neach\nget a\\x20b")
        self.assertEqual(err, [])
        self.assertEqual(out, ["ok", "a b\t\\x00\\xff\\n\\\\", "\\x00\\xff\\n\\\\"])

    def test_goes_on_after_mistakes(self):
        out, err = self.answers(b"\nnonsense\nget\nget a b\nset a \\q\ndel\nset\0 a b\nset "
                                + b"k" * 65536 + b" v\ncount\n")
        self.assertEqual(out, ["0"])
        self.assertEqual(len(err), 7)

    def test_stats_and_help(self):
        out, _ = self.answers(b"set a b\nget a\nget c\nstats\nhelp\n")
        stats = dict(line.split()[:2] for line in out if len(line.split()) >= 2)
        for name, value in (("hits", "1"), ("misses", "1"), ("sets", "1"), ("entries_ram", "1"),
                            ("bytes_ram", "2"), ("last_error", "0"), ("failing", "0")):
            self.assertEqual(stats[name], value, name)
        self.assertIn("memory.total", stats)
        self.assertIn("quit", stats)

    def test_termination_leaves_nothing(self):
        with subprocess.Popen([PROGRAM, "repl"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              env=self.environment) as process:
            process.stdin.write(b"count\n")
            process.stdin.flush()
            self.assertEqual(process.stdout.readline(), b"0\n")
            process.send_signal(signal.SIGTERM)
            process.wait(TIMEOUT)
        self.assertEqual(os.listdir(self.temporary), [])


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
