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
OWN_FLOAT, OWN_INT8 = "hapir dense fp32", "hapir dense int8"
XNNPACK = "xnnpack sparse"
WIDTHS = (1, 2, 3, 4, 8)
"""Bits of weights and of activations."""
NOISE = 0.98
"""Of kernels that are the same one the slower looks this much slower."""
CONSTANTS_PER_FILTER = 24
"""Bytes beside the weights: bias, factor, shift, with room for what a kernel adds."""

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
    Goal("gemm1024/binary", (XOR,), 0.8, ">= 80 % of the xor-popcount peak"),
    Goal("gemv4096/binary", ("gemmbitserial",), 2.5, ">= 2.5x gemmbitserial"),
    Goal("gemm1024/ternary", (OWN_INT8, "litert int8"), 2, ">= 2x the best int8"),
    Goal("gemm1024/ras89", (OWN_FLOAT,), 4, ">= 4x our own fp32"),
    Goal("gemm1024/ras58", (OWN_FLOAT,), 1.5, ">= 1.5x our own fp32"),
    Goal("gemm1024/fp32_zeros90", (XNNPACK,), 3, ">= 3x XNNPACK's sparse kernel"),
    Goal("gemm1024/fp32_zeros90", ("deepsparse",), 2, ">= 2x DeepSparse 1.8.0"),
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
    found += _bits_figures(results)
    return found


def bits_of(results: Mapping[str, Result]) -> dict[tuple[int, int], tuple[Spread, int]]:
    """For the pairs of widths that ran: the rate over that of our int8, and the bytes of constants."""
    found: dict[tuple[int, int], tuple[Spread, int]] = {}
    for w in WIDTHS:
        for a in WIDTHS:
            result = results.get(f"gemm1024/w{w}a{a}")
            if result is not None and {HAPIR, OWN_INT8} <= result.times.seconds.keys():
                found[w, a] = result.rate_ratio(HAPIR, OWN_INT8), result.contest.weight_bytes
    return found


def _bits_figures(results: Mapping[str, Result]) -> list[Figure]:
    """What the pairs of widths have in common."""
    pairs = bits_of(results)
    if not pairs:
        return []
    fast = sum(spread.median >= NOISE for spread, _ in pairs.values())
    room = 1024 * CONSTANTS_PER_FILTER
    small = sum(size <= 1024 * 1024 * w // 8 + room for (w, _), (_, size) in pairs.items())
    row, of = "gemm1024/w?a?", f"of {len(pairs)}"
    return [
        Figure(row, "every pair of widths not slower than our int8", f"{fast} {of}", fast == len(pairs)),
        Figure(row, "weights at their own bits in the artefact", f"{small} {of}", small == len(pairs)),
    ]
