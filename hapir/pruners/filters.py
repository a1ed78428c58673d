"""Which filters of a layer go first: plain numpy, no IR.

Source: hardware-aware filter pruning for streaming accelerators (Sydney thesis, chapter 4, L930 to L1028; FPL 2018).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from hapir.pruners.magnitude import Floats
from hapir.quantizers.bwn import bwn
from hapir.quantizers.uniform import UniformRule, uniform_codes

Criterion = Literal["msqe", "magnitude", "random"]


def quantization_errors(w: Floats, bits: int) -> Floats:
    """Per filter, the mean squared error of its weights as a layer of `bits` stores them: `(1/n) sum (q - w)^2`.

    One bit is the sign times the mean magnitude of the layer (DoReFa-Net, Zhou et al. 2016, eq. 8); 2 to 8 bits are
    symmetric integers up to the layer's largest magnitude. A layer of zeros has no error.
    Sydney thesis, section 4.3.3, L1003.
    """
    if not w.any():
        return np.zeros(len(w))
    coded = bwn(w, 1) if bits == 1 else uniform_codes(w, (1,) * w.ndim, UniformRule(bits))
    rounded = coded.reals().astype(np.float64)
    return np.square(rounded - w).reshape(len(w), -1).mean(axis=1)


def filter_worth(w: Floats, criterion: Criterion, bits: int, draw: np.random.Generator) -> Floats:
    """Per filter (axis 0), what it is worth: the least goes first.

    `msqe`: the highest quantization error goes first (in a binary network magnitudes do not matter, errors do);
    `magnitude`: the least sum of magnitudes; `random`: a seeded order.
    """
    if criterion == "msqe":
        return -quantization_errors(w, bits)
    if criterion == "magnitude":
        return np.abs(w).reshape(len(w), -1).sum(axis=1)
    return draw.permutation(len(w)).astype(np.float64)
