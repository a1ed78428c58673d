"""recognize_pools keeps the function but for rounding, and leaves no reduction that is a global pool."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.lowering.canonical.recognize_pools import RecognizePoolsPass
from tests.property.network_builder import NetworkBuilder
from tests.property.pipelines import Compilation, compilation
from tests.property.strategies import Sample


def pooled(shape: tuple[int, ...], make: Callable[[SSAValue], nn.LayerOp]) -> Sample:
    build = NetworkBuilder([], 0)
    image = nn.WeightOp("image", TensorType(f32, shape)).result
    y = build.append(make(image))
    return Sample(build.finish("pooled", image, [("y", y)]), build.weights, shape)


def kinds(compiled: Compilation) -> list[str]:
    return [op.name for op in compiled.network.body.block.ops if isinstance(op, nn.LayerOp)]


@settings(max_examples=60, deadline=None)
@given(st.data(), st.lists(st.integers(1, 4), min_size=2, max_size=5), st.booleans())
def test_reductions(data: st.DataObject, shape: list[int], keep: bool) -> None:
    axes = sorted(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1)))
    function = data.draw(st.sampled_from(("mean", "max", "sum", "min")))
    sample = pooled(tuple(shape), lambda x: nn.ReduceOp(function, x, axes, keep=keep, layer="pool"))
    compiled = compilation(sample).apply(RecognizePoolsPass())
    inputs = sample.inputs(batch=shape[0])
    np.testing.assert_allclose(compiled.run(inputs)["y"], compilation(sample).run(inputs)["y"], rtol=1e-5, atol=1e-5)
    fits = len(shape) == 4 and axes == list(range(2, len(shape))) and function in ("mean", "max")
    name = {"mean": "nn.global_avg_pool", "max": "nn.global_max_pool"}.get(function, "")
    assert kinds(compiled) == ([name] if keep else [name, "nn.flatten"]) if fits else ["nn.reduce"]


@pytest.mark.parametrize(("kernel", "found"), [((4, 5), True), ((4, 4), False), ((1, 5), False)])
def test_windows_of_the_whole_map(kernel: tuple[int, int], found: bool) -> None:
    for kind in (nn.MaxPoolOp, nn.AvgPoolOp):
        sample = pooled((2, 3, 4, 5), lambda x, kind=kind: kind(x, window=Window(kernel, (2, 3))))
        compiled = compilation(sample).apply(RecognizePoolsPass())
        assert kinds(compiled)[0].startswith("nn.global") == found
        inputs = sample.inputs(batch=2)
        np.testing.assert_allclose(
            compiled.run(inputs)["y"], compilation(sample).run(inputs)["y"], rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("convolved", [False, True])
def test_sequences(convolved: bool) -> None:
    """Three axes are N C L behind a layer of sequences, else they may be N T C."""
    build = NetworkBuilder([], 0)
    image = nn.WeightOp("image", TensorType(f32, (1, 3, 5))).result
    x = build.conv1d(image, 2, Window((1, 3))) if convolved else image
    y = build.append(nn.ReduceOp("mean", build.append(nn.ReluOp(x)), [2]))
    sample = Sample(build.finish("sequence", image, [("y", y)]), build.weights, (1, 3, 5))
    compiled = compilation(sample).apply(RecognizePoolsPass())
    assert kinds(compiled)[-1] == ("nn.flatten" if convolved else "nn.reduce")


def test_a_padded_window_is_none() -> None:
    sample = pooled((1, 3, 2, 2), lambda x: nn.AvgPoolOp(x, window=Window((2, 2), padding=(1, 0, 0, 0))))
    assert kinds(compilation(sample).apply(RecognizePoolsPass())) == ["nn.avg_pool"]
