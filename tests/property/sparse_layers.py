"""Random layers with zeros in their weights, as networks of one layer, and the kernel that each is to have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from xdsl.dialects.builtin import FloatData, IntegerType, StringAttr, TensorType, f32
from xdsl.ir import SSAValue

from hapir.dialects import nn, num
from hapir.dialects.kernel import ChoiceAttr
from hapir.dialects.nn_shapes import Window, text
from hapir.dialects.num import AffineType, Rounding, integer_range, shape_of, signed, unsigned
from hapir.reference.values import Array, dtype_of
from hapir.weights import WeightStore
from tests.property.network_builder import NetworkBuilder
from tests.property.windows import row_of

Kind = Literal["f32", "ui8", "si8", "si16"]
STORAGES: dict[Kind, IntegerType] = {"ui8": unsigned(8), "si8": signed(8), "si16": signed(16)}
GRAINS = ("weight", "word", "kernel", "filter")
"""What is zero together: single weights, four channels, a kernel of a channel, a filter."""


@dataclass(frozen=True)
class SparseLayer:
    """A network of one layer whose op asks for a kernel, its weights, its inputs, and what it is in words."""

    network: nn.NetworkOp
    weights: WeightStore
    inputs: dict[str, Array]
    words: str


@dataclass(frozen=True)
class Shape:
    """A layer's loops: a dense layer where there is no window, over a sequence where `line`."""

    batch: int
    channels: int
    size: tuple[int, int]
    filters: int
    window: Window | None
    groups: int = 1
    line: bool = False


def _pick(rng: np.random.Generator, *values: int) -> int:
    return int(rng.choice(values))


def random_shape(rng: np.random.Generator) -> Shape:
    """Small sizes with tails of every kind: vectors, words, strides, groups, dilations."""
    if rng.random() < 0.25:
        return Shape(_pick(rng, 1, 2, 7, 16, 33, 64), int(rng.integers(1, 90)), (1, 1), int(rng.integers(1, 40)), None)
    line = rng.random() < 0.2
    size = (1 if line else int(rng.integers(1, 13)), int(rng.integers(1, 30)))
    kernel, stride, dilation = [1, 1], [1, 1], [1, 1]
    padding = [0, 0, 0, 0]
    for axis in (1,) if line else (0, 1):
        kernel[axis] = _pick(rng, 1, 1, 2, 3, 3, 5)
        stride[axis] = _pick(rng, 1, 1, 2, 3)
        dilation[axis] = _pick(rng, 1, 1, 1, 2, 3)
        padding[axis], padding[axis + 2] = (int(rng.integers(0, 3)) for _ in range(2))
        while (kernel[axis] - 1) * dilation[axis] + 1 > size[axis] + padding[axis] + padding[axis + 2]:
            kernel[axis], dilation[axis] = max(1, kernel[axis] - 1), 1
    window = Window((kernel[0], kernel[1]), (stride[0], stride[1]), tuple(padding), (dilation[0], dilation[1]))  # pyright: ignore[reportArgumentType]  # four of them
    groups = _pick(rng, 1, 1, 1, 2, 3, 5)
    channels, filters = groups * int(rng.integers(1, 24)), groups * int(rng.integers(1, 12))
    return Shape(_pick(rng, 1, 1, 2), channels, size, filters, row_of(window) if line else window, groups, line)


def pruned(rng: np.random.Generator, weights: Array, density: float, grain: str) -> Array:
    """The weights K C ... with only a share of the grains left."""
    k, c = weights.shape[:2]
    shape = {
        "weight": weights.shape,
        "word": (k, -(-c // 4), *weights.shape[2:]),
        "kernel": (k, c, *([1] * (weights.ndim - 2))),
        "filter": (k, *([1] * (weights.ndim - 1))),
    }[grain]
    kept = rng.random(shape) < density
    if grain == "word":
        kept = kept.repeat(4, axis=1)[:, :c]
    return weights * np.broadcast_to(kept, weights.shape)


def _weights(rng: np.random.Generator, kind: Kind, algorithm: str, shape: tuple[int, ...]) -> Array:
    if kind == "f32":
        return (rng.standard_normal(shape) / np.sqrt(max(1, np.prod(shape[1:])))).astype(np.float32)
    if algorithm == "ras":
        count = int(rng.integers(1, 4))
        levels = rng.choice(np.arange(1, 128), count, replace=False) * rng.choice((-1, 1), count)
        return rng.choice(np.concatenate((levels, [1, -1])), shape).astype(np.int8)
    return rng.integers(-128, 128, shape).astype(np.int8)


def layer(
    rng: np.random.Generator,
    kind: Kind,
    algorithm: str,
    shape: Shape,
    density: float,
    grain: str = "weight",
    *,
    weights: Array | None = None,
    inputs: Array | None = None,
) -> SparseLayer:
    """A layer of these loops, with random weights and inputs where none are given; half have a stage behind."""
    build = NetworkBuilder([], 0)
    kernel = () if shape.window is None else shape.window.kernel[1:] if shape.line else shape.window.kernel
    w_shape = (shape.filters, shape.channels // shape.groups, *kernel)
    if weights is None:
        weights = pruned(rng, _weights(rng, kind, algorithm, w_shape), density, grain)
    sizes = () if shape.window is None else shape.size[1:] if shape.line else shape.size
    x_shape = (shape.batch, shape.channels, *sizes)
    if kind == "f32":
        x_type = TensorType(f32, x_shape)
        given = rng.standard_normal(x_shape).astype(np.float32)
        w_element, sums = f32, f32
    else:
        storage = STORAGES[kind]
        low, high = integer_range(storage)
        x_type = TensorType(AffineType(storage, FloatData(0.1), int(rng.integers(low, high + 1))), x_shape)
        given = rng.integers(low, high + 1, x_shape).astype(dtype_of(storage))
        given[rng.random(x_shape) < 0.2] = high
        w_element, sums = AffineType(signed(8), FloatData(0.5), 0), signed(32)
    build.weights.put("w", weights)
    x = nn.WeightOp("image", x_type).result  # the input until `finish`
    w = build.append(nn.WeightOp("w", TensorType(w_element, weights.shape)))
    b = None
    if rng.random() < 0.5:
        bias = rng.standard_normal(shape.filters) if kind == "f32" else rng.integers(-(1 << 16), 1 << 16, shape.filters)
        build.weights.put("b", bias.astype(np.float32 if kind == "f32" else np.int32))
        b = build.append(nn.WeightOp("b", TensorType(sums, (shape.filters,))))
    if shape.window is None:
        op = nn.DenseOp(x, w, b, layer="layer")
    elif shape.line:
        op = nn.Conv1dOp(x, w, b, window=shape.window, groups=shape.groups, layer="layer")
    else:
        op = nn.Conv2dOp(x, w, b, window=shape.window, groups=shape.groups, layer="layer")
    op.attributes["kernel"] = ChoiceAttr.of(algorithm)
    y = build.append(op)
    if rng.random() < 0.5:
        y = build.append(nn.ReluOp(y, layer="relu")) if kind == "f32" else _requantized(build, rng, y)
    network = build.finish("sample", x, [("y", y)])
    words = f"{algorithm} {kind} {text(x_shape)} by {text(w_shape)} {shape} {density:.2f} {grain}"
    return SparseLayer(network, build.weights, {"image": given if inputs is None else inputs}, words)


def _requantized(build: NetworkBuilder, rng: np.random.Generator, y: SSAValue) -> SSAValue:
    channels = shape_of(y)[1]
    build.weights.put("m", rng.integers(1, 1 << 16, channels).astype(np.uint16))
    build.weights.put("s", rng.integers(16, 30, channels).astype(np.uint8))
    m = build.append(nn.WeightOp("m", TensorType(unsigned(16), (channels,))))
    s = build.append(nn.WeightOp("s", TensorType(unsigned(8), (channels,))))
    result = TensorType(AffineType(unsigned(8), FloatData(0.1), 3), shape_of(y))
    op = num.RequantizeOp(y, m, s, result, rounding=Rounding.half_up, low=0, high=255, layer="requantize")
    return build.append(op)


def together(layers: Sequence[SparseLayer]) -> SparseLayer:
    """All layers side by side in one network, so that a compiler reads what they share once.

    Layer i has the input `x<i>`, the result `y<i>` and the name `n<i>.layer`.
    """
    weights = WeightStore()
    tops = [layer.network.body.block for layer in layers]
    ends = [layer.network.return_op.values[0].type for layer in layers]
    network = nn.NetworkOp(
        "together",
        [(f"x{i}", top.args[0].type) for i, top in enumerate(tops)],
        [(f"y{i}", end) for i, end in enumerate(ends)],
    )
    block, results = network.body.block, list[SSAValue]()
    for i, layer in enumerate(layers):
        for key in layer.weights:
            weights.put(f"n{i}.{key}", layer.weights[key])
        values: dict[SSAValue, SSAValue] = {tops[i].args[0]: block.args[i]}
        for op in tops[i].ops:
            if isinstance(op, nn.ReturnOp):
                results.append(values[op.values[0]])
                continue
            copy = op.clone(values)
            if isinstance(copy, nn.WeightOp):
                copy.properties["key"] = StringAttr(f"n{i}.{copy.key.data}")
            else:
                own = copy.properties["layer"]
                assert isinstance(own, StringAttr)
                copy.properties["layer"] = StringAttr(f"n{i}.{own.data}")
            block.add_op(copy)
    block.add_op(nn.ReturnOp(results))
    network.verify()
    inputs = {f"x{i}": layer.inputs["image"] for i, layer in enumerate(layers)}
    return SparseLayer(network, weights, inputs, "together")


def random_layer(
    rng: np.random.Generator, algorithm: str, kinds: tuple[Kind, ...], *, windows: bool = True
) -> SparseLayer:
    """Any shape, density and grain."""
    shape = random_shape(rng)
    if not windows and shape.window is not None:
        shape = replace(shape, window=Window((1, 1)))
    kind = kinds[int(rng.integers(len(kinds)))]
    density = float(rng.choice((0.0, 0.02, 0.1, 0.3, 0.6, 1.0)))
    return layer(rng, kind, algorithm, shape, density, str(rng.choice(GRAINS)))
