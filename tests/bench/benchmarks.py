#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the benchmarks with little to do. Usage: benchmarks.py FOLDER_OF_BENCHMARKS [TEST...]

What they measure says nothing then: it is their reports that are looked at, and that every value
was verified.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

FOLDER = ""
TIMEOUT = 150


class Case(unittest.TestCase):
    """Each test has a TMPDIR of its own, in which the program must leave nothing behind."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.temporary = os.path.join(self.folder.name, "tmp")
        os.mkdir(self.temporary)

    def run_program(self, name, *arguments, code=0, **environment):
        done = subprocess.run([os.path.join(FOLDER, name), *arguments], capture_output=True,
                              env=dict(os.environ, TMPDIR=self.temporary, **environment),
                              timeout=TIMEOUT, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(os.listdir(self.temporary), [], "files are left behind")
        return done

    def run_json(self, name, *arguments):
        return json.loads(self.run_program(name, "--json", "--quiet", *arguments).stdout)


class Compare(Case):
    def test_reads_back_what_it_loaded(self):
        result = self.run_json("compare", "-n", "50000", "-r", "5000", "-m", "8M")
        self.assertTrue(result["verified"])
        self.assertEqual([engine["entries_loaded"] for engine in result["engines"]],
                         [50000, 50000])


class HundredMillion(Case):
    def test_reads_back_what_it_loaded(self):
        result = self.run_json("hundred-million", "-n", "100000", "-r", "20000", "-m", "8M")
        self.assertTrue(result["verified"])
        self.assertEqual(result["count"], 100000)
        self.assertEqual([result[phase]["operations"] for phase in ("load", "uniform", "zipf")],
                         [100000, 20000, 20000])
        self.assertEqual(len(result["load_tenths_per_second"]), 10)
        self.assertGreater(min(result["load_tenths_per_second"]), 0)
        self.assertGreater(result["load"]["spilled_percent"], 10)
        self.assertGreater(result["zipf"]["hit_percent"], result["uniform"]["hit_percent"])
        self.assertGreater(result["load"]["disk_bytes"], 0)

    def test_writes_a_table(self):
        done = self.run_program("hundred-million", "-n", "5000", "-r", "1000", "-m", "8M")
        self.assertIn(b"last tenth / second tenth", done.stdout)
        self.assertIn(b" 0 missing, 0 wrong", done.stdout)


class Rss(Case):
    ARGUMENTS = ("--max-mem", "8M", "--factor", "1")

    def test_all_churns(self):
        result = self.run_json("rss", "--engine", "spillkv", *self.ARGUMENTS)
        phases = {run["churn"]: len(run["phases"]) for run in result["runs"]}
        self.assertEqual(phases, {"fixed": 2, "mixed": 3, "grow-shrink": 8, "reinsert": 5})
        for run in result["runs"]:
            self.assertTrue(run["verified"], run)
            for phase in run["phases"]:
                self.assertGreater(phase["written"], 7 << 20)
                self.assertGreater(phase["samples"], 0)
                self.assertGreaterEqual(phase["rss_most"], phase["rss_last"])
                self.assertLessEqual(phase["charged_most"], 8 << 20)

    def test_a_table_and_a_picture(self):
        picture = os.path.join(self.folder.name, "it's.svg")
        arguments = ["rss", "--engine", "spillkv", "--churn", "fixed", *self.ARGUMENTS]
        if shutil.which("gnuplot") is None:
            done = self.run_program(*arguments, "--svg", picture, code=1)
            self.assertIn(b"gnuplot", done.stderr)
            return
        done = self.run_program(*arguments, "--svg", picture)
        self.assertIn(b"FINAL", done.stdout)
        with open(picture, encoding="utf-8") as file:
            text = file.read()
        self.assertIn("fixed, max_mem 8.0 MiB", text)
        self.assertIn("</svg>", text)

    def test_an_engine_that_is_missing_is_left_out(self):
        arguments = ["rss", "--churn", "fixed", *self.ARGUMENTS]
        done = self.run_program(*arguments, PATH=self.temporary)
        self.assertIn(b"redis is left out", done.stderr)
        self.assertIn(b"fixed        spillkv", done.stdout)
        self.run_program(*arguments, "--engine", "redis", code=77, PATH=self.temporary)

    def test_refuses_what_it_does_not_know(self):
        for arguments, says in ((("--churn", "x"), b"no churn 'x'"),
                                (("--engine", "x"), b"no engine 'x'"),
                                (("--max-mem", "64M,x"), b"'x' is not a size")):
            self.assertIn(says, self.run_program("rss", *arguments, code=1).stderr)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    FOLDER = os.path.abspath(sys.argv.pop(1))
    unittest.main()
