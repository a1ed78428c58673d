"""How far the results lie from those of the float network, in dB."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hapir.search.evaluator import Evaluator, Evidence


@dataclass(frozen=True)
class Sqnr(Evaluator):
    """The signal-to-quantization-noise ratio of all results together, `10 log10(sum x^2 / sum (x - y)^2)`.

    In dB, over the samples and results; infinite where nothing was lost. Needs no labels. Meant for real results: ask
    for at least so many dB with `at_least`.

    Example: `keep_accuracy(at_least = 15 dB, data = "digits_calib.npz", evaluator = sqnr)`
    """

    name: ClassVar[str] = "sqnr"
    unit: ClassVar[str] = "dB"

    def score(self, evidence: Evidence) -> float:
        return ratio_db(*noise_and_signal(evidence))


def noise_and_signal(evidence: Evidence) -> tuple[float, float]:
    """The summed squares of the errors of all results, and of the exact results."""
    noise = signal = 0.0
    for name, exact in evidence.exact.items():
        wide = exact.astype(np.float64)
        noise += float(np.square(wide - evidence.results[name]).sum())
        signal += float(np.square(wide).sum())
    return noise, signal


def ratio_db(noise: float, signal: float) -> float:
    """`10 log10(signal / noise)`: inf without noise, -inf without signal."""
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf
