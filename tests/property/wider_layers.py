"""Random layers beside those of `strategies`: what moves data, and what works on floats only.

Each step takes a map N C H W and gives one; layers over sequences are entered and left by a reshape.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hypothesis import strategies as st
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import shape_of
from tests.property.network_builder import NetworkBuilder
from tests.property.windows import row_of, windows

MOVING = ("split", "reshape", "transpose", "pad", "resize", "sequence", "gather_taps", "slice", "tile", "gather")
"""Layers that have an integer meaning; `sequence` is conv1d and the pools over N C L."""

FLOAT_ONLY = (
    *("float_activation", "mul", "sub", "transposed_conv2d", "bilinear", "resample"),
    *("layer_norm", "local_response_norm", "matmul", "recurrent"),
)
"""Layers without an integer meaning. `float_activation` is any of the functions of one f32."""

LARGEST_MAP = 150
"""Rows times columns above which nothing grows any more."""


def _activation(build: NetworkBuilder, x: SSAValue, which: int) -> SSAValue:
    simple = (nn.SigmoidOp, nn.TanhOp, nn.HardSwishOp, nn.SiluOp, nn.GeluOp)
    name = build.name("act")
    if which < len(simple):
        return build.append(simple[which](x, layer=name))
    if which == len(simple):
        return build.append(nn.LeakyReluOp(x, slope=0.1, layer=name))
    return build.append(nn.HardSigmoidOp(x, slope=0.2, offset=0.5, layer=name))


@st.composite
def wider_step(
    draw: st.DrawFn,
    build: NetworkBuilder,
    x: SSAValue,
    earlier: Sequence[SSAValue],
    kind: str,
    allow: Collection[str],
) -> SSAValue:
    """One layer of a kind of `MOVING` or `FLOAT_ONLY` on a map N C H W; gives a map."""
    _, c, h, w = shape_of(x)
    match kind:
        case "float_activation":
            return _activation(build, x, draw(st.integers(0, 6)))
        case "mul" | "sub":
            return draw(_two_operands(build, x, earlier, kind))
        case "split":
            return draw(_split(build, x, "concat" in allow))
        case "reshape":
            return build.append(nn.ReshapeOp(x, draw(st.permutations((c, h, w))), layer=build.name("reshape")))
        case "transpose":
            axes = (0, *draw(st.permutations((1, 2, 3))))
            return build.append(nn.TransposeOp(x, axes, layer=build.name("transpose")))
        case "pad":
            return draw(_pad(build, x))
        case "gather_taps":
            window = draw(windows(h, w, set(allow) - {"padding"}))
            known = c * window.kernel[0] * window.kernel[1]
            taps = draw(st.lists(st.integers(0, known - 1), min_size=1, max_size=8))
            return build.gather_taps(x, taps, window)
        case "resize" | "bilinear":
            rows, columns = (draw(st.integers(1, 2 * size if h * w < LARGEST_MAP else size)) for size in (h, w))
            modes = (nn.ResizeMode.nearest,) if kind == "resize" else (
                nn.ResizeMode.bilinear, nn.ResizeMode.bilinear_corners
            )  # fmt: skip
            mode = draw(st.sampled_from(modes))
            return build.append(nn.ResizeOp(x, rows, columns, mode=mode, layer=build.name("resize")))
        case "slice":
            cuts = [(0, shape_of(x)[0], 1), *(draw(slices(size)) for size in (c, h, w))]
            return build.append(nn.SliceOp(x, *zip(*cuts, strict=True), layer=build.name("slice")))
        case "tile":
            small = c * h * w < LARGEST_MAP
            repeats = [1, *(draw(st.integers(1, 1 + small)) for _ in range(3))]
            return build.append(nn.TileOp(x, repeats, layer=build.name("tile")))
        case "gather":
            axis = draw(st.integers(1, 3))
            size = shape_of(x)[axis]
            return build.gather(x, draw(st.lists(st.integers(-size, size - 1), min_size=1, max_size=size)), axis)
        case "resample":
            sizes = [draw(st.integers(1, 2 * size if h * w < LARGEST_MAP else size)) for size in (h, w)]
            mode = draw(st.sampled_from((nn.SampleMode.linear, nn.SampleMode.cubic)))
            sampling = nn.Sampling(mode, inside=draw(st.booleans()), antialias=draw(st.booleans()))
            return build.append(nn.ResampleOp(x, (2, 3), sizes, sampling, layer=build.name("resample")))
        case "transposed_conv2d":
            return draw(_transposed_conv2d(build, x, allow))
        case "layer_norm":
            return build.layer_norm(x, draw(st.integers(1, 3)))
        case "local_response_norm":
            size = draw(st.integers(1, 5))
            name = build.name("lrn")
            return build.append(nn.LocalResponseNormOp(x, size=size, alpha=0.3, beta=0.75, bias=1.0, layer=name))
        case "matmul":
            turned = build.append(nn.TransposeOp(x, (0, 1, 3, 2), layer=build.name("turned")))
            product = build.append(nn.MatmulOp(x, turned, layer=build.name("matmul")))
            return build.append(nn.TanhOp(product, layer=build.name("tanh")))  # keeps products of products near 1
        case "sequence" | "recurrent":
            line = build.append(nn.ReshapeOp(x, (c, h * w), layer=build.name("line")))
            for _ in range(draw(st.integers(1, 2))):
                step = _sequence_step if kind == "sequence" else _recurrent_step
                line = draw(step(build, line, allow))
            _, c, length = shape_of(line)
            return build.append(nn.ReshapeOp(line, (c, 1, length), layer=build.name("map")))
        case _:
            raise AssertionError(kind)


@st.composite
def _two_operands(
    draw: st.DrawFn, build: NetworkBuilder, x: SSAValue, earlier: Sequence[SSAValue], kind: str
) -> SSAValue:
    """A product or difference with an earlier value of this shape, or with the map's own maxima per channel.

    Maxima are exact: a difference from the mean of equal numbers would be the noise of its rounding.
    """
    mates = [v for v in earlier if shape_of(v) == shape_of(x)]
    if mates and draw(st.booleans()):
        mate = draw(st.sampled_from(mates))
    else:
        mate = build.append(nn.GlobalMaxPoolOp(x, layer=build.name("most")))
    pair = (x, mate) if draw(st.booleans()) else (mate, x)
    op = nn.MulOp if kind == "mul" else nn.SubOp
    return build.append(op(*pair, layer=build.name(kind)))


@st.composite
def slices(draw: st.DrawFn, whole: int) -> tuple[int, int, int]:
    """Start, size and step of a slice of one axis; half of all axes stay."""
    if draw(st.booleans()):
        return 0, whole, 1
    step = draw(st.sampled_from((-3, -2, -1, 1, 2, 3)))
    start = draw(st.integers(0, whole - 1))
    room = (whole - 1 - start) // step if step > 0 else start // -step
    return start, draw(st.integers(1, room + 1)), step


@st.composite
def _split(draw: st.DrawFn, build: NetworkBuilder, x: SSAValue, joins: bool) -> SSAValue:
    """Pieces along any axis but the batch: one of them, or all joined again in another order."""
    axis = draw(st.integers(1, 3))
    size = shape_of(x)[axis]
    first = draw(st.integers(1, size))
    pieces = build.append_all(
        nn.SplitOp(x, [first, size - first] if first < size else [size], axis=axis, layer=build.name("split"))
    )
    if joins and draw(st.booleans()):
        return build.append(nn.ConcatOp(draw(st.permutations(pieces)), axis=axis, layer=build.name("join")))
    return draw(st.sampled_from(pieces))


@st.composite
def _pad(draw: st.DrawFn, build: NetworkBuilder, x: SSAValue) -> SSAValue:
    shape = shape_of(x)
    mode = draw(st.sampled_from(nn.PadMode))
    small = shape[2] * shape[3] < LARGEST_MAP
    limits = [0, *(min(2 * small, size - 1 if mode == nn.PadMode.reflect else 2) for size in shape[1:])]
    before, after = ([draw(st.integers(0, limit)) for limit in limits] for _ in range(2))
    return build.append(nn.PadOp(x, before, after, mode=mode, layer=build.name("pad")))


@st.composite
def _transposed_conv2d(draw: st.DrawFn, build: NetworkBuilder, x: SSAValue, allow: Collection[str]) -> SSAValue:
    _, c, h, w = shape_of(x)
    stride = draw(st.integers(1, 2)) if "stride" in allow and h * w < LARGEST_MAP // 4 else 1
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    dilation = draw(st.integers(1, 2)) if "dilation" in allow and h * w < LARGEST_MAP else 1
    # what the padding cuts off at both ends is less than one kernel, so that something stays
    cut = [draw(st.integers(0, (k - 1) * dilation)) if "padding" in allow else 0 for k in kernel]
    window = Window(kernel, (stride, stride), (cut[0] // 2, cut[1], cut[0] - cut[0] // 2, 0), (dilation, dilation))
    extra = (draw(st.integers(0, stride - 1)), draw(st.integers(0, stride - 1)))
    groups = draw(st.sampled_from([g for g in range(1, c + 1) if c % g == 0])) if "groups" in allow else 1
    channels = groups * draw(st.integers(1, max(1, 4 // groups)))
    bias = "bias" in allow and draw(st.booleans())
    return build.transposed_conv2d(x, channels, window, extra, groups, bias)


@st.composite
def _sequence_step(draw: st.DrawFn, build: NetworkBuilder, x: SSAValue, allow: Collection[str]) -> SSAValue:
    """A convolution or pool on N C L."""
    _, c, length = shape_of(x)
    kind = draw(st.sampled_from(("conv1d", "conv1d", "max_pool", "avg_pool", "relu", "batch_norm", "global_max_pool")))
    if kind not in allow and kind != "conv1d":
        kind = "conv1d"
    match kind:
        case "conv1d":
            groups = draw(st.sampled_from([g for g in range(1, c + 1) if c % g == 0])) if "groups" in allow else 1
            channels = groups * draw(st.integers(1, max(1, 4 // groups)))
            window = row_of(draw(windows(length, length, allow)))
            return build.conv1d(x, channels, window, groups, "bias" in allow and draw(st.booleans()))
        case "relu":
            return build.append(nn.ReluOp(x, layer=build.name("relu")))
        case "batch_norm":
            return build.batch_norm(x)
        case "global_max_pool":
            return build.append(nn.GlobalMaxPoolOp(x, layer=build.name("global")))
        case _:
            window = row_of(draw(windows(length, length, allow, pooling=True)))
            if kind == "max_pool":
                return build.append(nn.MaxPoolOp(x, window=window, layer=build.name("pool")))
            include = draw(st.booleans())
            return build.append(nn.AvgPoolOp(x, window=window, count_include_pad=include, layer=build.name("pool")))


@st.composite
def _recurrent_step(draw: st.DrawFn, build: NetworkBuilder, x: SSAValue, allow: Collection[str]) -> SSAValue:
    """A recurrent layer over the length of N C L: all its outputs, or a state as a sequence of one step."""
    steps = build.append(nn.TransposeOp(x, (0, 2, 1), layer=build.name("steps")))
    kind = draw(st.sampled_from((nn.LstmOp, nn.GruOp)))
    bias = "bias" in allow and draw(st.booleans())
    op = build.recurrent(kind, steps, draw(st.integers(1, 4)), bias, draw(st.booleans()))
    value = draw(st.sampled_from(op.results))
    if len(shape_of(value)) == 3:
        return build.append(nn.TransposeOp(value, (0, 2, 1), layer=build.name("line")))
    return build.append(nn.ReshapeOp(value, (shape_of(value)[1], 1), layer=build.name("line")))
