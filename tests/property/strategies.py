"""Random networks, inputs and IR for property tests: one module, shared by all.

Structure (layers, shapes, windows, names) is drawn by hypothesis, so it shrinks; numbers come from a drawn seed, so
drawing stays fast. Networks are float `nn` IR as the builder makes it: every op has a location and its layer's name,
weights have keys `<layer>.weight`, `<layer>.bias`, `<layer>.gamma` and so on, and are scaled so that activations stay
near 1.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp, TensorType, f32
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import shape_of
from hapir.weights import WeightStore
from tests.property.network_builder import NetworkBuilder
from tests.property.printed import PrintedByRepr
from tests.property.wider_layers import FLOAT_ONLY, MOVING, wider_step
from tests.property.windows import windows

Shape = tuple[int, ...]
FloatArray = npt.NDArray[np.float32]

_WINDOW_FEATURES = ("groups", "stride", "padding", "dilation", "bias")
_POOLS = ("max_pool", "avg_pool", "global_avg_pool", "global_max_pool")
_REST = ("relu", "clip", "batch_norm", "add", "concat", "flatten", "dense", "softmax", "argmax")

FEATURES = frozenset(("conv2d", *_WINDOW_FEATURES, *_POOLS, *_REST, *MOVING, *FLOAT_ONLY))
"""Everything that `networks` may draw; `allow` restricts it. `groups stride padding dilation bias` are of windows."""

SEQUENTIAL = FEATURES - {"add", "sub", "mul", "concat", "split", "matmul"}
"""Chains: each value is used once."""

INTEGER_BODY = FEATURES - {"softmax", "argmax"} - set(FLOAT_ONLY)
"""What has an integer meaning after quantization."""

FLOAT_ENDS = INTEGER_BODY | {"softmax", "argmax"}
"""What is an integer body with float edges after quantization."""

NASTY_NAMES = (
    *("int", "reg", "module", "for", "main", "wire", "step", "weight", "x", "input", "_", "NULL", "EOF", "c1"),
    *("a.b", "a_b", "a__b", "a.b.c", "A_B", "long_" * 12 + "name", "conv2d", "end", "double", "run"),
)
"""Layer names that are keywords of C or Verilog, collide after naive mangling, or are long.

All are names of the spec language, which are ASCII.
"""


@dataclass(frozen=True)
class Sample(PrintedByRepr):
    """A drawn network, its weights, and the declared shape of its only input (named `image`)."""

    network: nn.NetworkOp
    weights: WeightStore
    input_shape: Shape

    def module(self) -> ModuleOp:
        """A fresh module that holds a copy of the network."""
        return ModuleOp([self.network.clone()])

    def inputs(self, batch: int = 1, seed: int = 0) -> dict[str, FloatArray]:
        """Random inputs, standard normal, `batch` along axis 0."""
        rng = np.random.default_rng(seed)
        return {"image": rng.standard_normal((batch, *self.input_shape[1:]), dtype=np.float32)}

    def __repr__(self) -> str:
        """The IR, so that a failing example prints what it is."""
        return f"Sample(\n{self.network}\n)"


def _same_window(size: int) -> Window:
    half = size // 2
    return Window((size, size), padding=(half, half, half, half))


@st.composite
def _map_step(
    draw: st.DrawFn, build: NetworkBuilder, x: SSAValue, earlier: list[SSAValue], max_channels: int, allow: set[str]
) -> SSAValue:
    """One more layer on a map N C H W."""
    kinds = ("conv2d", "max_pool", "avg_pool", "relu", "clip", "batch_norm", "add", "concat", *MOVING, *FLOAT_ONLY)
    possible = [kind for kind in kinds if kind in allow]
    if not possible:
        return x
    _, c, h, w = shape_of(x)
    kind = draw(st.sampled_from(possible + ["conv2d"] * ("conv2d" in allow)))
    if kind == "conv2d":
        groups = 1
        if "groups" in allow:
            groups = draw(st.sampled_from([g for g in range(1, c + 1) if c % g == 0]))
        channels = groups * draw(st.integers(1, max(1, max_channels // groups)))
        window = draw(windows(h, w, allow))
        return build.conv2d(x, channels, window, groups, "bias" in allow and draw(st.booleans()))
    if kind in ("max_pool", "avg_pool"):
        window = draw(windows(h, w, allow, pooling=True))
        if kind == "max_pool":
            return build.append(nn.MaxPoolOp(x, window=window, layer=build.name("pool")))
        include = draw(st.booleans())
        return build.append(nn.AvgPoolOp(x, window=window, count_include_pad=include, layer=build.name("pool")))
    if kind in MOVING or kind in FLOAT_ONLY:
        return draw(wider_step(build, x, earlier, kind, allow))
    if kind == "relu":
        return build.append(nn.ReluOp(x, layer=build.name("relu")))
    if kind == "clip":
        low, high = draw(st.sampled_from(((0.0, 6.0), (-1.0, 1.0), (0.0, 0.75), (0.25, 2.5))))
        return build.append(nn.ClipOp(x, low=low, high=high, layer=build.name("clip")))
    if kind == "batch_norm":
        return build.batch_norm(x)
    if kind == "add":
        mates = [v for v in earlier if shape_of(v) == shape_of(x)]
        mate = draw(st.sampled_from(mates)) if mates and draw(st.booleans()) else None
        if mate is None:
            mate = x
            kernel = draw(st.sampled_from((1, 3))) if "padding" in allow else 1
            x = build.conv2d(x, c, _same_window(kernel)) if "conv2d" in allow else x
        return build.append(nn.AddOp(x, mate, layer=build.name("add")))
    mates = [v for v in earlier if len(shape_of(v)) == 4 and shape_of(v)[2:] == (h, w)]
    joined = [x, draw(st.sampled_from(mates))] if mates and draw(st.booleans()) else [x, x]
    if joined[0] is joined[1] and "conv2d" in allow:
        joined[1] = build.conv2d(x, draw(st.integers(1, max_channels)), _same_window(1))
    return build.append(nn.ConcatOp(joined, layer=build.name("concat")))


@st.composite
def _head(draw: st.DrawFn, build: NetworkBuilder, x: SSAValue, allow: set[str]) -> SSAValue:
    """What may follow the maps: a global pool, flatten, dense layers, softmax or argmax."""
    pools = [kind for kind in ("global_avg_pool", "global_max_pool") if kind in allow]
    if pools and draw(st.booleans()):
        make = {"global_avg_pool": nn.GlobalAvgPoolOp, "global_max_pool": nn.GlobalMaxPoolOp}[
            draw(st.sampled_from(pools))
        ]
        x = build.append(make(x, layer=build.name("global")))
    if "dense" in allow and "flatten" in allow and draw(st.booleans()):
        for _ in range(draw(st.integers(1, 2))):
            x = build.dense(x, draw(st.integers(1, 8)), "bias" in allow and draw(st.booleans()))
            if "relu" in allow and draw(st.booleans()):
                x = build.append(nn.ReluOp(x, layer=build.name("relu")))
    elif "flatten" in allow and draw(st.booleans()):
        x = build.append(nn.FlattenOp(x, layer=build.name("flatten")))
    ends = [kind for kind in ("softmax", "argmax") if kind in allow]
    if len(shape_of(x)) == 2 and ends and draw(st.booleans()):
        make = {"softmax": nn.SoftmaxOp, "argmax": nn.ArgmaxOp}[draw(st.sampled_from(ends))]
        x = build.append(make(x, layer=build.name("end")))
    return x


@st.composite
def networks(
    draw: st.DrawFn,
    *,
    max_layers: int = 6,
    max_channels: int = 6,
    max_size: int = 9,
    allow: Collection[str] = FEATURES,
    names: Sequence[str] | None = NASTY_NAMES,
) -> Sample:
    """A random float network with one input `image` (1 C H W) and one result `y`, at least one layer.

    Maps have at most `max_size` rows and columns, convolutions at most `max_channels` output channels. `allow` names
    the `FEATURES` that may appear. Layer names are drawn from `names`, or are plain where it is None.
    """
    allowed = set(allow) & FEATURES
    drawn = draw(st.permutations(list(names))) if names else []
    build = NetworkBuilder(drawn, draw(st.integers(0, 2**16)))
    shape = (1, draw(st.integers(1, max_channels)), draw(st.integers(1, max_size)), draw(st.integers(1, max_size)))
    image = nn.WeightOp("image", TensorType(f32, shape)).result  # stands for the input until `finish`
    values: list[SSAValue] = [image]
    for _ in range(draw(st.integers(1, max_layers))):
        values.append(draw(_map_step(build, values[-1], values[:-1], max_channels, allowed)))
    result = draw(_head(build, values[-1], allowed))
    if result is image:  # nothing of what is allowed applies to a map
        result = build.append(nn.FlattenOp(image, layer=build.name("flatten")))
    return Sample(build.finish("sample", image, [("y", result)]), build.weights, shape)


def sequential_cnn(
    *,
    max_layers: int = 5,
    max_channels: int = 6,
    max_size: int = 9,
    allow: Collection[str] = SEQUENTIAL,
    names: Sequence[str] | None = NASTY_NAMES,
) -> st.SearchStrategy[Sample]:
    """Networks without branches: each value is used once."""
    chained = set(allow) & SEQUENTIAL
    return networks(max_layers=max_layers, max_channels=max_channels, max_size=max_size, allow=chained, names=names)
