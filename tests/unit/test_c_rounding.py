"""Requantization and quantization in C at ties, extremes and every width of shift, against the reference."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from xdsl.dialects.builtin import FloatData, TensorType, f32
from xdsl.ir import Attribute, Operation

from hapir.dialects import nn, num
from hapir.dialects.num import AffineType, Rounding, signed, unsigned
from hapir.reference.interpret import run_network
from hapir.targets.c.build import FAST_FLAGS, build_c
from hapir.targets.c.emit import emit_c
from hapir.weights import Array, WeightStore

LIMIT = 1 << 31
NEAR_POWERS = {sign * (1 << k) + d for k in range(5, 32) for sign in (-1, 1) for d in (-1, 0, 1)}
SUMS = np.array(sorted(v for v in {*range(-40, 41), *NEAR_POWERS} if -LIMIT <= v < LIMIT), np.int32)
SHIFTS = (0, 1, 2, 3, 31, 32, 33, 61, 62)
NARROW = (0, 1, 2, 3, 5, 12345, (1 << 16) - 1, 1 << 30, LIMIT - 1)
WIDE = (*NARROW, LIMIT, LIMIT + 1, 3 << 30, (1 << 32) - 1)
FLAGS = (("-std=c11", "-O0", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"), FAST_FLAGS)


def network_of(ops: list[Operation], op: Operation, x: TensorType[Attribute]) -> nn.NetworkOp:
    """A network of one op on its input."""
    network = nn.NetworkOp("one", [("x", x)], [("y", op.results[0].type)])
    op.operands[0] = network.body.block.args[0]
    network.body.block.add_ops([*ops, op, nn.ReturnOp([op.results[0]])])
    network.verify()
    return network


def compare(network: nn.NetworkOp, weights: WeightStore, x: Array) -> Array:
    """The reference's result, which every build must give."""
    expected = run_network(network, weights, {"x": x})["y"]
    for flags in FLAGS:
        module = build_c(emit_c(network, weights), flags=flags, cache=False)
        np.testing.assert_array_equal(module.run({"x": x})["y"], expected)
    return expected


@pytest.mark.parametrize("multipliers", [NARROW, WIDE], ids=["31 bits", "32 bits"])
@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("zero_point", [0, 7, -LIMIT])
def test_requantize(rounding: Rounding, multipliers: tuple[int, ...], zero_point: int):
    pairs = list(product(multipliers, SHIFTS))
    channels = len(pairs)
    store = WeightStore(
        {"m": np.array([m for m, _ in pairs], np.uint32), "s": np.array([s for _, s in pairs], np.uint8)}
    )
    m, s = (
        nn.WeightOp("m", TensorType(unsigned(32), (channels,))),
        nn.WeightOp("s", TensorType(unsigned(8), (channels,))),
    )
    type_ = TensorType(signed(32), (1, channels))
    result = TensorType(AffineType(signed(32), FloatData(1.0), zero_point), (1, channels))
    x = nn.WeightOp("x", type_).result
    op = num.RequantizeOp(x, m.result, s.result, result, rounding=rounding, low=-LIMIT, high=LIMIT - 1)
    sums = np.repeat(SUMS[:, None], channels, axis=1)
    found = compare(network_of([m, s], op, type_), store, sums)
    assert len(np.unique(found)) > 200  # the clamp hides little


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("zero_point", [0, 7])
@pytest.mark.parametrize("single", [False, True], ids=["double", "single"])
def test_rescale(rounding: Rounding, zero_point: int, single: bool):
    scales = np.array([1.0, 0.5, 0.1, 1 / 3, 2.0**-20, 3.0**-15, 1e-30, 1e10, 0.0], np.float32)
    channels = len(scales)
    scale = nn.WeightOp("s", TensorType(f32, (channels,)))
    type_ = TensorType(signed(32), (1, channels))
    result = TensorType(AffineType(signed(16), FloatData(1.0), zero_point), (1, channels))
    x = nn.WeightOp("x", type_).result
    op = num.RescaleOp(x, scale.result, result, rounding=rounding, low=-30000, high=30001, single=single)
    sums = np.repeat(SUMS[:, None], channels, axis=1)
    found = compare(network_of([scale], op, type_), WeightStore({"s": scales}), sums)
    assert len(np.unique(found)) > 60  # the clamp hides little
    assert found.min() == -30000
    assert found.max() == 30001


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("scale", [1.0, 0.5, 0.1])
@pytest.mark.parametrize("single", [False, True], ids=["double", "single"])
def test_quantize(rounding: Rounding, scale: float, single: bool):
    halves = np.arange(-600, 600) / 2 * scale
    close = [np.nextafter(np.float32(0.5), np.float32(0)), -np.nextafter(np.float32(0.5), np.float32(0)), 1e30, -1e30]
    values = np.array([*halves, *close], np.float32)[:, None]
    type_ = TensorType(f32, (1, 1))
    op = num.QuantizeOp(
        nn.WeightOp("x", type_).result,
        TensorType(AffineType(signed(8), FloatData(scale), -5), (1, 1)),
        rounding,
        single=single,
    )
    compare(network_of([], op, type_), WeightStore(), values)


@pytest.mark.parametrize("bits", [4, 8])
def test_a_value_that_is_not_a_number_becomes_the_lowest(bits: int):
    type_ = TensorType(f32, (1, 3))
    codes = AffineType(signed(bits), FloatData(1.0), 0)
    op = num.QuantizeOp(nn.WeightOp("x", type_).result, TensorType(codes, (1, 3)))
    x = np.array([[np.nan, np.inf, -np.inf]], np.float32)
    for flags in FLAGS:
        module = build_c(emit_c(network_of([], op.clone(), type_), WeightStore()), flags=flags, cache=False)
        assert module.run({"x": x})["y"].tolist() == [[-(1 << bits - 1), (1 << bits - 1) - 1, -(1 << bits - 1)]]


def test_dequantize_rounds_once():
    type_ = TensorType(AffineType(unsigned(16), FloatData(0.1), 333), (1, 1))
    op = num.DequantizeOp(nn.WeightOp("x", type_).result)
    compare(network_of([], op, type_), WeightStore(), np.arange(1 << 16, dtype=np.uint16)[:, None])
