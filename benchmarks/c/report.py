"""The tables: on the terminal while the rows run, and as Markdown in `RESULTS.md`."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.c.contests import HAPIR
from benchmarks.c.drive import Settings, Spread
from benchmarks.c.goals import WIDTHS, Goal, Result, bits_of, figures
from hapir.targets.c.build import find_compiler

PACKAGES = ("onnxruntime", "openvino", "ai-edge-litert", "ncnn", "emx-onnx-cgen", "onnx", "numpy")
HEADER = ("row", "tool", "median us", "GOPS", "hapir is faster by", "rounds")


def seconds_text(seconds: float) -> str:
    """Microseconds with three digits or more."""
    microseconds = seconds * 1e6
    return (
        f"{microseconds:.0f}"
        if microseconds >= 1000
        else f"{microseconds:.3g}"
        if microseconds >= 0.1
        else f"{microseconds:.4f}"
    )


def spread_text(spread: Spread) -> tuple[str, str]:
    """A ratio and its extremes."""
    digits = 2 if spread.median < 10 else 1
    return f"{spread.median:.{digits}f}x", f"{spread.low:.{digits}f} - {spread.high:.{digits}f}"


def row_lines(result: Result) -> Iterator[tuple[str, ...]]:
    """One line per tool, the fastest first, then those without a time."""
    contest, times = result.contest, result.times
    for label in sorted(times.seconds, key=times.median):
        seconds = times.median(label)
        operations = contest.entries[label].operations(contest)
        rate = f"{operations / seconds / 1e9:.0f}" if operations else "-"
        ratio, rounds = "-", "-"
        if label != HAPIR and HAPIR in times.seconds:
            spread = result.rate_ratio(HAPIR, label)
            ratio, rounds = spread_text(spread)
        yield contest.name, label, seconds_text(seconds), rate, ratio, rounds
    for label, error in times.errors.items():
        yield contest.name, label, "-", "-", "-", error.splitlines()[0][:150] if error else "failed"


def goal_lines(goals: Sequence[Goal], results: Mapping[str, Result]) -> Iterator[tuple[str, ...]]:
    """Goal, what was measured, whether it is met."""
    for goal in goals:
        if goal.row not in results:
            continue
        found = goal.measure(results[goal.row])
        if found is None:
            yield goal.row, goal.text, "not measured", "-", "no"
            continue
        spread, rival = found
        ratio, rounds = spread_text(spread)
        yield goal.row, goal.text, f"{ratio} ({rival})", rounds, "yes" if spread.median >= goal.at_least else "no"
    for figure in figures(results):
        yield figure.row, figure.text, figure.value, "-", "yes" if figure.met else "no"


def print_lines(lines: Iterator[tuple[str, ...]]) -> None:
    """Columns for the terminal."""
    for row in lines:
        print(f"{row[0]:<26}{row[1]:<20}{row[2]:>10}{row[3]:>8}{row[4]:>10}  {row[5]}", flush=True)


def _table(header: Sequence[str], lines: Iterator[tuple[str, ...]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows)


def _processor() -> str:
    """The first processor's name, family and model as Linux tells them, else what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    pairs = (line.partition(":")[::2] for line in reversed(lines) if ":" in line)
    found = {key.strip(): value.strip() for key, value in pairs}
    known = [f"{key} {found[key]}" for key in ("cpu family", "model") if key in found]
    return f"{found.get('model name', platform.machine())} ({', '.join(known)})" if known else platform.machine()


def _versions() -> str:
    found: list[str] = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} not installed")
    return ", ".join(found)


def _revision() -> str:
    done = subprocess.run(["git", "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _width_lines(results: Mapping[str, Result]) -> Iterator[tuple[str, ...]]:
    """A line per width of weights."""
    found = bits_of(results)
    for w in WIDTHS:
        cells = ((found.get((w, a), None)) for a in WIDTHS)
        yield f"w = {w}", *("-" if c is None else f"{c[0].median:.2f}x, {c[1] / 1000:.0f} KB" for c in cells)


def write_results(path: Path, settings: Settings, goals: Sequence[Goal], results: Mapping[str, Result]) -> None:
    """`RESULTS.md`."""
    compiler = find_compiler().version.splitlines()[0]
    text = f"""# Generated C against other tools

Written by `python -m benchmarks.c` ([what it does](README.md)); do not edit.

- machine: {_processor()}, one core, {datetime.now(UTC):%Y-%m-%d}
- compiler: {compiler}; hapir at {_revision()}
- {_versions()}
- {settings.rounds} rounds of bursts of {settings.burst_seconds} s, CPU time; medians over rounds, ratios round by round

## Goals

{_table(("row", "goal", "measured", "rounds", "met"), goal_lines(goals, results))}

## Pairs of widths

A dense layer 1024 x 1024 on 1024 rows: how many times as fast as our own int8, and the bytes of its constants.

{_table(("weights", *(f"a = {a}" for a in WIDTHS)), _width_lines(results))}

## Rows

A ratio above 1 says that hapir is faster; for a peak it is the share of the peak that hapir reaches.

{_table(HEADER, (line for result in results.values() for line in row_lines(result)))}
"""
    path.write_text(text, encoding="utf-8")
