"""Ternary weights with a scale for each sign, by the rule of trained ternary quantization. Plain numpy, no IR.

Zhu et al., Trained ternary quantization, ICLR 2017, eq. 6 and 9: with `delta = t * max |w|` of the layer, w becomes Wp
above delta, -Wn below -delta, and 0 between. The paper trains Wp and Wn; without training the means of the two clusters
have the least squared error for given clusters. With one scale for both signs, the mean of both clusters does.
"""

from __future__ import annotations

import numpy as np

from hapir.quantizers.coded import Codebook, Floats, Scaled, Singles
from hapir.quantizers.scale_groups import Codes, scale_shape
from hapir.quantizers.twn import Tie, ternarize, ternary_codes


def ttq(w: Floats, threshold: float = 0.05, *, symmetric: bool = False, tie: Tie = "zero") -> Codebook | Scaled:
    """Levels -Wn, 0, Wp of one layer; with `symmetric`, ternary codes with one scale.

    `threshold` is a share of the largest magnitude: 0 keeps all but exact zeros, 1 or more makes every weight 0.
    """
    shape = scale_shape(w.shape)
    delta = np.full(shape, threshold * np.abs(w).max())
    if symmetric:
        return ternarize(w, delta, tie, shape)
    return signed_levels(w, ternary_codes(w, delta, tie))


def signed_levels(w: Floats, codes: Codes) -> Codebook:
    """The means of the positive, zero and negative codes as levels; a sign that no code has takes no level.

    Zero is always a level where a code has it, and where no other level is left.
    """
    levels = {sign: float(np.abs(w[codes == sign]).mean()) * sign for sign in (-1, 1) if (codes == sign).any()}
    if not levels or (codes == 0).any():
        levels[0] = 0.0
    present = sorted(levels)
    index = np.zeros(3, np.uint8)
    index[[sign + 1 for sign in present]] = np.arange(len(present))
    table: Singles = np.array([levels[sign] for sign in present], np.float32)
    return Codebook(index[codes + 1], table)
