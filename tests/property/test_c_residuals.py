"""Residual adds of the C target: in the convolution that makes one operand, the same bits as the reference."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import FloatData, ModuleOp, TensorType, f32
from xdsl.ir import SSAValue

from hapir.context import HapirContext
from hapir.dialects import nn, num
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import AffineType, Rounding, shape_of, signed, unsigned
from hapir.lowering.compress.fuse import FusePass
from hapir.lowering.kernel.plan_program import plan_program
from hapir.lowering.kernel.steps import Convolution, Elementwise, Reframe, joins
from hapir.lowering.network_edits import networks_of
from hapir.reference.interpret import run_network
from hapir.reference.values import Array
from hapir.targets.c.build import FAST_FLAGS, build_c_together
from hapir.targets.c.emit import emit_c
from hapir.weights import WeightStore
from tests.property.network_builder import NetworkBuilder

WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic")
PATHS = {
    "native": (*FAST_FLAGS, *WARNINGS),
    "avx2": ("-std=c11", "-O1", "-mavx2", "-mfma", *WARNINGS),
    "c": ("-std=c11", "-O1", "-DHAPIR_PLAIN_C", *WARNINGS),
}
CODES = AffineType(unsigned(8), FloatData(0.5), 3)
SIGNED = AffineType(signed(8), FloatData(0.5), -4)


def convolution(build: NetworkBuilder, x: SSAValue, filters: int, window: Window, groups: int = 1) -> SSAValue:
    """On floats, or on integers and requantized."""
    name, shape = build.name("conv"), (filters, shape_of(x)[1] // groups, *window.kernel)
    if num.is_float(x):
        w = build.weight(f"{name}.w", build.rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape))
        b = build.weight(f"{name}.b", build.rng.normal(0, 1, filters))
        return build.append(nn.Conv2dOp(x, w, b, window=window, groups=groups, layer=name))
    build.weights.put(f"{name}.w", build.rng.integers(-128, 128, shape).astype(np.int8))
    w = build.append(nn.WeightOp(f"{name}.w", TensorType(AffineType(signed(8), FloatData(0.25), 0), shape)))
    acc = build.append(nn.Conv2dOp(x, w, None, window=window, groups=groups, layer=name))
    return requantized(build, acc, int(np.sqrt(np.prod(shape[1:])) * 6000) + 1, name)


def requantized(build: NetworkBuilder, acc: SSAValue, reach: int, name: str) -> SSAValue:
    channels = shape_of(acc)[1]
    multipliers = build.rng.integers(1 << 15, 1 << 16, channels)
    shifts = [int(m * reach >> 7).bit_length() for m in multipliers.tolist()]
    build.weights.put(f"{name}.m", multipliers.astype(np.uint16))
    build.weights.put(f"{name}.s", np.array(shifts, np.uint8))
    m = build.append(nn.WeightOp(f"{name}.m", TensorType(unsigned(16), (channels,))))
    s = build.append(nn.WeightOp(f"{name}.s", TensorType(unsigned(8), (channels,))))
    element = CODES if build.rng.random() < 0.5 else SIGNED
    low, high = num.integer_range(element.storage)
    rounding = list(Rounding)[int(build.rng.integers(4))]
    result = TensorType(element, shape_of(acc))
    return build.append(num.RequantizeOp(acc, m, s, result, rounding=rounding, low=low, high=high, layer=name))


def added(build: NetworkBuilder, x: SSAValue, y: SSAValue) -> SSAValue:
    """The residual add with its ReLU."""
    name = build.name("add")
    if num.is_float(x):
        return build.append(nn.ReluOp(build.append(nn.AddOp(x, y, layer=name)), layer=build.name("relu")))
    wide = [build.append(num.WidenOp(v, int(build.rng.integers(1, 1 << 16)), layer=name)) for v in (x, y)]
    total = requantized(build, build.append(nn.AddOp(*wide, layer=name)), 1 << 23, name)
    return build.append(nn.ReluOp(total, layer=build.name("relu")))


def block(seed: int, *, floats: bool) -> tuple[nn.NetworkOp, WeightStore, dict[str, Array]]:
    """Two residual blocks, the second with a convolution on both sides, and a layer behind them."""
    build = NetworkBuilder([], seed)
    rng = build.rng
    batch, channels, side = int(rng.integers(1, 3)), int(rng.choice([3, 16, 20, 35])), int(rng.integers(3, 9))
    same, plain = Window((3, 3), padding=(1, 1, 1, 1)), Window((1, 1))
    shape = (batch, int(rng.integers(1, 5)), side, side)
    image = nn.WeightOp("image", TensorType(f32 if floats else CODES, shape)).result
    stem = convolution(build, image, channels, same)
    once = convolution(build, stem, channels, same)
    twice = convolution(build, once, channels, same if rng.random() < 0.5 else plain)
    first = added(build, *((twice, stem) if rng.random() < 0.5 else (stem, twice)))
    half = Window((3, 3), (2, 2), padding=(1, 1, 1, 1))
    down = convolution(build, first, 2 * channels, half)
    down = convolution(build, down, 2 * channels, same, groups=int(rng.choice([1, 2])))
    across = convolution(build, first, 2 * channels, Window((1, 1), (2, 2)))
    last = convolution(build, added(build, down, across), 5, plain)
    x = rng.normal(0, 1, (2 * batch, *shape[1:])) if floats else rng.integers(0, 256, (2 * batch, *shape[1:]))
    network = build.finish("sample", image, [("y", last)])
    module = ModuleOp([network])
    FusePass().apply(HapirContext(weights=build.weights), module)
    module.verify()
    inputs = {"image": x.astype(np.float32 if floats else np.uint8)}
    return networks_of(module)[0], build.weights, inputs


def check(seeds: range, flags: tuple[str, ...]) -> None:
    blocks = [block(seed, floats=seed % 3 == 0) for seed in seeds]
    modules = build_c_together(
        [emit_c(network, weights, f"net{i}") for i, (network, weights, _) in enumerate(blocks)],
        flags=flags,
        cache=False,
    )
    for (network, weights, inputs), module in zip(blocks, modules, strict=True):
        expected, found = run_network(network, weights, inputs)["y"], module.run(inputs)["y"]
        if expected.dtype.kind == "f":
            apart = np.abs(found.astype(np.float64) - expected.astype(np.float64))
            assert apart.max() <= 1e-4 * np.abs(expected).max()
        else:
            np.testing.assert_array_equal(found, expected)
            assert len(np.unique(found)) > 1


@pytest.mark.parametrize("path", PATHS)
def test_the_same_bits(path: str):
    check(range(6), PATHS[path])


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
def test_the_same_bits_of_many(path: str):
    for first in range(6, 126, 10):
        check(range(first, first + 10), PATHS[path])


@pytest.mark.parametrize("floats", [False, True])
def test_no_step_adds_and_no_map_is_copied(floats: bool):
    for seed in range(4):
        network, weights, _ = block(seed, floats=floats)
        steps = plan_program(network, weights).steps
        assert not any(isinstance(step, Elementwise) for step in steps)
        assert [len(joins(step)) for step in steps if isinstance(step, Convolution)].count(1) == 2
        assert not any(isinstance(step, Reframe) and not step.lift for step in steps[2:])


@pytest.mark.parametrize("floats", [False, True])
def test_sums_wait_for_both_maps_and_leave_those_that_others_read(floats: bool):
    build = NetworkBuilder([], 5)
    shape = (1, 4, 6, 7)
    image = nn.WeightOp("image", TensorType(f32 if floats else CODES, shape)).result
    stem = convolution(build, image, 20, Window((1, 1)))
    once = convolution(build, stem, 20, Window((3, 3), padding=(1, 1, 1, 1)))
    again = convolution(build, once, 5, Window((1, 1)))
    early = convolution(build, stem, 20, Window((1, 1)))
    late = build.append(nn.MaxPoolOp(stem, window=Window((3, 3), padding=(1, 1, 1, 1)), layer=build.name("pool")))
    sums = added(build, once, stem), added(build, early, late)
    network = build.finish("sample", image, [("y", sums[0]), ("w", sums[1]), ("z", again)])
    x = build.rng.normal(0, 1, shape) if floats else build.rng.integers(0, 256, shape)
    inputs = {"image": x.astype(np.float32 if floats else np.uint8)}
    expected = run_network(network, build.weights, inputs)
    (module,) = build_c_together([emit_c(network, build.weights)], flags=PATHS["native"], cache=False)
    for name, found in module.run(inputs).items():
        apart = np.abs(found.astype(np.float64) - expected[name].astype(np.float64)).max()
        assert apart <= (1e-4 * np.abs(expected[name]).max() if floats else 0)
