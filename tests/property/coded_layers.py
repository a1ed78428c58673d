"""Networks before and after a pass that codes weights: what the property tests of those passes share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from xdsl.dialects.builtin import FloatAttr, TensorType, f32
from xdsl.passes import ModulePass

from hapir.diagnostics import HapirError
from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import DequantizeOp
from hapir.lowering.compress.calibration import sqnr_db
from hapir.lowering.compress.weight_slots import WeightSlot, slots_of
from hapir.lowering.network_edits import decoded_weight_of
from hapir.quantizers.coded import Coded, Floats
from tests.property.network_builder import NetworkBuilder
from tests.property.pipelines import Compilation, compilation
from tests.property.strategies import Sample


def slots(compiled: Compilation) -> list[WeightSlot]:
    """All weights of the network; none where it has no such layer."""
    return [slot for op in compiled.network.body.block.ops for slot in slots_of(op)]


def reals(compiled: Compilation) -> list[Floats]:
    """What each weight means."""
    return [decoded_weight_of(slot.value, compiled.ctx.weights) for slot in slots(compiled)]


def check_coded(sample: Sample, pass_: ModulePass, rule: Callable[[Floats], Coded]) -> Compilation | None:
    """Run a pass: each weight means what the rule says, tells what it lost, and the network computes with just that.

    Gives the network after the pass; None for one without weights, which no pass takes.
    """
    before = compilation(sample)
    if not slots(before):
        return None
    exact = reals(before)
    after = compilation(sample).apply(pass_)
    for slot, w, found in zip(slots(after), exact, reals(after), strict=True):
        np.testing.assert_array_equal(found, rule(w).reals())
        decode = slot.value.owner
        assert isinstance(decode, DequantizeOp)
        coded = decode.operands[0].owner
        assert isinstance(coded, nn.WeightOp)
        assert coded.key.data.endswith(f".{pass_.name}")
        error, ratio = coded.attributes["max_error"], coded.attributes["sqnr_db"]
        assert isinstance(error, FloatAttr)
        assert isinstance(ratio, FloatAttr)
        assert error.value.data == np.abs(w - found).max()
        assert ratio.value.data == sqnr_db(w, found)
    for slot, w in zip(slots(before), reals(after), strict=True):
        owner = slot.value.owner
        assert isinstance(owner, nn.WeightOp)
        before.ctx.weights.put(owner.key.data, w.astype(np.float32))
    inputs = sample.inputs(batch=2)
    for name, expected in before.run(inputs).items():
        np.testing.assert_array_equal(after.run(inputs)[name], expected)
    return after


def dense(w: Floats) -> Sample:
    """A network of one dense layer `f1` with given weights."""
    build = NetworkBuilder(["f1"], 0)
    image = nn.WeightOp("image", TensorType(f32, (1, w.shape[1]))).result
    result = build.append(nn.DenseOp(image, build.weight("f1.weight", w), layer=build.name("f")))
    return Sample(build.finish("sample", image, [("y", result)]), build.weights, (1, w.shape[1]))


def convolution(w: Floats, padding: int = 0) -> Sample:
    """A network of one convolution `c1` with given weights on a map of its kernel's size."""
    build = NetworkBuilder(["c1"], 0)
    shape = (1, *w.shape[1:])
    image = nn.WeightOp("image", TensorType(f32, shape)).result
    result = build.append(
        nn.Conv2dOp(
            image,
            build.weight("c1.weight", w),
            window=Window((w.shape[2], w.shape[3]), padding=(padding, padding, padding, padding)),
            layer=build.name("c"),
        )
    )
    return Sample(build.finish("sample", image, [("y", result)]), build.weights, shape)


def meaning(sample: Sample, pass_: ModulePass) -> Floats:
    """What the only weight of a sample means after a pass."""
    return reals(compilation(sample).apply(pass_))[0]


def refused(
    sample: Sample, pass_: ModulePass, code: str, calibration: Mapping[str, npt.NDArray[Any]] | None = None
) -> str:
    """The message with which a pass refuses a sample."""
    with pytest.raises(HapirError) as raised:
        compilation(sample, calibration).apply(pass_)
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.code == code
    return diagnostic.message
