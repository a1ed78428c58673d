"""num.threshold on the reference and in C: every accumulator of a range, every width, order and step."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import FloatData, IntegerType, TensorType
from xdsl.ir import Attribute

from hapir.diagnostics import HapirError
from hapir.dialects import nn, num
from hapir.dialects.num import AffineType, BipolarType, signed, unsigned
from hapir.reference.interpret import run_network
from hapir.reference.values import Array, dtype_of
from hapir.targets.c.build import build_c
from hapir.targets.c.emit import emit_c
from hapir.weights import WeightStore

FLAGS = ("-std=c11", "-O1", "-g", "-fsanitize=undefined", "-fno-sanitize-recover=all", "-Wall", "-Wextra", "-Werror")
LOW, HIGH = -(1 << 31), (1 << 31) - 1


def network(
    acc: Attribute, levels: Array, flips: list[int], width: int, codes: Attribute, low: int
) -> tuple[nn.NetworkOp, WeightStore]:
    """A threshold of one pixel of as many channels as there are rows (two, where one row is shared)."""
    channels = max(2, len(levels))
    result = TensorType(AffineType(codes, FloatData(1.0), 0), (1, channels))
    built = nn.NetworkOp("n", [("x", TensorType(acc, (1, channels)))], [("y", result)])
    t = nn.WeightOp("t", TensorType(signed(width), levels.shape))
    f = nn.WeightOp("f", TensorType(unsigned(1), (len(levels),)))
    op = num.ThresholdOp(built.body.block.args[0], t.result, f.result, result, low=low, layer="a1")
    built.body.block.add_ops([t, f, op, nn.ReturnOp([op.result])])
    built.verify()
    stored = levels.astype(dtype_of(signed(width)))
    return built, WeightStore({"t": stored, "f": np.array(flips, np.uint8)})


def compare(built: nn.NetworkOp, weights: WeightStore, x: Array) -> Array:
    """The reference's result, which C gives too."""
    expected = run_network(built, weights, {"x": x})["y"]
    module = build_c(emit_c(built, weights), flags=FLAGS, cache=False)
    np.testing.assert_array_equal(module.run({"x": x})["y"], expected)
    return expected


def test_signs_of_every_accumulator():
    """Channels: rising, falling, always and never met, in both orders."""
    levels, flips = np.array([[3], [3], [-20], [21], [-20], [21]]), [0, 1, 0, 0, 1, 1]
    built, weights = network(signed(32), levels, flips, 8, BipolarType(1), -1)
    acc = np.arange(-20, 21, dtype=np.int32)
    found = compare(built, weights, np.repeat(acc[:, np.newaxis], 6, axis=1))
    assert found.dtype == np.int8
    rising = np.where(acc >= 3, 1, -1)
    np.testing.assert_array_equal(found, np.stack([rising, -rising, *(np.full(41, v) for v in (1, -1, -1, 1))], axis=1))


@pytest.mark.parametrize(
    ("acc", "codes", "low", "count"),
    [
        (signed(32), unsigned(4), 0, 15),
        (signed(16), signed(4), -3, 9),
        (unsigned(8), unsigned(2), 1, 2),
        (signed(8), BipolarType(3), -5, 6),
        (AffineType(unsigned(8), FloatData(0.5), 7), unsigned(3), 0, 7),
    ],
    ids=str,
)
def test_codes_of_several_levels(acc: IntegerType, codes: Attribute, low: int, count: int):
    rng = np.random.default_rng(count)
    levels = np.sort(rng.integers(-130, 300, (3, count)), axis=1)
    levels[0, : count // 2 + 1] = levels[0, 0]  # levels that are skipped
    built, weights = network(acc, levels, [0, 1, 0], 16, codes, low)
    dtype = dtype_of(acc)
    every = np.arange(max(np.iinfo(dtype).min, -400), min(np.iinfo(dtype).max, 400) + 1).astype(dtype)
    found = compare(built, weights, np.repeat(every[:, np.newaxis], 3, axis=1))
    reached = np.array([[(levels[c] <= int(v)).sum() for c in range(3)] for v in every])
    step = 2 if isinstance(codes, BipolarType) else 1
    np.testing.assert_array_equal(found, low + step * np.where([False, True, False], count - reached, reached))


def test_shared_thresholds_and_the_ends_of_si32():
    built, weights = network(signed(32), np.array([[LOW, 0, HIGH]]), [0], 32, unsigned(2), 0)
    acc = np.array([LOW, LOW + 1, -1, 0, HIGH - 1, HIGH], np.int32)
    found = compare(built, weights, np.stack([acc, acc[::-1]], axis=1))
    np.testing.assert_array_equal(found[:, 0], [1, 1, 1, 2, 2, 3])


def test_thresholds_out_of_order_are_diagnosed_by_both():
    built, weights = network(signed(32), np.array([[1, 2], [3, 1]]), [0, 0], 8, unsigned(2), 0)
    with pytest.raises(HapirError, match="HAP0540: threshold 1 of channel 1 is 1, below the one before"):
        run_network(built, weights, {"x": np.zeros((1, 2), np.int32)})
    with pytest.raises(HapirError, match="HAP0540"):
        emit_c(built, weights)
