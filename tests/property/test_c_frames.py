"""Maps in frames, pools and elementwise layers in C against the reference: exact on integers, on every SIMD path.

Chains of padded and plain layers, branches that join again, pools that follow their convolution or stand alone, so
that a map has readers with other padding, and some that read none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from hypothesis import strategies as st
from xdsl.dialects.builtin import FloatData, IntegerType, TensorType, f32
from xdsl.ir import SSAValue

from hapir.dialects import nn, num
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import AffineType, integer_range, shape_of, signed, unsigned
from hapir.lowering.kernel.plan_program import plan_program
from hapir.lowering.kernel.steps import Convolution, Depthwise, Pool, Reframe
from hapir.reference.values import Array, dtype_of
from tests.c_machines import FEW, GCC, MACHINES, Machine
from tests.property.integer_networks import affine_types, requantize
from tests.property.network_builder import NetworkBuilder
from tests.property.printed import PrintedByRepr
from tests.property.test_c_machines import Ready, Sample, drawn
from tests.property.test_c_reference import grouped

Draw = st.DrawFn


@dataclass(frozen=True)
class Maps(PrintedByRepr):
    """A network over maps, and what it is run on."""

    job: Sample

    def __repr__(self) -> str:
        return f"Maps(\n{self.job[0]}\n)"


@st.composite
def map_networks(draw: Draw, floats: bool = False) -> Maps:
    """A few layers over maps; the last values are joined to one result."""
    build = NetworkBuilder([], draw(st.integers(0, 2**16)))
    shape = (
        draw(st.sampled_from((1, 1, 2))),
        draw(st.sampled_from((1, 2, 3, 5, 8, 16, 17))),
        *(draw(st.integers(3, 9)) for _ in range(2)),
    )
    element = f32 if floats else draw(affine_types())
    image = nn.WeightOp("image", TensorType(element, shape)).result
    values: list[SSAValue] = [image]
    for i in range(draw(st.integers(1, 5))):
        x = values[-1] if draw(st.integers(0, 3)) else draw(st.sampled_from(values))
        values.append(_layer(build, draw, x, values, f"l{i}", floats))
    network = build.finish("sample", image, [("y", values[-1])])
    given_: Array = build.rng.normal(size=shape).astype(np.float32)
    if isinstance(element, AffineType):
        low, high = integer_range(element.storage)
        given_ = build.rng.integers(low, high, shape, endpoint=True).astype(dtype_of(element))
    fused = grouped(network, build.weights) if draw(st.integers(0, 3)) else network
    return Maps((fused, build.weights, {"image": given_}))


def _layer(build: NetworkBuilder, draw: Draw, x: SSAValue, values: list[SSAValue], name: str, floats: bool) -> SSAValue:
    kind = draw(st.sampled_from(("product", "product", "product", "depthwise", "pool", "pool", "sum", "join", "join")))
    _, channels, height, width = shape_of(x)
    if kind == "join":
        mates = [v for v in values if shape_of(v) == shape_of(x)]
        return _join(build, draw, x, draw(st.sampled_from(mates)), name, floats)
    if kind in ("pool", "sum"):
        kernel = draw(st.integers(1, 3)), draw(st.integers(1, 3))
        padding = [draw(st.integers(0, k - 1)) for k in (*kernel, *kernel)]
        stride = draw(st.sampled_from((kernel, (1, 1), (2, 2))))
        if height + padding[0] + padding[2] < kernel[0] or width + padding[1] + padding[3] < kernel[1]:
            return x
        window = Window(kernel, stride, (padding[0], padding[1], padding[2], padding[3]))
        if kind == "pool":
            return build.append(nn.MaxPoolOp(x, window=window, layer=name))
        if floats:
            return build.append(nn.AvgPoolOp(x, window=window, count_include_pad=draw(st.booleans()), layer=name))
        return requantize(build, draw, build.append(nn.SumPoolOp(x, window=window, layer=name)), name, 500)
    size = draw(st.sampled_from((1, 1, 2, 3)))
    pad = draw(st.integers(0, size - 1)) if min(height, width) >= size else size - 1
    stride = draw(st.sampled_from((1, 1, 1, 2)))
    window = Window((size, size), (stride, stride), (pad, pad, pad, pad))
    groups = channels if kind == "depthwise" else 1
    filters = channels if kind == "depthwise" else draw(st.sampled_from((channels, 4, 16, 20)))
    weights = (filters, channels // groups, size, size)
    if floats:
        w = build.weight(f"{name}.weight", build.rng.normal(size=weights).astype(np.float32))
        return build.append(
            nn.ReluOp(build.append(nn.Conv2dOp(x, w, window=window, groups=groups, layer=name)), layer=name)
        )
    build.weights.put(f"{name}.weight", build.rng.integers(-128, 127, weights, endpoint=True).astype(np.int8))
    w = build.append(nn.WeightOp(f"{name}.weight", TensorType(AffineType(signed(8), FloatData(0.25), 0), weights)))
    acc = build.append(nn.Conv2dOp(x, w, window=window, groups=groups, layer=name))
    return requantize(build, draw, acc, name, 20000 * size)


def _join(build: NetworkBuilder, draw: Draw, x: SSAValue, mate: SSAValue, name: str, floats: bool) -> SSAValue:
    if floats:
        kind = draw(st.sampled_from((nn.AddOp, nn.SubOp, nn.MulOp)))
        return build.append(kind(x, mate, layer=name))
    wide = [build.append(num.WidenOp(v, draw(st.integers(-3000, 3000)), layer=name)) for v in (x, mate)]
    return requantize(build, draw, build.append(nn.AddOp(*wide, layer=name)), name, 300000)


@cache
def maps(floats: bool, count: int, number: int) -> Ready:
    """Random networks, the same every time."""
    return Ready.of([sample.job for sample in drawn(map_networks(floats=floats), count, number)])


@pytest.mark.parametrize("machine", FEW, ids=str)
def test_integers(machine: Machine):
    maps(False, 10, 1).check(machine, "-O1")


@pytest.mark.parametrize("machine", FEW, ids=str)
def test_floats(machine: Machine):
    maps(True, 5, 2).check(machine, "-O1")


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES, ids=str)
@pytest.mark.parametrize("number", range(6))
def test_integers_sweep(machine: Machine, number: int):
    maps(False, 50, number).check(machine, "-O2")


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES, ids=str)
@pytest.mark.parametrize("number", range(2))
def test_floats_sweep(machine: Machine, number: int):
    maps(True, 50, number).check(machine, "-O2")


@pytest.mark.parametrize("storage", [unsigned(8), signed(8)])
def test_padded_layers_in_a_row_copy_nothing(storage: IntegerType):
    build = NetworkBuilder([], 1)
    type_ = TensorType(AffineType(storage, FloatData(0.5), 3), (1, 8, 6, 6))
    image = nn.WeightOp("image", type_).result
    x: SSAValue = image
    for name in ("a", "b", "c"):
        build.weights.put(f"{name}.w", build.rng.integers(-9, 9, (8, 8, 3, 3)).astype(np.int8))
        build.weights.put(f"{name}.m", np.array([200], np.uint8))
        build.weights.put(f"{name}.s", np.array([12], np.uint8))
        w, m, s = (
            build.append(nn.WeightOp(f"{name}.{key}", TensorType(element, shape)))
            for key, element, shape in (
                ("w", AffineType(signed(8), FloatData(0.25), 0), (8, 8, 3, 3)),
                ("m", unsigned(8), (1,)),
                ("s", unsigned(8), (1,)),
            )
        )
        acc = build.append(nn.Conv2dOp(x, w, window=Window((3, 3), padding=(1, 1, 1, 1)), layer=name))
        rounding, (low, high) = num.Rounding.half_up, integer_range(storage)
        x = build.append(num.RequantizeOp(acc, m, s, type_, rounding=rounding, low=low, high=high, layer=name))
    network = grouped(build.finish("chain", image, [("y", x)]), build.weights)
    copies = [s for s in plan_program(network, build.weights).steps if isinstance(s, Reframe)]
    # signed bytes of the caller are lifted on their way into the first frame, nothing else is copied
    assert len(copies) == (1 if storage == signed(8) else 0)


POOLS = (Window((2, 2), (2, 2)), Window((2, 2), (3, 3)), Window((3, 3), (2, 1), padding=(1, 0, 1, 1)))
"""Windows side by side, apart, and over each other."""


def readers(storage: IntegerType | None) -> Sample:
    """A map that a padded layer reads, and layers without padding of every kind that can read it in its frame."""
    build, shape = NetworkBuilder([], 3), (2, 3, 9, 10)
    element = f32 if storage is None else AffineType(storage, FloatData(0.5), 3)
    image = nn.WeightOp("image", TensorType(element, shape)).result

    def product(x: SSAValue, filters: int, window: Window, groups: int = 1) -> SSAValue:
        name, shape = build.name("conv"), (filters, shape_of(x)[1] // groups, *window.kernel)
        if storage is None:
            w = build.weight(f"{name}.w", build.rng.normal(size=shape).astype(np.float32))
            return build.append(nn.Conv2dOp(x, w, window=window, groups=groups, layer=name))
        build.weights.put(f"{name}.w", build.rng.integers(-128, 128, shape).astype(np.int8))
        w = build.append(nn.WeightOp(f"{name}.w", TensorType(AffineType(signed(8), FloatData(0.25), 0), shape)))
        return scaled(build.append(nn.Conv2dOp(x, w, window=window, groups=groups, layer=name)), name)

    def scaled(acc: SSAValue, name: str) -> SSAValue:
        for key, value in (("m", 200), ("s", 14)):
            build.weights.put(f"{name}.{key}", np.array([value], np.uint8))
        m, s = (build.append(nn.WeightOp(f"{name}.{key}", TensorType(unsigned(8), (1,)))) for key in "ms")
        result, rounding, (low, high) = (
            TensorType(element, shape_of(acc)),
            num.Rounding.half_even,
            integer_range(storage),
        )
        return build.append(num.RequantizeOp(acc, m, s, result, rounding=rounding, low=low, high=high, layer=name))

    def pool(x: SSAValue, window: Window) -> SSAValue:
        return build.append(nn.MaxPoolOp(x, window=window, layer=build.name("pool")))

    def mean(x: SSAValue, window: Window) -> SSAValue:
        name = build.name("mean")
        if storage is None:
            return build.append(nn.AvgPoolOp(x, window=window, count_include_pad=False, layer=name))
        return scaled(build.append(nn.SumPoolOp(x, window=window, layer=name)), name)

    same, other = Window((3, 3), padding=(1, 1, 1, 1)), Window((2, 2), padding=(0, 1, 1, 0))
    x = product(image, 8, Window((1, 1)))
    results = [
        product(x, 4, Window((3, 3), padding=(1, 2, 1, 2))),
        product(x, 5, Window((3, 3), dilation=(2, 1))),
        product(x, 5, Window((2, 3), (2, 1), dilation=(3, 2))),
        product(x, 6, Window((2, 2), (1, 2)), groups=2),
        product(x, 8, Window((3, 2), (2, 1)), groups=8),
        mean(x, Window((5, 4), (2, 3))),
        # a pool that writes into a frame, and pools of layers of their own that do
        product(pool(x, Window((2, 3), (2, 1))), 4, same),
        *(product(pool(product(x, 5, w), p), 4, same) for w in (Window((1, 1)), same) for p in POOLS),
        # a frame that is copied from another
        product(x, 4, other),
    ]
    network = build.finish("sample", image, [(f"y{i}", result) for i, result in enumerate(results)])
    given: Array = build.rng.normal(size=shape).astype(np.float32)
    if storage is not None:
        given = build.rng.integers(*integer_range(storage), shape, endpoint=True).astype(dtype_of(storage))
    return grouped(network, build.weights), build.weights, {"image": given}


@pytest.mark.parametrize("of_sums", [True, False])
@pytest.mark.parametrize("storage", [None, unsigned(8), signed(8)], ids=str)
def test_layers_without_padding_read_the_frame_of_one_with(
    storage: IntegerType | None, of_sums: bool, monkeypatch: pytest.MonkeyPatch
):
    if not of_sums:  # pools of layers run over rows of results, as where those of sums would be too long
        monkeypatch.setattr("hapir.lowering.kernel.plan_program.SUMS_RING", 0)
    network, weights, inputs = readers(storage)
    steps = plan_program(network, weights).steps
    rings = {step.pool.of_sums for step in steps if isinstance(step, Convolution) and step.pool is not None}
    assert rings == {of_sums}
    if storage != signed(8):  # a copy that is lifted serves products of bytes alone
        frames = [step.frame for step in steps if isinstance(step, Convolution | Depthwise | Pool)][1:8]
        assert all(frame is not None and frame.pitch == 8 * (10 + 2 + 2) for frame in frames)
        writers = [step for step in steps if isinstance(step, Convolution | Pool) and step.to is not None]
        assert sum(isinstance(step, Pool) for step in writers) == 1
        assert sum(isinstance(step, Convolution) and step.pool is not None for step in writers) == 2 * len(POOLS)
        assert sum(isinstance(step, Reframe) and step.frame is not None for step in steps) >= 1
    Ready.of([(network, weights, inputs)]).check(GCC[0], "-O1")
