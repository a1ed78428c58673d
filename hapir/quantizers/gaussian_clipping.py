"""Where to clip activations that a batch norm made Gaussian: plain arithmetic, no IR.

Behind a batch norm and a ReLU an activation is `max(x, 0)` of a normal x. It is clipped to 0..gamma and rounded to
`2^bits` codes, `Q(x) = gamma / (2^bits - 1) * round((2^bits - 1) / gamma * clip(x, 0, gamma))`. The rule is
`gamma = mean + n sd`, which behind a batch norm with offset beta and factor gamma_bn per channel is
`beta + n |gamma_bn|` (Schindler, thesis Heidelberg 2021, section 5.3, L1105-1123; n = 3 there). Few bits want a smaller
n, many bits a larger one: `sigmas_for` gives the multiple of the standard deviation with the best ratio.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

STEPS_PER_SIGMA = 20
"""How finely `sigmas_for` looks: in steps of 0.05 sd."""

WIDEST_SIGMAS = 8
"""A normal number lies beyond so many sd once in 10^15 times."""


def half_wave_sqnr_db(gamma: float, bits: int) -> float:
    """The signal-to-quantization-noise ratio in dB of `max(x, 0)`, x standard normal, clipped at gamma; exact.

    The noise is the integral of `(x - code)^2` times the density over the cell of each code; the last one reaches to
    infinity and holds the clipping error too.
    """
    top = (1 << bits) - 1
    codes = gamma / top * np.arange(top + 1, dtype=np.float64)
    edges = np.concatenate([[0.0], (codes[:-1] + codes[1:]) / 2])
    density = np.exp(-edges * edges / 2) / math.sqrt(2 * math.pi)
    tail = np.array([0.5 * math.erfc(edge / math.sqrt(2)) for edge in edges])
    # of a cell a..b: its probability, its first moment and its second; at infinity all terms are 0
    mass = tail - np.append(tail[1:], 0.0)
    first = density - np.append(density[1:], 0.0)
    second = mass + edges * density - np.append((edges * density)[1:], 0.0)
    noise = float((second - 2 * codes * first + codes * codes * mass).sum())
    return 10 * math.log10(0.5 / noise)


@cache
def sigmas_for(bits: int) -> float:
    """The clipping point in standard deviations with the best ratio for codes of `bits` bits; of equal ones the least.

    One bit has the codes 0 and gamma; eight bits want more than the 3 sd of the rule, two bits less.
    """
    candidates = [n / STEPS_PER_SIGMA for n in range(1, WIDEST_SIGMAS * STEPS_PER_SIGMA + 1)]
    return max(candidates, key=lambda gamma: half_wave_sqnr_db(gamma, bits))


def batch_norm_range(beta: Floats, gamma: Floats, sigmas: float) -> tuple[float, float]:
    """The range that holds `sigmas` standard deviations of every channel of a batch norm's result.

    Its channels have mean `beta` and standard deviation `|gamma|`; one scale serves the tensor, so the widest counts.
    """
    reach = sigmas * np.abs(gamma)
    return float((beta - reach).min()), float((beta + reach).max())
