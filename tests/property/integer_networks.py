"""Random networks on integers, drawn op by op: every storage type, rounding, multiplier width and shift.

The `quantize` pass makes only some of what the IR can say; targets must compute all of it. Networks have one input
`image` of an affine type and one result `y`; sums are proven to fit, as the IR's contract asks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from xdsl.dialects.builtin import FloatData, IntegerType, StringAttr, TensorType
from xdsl.ir import Attribute, SSAValue

from hapir.dialects import nn, num
from hapir.dialects.num import (
    AffineType,
    BipolarType,
    PerChannelType,
    Rounding,
    element_type,
    integer_range,
    shape_of,
    signed,
    unsigned,
)
from hapir.reference.values import Array, dtype_of
from hapir.weights import WeightStore
from tests.property.network_builder import NetworkBuilder
from tests.property.printed import PrintedByRepr
from tests.property.strategies import NASTY_NAMES
from tests.property.windows import windows

Draw = st.DrawFn


@dataclass(frozen=True)
class IntegerSample(PrintedByRepr):
    """A drawn network, its weights, and its input's type."""

    network: nn.NetworkOp
    weights: WeightStore
    input_type: TensorType[Attribute]

    def inputs(self, batch: int, seed: int = 0) -> dict[str, Array]:
        """Uniform integers over the whole storage range, the extremes included."""
        element, shape = self.input_type.get_element_type(), self.input_type.get_shape()
        assert isinstance(element, AffineType)
        low, high = integer_range(element.storage)
        rng = np.random.default_rng(seed)
        values = rng.integers(low, high, (batch * shape[0], *shape[1:]), endpoint=True)
        values[rng.random(values.shape) < 0.1] = low
        values[rng.random(values.shape) < 0.1] = high
        return {"image": values.astype(dtype_of(element))}

    def __repr__(self) -> str:
        return f"IntegerSample(\n{self.network}\n)"


STORAGES = (unsigned(8), signed(8), unsigned(8), signed(8), unsigned(4), signed(4), unsigned(16), signed(16))


def affine_types() -> st.SearchStrategy[AffineType]:
    """Activations of up to 16 bits, zero points anywhere in the storage range."""

    def of(storage: IntegerType) -> st.SearchStrategy[AffineType]:
        low, high = integer_range(storage)
        points = st.one_of(st.sampled_from((low, high, max(low, 0))), st.integers(low, high))
        scales = st.sampled_from((1.0, 0.5, 0.0123, 3.7e-05))

        def affine(scale: float, point: int) -> AffineType:
            return AffineType(storage, FloatData(scale), point)

        return st.builds(affine, scales, points)

    return st.sampled_from(STORAGES).flatmap(of)


def _quantized_weight(build: NetworkBuilder, draw: Draw, name: str, shape: tuple[int, ...]) -> SSAValue:
    """Symmetric weights of 8 or 4 bits with the extremes in them, per channel or per tensor."""
    storage = draw(st.sampled_from((signed(8), signed(8), signed(4))))
    low, high = integer_range(storage)
    values = build.rng.integers(low, high, shape, endpoint=True)
    values[build.rng.random(shape) < 0.2] = draw(st.sampled_from((low, high, 0)))
    build.weights.put(f"{name}.weight", values.astype(np.int8))
    element: Attribute = AffineType(storage, FloatData(0.25), 0)
    if draw(st.booleans()):
        build.weights.put(f"{name}.weight.scale", build.rng.uniform(0.1, 1.0, shape[0]))
        element = PerChannelType(storage, 0, StringAttr(f"{name}.weight.scale"))
    return build.append(nn.WeightOp(f"{name}.weight", TensorType(element, shape)))


def _bias(build: NetworkBuilder, draw: Draw, name: str, channels: int) -> SSAValue | None:
    if not draw(st.booleans()):
        return None
    build.weights.put(f"{name}.bias", build.rng.integers(-(1 << 20), 1 << 20, channels).astype(np.int32))
    return build.append(nn.WeightOp(f"{name}.bias", TensorType(signed(32), (channels,))))


def requantize(build: NetworkBuilder, draw: Draw, acc: SSAValue, name: str, reach: int) -> SSAValue:
    """A requantization of any rounding, multiplier width and shift; often, but not always, one that fits the range.

    Now and then a threshold instead.
    """
    if draw(st.integers(0, 4)) == 0:
        return threshold(build, draw, acc, name, reach)
    channels = shape_of(acc)[1]
    count = draw(st.sampled_from((1, channels)))
    width = draw(st.sampled_from((8, 16, 31, 32)))
    result = draw(affine_types())
    multipliers = build.rng.integers(0, 1 << width, count)
    multipliers[0] = draw(st.sampled_from((multipliers[0], 0, 1, (1 << width) - 1)))
    if draw(st.integers(0, 3)):
        # a shift that brings sums near `reach` to the size of the range
        span = max(1, integer_range(result.storage)[1])
        shifts = np.clip([int(m * reach // span).bit_length() for m in multipliers.tolist()], 0, 62)
    else:
        shifts = build.rng.integers(0, 62, count, endpoint=True)
        shifts[0] = draw(st.sampled_from((0, 1, 31, 32, 62)))
    storage = {8: unsigned(8), 16: unsigned(16)}.get(width, unsigned(32))
    keys = build.weights.put(f"{name}.m", multipliers.astype(dtype_of(storage))), f"{name}.s"
    build.weights.put(keys[1], np.asarray(shifts).astype(np.uint8))
    m = build.append(nn.WeightOp(keys[0], TensorType(storage, (count,))))
    s = build.append(nn.WeightOp(keys[1], TensorType(unsigned(8), (count,))))
    low, high = integer_range(result.storage)
    if draw(st.booleans()):
        low, high = sorted((int(build.rng.integers(low, high)), int(build.rng.integers(low, high))))
    op = num.RequantizeOp(
        acc,
        m,
        s,
        TensorType(result, shape_of(acc)),
        rounding=draw(st.sampled_from(list(Rounding))),
        low=low,
        high=high,
        layer=name,
    )
    return build.append(op)


def threshold(build: NetworkBuilder, draw: Draw, acc: SSAValue, name: str, reach: int) -> SSAValue:
    """Thresholds near `reach`, some of them equal and some at the ends of their type; codes of one to four bits."""
    element = draw(st.sampled_from((BipolarType(1), BipolarType(2), unsigned(1), unsigned(2), unsigned(4), signed(4))))
    type_ = AffineType(element, FloatData(0.5), draw(st.integers(-1 if num.step_of(element) == 2 else 0, 1)))
    first, last = num.code_range(element)
    most = (last - first) // num.step_of(element)
    levels = draw(st.integers(1, most))
    low = first + num.step_of(element) * draw(st.integers(0, most - levels))
    rows, width = draw(st.sampled_from((1, shape_of(acc)[1]))), draw(st.sampled_from((8, 13, 32)))
    lowest, highest = integer_range(signed(width))
    ends = max(-reach, lowest), min(reach, highest)
    values = build.rng.integers(*ends, (rows, levels), endpoint=True)
    values[build.rng.random(values.shape) < 0.1] = draw(st.sampled_from((lowest, highest, 0)))
    build.weights.put(f"{name}.t", np.sort(values, axis=1).astype(dtype_of(signed(width))))
    build.weights.put(f"{name}.f", build.rng.integers(0, 2, rows).astype(np.uint8))
    t = build.append(nn.WeightOp(f"{name}.t", TensorType(signed(width), (rows, levels))))
    f = build.append(nn.WeightOp(f"{name}.f", TensorType(unsigned(1), (rows,))))
    return build.append(num.ThresholdOp(acc, t, f, TensorType(type_, shape_of(acc)), low=low, layer=name))


def _reach(x: SSAValue, products: int) -> int:
    """The size of a typical sum of so many products."""
    element = element_type(x)
    assert isinstance(element, AffineType)
    low, high = integer_range(element.storage)
    return max(1, (high - low) * 40 * max(1, int(products**0.5)))


def _product(build: NetworkBuilder, draw: Draw, x: SSAValue) -> SSAValue:
    """A convolution or dense layer, requantized."""
    if len(shape_of(x)) == 2:
        name, units = build.name("dense"), draw(st.integers(1, 9))
        w = _quantized_weight(build, draw, name, (units, shape_of(x)[1]))
        acc = build.append(nn.DenseOp(x, w, _bias(build, draw, name, units), layer=name))
        return requantize(build, draw, acc, name, _reach(x, shape_of(x)[1]))
    name, (_, c, h, w_) = build.name("conv"), shape_of(x)
    groups = draw(st.sampled_from([1, 1, *(g for g in range(1, c + 1) if c % g == 0)]))
    channels = groups * draw(st.integers(1, max(1, 9 // groups)))
    window = draw(windows(h, w_))
    shape = (channels, c // groups, *window.kernel)
    w = _quantized_weight(build, draw, name, shape)
    bias = _bias(build, draw, name, channels)
    acc = build.append(nn.Conv2dOp(x, w, bias, window=window, groups=groups, layer=name))
    return requantize(build, draw, acc, name, _reach(x, shape[1] * shape[2] * shape[3]))


def _residual(build: NetworkBuilder, draw: Draw, x: SSAValue, mate: SSAValue) -> SSAValue:
    """Two widened operands, added and requantized."""
    name = build.name("add")
    wide = [build.append(num.WidenOp(v, draw(st.integers(-3000, 3000)), layer=name)) for v in (x, mate)]
    total = build.append(nn.AddOp(*wide, layer=name))
    return requantize(build, draw, total, name, _reach(x, 1) * 30)


def _step(build: NetworkBuilder, draw: Draw, x: SSAValue, earlier: list[SSAValue]) -> SSAValue:
    kinds = ["product", "product", "residual", "concat", "edges"]
    if num.step_of(element_type(x)) == 1:
        kinds += ["relu", "clip"]  # bipolar codes have no zero
    if len(shape_of(x)) == 4:
        kinds += ["max_pool", "sum_pool", "global_max_pool", "flatten"]
    kind = draw(st.sampled_from(kinds))
    mates = [v for v in earlier if shape_of(v) == shape_of(x)]
    mate = draw(st.sampled_from([x, *mates]))
    match kind:
        case "relu":
            return build.append(nn.ReluOp(x, layer=build.name("relu")))
        case "clip":
            element = element_type(x)
            assert isinstance(element, AffineType)
            scale = element.scale.data
            return build.append(nn.ClipOp(x, low=-3.3 * scale, high=19.5 * scale, layer=build.name("clip")))
        case "residual":
            return _residual(build, draw, x, mate)
        case "concat":
            same = [v for v in mates if v.type == x.type]
            return build.append(nn.ConcatOp([x, same[0] if same else x], layer=build.name("concat")))
        case "edges":
            real = build.append(num.DequantizeOp(x, layer=build.name("real")))
            type_ = TensorType(draw(affine_types()), shape_of(x))
            return build.append(num.QuantizeOp(real, type_, draw(st.sampled_from(list(Rounding)))))
        case "max_pool" | "sum_pool":
            _, _, height, width = shape_of(x)
            window = draw(windows(height, width, pooling=True))
            if kind == "max_pool":
                return build.append(nn.MaxPoolOp(x, window=window, layer=build.name("pool")))
            name = build.name("pool")
            sums = build.append(nn.SumPoolOp(x, window=window, layer=name))
            return requantize(build, draw, sums, name, _reach(x, 1))
        case "global_max_pool":
            return build.append(nn.GlobalMaxPoolOp(x, layer=build.name("pool")))
        case "flatten":
            return build.append(nn.FlattenOp(x, layer=build.name("flatten")))
        case _:
            return _product(build, draw, x)


@st.composite
def integer_networks(draw: Draw, *, max_layers: int = 5, batch: int = 1) -> IntegerSample:
    """A random network on integers; its result is an affine type."""
    build = NetworkBuilder(list(draw(st.permutations(NASTY_NAMES))), draw(st.integers(0, 2**16)))
    shape = (batch, draw(st.integers(1, 6)), draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    image = nn.WeightOp("image", TensorType(draw(affine_types()), shape)).result  # the input until `finish`
    values: list[SSAValue] = [image]
    for _ in range(draw(st.integers(1, max_layers))):
        values.append(_step(build, draw, values[-1], values[:-1]))
    type_ = image.type
    assert isinstance(type_, TensorType)
    return IntegerSample(build.finish("sample", image, [("y", values[-1])]), build.weights, type_)
