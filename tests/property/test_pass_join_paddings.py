"""join_paddings is exact, and joins whatever a layer's own padding can say."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.num import shape_of
from hapir.lowering.canonical.join_paddings import JoinPaddingsPass
from tests.property.network_builder import NetworkBuilder
from tests.property.pipelines import compilation
from tests.property.strategies import Sample
from tests.property.windows import row_of, windows

BEFORE = ("nothing", "relu", "clip", "sigmoid")
KINDS = ("conv2d", "conv1d", "max_pool", "avg_pool", "counting_avg_pool")


def map_sizes(x: SSAValue) -> tuple[int, int]:
    """Rows and columns; of a sequence its length twice."""
    sizes = shape_of(x)[2:]
    return sizes[0], sizes[-1]


@st.composite
def padded(draw: st.DrawFn) -> tuple[Sample, str, str, float, bool]:
    """A padding before a layer with a window: the network, the kinds of both layers, the value, and if sides are 0."""
    build, kind, before = (
        NetworkBuilder([], draw(st.integers(0, 99))),
        draw(st.sampled_from(KINDS)),
        draw(st.sampled_from(BEFORE)),
    )
    places = 1 if kind == "conv1d" else 2
    shape = (2, 3, *(draw(st.integers(2, 5)) for _ in range(places)))
    image = nn.WeightOp("image", TensorType(f32, shape)).result
    x = image
    if before == "relu":
        x = build.append(nn.ReluOp(x))
    elif before == "clip":
        x = build.append(nn.ClipOp(x, low=-0.5, high=3))
    elif before == "sigmoid":
        x = build.append(nn.SigmoidOp(x))
    value = draw(st.sampled_from((0.0, 0.0, -1.0, 0.5)))
    channels = draw(st.sampled_from((0, 0, 0, 1)))
    ends = [[0, channels if i else 0, *(draw(st.integers(0, 2)) for _ in range(places))] for i in range(2)]
    mode = draw(st.sampled_from((nn.PadMode.constant, nn.PadMode.constant, nn.PadMode.edge)))
    x = build.append(nn.PadOp(x, *ends, mode=mode, value=value))
    if kind == "conv1d":
        window = row_of(draw(windows(*map_sizes(x))))
        y = build.conv1d(x, 2, window)
    elif kind == "conv2d":
        y = build.conv2d(x, 2, draw(windows(*map_sizes(x))))
    else:
        window = draw(windows(*map_sizes(x), pooling=True))
        counts = kind == "counting_avg_pool"
        pool = (
            nn.MaxPoolOp(x, window=window)
            if kind == "max_pool"
            else nn.AvgPoolOp(x, window=window, count_include_pad=counts)
        )
        y = build.append(pool)
    plain = mode == nn.PadMode.constant and channels == 0
    return Sample(build.finish("padded", image, [("y", y)]), build.weights, shape), kind, before, value, plain


@settings(max_examples=250, deadline=None)
@given(padded())
def test_paddings(drawn: tuple[Sample, str, str, float, bool]) -> None:
    sample, kind, before, value, plain = drawn
    compiled = compilation(sample).apply(JoinPaddingsPass())
    inputs = sample.inputs(batch=2)
    # a convolution may be computed in other blocks, and numpy sums windows with zeros in another order
    np.testing.assert_allclose(compiled.run(inputs)["y"], compilation(sample).run(inputs)["y"], rtol=1e-5, atol=1e-6)
    joined = not any(isinstance(op, nn.PadOp) for op in compiled.network.body.block.ops)
    if kind.startswith("conv"):
        assert joined == (plain and value == 0)
    elif kind == "max_pool":
        least = {"nothing": -np.inf, "relu": 0, "sigmoid": 0, "clip": -0.5}[before]
        assert not joined or (plain and value <= least)
    else:
        assert not joined or (plain and value == 0)
