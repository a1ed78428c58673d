"""Depthwise layers in C against the reference, on every SIMD path that this host runs: exact on integers.

Channels around whole vectors, several filters per channel, strides, dilations, padding, windows from one tap to long
rows, batches, every storage type; several networks per call of the compiler.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from hypothesis import strategies as st
from xdsl.dialects.builtin import FloatData, TensorType, f32

from hapir.dialects import nn, num
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import AffineType, integer_range, signed, unsigned
from hapir.reference.values import dtype_of
from tests.c_machines import FEW, MACHINES, Machine
from tests.property.integer_networks import requantize
from tests.property.network_builder import NetworkBuilder
from tests.property.printed import PrintedByRepr
from tests.property.test_c_machines import Ready, Sample, drawn
from tests.property.test_c_reference import grouped

Draw = st.DrawFn

CHANNELS = (2, 3, 4, 5, 8, 12, 16, 17, 24, 32, 33, 48)


@st.composite
def depthwise_windows(draw: Draw, size: tuple[int, int]) -> Window:
    """A window that fits a map; now and then one of a long row."""

    def axis(length: int, long: bool) -> tuple[int, int, int, int, int]:
        kernel = draw(st.integers(6, 19)) if long else draw(st.sampled_from((1, 2, 3, 3, 3, 4, 5)))
        dilation, stride = draw(st.sampled_from((1, 1, 1, 2, 3))), draw(st.sampled_from((1, 1, 2, 3)))
        before, after = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        before, after = min(before, kernel - 1), min(after, kernel - 1)
        while (kernel - 1) * dilation + 1 > length + before + after:
            kernel, dilation = (kernel, dilation - 1) if dilation > 1 else (kernel - 1, 1)
        return kernel, stride, min(before, kernel - 1), min(after, kernel - 1), dilation

    (r, sr, top, bottom, dr), (s, ss, left, right, ds) = (
        axis(size[0], False),
        axis(size[1], draw(st.integers(0, 7)) == 0),
    )
    return Window((r, s), (sr, ss), (top, left, bottom, right), (dr, ds))


@dataclass(frozen=True)
class Layers(PrintedByRepr):
    """A network of depthwise layers, and what it is run on."""

    job: Sample

    def __repr__(self) -> str:
        return f"Layers(\n{self.job[0]}\n)"


@st.composite
def depthwise_layers(draw: Draw, floats: bool = False) -> Layers:
    """One depthwise layer, requantized, on its own or before another."""
    build = NetworkBuilder(["d1", "d2", "q1", "q2"], draw(st.integers(0, 2**16)))
    channels, batch = draw(st.sampled_from(CHANNELS)), draw(st.sampled_from((1, 1, 2)))
    shape = (batch, channels, draw(st.integers(1, 14)), draw(st.integers(1, 21)))
    storage = draw(
        st.sampled_from((unsigned(8), unsigned(8), signed(8), signed(8), unsigned(4), signed(16), unsigned(16)))
    )
    low, high = integer_range(storage)
    point = draw(st.sampled_from((low, high, max(low, 0), (low + high) // 2 + 3)))
    element = f32 if floats else AffineType(storage, FloatData(0.5), point)
    image = nn.WeightOp("image", TensorType(element, shape)).result
    x = image
    for i in range(draw(st.integers(1, 2))):
        x = _layer(build, draw, x, f"d{i}", floats)
    values: np.ndarray = build.rng.normal(size=shape).astype(np.float32)
    if not floats:
        values = build.rng.integers(low, high, shape, endpoint=True).astype(dtype_of(element))
        values[build.rng.random(shape) < 0.1] = high
    network = build.finish("sample", image, [("y", x)])
    fuse = draw(st.booleans())
    return Layers(((grouped(network, build.weights) if fuse else network), build.weights, {"image": values}))


def _layer(build: NetworkBuilder, draw: Draw, x: nn.SSAValue, name: str, floats: bool) -> nn.SSAValue:
    _, channels, height, width = num.shape_of(x)
    window = draw(depthwise_windows((height, width)))
    filters = channels * draw(st.sampled_from((1, 1, 1, 2, 3)))
    shape = (filters, 1, *window.kernel)
    if floats:
        w = build.weight(f"{name}.weight", build.rng.normal(size=shape).astype(np.float32))
        b = build.weight(f"{name}.bias", build.rng.normal(size=filters).astype(np.float32))
        y = build.append(nn.Conv2dOp(x, w, b, window=window, groups=channels, layer=name))
        return build.append(nn.ReluOp(y, layer=name))
    build.weights.put(f"{name}.weight", build.rng.integers(-128, 127, shape, endpoint=True).astype(np.int8))
    w = build.append(nn.WeightOp(f"{name}.weight", TensorType(AffineType(signed(8), FloatData(0.25), 0), shape)))
    build.weights.put(f"{name}.bias", build.rng.integers(-(1 << 18), 1 << 18, filters).astype(np.int32))
    b = build.append(nn.WeightOp(f"{name}.bias", TensorType(signed(32), (filters,))))
    acc = build.append(nn.Conv2dOp(x, w, draw(st.sampled_from((b, None))), window=window, groups=channels, layer=name))
    return requantize(build, draw, acc, name, 20000 * window.kernel[0] * window.kernel[1])


@cache
def layers(floats: bool, count: int, number: int) -> Ready:
    """Random networks, the same every time."""
    return Ready.of([sample.job for sample in drawn(depthwise_layers(floats=floats), count, number)])


@pytest.mark.parametrize("machine", FEW, ids=str)
def test_integers(machine: Machine):
    layers(False, 10, 1).check(machine, "-O1")


@pytest.mark.parametrize("machine", FEW, ids=str)
def test_floats(machine: Machine):
    layers(True, 5, 2).check(machine, "-O1")


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES, ids=str)
@pytest.mark.parametrize("number", range(6))
def test_integers_sweep(machine: Machine, number: int):
    layers(False, 50, number).check(machine, "-O2")


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES, ids=str)
@pytest.mark.parametrize("number", range(2))
def test_floats_sweep(machine: Machine, number: int):
    layers(True, 50, number).check(machine, "-O2")
