"""`python -m benchmarks.c`: hapir's C against other tools. See README.md beside this file."""

from __future__ import annotations

import argparse
import fnmatch
import os
import tempfile
import time
from pathlib import Path

from benchmarks.c.contests import HAPIR, Contest, race
from benchmarks.c.drive import Settings, Workers
from benchmarks.c.goals import GOALS, Result
from benchmarks.c.peaks import build_peaks
from benchmarks.c.report import HEADER, goal_lines, print_lines, row_lines, write_results
from benchmarks.c.rows import ROWS, Setting

TOOLS = ("onnxruntime", "openvino", "litert", "ncnn", "emx-onnx-cgen", "openblas")
RESULTS = Path(__file__).with_name("RESULTS.md")


def main() -> None:
    """Run the rows, print them, and write RESULTS.md where all of them ran."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.c", description=__doc__)
    parser.add_argument("--only", default="*", metavar="GLOB", help="rows, such as `resnet20/*`; RESULTS.md is kept")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of bursts")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 0.03 s; RESULTS.md is kept")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="the core to run on")
    parser.add_argument("--tools", default=",".join(TOOLS), help="a list of tools, without blanks")
    parser.add_argument("--deepsparse", metavar="PYTHON", help="the interpreter of an environment with DeepSparse")
    parser.add_argument("--gemmbitserial", type=Path, metavar="DIR", help="a checkout of gemmbitserial")
    parser.add_argument("--xnnpack", type=Path, metavar="DIR", help="Debian's XNNPACK packages, unpacked")
    parser.add_argument("--build", type=Path, metavar="DIR", help="keep what is built")
    parser.add_argument("--output", type=Path, help="write the results here, whatever ran")
    asked = parser.parse_args()
    settings = Settings(3, 0.03, asked.core) if asked.quick else Settings(asked.rounds, 0.1, asked.core)
    wanted = frozenset(asked.tools.split(",")) | ({"deepsparse"} if asked.deepsparse else set())
    rows = [row for row in ROWS if fnmatch.fnmatch(row.name, asked.only)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.build or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        pythons = {"deepsparse": asked.deepsparse} if asked.deepsparse else {}
        setting = Setting(folder, wanted, build_peaks(folder), asked.gemmbitserial, asked.xnnpack)
        results: dict[str, Result] = {}
        print_lines(iter([HEADER]))
        with Workers(settings.core, folder / "workers.log", pythons) as workers:
            for row in rows:
                try:
                    contest = row.build(setting)
                except Exception as error:
                    # the row says what hapir cannot do; the others still run
                    contest = Contest(row.name, 0, {}, skipped={HAPIR: f"{type(error).__name__}: {error}"})
                results[row.name] = Result(contest, race(contest, workers, settings, folder))
                print_lines(row_lines(results[row.name]))
    print()
    for line in goal_lines(GOALS, results):
        print(f"{line[0]:<26}{line[1]:<58}{line[2]:<28}{line[3]:<16}{line[4]}")
    if asked.output or (asked.only == "*" and not asked.quick):
        write_results(asked.output or RESULTS, settings, GOALS, results)


if __name__ == "__main__":
    start = time.monotonic()
    main()
    print(f"{time.monotonic() - start:.0f} s")
