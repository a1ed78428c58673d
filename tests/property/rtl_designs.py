"""Random accelerators with random layers, for the three-witness tests: structure by hypothesis, numbers from a seed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st
from xdsl.dialects.builtin import FloatData, IntegerType, StringAttr, TensorType
from xdsl.ir import Block, Operation, Region, SSAValue

from hapir.dialects import dataflow, machine, machine_memory, machine_units, nn, num
from hapir.dialects.nn_shapes import Window
from hapir.weights import WeightStore


@dataclass(frozen=True)
class LayerDraw:
    """One convolution: output channels, kernel, stride, padding, dilation, pooling window and stride (0 = none)."""

    filters: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    pool: int
    pool_stride: int
    bias: bool


@dataclass(frozen=True)
class DesignDraw:
    """A machine, an input map and one to three layers.

    `formats` are bits of activations, weights and requantization factors; `tight` accumulators are just wide enough.
    """

    rows: int
    cols: int
    word_bits: int
    latency: int
    slots: int
    depth: int
    signed: bool
    formats: tuple[int, int, int]
    tight: bool
    rounding: num.Rounding
    channels: int
    height: int
    width: int
    layers: tuple[LayerDraw, ...]
    seed: int

    @property
    def activation(self) -> IntegerType:
        """The format of activations."""
        return (num.signed if self.signed else num.unsigned)(self.formats[0])

    @property
    def weight(self) -> IntegerType:
        """The format of weights."""
        return num.signed(self.formats[1])

    @property
    def accumulator_bits(self) -> int:
        """Bits that no sum of any layer can leave, or 32."""
        channels = [self.channels, *(layer.filters for layer in self.layers)]
        fan_in = max(c * layer.kernel[0] * layer.kernel[1] for c, layer in zip(channels, self.layers, strict=False))
        return ((fan_in << (self.formats[0] + self.formats[1])) + BIAS).bit_length() + 1 if self.tight else 32


BIAS = 20000
"""Biases are drawn up to this magnitude."""


@dataclass(frozen=True)
class Design:
    """A drawn design as IR, with the numbers that go with it."""

    draw: DesignDraw
    body: nn.NetworkOp
    weights: WeightStore
    machine: machine.MachineOp
    schedule: dataflow.ScheduleOp

    def inputs(self, images: int) -> npt.NDArray[np.generic]:
        """Random inputs that use the whole range."""
        rng = np.random.default_rng(self.draw.seed + 1)
        draw = self.draw
        low, high = num.integer_range(draw.activation)
        raw = rng.integers(low, high + 1, (images, draw.channels, draw.height, draw.width))
        return raw.astype(np.int8 if draw.signed else np.uint8)


@st.composite
def _layers(draw: st.DrawFn, height: int, width: int, filters: st.SearchStrategy[int]) -> LayerDraw:
    kernel = (draw(st.integers(1, min(5, height))), draw(st.integers(1, min(5, width))))
    square = draw(st.booleans())
    stride = draw(st.integers(1, 3))
    pad = draw(st.integers(0, 2))
    side = st.integers(0, 2)
    padding = (pad, pad, pad, pad) if square else draw(st.tuples(side, side, side, side))
    spread = [
        (size + 1) // 2 >= k > 1 and draw(st.integers(0, 4)) == 0
        for size, k in zip((height, width), kernel, strict=True)
    ]
    dilation = (1 + spread[0], 1 + spread[1])
    window = Window(kernel, (stride, stride if square else draw(st.integers(1, 3))), padding, dilation)
    pool = draw(st.sampled_from((0, 0, 2, 3)))
    if min(window.output(height, width)) < pool:
        pool = 0
    return LayerDraw(
        draw(filters),
        window.kernel,
        window.stride,
        window.padding,
        window.dilation,
        pool,
        draw(st.sampled_from((pool, pool, 1, 2))) if pool else 0,
        draw(st.booleans()),
    )


def _size(layer: LayerDraw, height: int, width: int) -> tuple[int, int]:
    p, q = Window(layer.kernel, layer.stride, layer.padding, layer.dilation).output(height, width)
    return _pool_window(layer).output(p, q) if layer.pool else (p, q)


def _pool_window(layer: LayerDraw) -> Window:
    return Window((layer.pool, layer.pool), (layer.pool_stride, layer.pool_stride))


@st.composite
def designs(draw: st.DrawFn, *, tiled: bool = False, packed: bool = False) -> DesignDraw:
    """Arrays 1..16 x 1..16, channels 1..40, maps 1..20, kernels 1..5, strides 1..3, padding 0..2, memory widths.

    `tiled` draws only designs whose first layer needs several tiles in K, C and pixels, `packed` only ones with so few
    input channels that the array's rows may take several kernel taps.
    """
    rows, cols = draw(st.integers(2 if packed else 1, 16)), draw(st.integers(1, 16))
    least = 4 if tiled else 1
    height, width = draw(st.integers(least, 20)), draw(st.integers(least, 20))
    channels = draw(st.integers(rows + 1 if tiled else 1, rows // 2 if packed else 40))
    filters = st.integers(cols + 1 if tiled else 1, 40)
    first = draw(_layers(height, width, filters))
    layers = [first]
    size = _size(first, height, width)
    for _ in range(draw(st.sampled_from((0, 1, 1, 2)))):
        layers.append(draw(_layers(*size, st.integers(1, 20))))
        size = _size(layers[-1], *size)
    p, q = _size(first, height, width)
    window = max(1, first.pool**2)
    most = max(layer.pool for layer in layers) ** 2 or 1
    depth = draw(st.integers(most, max(most, p * q * window + 5)))
    if tiled and p * q > 1:
        depth = max(most, min(depth, (p * q - 1) * window))
    return DesignDraw(
        rows,
        cols,
        draw(st.sampled_from((8, 16, 32, 64, 128))),
        draw(st.integers(1, 40)),
        draw(st.integers(2, 6)),
        depth,
        draw(st.booleans()),
        (
            draw(st.sampled_from((8, 8, 5, 2))),
            draw(st.sampled_from((8, 8, 4, 2))),
            draw(st.sampled_from((16, 16, 9, 24))),
        ),
        draw(st.booleans()),
        draw(st.sampled_from(list(num.Rounding))),
        channels,
        height,
        width,
        tuple(layers),
        draw(st.integers(0, 2**32 - 2)),
    )


def is_tiled(draw: DesignDraw) -> bool:
    """Whether the first layer needs several tiles in K, C and pixels."""
    layer = draw.layers[0]
    p, q = _size(layer, draw.height, draw.width)
    pixels = p * q * max(1, layer.pool**2)
    return layer.filters > draw.cols and draw.channels > draw.rows and pixels > draw.depth


def build_design(draw: DesignDraw, name: str = "body") -> Design:
    """The design's IR; the requantizer's factors are drawn so that outputs spread over the whole range and beyond."""
    rng = np.random.default_rng(draw.seed)
    storage = draw.activation
    low, high = num.integer_range(storage)
    weights = WeightStore()
    x_type = num.AffineType(storage, FloatData(0.5), int(rng.integers(low, high + 1)))
    shape = (1, draw.channels, draw.height, draw.width)
    network = nn.NetworkOp(name, [("x", TensorType(x_type, shape))], [("y", TensorType(x_type, shape))])
    current: SSAValue = network.body.block.args[0]
    for index, layer in enumerate(draw.layers):
        op = _layer_op(f"l{index}", layer, current, draw, weights, rng)
        network.body.block.add_op(op)
        current = op.outputs[0]
    network.body.block.add_op(nn.ReturnOp([current]))
    network.set_result_types()
    schedule = dataflow.ScheduleOp("schedule", name, "drawn", "weight_stationary")
    return Design(draw, network, weights, _machine_op(draw), schedule)


def _layer_op(
    name: str,
    layer: LayerDraw,
    x: SSAValue,
    draw: DesignDraw,
    weights: WeightStore,
    rng: np.random.Generator,
) -> dataflow.LayerOp:
    channels, k = num.shape_of(x)[1], layer.filters
    fan_in = channels * layer.kernel[0] * layer.kernel[1]
    storage, factor_bits = draw.activation, draw.formats[2]
    low, high = num.integer_range(storage)
    least, most = num.integer_range(draw.weight)
    weights.put(f"{name}.w", rng.integers(least, most + 1, (k, channels, *layer.kernel)).astype(np.int8))
    weights.put(f"{name}.ws", np.ones(k, np.float32))
    # uniform numbers of b bits deviate by 2^b / sqrt(12); spread the sums over 0.2 to 2 ranges
    deviation = 2.0 ** (draw.formats[0] + draw.formats[1]) / 12 * math.sqrt(fan_in)
    bias_limit = min(BIAS, math.ceil(2 * deviation))
    weights.put(f"{name}.b", rng.integers(-bias_limit, bias_limit, k).astype(np.int32))
    factor = rng.uniform(0.2, 2.0, k) * (high - low + 1) / (2 * deviation)
    shift = np.floor(factor_bits - 1 - np.log2(factor)).astype(np.int64)
    rounded = np.minimum(np.round(factor * 2.0**shift), (1 << factor_bits) - 1)
    weights.put(f"{name}.m", rounded.astype(np.uint16 if factor_bits <= 16 else np.uint32))
    weights.put(f"{name}.s", shift.astype(np.uint8))
    block = Block(arg_types=[x.type])
    wide = num.PerChannelType(draw.weight, 0, StringAttr(f"{name}.ws"))
    w = nn.WeightOp(f"{name}.w", TensorType(wide, (k, channels, *layer.kernel)))
    ops: list[Operation] = [w]
    bias = None
    if layer.bias:
        bias_op = nn.WeightOp(f"{name}.b", TensorType(num.SI32, [k]))
        ops.append(bias_op)
        bias = bias_op.result
    window = Window(layer.kernel, layer.stride, layer.padding, layer.dilation)
    conv = nn.Conv2dOp(block.args[0], w.result, bias, window=window, layer=name)
    multiplier = nn.WeightOp(f"{name}.m", TensorType(num.unsigned(16 if factor_bits <= 16 else 32), [k]))
    shifts = nn.WeightOp(f"{name}.s", TensorType(num.UI8, [k]))
    bounds = sorted(int(v) for v in rng.integers(low, high + 1, 2)) if rng.integers(4) == 0 else [low, high]
    y_type = num.AffineType(storage, FloatData(0.25), int(rng.integers(low, high + 1)))
    requantize = num.RequantizeOp(
        conv.result,
        multiplier.result,
        shifts.result,
        TensorType(y_type, num.shape_of(conv.result)),
        rounding=draw.rounding,
        low=bounds[0],
        high=bounds[1],
    )
    ops += [conv, multiplier, shifts, requantize]
    out: SSAValue = requantize.result
    if layer.pool:
        pool = nn.MaxPoolOp(out, window=_pool_window(layer))
        ops.append(pool)
        out = pool.result
    block.add_ops([*ops, dataflow.YieldOp([out])])
    return dataflow.LayerOp(name, [x], [out.type], Region(block))


def _machine_op(draw: DesignDraw) -> machine.MachineOp:
    """A machine that the drawn layers fit."""
    words = -(-draw.cols * 8 // draw.word_bits)
    slot_bits = draw.rows * words * draw.word_bits
    word_bytes = draw.word_bits // 8
    size, planes = (draw.height, draw.width), [draw.height * draw.width]
    channels = [draw.channels]
    for layer in draw.layers:
        size = _size(layer, *size)
        planes.append(size[0] * size[1])
        channels.append(layer.filters)
    bank_words = max(-(-c // draw.rows) * -(-plane // word_bytes) for c, plane in zip(channels, planes, strict=True))
    mac = machine_units.MacUnit((draw.activation, draw.weight), num.signed(draw.accumulator_bits))
    pe: list[Operation] = [
        machine_units.UnitOp.of(mac),
        machine_memory.MemoryOp("weight_reg", size_words=1, holds=["weight"], double_buffered=True),
        machine_memory.MemoryOp("accumulator", size_words=draw.depth, holds=["psum"]),
    ]
    parts: list[Operation] = [
        machine_memory.MemoryOp("dram", bandwidth_bits=draw.word_bits, latency_cycles=draw.latency),
        machine_memory.MemoryOp(
            "activations",
            size_bits=2 * draw.rows * bank_words * draw.word_bits,
            holds=["input", "output"],
            double_buffered=True,
        ),
        machine_memory.MemoryOp("weights", size_bits=draw.slots * slot_bits, holds=["weight"]),
        machine.ArrayOp("pe", draw.rows, draw.cols, pe),
        machine_units.UnitOp.of(machine_units.RequantizeUnit(num.unsigned(draw.formats[2]), draw.rounding)),
    ]
    return machine.MachineOp("drawn", "cmos45", 200_000_000, parts)
