"""Binary weights: the sign, times the mean magnitude of a filter or of all weights. Plain numpy, no IR.

`w ~ scale * sign(w)` with sign(0) = +1 and `scale = mean |w|`, which minimizes the squared error (Rastegari et al.,
XNOR-Net, ECCV 2016, section 3.1, eq. 6: binary weight networks, one scale per filter; DoReFa with 1 bit has one per
layer). The codes have no zero.
"""

from __future__ import annotations

import numpy as np

from hapir.dialects.formats import Bipolar
from hapir.quantizers.coded import Floats, Scaled
from hapir.quantizers.scale_groups import Codes, Shape, least_squares_scales, scale_shape


def signs(w: Floats) -> Codes:
    """+1 or -1; the sign of 0 is +1."""
    return np.where(w >= 0, 1, -1).astype(np.int8)


def binarize(w: Floats, shape: Shape) -> Scaled:
    """Signs, with scales of the given shape. Groups of zeros alone must not be: no scale but 0 would be right."""
    codes = signs(w)
    return Scaled(codes, Bipolar(1), least_squares_scales(w, codes, shape))


def bwn(w: Floats, groups: int | None = None) -> Scaled:
    """Binary weights with a scale for each of as many equal blocks of rows (axis 0); by default for each row."""
    return binarize(w, scale_shape(w.shape, len(w) if groups is None else groups))
