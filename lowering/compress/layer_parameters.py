"""Weights and biases as integers: plain numpy, no IR.

Weights are symmetric (zero point 0, range -qmax..qmax), one scale per output channel, per group of them or per tensor;
weights that are coded already keep their codes. The bias joins the accumulator, so its scale is `x_scale * w_scale` and
its zero point 0 (Jacob et al., CVPR 2018, section 2.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hapir.quantizers.coded import Floats, Scaled, Singles
from hapir.quantizers.uniform import UniformRule, block_scales, nearest_codes, stored_scales

LARGEST_BIAS = 1 << 30
"""Integer biases stay within this; half of si32 is left for the products."""

DEAD_CHANNEL_RATIO = 2.0**-16
"""Steps of the output per step of the accumulator in a channel whose weights are all 0: only the bias speaks there."""


@dataclass(frozen=True)
class IntegerParameters:
    """A layer's integers; arrays have length K (per channel) or 1 (per tensor) along axis 0 except w and bias (K).

    `ratios` are `x_scale * w_scale / y_scale`: what the accumulators are multiplied by to give the output.
    """

    w: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    bias: npt.NDArray[np.int64] | None
    ratios: Floats


def quantize_parameters(
    w: Floats, bias: Floats | None, x_scale: float, y_scale: float, rule: UniformRule, blocks: Sequence[int]
) -> IntegerParameters:
    """Weights K ... and bias K as integers, rounded half to even; `blocks` splits axis 0 at most.

    A block whose weights are so small that a bias would leave si32 gets a larger weight scale: the bias then counts and
    the weights round to what little they contribute. A dead block gets a scale that is fine for its bias.
    """
    scales = block_scales(w, blocks, rule).reshape(-1)
    scales = np.where(scales == 0, DEAD_CHANNEL_RATIO * y_scale / x_scale, scales)
    if bias is not None:
        needed = np.abs(bias).reshape(len(scales), -1).max(axis=1) / (x_scale * LARGEST_BIAS)
        scales = np.maximum(scales, needed)
    # what is stored is f32; everything below uses the stored value
    stored = stored_scales(scales).reshape(tuple(blocks))
    codes = nearest_codes(w, stored, rule)
    return _with_bias(codes, _per_channel(stored, len(w)), bias, x_scale, y_scale)


def keep_parameters(coded: Scaled, bias: Floats | None, x_scale: float, y_scale: float) -> IntegerParameters | None:
    """The codes and scales of weights that are coded already, and their bias as integers.

    A channel whose codes are all 0 may get another scale, which fits its bias. None where integers cannot keep the
    rest: scales along another axis than the first, codes that need more than signed 8 bits, or scales so small that the
    bias would leave si32.
    """
    low, high = coded.format.range
    if any(n > 1 for n in coded.scales.shape[1:]) or low < -128 or high > 127:
        return None
    scales = _per_channel(coded.scales, len(coded.codes))
    if len(scales) > 1:
        dead = ~coded.codes.reshape(len(scales), -1).any(axis=1)
        scales = np.where(dead, stored_scales(np.full(1, DEAD_CHANNEL_RATIO * y_scale / x_scale)), scales)
    if bias is not None and (np.abs(bias) > x_scale * scales.astype(np.float64) * LARGEST_BIAS).any():
        return None
    return _with_bias(coded.codes.astype(np.int8), scales, bias, x_scale, y_scale)


def _per_channel(scales: Singles, channels: int) -> Singles:
    """Scales K/n 1 ... as a vector K; a single one as a vector 1."""
    flat = scales.reshape(-1)
    return flat if len(flat) == 1 else np.repeat(flat, channels // len(flat))


def _with_bias(
    codes: npt.NDArray[np.int8], scales: Singles, bias: Floats | None, x_scale: float, y_scale: float
) -> IntegerParameters:
    exact = scales.astype(np.float64)
    integer_bias = None if bias is None else np.rint(bias / (x_scale * exact)).astype(np.int64)
    return IntegerParameters(codes, scales, integer_bias, x_scale * exact / y_scale)
