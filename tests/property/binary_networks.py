"""Random binarized networks whose floats are exact: what integers make of them can be compared bit for bit.

Weights are +-1/2 and all other parameters small multiples of powers of two, so that every sum and every batch norm is
the same in f32 as in real arithmetic, ties included. Inputs are whole numbers 0 to 255, the extremes among them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import shape_of
from hapir.weights import Array
from tests.property.network_builder import NetworkBuilder
from tests.property.printed import PrintedByRepr
from tests.property.strategies import Sample
from tests.property.windows import windows


@dataclass(frozen=True)
class BinarySample(PrintedByRepr):
    """A network and images for it; the first holds the extremes."""

    sample: Sample
    images: Array

    def __repr__(self) -> str:
        return repr(self.sample)


def _norm(build: NetworkBuilder, x: SSAValue) -> SSAValue:
    """A batch norm of exact numbers, gamma of either sign or 0."""
    name, channels, rng = build.name("norm"), shape_of(x)[1], build.rng
    values = {
        "gamma": rng.choice([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 1.0, 2.0], channels),
        "beta": rng.integers(-8, 9, channels) / 4,
        "mean": rng.integers(-24, 25, channels) / 2,
        "variance": rng.choice([0.25, 1.0, 4.0], channels),
    }
    parameters = [build.weight(f"{name}.{suffix}", array) for suffix, array in values.items()]
    return build.append(nn.BatchNormOp(x, *parameters, epsilon=0.0, layer=name))


def _halves(build: NetworkBuilder, draw: st.DrawFn, x: SSAValue) -> SSAValue:
    """A convolution or dense layer of +-1/2, perhaps with a bias."""
    if len(shape_of(x)) == 2:
        y = build.dense(x, draw(st.integers(1, 6)), draw(st.booleans()))
    else:
        _, c, height, width = shape_of(x)
        groups = draw(st.sampled_from([g for g in range(1, c + 1) if c % g == 0]))
        channels = groups * draw(st.integers(1, max(1, 6 // groups)))
        y = build.conv2d(x, channels, draw(windows(height, width)), groups, draw(st.booleans()))
    op = y.owner
    assert isinstance(op, nn.ProductOp)
    w = op.w.owner
    assert isinstance(w, nn.WeightOp)
    build.weights.put(w.key.data, build.rng.choice([-0.5, 0.5], shape_of(op.w)).astype(np.float32))
    if op.bias is not None and isinstance(op.bias.owner, nn.WeightOp):
        bias = build.rng.integers(-16, 17, shape_of(op.bias)) / 8
        build.weights.put(op.bias.owner.key.data, bias.astype(np.float32))
    return y


def _between(build: NetworkBuilder, draw: st.DrawFn, x: SSAValue) -> SSAValue:
    """Something that signs go through on their way to the next layer, or nothing."""
    kinds = ["nothing", "relu", "reshape"]
    if len(shape_of(x)) == 4:
        kinds += ["pad", "edge", "max_pool", "resize", "flatten", "concat"]
    match draw(st.sampled_from(kinds)):
        case "relu":
            return build.append(nn.ReluOp(x, layer=build.name("relu")))
        case "reshape":
            return build.append(nn.ReshapeOp(x, shape_of(x)[1:], layer=build.name("reshape")))
        case "pad":
            return build.append(nn.PadOp(x, [0, 0, 1, 0], [0, 0, 0, 1], layer=build.name("pad")))
        case "edge":
            mode = nn.PadMode.edge
            return build.append(nn.PadOp(x, [0, 0, 1, 0], [0, 0, 0, 1], mode=mode, layer=build.name("pad")))
        case "max_pool":
            _, _, height, width = shape_of(x)
            window = draw(windows(height, width, pooling=True))
            return build.append(nn.MaxPoolOp(x, window=window, layer=build.name("pool")))
        case "resize":
            return build.append(nn.ResizeOp(x, 4, 3, layer=build.name("resize")))
        case "flatten":
            return build.append(nn.FlattenOp(x, layer=build.name("flatten")))
        case "concat":
            return build.append(nn.ConcatOp([x, x], layer=build.name("concat")))
        case _:
            return x


@st.composite
def binary_networks(draw: st.DrawFn, activation: type[nn.SignOp | nn.ReluOp] = nn.SignOp) -> BinarySample:
    """One to three hidden layers, each perhaps pooled and normalized, then an activation; the last gives reals."""
    build = NetworkBuilder([], draw(st.integers(0, 2**16)))
    shape = (1, draw(st.integers(1, 3)), draw(st.integers(2, 6)), draw(st.integers(2, 6)))
    image = nn.WeightOp("image", TensorType(f32, shape)).result  # the input until `finish`
    x: SSAValue = image
    for _ in range(draw(st.integers(1, 3))):
        x = _halves(build, draw, x)
        if len(shape_of(x)) == 4 and draw(st.booleans()):
            window = Window((min(2, shape_of(x)[2]), 1))
            x = build.append(nn.MaxPoolOp(x, window=window, layer=build.name("pool")))
        if draw(st.integers(0, 3)):
            x = _norm(build, x)
        x = build.append(activation(x, layer=build.name("activation")))
        x = _between(build, draw, x)
    x = _halves(build, draw, x)
    if draw(st.booleans()):
        x = _norm(build, x)
    images = build.rng.integers(0, 256, (6, *shape[1:])).astype(np.float32)
    images[0].flat[0], images[0].flat[-1] = 0, 255
    network = build.finish("sample", image, [("y", x)])
    return BinarySample(Sample(network, build.weights, shape), images)
