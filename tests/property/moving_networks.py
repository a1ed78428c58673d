"""Random networks of the ops that move data, along any axis of tensors of any rank and element type."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from xdsl.dialects.builtin import FloatData, TensorType, f32
from xdsl.ir import Attribute, SSAValue

from hapir.dialects import nn
from hapir.dialects.num import SI8, UI8, AffineType, is_float, shape_of, signed, unsigned
from hapir.reference.values import dtype_of
from hapir.weights import Array, WeightStore
from tests.property.network_builder import NetworkBuilder
from tests.property.wider_layers import slices

Moving = tuple[nn.NetworkOp, WeightStore, dict[str, Array]]
"""A network, its weights, and an input."""

LARGEST = 600
"""Elements above which nothing grows any more."""

ELEMENTS: tuple[Attribute, ...] = (
    *(f32, f32, SI8, UI8, signed(16), signed(32), signed(64), unsigned(1)),
    AffineType(UI8, FloatData(0.5), 3),
)


@st.composite
def _step(draw: st.DrawFn, build: NetworkBuilder, x: SSAValue) -> SSAValue:
    """One op on a tensor, and a reshape of a scalar."""
    shape = shape_of(x)
    grows = int(np.prod(shape)) < LARGEST
    kinds = ["reshape", "transpose", "slice", "split", "gather", "resample"]
    kinds += ["pad", "tile", "concat"] if grows else []
    kind = draw(st.sampled_from(kinds)) if shape else "reshape"
    axis = draw(st.integers(0, len(shape) - 1)) if shape else 0
    name = build.name(kind)
    match kind:
        case "reshape":
            first = draw(st.integers(0, len(shape)))
            return build.append(nn.ReshapeOp(x, draw(_factors(shape[first:])), axis=first, layer=name))
        case "transpose":
            return build.append(nn.TransposeOp(x, draw(st.permutations(range(len(shape)))), layer=name))
        case "slice":
            cuts = [draw(slices(size)) for size in shape]
            return build.append(nn.SliceOp(x, *zip(*cuts, strict=True), layer=name))
        case "split":
            first = draw(st.integers(1, shape[axis]))
            pieces = [size for size in (first, shape[axis] - first) if size]
            return draw(st.sampled_from(build.append_all(nn.SplitOp(x, pieces, axis=axis, layer=name))))
        case "concat":
            start = draw(st.integers(0, shape[axis] - 1))
            starts, sizes = [start if a == axis else 0 for a in range(len(shape))], list(shape)
            sizes[axis] -= start
            part = build.append(nn.SliceOp(x, starts, sizes, layer=build.name("part")))
            return build.append(nn.ConcatOp(draw(st.permutations([x, part])), axis=axis, layer=name))
        case "tile":
            repeats = [draw(st.integers(1, 2)) for _ in shape]
            return build.append(nn.TileOp(x, repeats, layer=name))
        case "gather":
            wanted = draw(st.lists(st.integers(1, 3), max_size=2 if grows else 0))
            places = st.integers(-shape[axis], shape[axis] - 1)
            count = int(np.prod(wanted))
            indices = np.array(draw(st.lists(places, min_size=count, max_size=count)), np.int32).reshape(wanted)
            return build.gather(x, indices, axis)
        case "pad":
            mode = draw(st.sampled_from(nn.PadMode))
            limits = [size - 1 if mode == nn.PadMode.reflect else 2 for size in shape]
            before, after = ([draw(st.integers(0, min(limit, 2))) for limit in limits] for _ in range(2))
            value = draw(st.integers(0, 1))
            return build.append(nn.PadOp(x, before, after, mode=mode, value=value, layer=name))
        case _:
            return build.append(draw(_resample(x, axis, grows, name)))


@st.composite
def _factors(draw: st.DrawFn, shape: Sequence[int]) -> list[int]:
    """Sizes of the same product, at most four."""
    left, found = int(np.prod(shape)), list[int]()
    for _ in range(draw(st.integers(0, 3))):
        found.append(draw(st.sampled_from([d for d in range(1, left + 1) if left % d == 0])))
        left //= found[-1]
    return draw(st.permutations([*found, left])) if found or left > 1 else []


@st.composite
def _resample(draw: st.DrawFn, x: SSAValue, axis: int, grows: bool, name: str) -> nn.ResampleOp:
    """Sampling along one axis or two, whatever the element type takes."""
    axes = sorted({axis, draw(st.integers(0, len(shape_of(x)) - 1))})
    sizes = [draw(st.integers(1, 2 * shape_of(x)[a] if grows else shape_of(x)[a])) for a in axes]
    mode = draw(st.sampled_from(nn.SampleMode)) if is_float(x) else nn.SampleMode.nearest
    kinds = [c for c in nn.Coordinates if is_float(x) or c != nn.Coordinates.crop]
    smooth = mode != nn.SampleMode.nearest
    kind = draw(st.sampled_from(kinds))
    sampling = nn.Sampling(
        mode,
        kind,
        draw(st.sampled_from(nn.Nearest)),
        draw(st.sampled_from((-0.75, -0.5))),
        draw(st.booleans()),
        smooth and draw(st.booleans()),
        draw(st.sampled_from((0.0, 2.5))),
    )
    scales = [size / shape_of(x)[a] * draw(st.floats(0.9, 1.1)) for a, size in zip(axes, sizes, strict=True)]
    ends = [draw(st.floats(-0.2, 0.5)) for _ in axes] + [draw(st.floats(0.6, 1.2)) for _ in axes]
    region = ends if kind == nn.Coordinates.crop else None
    scaled = scales if draw(st.booleans()) else None
    return nn.ResampleOp(x, axes, sizes, sampling, scales=scaled, region=region, layer=name)


@st.composite
def moving_networks(draw: st.DrawFn, elements: Sequence[Attribute] = ELEMENTS) -> Moving:
    """A network of a few such ops on a tensor of up to five axes, its weights, and an input."""
    element = draw(st.sampled_from(elements))
    shape = tuple(draw(st.lists(st.integers(1, 5), max_size=5)))
    build = NetworkBuilder([], draw(st.integers(0, 2**16)), WeightStore())
    stand_in = nn.WeightOp("x", TensorType(element, shape)).result
    value, results = stand_in, list[SSAValue]()
    for _ in range(draw(st.integers(1, 5))):
        value = draw(_step(build, value))
        results.append(value)
    kept = [results[-1], *(r for r in results[:-1] if draw(st.integers(0, 3)) == 0)]
    network = build.finish("moving", stand_in, [(f"y{i}", v) for i, v in enumerate(kept)])
    return network, build.weights, {"image": _array(build.rng, element, shape)}


def _array(rng: np.random.Generator, element: Attribute, shape: tuple[int, ...]) -> Array:
    if element == f32:
        return rng.standard_normal(shape).astype(np.float32)
    dtype = dtype_of(element)
    high = 2 if element == unsigned(1) else np.iinfo(dtype).max
    return rng.integers(0 if high == 2 else np.iinfo(dtype).min, high, shape, dtype)
