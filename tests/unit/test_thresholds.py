"""num.threshold on the reference and in C: every accumulator of a range, every width, order and step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from xdsl.dialects.builtin import FloatData, IntegerType, ModuleOp, StringAttr, TensorType, f32
from xdsl.ir import Attribute, Operation, SSAValue

from hapir.context import HapirContext
from hapir.diagnostics import HapirError
from hapir.dialects import nn, num
from hapir.dialects.num import AffineType, BipolarType, PerChannelType, signed, unsigned
from hapir.lowering.compress.activation_types import SIGNS
from hapir.lowering.compress.threshold import ThresholdPass
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


def islands(
    *middle: Callable[[SSAValue], Operation], scale: float = 1.0, codes: Attribute = SIGNS.codes
) -> tuple[ModuleOp, HapirContext]:
    """A network of si8, floats made by some ops, and codes; with its weights."""
    shape = (1, 2)
    weights = WeightStore({"s": np.array([0.5, 0.25]), "one": np.ones(2, np.float32), "two": np.full(2, 2, np.float32)})
    result = TensorType(AffineType(codes, FloatData(scale), 0), shape)
    built = nn.NetworkOp(
        "n", [("x", TensorType(PerChannelType(signed(8), 1, StringAttr("s")), shape))], [("y", result)]
    )
    block = built.body.block
    block.add_op(op := num.DequantizeOp(block.args[0]))
    for make in middle:
        value = op.results[0]
        op = make(value)
        block.add_ops(
            [*(v.owner for v in op.operands[1:] if isinstance(v.owner, Operation) and not v.owner.parent), op]
        )
    block.add_op(quantize := num.QuantizeOp(op.results[0], result))
    block.add_op(nn.ReturnOp([quantize.result]))
    built.verify()
    return ModuleOp([built]), HapirContext(weights=weights)


def norm(variance: str) -> Callable[[SSAValue], Operation]:
    """A batch norm whose variance is a key."""

    def make(x: SSAValue) -> Operation:
        keys = ("one", "one", "one", variance)
        parameters = [nn.WeightOp(key, TensorType(f32, (2,))) for key in keys]
        return nn.BatchNormOp(x, *(p.result for p in parameters), epsilon=0.0, layer="n1")

    return make


def test_two_irrational_batch_norms_are_diagnosed():
    module, context = islands(norm("two"), norm("two"), nn.SignOp)
    with pytest.raises(
        HapirError, match="HAP0543: the deviations of two batch norms in a row are irrational, in channel"
    ):
        ThresholdPass().apply(context, module)


def test_an_activation_of_one_value_is_diagnosed():
    module, context = islands(lambda x: nn.ClipOp(x, low=0.0, high=0.25), codes=unsigned(2))
    with pytest.raises(HapirError, match="HAP0543: the code 0 alone can come out"):
        ThresholdPass().apply(context, module)


def test_too_many_levels_are_diagnosed_and_bare_changes_of_scale_stay():
    module, context = islands(nn.ReluOp, codes=unsigned(8), scale=0.5)
    with pytest.raises(HapirError, match="HAP0541: this activation has 256 levels, thresholds are made for 16 at most"):
        ThresholdPass().apply(context, module)
    ThresholdPass(max_bits=8).apply(context, module)
    assert any(isinstance(op, num.ThresholdOp) for op in module.walk())
    module, context = islands(codes=unsigned(8), scale=0.5)
    before = str(module)
    ThresholdPass().apply(context, module)
    assert str(module) == before


def test_a_sum_of_32_bits_leaves_no_room_above():
    acc, result = TensorType(signed(32), (1, 1)), TensorType(AffineType(unsigned(1), FloatData(1.0), 0), (1, 1))
    built = nn.NetworkOp("n", [("x", acc)], [("y", result)])
    m, s = nn.WeightOp("m", TensorType(unsigned(8), (1,))), nn.WeightOp("s", TensorType(unsigned(8), (1,)))
    x = built.body.block.args[0]
    op = num.RequantizeOp(x, m.result, s.result, result, rounding=num.Rounding.floor, low=0, high=1)
    built.body.block.add_ops([m, s, op, nn.ReturnOp([op.result])])
    weights = WeightStore({"m": np.array([1], np.uint8), "s": np.array([3], np.uint8)})
    with pytest.raises(HapirError, match="HAP0542: the accumulator may reach 2147483647"):
        ThresholdPass().apply(HapirContext(weights=weights), ModuleOp([built]))


def test_layers_that_are_not_named_keep_their_requantization():
    result = TensorType(AffineType(unsigned(1), FloatData(1.0), 0), (1, 1))

    def made(pass_: ThresholdPass) -> list[str]:
        wide = TensorType(AffineType(signed(16), FloatData(1.0), 0), (1, 1))
        built = nn.NetworkOp("n", [("x", wide)], [("a", result), ("b", result)])
        m, s = nn.WeightOp("m", TensorType(unsigned(8), (1,))), nn.WeightOp("s", TensorType(unsigned(8), (1,)))
        built.body.block.add_ops([m, s, acc_op := num.WidenOp(built.body.block.args[0], 1)])
        made: list[SSAValue] = []
        for name in ("c1", "c2"):
            op = num.RequantizeOp(
                *(acc_op.result, m.result, s.result, result), rounding=num.Rounding.floor, low=0, high=1, layer=name
            )
            built.body.block.add_op(op)
            made.append(op.result)
        built.body.block.add_op(nn.ReturnOp(made))
        weights = WeightStore({"m": np.array([1], np.uint8), "s": np.array([3], np.uint8)})
        pass_.apply(HapirContext(weights=weights), module := ModuleOp([built]))
        return [op.name for op in module.walk() if isinstance(op, num.ThresholdOp | num.RequantizeOp)]

    assert made(ThresholdPass()) == ["num.threshold"] * 2
    assert made(ThresholdPass(layers="c2")) == ["num.requantize", "num.threshold"]


def test_a_variance_that_is_not_positive_is_diagnosed():
    module, context = islands(norm("none"), nn.SignOp)
    context.weights.put("none", np.array([1, 0], np.float32))
    with pytest.raises(HapirError, match=r"HAP0404: variance \+ epsilon of channel 1 is 0, not positive"):
        ThresholdPass().apply(context, module)
