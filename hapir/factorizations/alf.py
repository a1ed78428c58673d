"""ALF, autoencoder-based low-rank filter sharing: the form that is left after training, and what it costs.

In training a layer's filters W pass through an encoder, and a mask removes code filters; then only the code
convolution W_code (C_code filters) and a 1 x 1 expansion survive (Frickenstein et al., "ALF: autoencoder-based low-rank
filter-sharing for efficient convolutional neural networks", DAC 2020).
"""

from __future__ import annotations

from math import exp
from typing import Literal

import numpy as np

from hapir.factorizations.stages import Floats, Shape4, Stage
from hapir.factorizations.svd import chain_shape

Activation = Literal["tanh", "none"]


def largest_code(filters: Shape4) -> int:
    """`C_max = floor(C_i C_o K^2 / (C_i K^2 + C_o))`: with more code filters the layer costs more than it did."""
    k, c, r, s = filters
    return (c * k * r * s) // (c * r * s + k)


def prune_penalty(zeroed: float, largest: float = 0.85, slope: float = 8) -> float:
    """`lambda_prune = max(0, 1 - exp(slope (theta - pr_max)))`, theta the share of code filters that are zero."""
    return max(0.0, 1 - exp(slope * (zeroed - largest)))


def code_filters(w: Floats, encoder: Floats, mask: Floats, zeta: float, activation: Activation) -> Floats:
    """The code filters of the training form, C_code x C x R x S: `M_prune * sigma(W_flat W_enc)`.

    `encoder` is C_o x C_code, `mask` C_code long; a filter whose mask is smaller than `zeta` is zero.
    """
    codes = np.tensordot(encoder, w, (0, 0))
    if activation == "tanh":
        codes = np.tanh(codes)
    return np.where(np.abs(mask) < zeta, 0.0, mask)[:, np.newaxis, np.newaxis, np.newaxis] * codes


def deployed(codes: Floats, expansion: Floats) -> tuple[Stage, Stage]:
    """Code convolution and 1 x 1 expansion (C_o x C_code) without the code filters that are all zero; at least one."""
    used = np.flatnonzero(np.any(codes != 0, axis=(1, 2, 3)))
    used = used if len(used) else np.zeros(1, np.int64)
    _, c, r, s = codes.shape
    first, second = chain_shape((len(expansion), c, r, s), "output", len(used))
    return Stage(first, codes[used]), Stage(second, expansion[:, used, np.newaxis, np.newaxis])
