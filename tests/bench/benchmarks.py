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


    def test_an_engine_that_is_unknown_is_refused(self):
        self.assertIn(b"no engine 'x'", self.run_program("compare", "-e", "x", code=1).stderr)


class Ycsb(Case):
    SMALL = ("--records", "20000", "--room", "100000", "--max-mem", "4M", "--seconds", "0.1",
             "--warm", "0.05")
    WRITING = ("load", "b", "a", "f", "d", "churn", "spill")

    def run_small(self, *arguments):
        result = self.run_json("ycsb", *self.SMALL, *arguments)
        self.assertTrue(result["verified"])
        return result

    def test_every_engine_and_every_mix(self):
        mixes = ["c", "uniform", "absent", "b", "a", "f", "d", "churn", "hot", "spill"]
        result = self.run_small("--mixes", ",".join(mixes), "--threads", "1,3", "--warm", "0",
                                "--seconds", "0.05")
        names = [run["engine"] for run in result["engines"]]
        self.assertGreaterEqual(set(names), {"spillkv", "sqlite", "predecessor", "striped"})
        for run in result["engines"]:
            self.assertEqual([(phase["mix"], phase["threads"]) for phase in run["phases"]],
                             [("load", 3)] + [(mix, n) for mix in mixes for n in (1, 3)])
            self.assertEqual(run["phases"][0]["operations"], 20000)
            for phase in run["phases"]:
                self.assertGreater(phase["operations"], 0, phase)
                self.assertGreater(phase["per_second"], 0)
                self.assertEqual((phase["missing"], phase["wrong"], phase["failed"]), (0, 0, 0))
                reads, writes = phase["latency"]["reads"], phase["latency"]["writes"]
                if phase["operations"] >= 20000:  # one in 16 is timed
                    self.assertEqual(writes["count"] > 0, phase["mix"] in self.WRITING)
                    self.assertEqual(reads["count"] > 0, phase["mix"] != "load")
                self.assertGreaterEqual(max(reads["max_ns"], writes["max_ns"]),
                                        max(reads["p50_ns"], writes["p50_ns"]))
                self.assertEqual(phase["corrected"]["reads"]["count"], 0, "there is no rate")

    def test_a_rate_is_kept_and_latencies_are_corrected(self):
        result = self.run_small("--engines", "spillkv", "--mixes", "a", "--rate", "5000",
                                "--seconds", "1", "--threads", "2")
        phase = result["engines"][0]["phases"][1]
        self.assertLessEqual(phase["per_second"], 5100)
        for kind in ("reads", "writes"):
            raw, corrected = phase["latency"][kind], phase["corrected"][kind]
            self.assertEqual(raw["count"], corrected["count"])
            self.assertGreater(raw["count"], 0)
            self.assertGreaterEqual(corrected["max_ns"], raw["max_ns"])
            self.assertGreaterEqual(corrected["p9999_ns"], corrected["p50_ns"])

    def test_sizes_are_as_asked(self):
        result = self.run_small("--engines", "spillkv", "--mixes", "c", "--preset", "large",
                                "--records", "200", "--key-size", "40", "--zipf", "0.5")
        options = result["options"]
        self.assertEqual((options["records"], options["key_size"], options["value_size"],
                          options["zipf"]), (200, 40, 65536, 0.5))

    def test_gets_go_in_batches_where_a_mix_only_reads(self):
        result = self.run_small("--engines", "spillkv,striped", "--mixes", "c,absent,a",
                                "--threads", "2", "--batch", "32")
        batched = [[phase["batched"] for phase in run["phases"]] for run in result["engines"]]
        self.assertEqual(batched, [[False, True, True, False], [False] * 4])

    def test_a_load_that_is_stopped_is_marked_and_ends_the_run(self):
        result = self.run_json("ycsb", "--engines", "sqlite", "--load-seconds", "0.1", "-n",
                               "20000000", "-m", "4M", "--mixes", "uniform")
        (load,) = result["engines"][0]["phases"]
        self.assertTrue(load["stopped"])
        self.assertLess(load["operations"], 20000000)

    def test_writes_a_table(self):
        done = self.run_program("ycsb", *self.SMALL, "--engines", "spillkv", "--mixes", "a", "-q")
        self.assertIn(b"every value verified", done.stdout)

    def test_refuses_what_it_does_not_know(self):
        for arguments, says in ((("--mixes", "x"), b"no mix 'x'"),
                                (("--engines", "x"), b"no engine 'x'"),
                                (("--preset", "x"), b"no preset 'x'"),
                                (("--threads", "0"), b"'0' is not a number of threads"),
                                (("--zipf", "x"), b"'x' is not a number")):
            code = 64 if arguments[0] in ("--preset", "--zipf") else 1
            self.assertIn(says, self.run_program("ycsb", *arguments, code=code).stderr)


class Latency(Case):
    def test_shows_both_ways(self):
        result = self.run_json("latency", "-n", "50000", "-m", "4M", "--seconds", "0.2", "--warm",
                               "0", "--rounds", "2")
        self.assertTrue(result["verified"])
        figures = {(figure["section"], figure["name"]): figure for figure in result["figures"]}
        for section in ("spilling", "nothing spilled"):
            for name in ("set, p99.9", "set, longest", "hot get, p99", "hot get, longest"):
                self.assertGreater(figures[section, name]["median"], 0)
                self.assertEqual(figures[section, name]["samples"], 2)
        self.assertEqual(figures["spilling", "set, p99.9"]["wanted"], 1000)
        self.assertEqual(figures["times as long", "hot get, p99"]["wanted"], 2)


class Scaling(Case):
    def test_counts_locks_for_shards_and_threads(self):
        result = self.run_json("scaling", "-n", "20000", "--seconds", "0.2", "--shards", "1,4",
                               "--threads", "1,8", "--mixes", "a")
        self.assertTrue(result["verified"])
        self.assertEqual([run["shards"] for run in result["runs"]], [1, 4])
        alone, crowd = result["runs"][0]["phases"][1:]
        self.assertEqual((alone["threads"], crowd["threads"]), (1, 8))
        self.assertGreater(crowd["counted"], alone["counted"], "8 threads share one lock")

    def test_writes_a_table(self):
        done = self.run_program("scaling", "-q", "-n", "1000", "--seconds", "0.05", "--shards",
                                "2", "--threads", "1")
        self.assertIn(b"locks that were not free", done.stdout)


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


class Micro(Case):
    def test_draws_the_cost_of_examining(self):
        if shutil.which("gnuplot") is None:
            self.skipTest("gnuplot is not installed")
        picture = os.path.join(self.folder.name, "it's.svg")
        done = self.run_program("micro", "-q", "--parts", "residency", "--rounds", "1",
                                "--cold-entries", "20000", "--chart", picture)
        self.assertIn(b"Zipf, 0.1 %, examined", done.stdout)
        with open(picture, encoding="utf-8") as file:
            text = file.read()
        self.assertIn("entries examined for each that leaves", text)
        self.assertIn("</svg>", text)

    def test_draws_nothing_that_was_not_measured(self):
        picture = os.path.join(self.folder.name, "a.svg")
        done = self.run_program("micro", "-q", "--parts", "hot", "--rounds", "1", "--hot-entries",
                                "1000", "--chart", picture, code=1)
        self.assertIn(b"not measured", done.stderr)
        self.assertFalse(os.path.exists(picture))


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
