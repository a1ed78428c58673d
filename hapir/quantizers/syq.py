"""Binary and ternary weights with symmetric scales per sub-group (SYQ). Plain numpy, no IR.

Faraone et al., SYQ: learning symmetric quantization for efficient deep neural networks, CVPR 2018: `w ~ scale * q`,
where q is `sign(w)`, or 0 where `|w|` is below `eta = 0.05 max |w|` of the layer, and each sub-group has a scale. The
sub-groups are ordered: which one a weight is in depends on its position in the kernel alone, so a loop nest meets the
scales in the order of their table, and in matrix form they are `diag(scales)` before a (R S) x (C K) matrix.

| granularity | scales of K x C x R x S weights | who has it |
|---|---|---|
| tensor | 1 | DoReFa |
| row | R | SYQ |
| pixel | R S | SYQ |
| asymmetric | 2, one per sign | TTQ |
| group | R S K / 4, per pixel of every 4 filters | FGQ |
| channel | K | BWN, HWGQ |

Weights without a kernel (dense layers) have the rows and pixels of one: one scale per tensor, or per group of filters.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from hapir.dialects.formats import Bipolar, Ternary
from hapir.quantizers.bwn import signs
from hapir.quantizers.coded import Codebook, Floats, Scaled
from hapir.quantizers.scale_groups import Shape, group_sums, least_squares_scales, means
from hapir.quantizers.ttq import signed_levels
from hapir.quantizers.twn import Tie, ternary_codes

SyqGranularity = Literal["tensor", "row", "pixel", "channel", "group", "asymmetric"]
"""Which weights share a scale."""

SyqKind = Literal["binary", "ternary"]
"""Signs, or signs and zeros."""

GROUP_FILTERS = 4
"""Filters that share the scales of granularity group (Mellempudi et al., fine-grained quantization, 2017)."""


def syq_shape(shape: Shape, granularity: Literal["tensor", "row", "pixel", "channel", "group"]) -> Shape:
    """The shape of the scales of weights K x C x kernel. Raises ValueError where K is no multiple of 4 filters."""
    filters, kernel = 1, [1] * len(shape[2:])
    match granularity:
        case "tensor":
            pass
        case "row":
            kernel[:-1] = shape[2:-1]
        case "pixel":
            kernel = list(shape[2:])
        case "channel":
            filters = shape[0]
        case "group":
            if shape[0] % GROUP_FILTERS:
                raise ValueError(f"{shape[0]} filters are no multiple of {GROUP_FILTERS}")
            filters, kernel = shape[0] // GROUP_FILTERS, list(shape[2:])
    return (filters, 1, *kernel)


def syq(
    w: Floats,
    granularity: SyqGranularity = "pixel",
    kind: SyqKind = "ternary",
    threshold: float = 0.05,
    tie: Tie = "nonzero",
    scale: Literal["least_squares", "mean"] = "least_squares",
) -> Scaled | Codebook:
    """Symmetric codes with the scales of a granularity; of asymmetric levels with a magnitude for each sign.

    `threshold` is the share of the largest magnitude below which ternary codes are 0: the paper's eta over max |w|.
    `scale` mean is where SYQ starts its training: the mean of |w| over the whole sub-group, also of weights whose code
    is 0. Least squares leaves those out; for binary codes the two are one, and so they are of asymmetric, where
    each sign has the mean of its own weights. Raises ValueError from `syq_shape`.
    """
    if kind == "binary":
        chosen, format = signs(w), Bipolar(1)
    else:
        delta = np.full((1,) * w.ndim, threshold * np.abs(w).max())
        chosen, format = ternary_codes(w, delta, tie), Ternary()
    if granularity == "asymmetric":
        return signed_levels(w, chosen)
    shape = syq_shape(w.shape, granularity)
    if scale == "least_squares":
        return Scaled(chosen, format, least_squares_scales(w, chosen, shape))
    magnitudes = group_sums(np.abs(w), shape)
    counts = np.where(magnitudes > 0, w.size / magnitudes.size, 0)
    return Scaled(chosen, format, means(magnitudes, counts))
