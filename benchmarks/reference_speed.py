"""How long the reference takes as an evaluator: whole processes of `hapir run`, one evaluation, and a table of recipes.

Run: `python benchmarks/reference_speed.py` from the repository root (a minute). A process is timed by the wall clock
and by its CPU time, the least of all rounds; its network runs on the 540 test images of the digits. Goal: every recipe
< 2 s. Evaluations are CPU time of this process, network and weights at hand, as a search asks for them. BLAS uses one
thread: the products are small.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import subprocess
import sys
import time
from pathlib import Path

import hapir
from hapir.reference.interpret import run_network

SPECS = Path("spec_examples")
DATA = SPECS / "digits_test.npz"
RUNS = (
    ("digits", "on_tiny", "none"),
    ("digits", "on_tiny", None),
    ("digits_16x4", "on_tall", None),
    ("digits_pruned", "pruned_on_tiny", None),
    ("digits_approximate", "on_array", None),
    ("digits_approximate", "narrow", None),
    ("digits_compression", "k_means_4_w", None),
    ("digits_compression", "lq_net_3_wa", None),
    ("digits_compression", "filter_50", None),
)
"""Specs, schedules, and recipes where they are not the schedule's own."""


def process_seconds(spec: str, schedule: str, recipe: str | None, rounds: int) -> tuple[float, float]:
    """The least wall time and the least CPU time of `hapir run --on reference`."""
    command = [sys.executable, "-m", "hapir", "run", str(SPECS / f"{spec}.hap"), "--schedule", schedule]
    command += ["--input", str(DATA), "--on", "reference", *([] if recipe is None else ["--recipe", recipe])]
    walls: list[float] = []
    processors: list[float] = []
    for _ in range(rounds):
        start, before = time.perf_counter(), os.times()
        subprocess.run(command, check=True, capture_output=True)
        walls.append(time.perf_counter() - start)
        after = os.times()
        used = after.children_user - before.children_user + after.children_system - before.children_system
        processors.append(used)
    return min(walls), min(processors)


def evaluation_seconds(spec: str, schedule: str, recipe: str | None, rounds: int) -> float:
    """The least CPU time of one run of a compiled network on all images."""
    scheduled = hapir.load(SPECS / f"{spec}.hap").schedule(schedule, recipe=recipe)
    inputs = scheduled.dataset(DATA, None).inputs
    decoded = scheduled.decoded
    times: list[float] = []
    for _ in range(rounds):
        start = time.process_time()
        run_network(decoded.network, decoded.weights, inputs)
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    """Print a line per run, then the table of all recipes."""
    parser = argparse.ArgumentParser(description="the reference as an evaluator")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--table", action="store_true", help="also time `hapir report --all` of digits_compression.hap")
    args = parser.parse_args()
    print(f"{'spec':20} {'schedule':16} {'recipe':8} {'process':>9} {'CPU':>9} {'evaluation':>11}")
    for spec, schedule, recipe in RUNS:
        wall, processor = process_seconds(spec, schedule, recipe, args.rounds)
        one = evaluation_seconds(spec, schedule, recipe, 3 * args.rounds)
        print(f"{spec:20} {schedule:16} {recipe or 'own':8} {wall:7.2f} s {processor:7.2f} s {1000 * one:8.1f} ms")
    if args.table:
        design = hapir.load(SPECS / "digits_compression.hap")
        start = time.process_time()
        design.report(DATA)
        print(f"report of {len(design.schedules)} schedules: {time.process_time() - start:.1f} s of CPU time")


if __name__ == "__main__":
    main()
