"""What the rows should show: each goal is a quotient of two labels of a row, or a figure of what was compiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.c.contests import HAPIR, RUNTIMES, Contest
from benchmarks.c.drive import Spread, Times, ratio


@dataclass(frozen=True)
class Result:
    """A row that was run."""

    contest: Contest
    times: Times

    def rate_ratio(self, fast: str, slow: str) -> Spread:
        """Operations per second of one label over those of another, round by round."""
        per_operation = [
            [s / (self.contest.entries[label].operations(self.contest) or 1) for s in self.times.seconds[label]]
            for label in (slow, fast)
        ]
        return ratio(*per_operation)


@dataclass(frozen=True)
class Goal:
    """`hapir` at least so many times as fast as the fastest of some labels."""

    row: str
    against: tuple[str, ...]
    at_least: float
    text: str

    def measure(self, result: Result) -> tuple[Spread, str] | None:
        """Rate of hapir over that of the fastest rival, and who that is; None where one of them did not run."""
        rival = result.times.best(self.against)
        if rival is None or HAPIR not in result.times.seconds:
            return None
        return result.rate_ratio(HAPIR, rival), rival


FMA, DOT, XOR = "peak f32 FMA", "peak u8 x i8 dot", "peak xor-popcount"

GOALS = (
    Goal("resnet20/fp32", ("emx-onnx-cgen",), 40, ">= 40x the fastest C generator without dependencies"),
    Goal("resnet20/int8", ("emx-onnx-cgen",), 100, ">= 100x the fastest C generator without dependencies"),
    Goal("resnet20/int8", ("litert",), 1 / 1.1, "at most 1.1x the time of LiteRT"),
    Goal("lenet5/int8", RUNTIMES, 1.5, ">= 1.5x the fastest runtime"),
    Goal("mobilenet_v1_025_96/int8", RUNTIMES, 1, "as fast as the fastest runtime"),
    Goal("gemm1024/int8", RUNTIMES, 0.8, ">= 0.8x the fastest runtime"),
    Goal("vgg_conv1_2/int8", RUNTIMES, 0.8, ">= 0.8x the fastest runtime"),
    Goal("vgg_conv3_2/int8", RUNTIMES, 0.8, ">= 0.8x the fastest runtime"),
    Goal("vgg_conv5_1/int8", RUNTIMES, 0.8, ">= 0.8x the fastest runtime"),
    Goal("gemm1024/fp32", (FMA,), 0.85, ">= 85 % of the FMA peak"),
    Goal("vgg_conv3_2/fp32", ("onnxruntime",), 1.5, ">= 1.5x onnxruntime (Winograd)"),
)


@dataclass(frozen=True)
class Figure:
    """A goal that is one number."""

    row: str
    text: str
    value: str
    met: bool


def figures(results: Mapping[str, Result]) -> list[Figure]:
    """Overhead of a call, and size and compile time of a source."""
    found: list[Figure] = []
    for row in ("empty/fp32", "empty/int8"):
        if row in results and HAPIR in results[row].times.seconds:
            nanoseconds = results[row].times.median(HAPIR) * 1e9
            found.append(Figure(row, "a call of an empty network < 50 ns", f"{nanoseconds:.1f} ns", nanoseconds < 50))
    for row in ("resnet20/fp32", "resnet20/int8"):
        library = results[row].contest.library if row in results else None
        if library is not None:
            size, seconds = library.source_bytes / 1000, library.compile_seconds
            found.append(Figure(row, "source without weights < 400 KB", f"{size:.0f} KB", size < 400))
            found.append(Figure(row, "compiled in < 20 s of CPU time", f"{seconds:.1f} s", seconds < 20))
    return found
