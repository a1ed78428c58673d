"""DoReFa weights of k bits. Plain numpy, no IR.

Zhou et al., DoReFa-Net, 2016, eq. 9, for k > 1: `w_q = 2 q(tanh(w) / (2 max |tanh(w)|) + 1/2) - 1` with
`q(r) = round((2^k - 1) r) / (2^k - 1)`; the maximum is over the layer. So `w_q = c / (2^k - 1)` with c one of the 2^k
odd numbers of `bipolar(k)`: there is no zero, and w = 0 goes up to +1. For k = 1 (eq. 8) `w_q = mean |w| * sign(w)`.

Networks that were trained with eq. 9 expect weights in -1..1. Other networks need the scale that tanh and the maximum
took away: least squares gives the best one for the same codes, and for k = 1 it is the mean |w| of eq. 8.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from hapir.dialects.formats import Bipolar
from hapir.quantizers.bwn import bwn
from hapir.quantizers.coded import Floats, Scaled
from hapir.quantizers.scale_groups import LEAST_SCALE, least_squares_scales, scale_shape

DorefaScale = Literal["least_squares", "maximum", "unit"]
"""How codes become reals: with the least error, with the range of the weights, or in -1..1 as eq. 9 has it."""


def dorefa(w: Floats, bits: int, scale: DorefaScale = "least_squares") -> Scaled:
    """Weights of 1 to 8 bits with one scale per layer; 1 bit has its own rule and ignores `scale`.

    Rounding is half up. A layer of zeros alone must not be: see `bwn`.
    """
    if bits == 1:
        return bwn(w, 1)
    top = (1 << bits) - 1
    squashed = np.tanh(w)
    largest = np.abs(squashed).max()
    # weights of 1e-320 have a largest magnitude that no quotient survives: they count as ones of the least f32
    unit = squashed / (2 * max(largest, LEAST_SCALE)) + 0.5
    codes = (2 * np.floor(top * unit + 0.5) - top).astype(np.int8 if bits < 8 else np.int16)
    shape = scale_shape(w.shape)
    match scale:
        case "least_squares":
            scales = least_squares_scales(w, codes, shape)
        case "maximum":
            scales = np.full(shape, max(float(np.abs(w).max()) / top, LEAST_SCALE), np.float32)
        case "unit":
            scales = np.full(shape, 1 / top, np.float32)
    return Scaled(codes, Bipolar(bits), scales)
