"""simplify_shapes is exact, and whatever order reshapes and transposes come in, few are left."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.num import shape_of
from hapir.lowering.canonical.simplify_shapes import SimplifyShapesPass
from tests.property.network_builder import NetworkBuilder
from tests.property.pipelines import compilation
from tests.property.strategies import FEATURES, Sample, networks


@st.composite
def moves(draw: st.DrawFn) -> Sample:
    """A row of changes of shape, some of which change nothing."""
    build = NetworkBuilder([], 0)
    shape = tuple(draw(st.lists(st.sampled_from((1, 2, 3, 4)), min_size=2, max_size=4)))
    image = nn.WeightOp("image", TensorType(f32, shape)).result
    x: SSAValue = image
    for _ in range(draw(st.integers(1, 6))):
        old = shape_of(x)
        match draw(
            st.sampled_from(("transpose", "transpose", "reshape", "reshape", "flatten", "pad", "tile", "slice"))
        ):
            case "transpose":
                x = build.append(nn.TransposeOp(x, draw(st.permutations(range(len(old))))))
            case "reshape":
                x = build.append(nn.ReshapeOp(x, draw(factors(prod(old))), axis=0))
            case "flatten":
                x = build.append(nn.FlattenOp(x)) if len(old) > 1 else x
            case "pad":
                nothing = [0] * len(old)
                x = build.append(nn.PadOp(x, nothing, [draw(st.integers(0, 1)), *nothing[1:]]))
            case "tile":
                x = build.append(nn.TileOp(x, [1] * len(old)))
            case _:
                x = build.append(nn.SliceOp(x, [0] * len(old), old, [draw(st.sampled_from((1, 1, 2)))] * len(old))
                                 if set(old) == {1} else nn.SliceOp(x, [0] * len(old), old))  # fmt: skip
    return Sample(build.finish("moves", image, [("y", x)]), build.weights, shape)


@st.composite
def factors(draw: st.DrawFn, size: int) -> list[int]:
    """Sizes of axes with this product."""
    sizes: list[int] = []
    while size > 1 and len(sizes) < 4:
        sizes.append(draw(st.sampled_from([n for n in range(1, size + 1) if size % n == 0])))
        size //= sizes[-1]
    return [*sizes, size]


@settings(max_examples=200, deadline=None)
@given(moves())
def test_rows_of_moves(sample: Sample) -> None:
    inputs = {"image": np.arange(prod(sample.input_shape), dtype=np.float32).reshape(sample.input_shape)}
    compiled = compilation(sample).apply(SimplifyShapesPass())
    assert np.array_equal(compiled.run(inputs)["y"], compilation(sample).run(inputs)["y"])
    kinds = [type(op) for op in compiled.network.body.block.ops]
    for kind, following in pairwise(kinds):
        assert not (kind is following is nn.TransposeOp)
        assert not {kind, following} <= {nn.ReshapeOp, nn.FlattenOp}
    assert nn.TileOp not in kinds


@settings(max_examples=40, deadline=None)
@given(networks(allow=FEATURES - {"argmax"}))
def test_networks(sample: Sample) -> None:
    inputs = sample.inputs(batch=sample.input_shape[0])
    after = compilation(sample).apply(SimplifyShapesPass()).run(inputs)
    for name, array in compilation(sample).run(inputs).items():
        assert np.array_equal(after[name], array)
