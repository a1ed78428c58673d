"""Weights and biases as integers: plain numpy, no IR.

Weights are symmetric (zero point 0, range -qmax..qmax), one scale per output channel or one per tensor. The bias joins
the accumulator, so its scale is `x_scale * w_scale` and its zero point 0 (Jacob et al., CVPR 2018, section 2.4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

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
    w: Floats, bias: Floats | None, x_scale: float, y_scale: float, *, width: int, per_channel: bool
) -> IntegerParameters:
    """Weights K ... and bias K as integers of `width` bits, rounded half to even.

    A channel whose weights are so small that its bias would leave si32 gets a larger weight scale: the bias then counts
    and the weights round to what little they contribute. A dead channel gets a scale that is fine for its bias.
    """
    largest = float((1 << width - 1) - 1)
    scales = np.abs(w).reshape(w.shape[0], -1).max(axis=1) / largest
    scales = np.where(scales == 0, DEAD_CHANNEL_RATIO * y_scale / x_scale, scales)
    if bias is not None:
        scales = np.maximum(scales, np.abs(bias) / (x_scale * LARGEST_BIAS))
    if not per_channel:
        alive = np.abs(w).reshape(w.shape[0], -1).max(axis=1) > 0
        scales = scales[alive].max(keepdims=True) if alive.any() else scales.max(keepdims=True)
        if bias is not None:
            scales = np.maximum(scales, np.abs(bias).max() / (x_scale * LARGEST_BIAS))
    # what is stored is f32; everything below uses the stored value
    stored = np.maximum(scales, float(np.finfo(np.float32).tiny)).astype(np.float32)
    exact = stored.astype(np.float64)
    integers = np.clip(np.rint(w / exact.reshape(-1, *[1] * (w.ndim - 1))), -largest, largest).astype(np.int8)
    integer_bias = None if bias is None else np.rint(bias / (x_scale * exact)).astype(np.int64)
    return IntegerParameters(integers, stored, integer_bias, x_scale * exact / y_scale)
