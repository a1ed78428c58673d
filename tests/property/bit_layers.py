"""Random layers of few bits, as networks of one layer, and the arithmetic that each is to have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from xdsl.dialects.builtin import FloatData, TensorType
from xdsl.ir import Attribute, SSAValue

from hapir.dialects import nn, num
from hapir.dialects.kernel import ChoiceAttr
from hapir.dialects.nn_shapes import text
from hapir.dialects.num import (
    AffineType,
    BipolarType,
    TernaryType,
    code_range,
    shape_of,
    signed,
    step_of,
    unsigned,
)
from hapir.lowering.kernel.plan_codes import BITS, CODES
from hapir.reference.values import Array, dtype_of
from hapir.weights import WeightStore
from tests.property.network_builder import NetworkBuilder
from tests.property.sparse_layers import Shape, SparseLayer, random_shape

Pair = tuple[Attribute, Attribute]
"""The codes of activations and of weights."""

SMALL: tuple[Attribute, ...] = (unsigned(1), unsigned(2), unsigned(3), unsigned(4), signed(2), signed(3), signed(4))
BIPOLAR: tuple[Attribute, ...] = tuple(BipolarType(bits) for bits in (1, 2, 3, 4))

FAMILIES: dict[str, tuple[str, tuple[Pair, ...]]] = {
    "binary": (BITS, ((BipolarType(1), BipolarType(1)),)),
    "ternary": (BITS, ((TernaryType(), TernaryType()),)),
    "bits": (BITS, tuple((x, w) for x in (*SMALL, *BIPOLAR, TernaryType()) for w in (*SMALL, *BIPOLAR, TernaryType()))),
    "codes": (
        CODES,
        tuple((x, w) for x in (unsigned(8), signed(8), unsigned(4)) for w in (*SMALL, *BIPOLAR, TernaryType())),
    ),
}
"""What is asked for, and the formats that it is asked for."""


def drawn(rng: np.random.Generator, codes: Attribute, shape: tuple[int, ...], ends: float = 0.2) -> Array:
    """Codes, the extremes often among them."""
    (low, high), step = code_range(codes), step_of(codes)
    found = rng.integers(0, (high - low) // step, shape, endpoint=True) * step + low
    found[rng.random(shape) < ends / 2] = low
    found[rng.random(shape) < ends / 2] = high
    return found


def layer(rng: np.random.Generator, arithmetic: str, pair: Pair, shape: Shape) -> SparseLayer:
    """A layer of these formats with random weights and inputs; half have a stage behind, which may give few bits."""
    build = NetworkBuilder([], 0)
    x_codes, w_codes = pair
    sizes = () if shape.window is None else shape.size[1:] if shape.line else shape.size
    kernel = () if shape.window is None else shape.window.kernel[1:] if shape.line else shape.window.kernel
    x_shape = (shape.batch, shape.channels, *sizes)
    w_shape = (shape.filters, shape.channels // shape.groups, *kernel)
    low, high = code_range(x_codes)
    zero_point = int(rng.choice((low, high, int(rng.integers(low, high + 1)), 0 if low <= 0 else low)))
    x_element = AffineType(x_codes, FloatData(0.5), zero_point)
    w_element = AffineType(w_codes, FloatData(1.0), 0)
    x = nn.WeightOp("image", TensorType(x_element, x_shape)).result  # the input until `finish`
    build.weights.put("w", drawn(rng, w_codes, w_shape).astype(dtype_of(w_element)))
    w = build.append(nn.WeightOp("w", TensorType(w_element, w_shape)))
    b = None
    if rng.random() < 0.5:
        build.weights.put("b", rng.integers(-(1 << 12), 1 << 12, shape.filters).astype(np.int32))
        b = build.append(nn.WeightOp("b", TensorType(signed(32), (shape.filters,))))
    if shape.window is None:
        op = nn.DenseOp(x, w, b, layer="layer")
    elif shape.line:
        op = nn.Conv1dOp(x, w, b, window=shape.window, groups=shape.groups, layer="layer")
    else:
        op = nn.Conv2dOp(x, w, b, window=shape.window, groups=shape.groups, layer="layer")
    op.attributes["kernel"] = ChoiceAttr.of("direct", arithmetic)
    y = build.append(op)
    if rng.random() < 0.5:
        y = thresholded(build.weights, build, rng, y, "t")
    network = build.finish("sample", x, [("y", y)])
    given = drawn(rng, x_codes, x_shape).astype(dtype_of(x_element))
    words = f"{arithmetic} {x_element} {text(x_shape)} by {w_codes} {text(w_shape)} {shape}"
    return SparseLayer(network, build.weights, {"image": given}, words)


def thresholded(
    weights: WeightStore, build: NetworkBuilder, rng: np.random.Generator, y: SSAValue, name: str
) -> SSAValue:
    """Comparisons with one to three thresholds per channel."""
    channels = shape_of(y)[1]
    codes: Attribute = (BipolarType(1), unsigned(2), BipolarType(2))[int(rng.integers(3))]
    low, high = code_range(codes)
    levels = (high - low) // step_of(codes)
    weights.put(f"{name}.t", np.sort(rng.integers(-60, 60, (channels, levels)), axis=1).astype(np.int16))
    weights.put(f"{name}.f", rng.integers(0, 2, channels).astype(np.uint8))
    t = build.append(nn.WeightOp(f"{name}.t", TensorType(signed(16), (channels, levels))))
    f = build.append(nn.WeightOp(f"{name}.f", TensorType(unsigned(1), (channels,))))
    result = TensorType(AffineType(codes, FloatData(1.0), 0), shape_of(y))
    return build.append(num.ThresholdOp(y, t, f, result, low=low, layer=name))


def random_layer(rng: np.random.Generator, family: str) -> SparseLayer:
    """Any pair of formats of a family, any shape, channels around the ends of words."""
    arithmetic, pairs = FAMILIES[family]
    pair = pairs[int(rng.integers(len(pairs)))]
    shape = random_shape(rng)
    per_group = int(rng.choice((1, 3, 4, 20, 31, 32, 33, 64, 70)))
    if shape.groups > 1 or arithmetic == CODES:
        # one channel per group is depthwise, and a run must be several words for codes to take fewer bytes
        per_group = max(20 if arithmetic == CODES else 2, per_group)
    if arithmetic == CODES and pair[1] == BipolarType(4):
        per_group += -per_group % 4  # 16 odd levels leave no code for the 0 that fills a word up
    return layer(rng, arithmetic, pair, replace(shape, channels=shape.groups * per_group))
