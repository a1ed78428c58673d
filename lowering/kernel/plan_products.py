"""Convolutions and dense layers: which kernel, which register block, how the weights are packed.

All but depthwise convolutions are outer products of pixels and filters over words of a window (`contraction`). Bytes
multiply as unsigned by signed, so signed activations are lifted by 128 where they are copied into a frame; lift and
zero point fold into the bias. Floats in bf16 are rounded where they are copied. Filters of one channel each are a
kernel of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import cast

import numpy as np

from hapir.diagnostics import fail
from hapir.dialects import nn
from hapir.dialects.kernel import TilesAttr
from hapir.dialects.nn_products import operand_formats
from hapir.dialects.nn_shapes import Window, as_map
from hapir.dialects.num import element_type, is_float, shape_of, zero_point_of
from hapir.lowering.kernel import bf16
from hapir.lowering.kernel.bit_planes import WORD
from hapir.lowering.kernel.buffers import Frame, Source, Table
from hapir.lowering.kernel.c_types import DTYPES, CType, size_of
from hapir.lowering.kernel.contraction import (
    BF16,
    BF16_ODD,
    F32,
    I16,
    U8_I7,
    U8_I8,
    Contraction,
    integer,
    modelled,
)
from hapir.lowering.kernel.contraction_bits import Bits, Lookup
from hapir.lowering.kernel.depthwise import blocking, pack_depthwise
from hapir.lowering.kernel.geometry import Geometry, Origin, Product, Runs, Tiles
from hapir.lowering.kernel.host import DEFAULT
from hapir.lowering.kernel.pack_weights import (
    INT32_MAX,
    channels_last,
    dense_rows,
    folded_bias,
    pack_words,
    sum_range,
)
from hapir.lowering.kernel.plan_codes import BYTES, CODES, arithmetic_of, lookup_for, pack_codes
from hapir.lowering.kernel.plan_stages import constant, ctype_of
from hapir.lowering.kernel.program_draft import Draft, Value
from hapir.lowering.kernel.register_tiles import Loops, tiles_for
from hapir.lowering.kernel.stages import Stage, ToBf16
from hapir.lowering.kernel.steps import Convolution, Depthwise, Reframe
from hapir.multipliers.model import Multiplier, product_range, product_table
from hapir.plugin_failures import at_work
from hapir.registered import MULTIPLIER, value_at
from hapir.weights import Array, WeightStore

LIFT = 128
"""What makes a signed byte unsigned."""


def geometry_of(op: nn.ProductOp) -> Geometry:
    """A convolution's loops; a dense layer is a 1x1 convolution over a row of N pixels, a sequence a map of one row."""
    if not isinstance(op, nn.ConvolutionOp):
        (n, c), (_, k) = shape_of(op.x), shape_of(op.result)
        return Geometry(1, c, 1, n, k, 1, n, Window((1, 1)))
    (n, c, h, w), (_, k, p, q) = as_map(shape_of(op.x)), as_map(shape_of(op.result))
    return Geometry(n, c, h, w, k, p, q, op.window.window, op.filter_groups)


def plan_products(
    op: nn.ProductOp, x: Value, draft: Draft, weights: WeightStore, origin: Origin
) -> tuple[Convolution | Depthwise, tuple[int, int] | None]:
    """The step for an op, its new buffers added to `draft`, and the range of its integer sums.

    Raises HapirError (HAP0710) where a sum is not proven to fit 32 bits, and as `constant` does.
    """
    geometry = geometry_of(op)
    kernel = constant(weights, op.w, op)
    bias = None if op.bias is None else constant(weights, op.bias, op)
    rows = Rows.of(op, kernel, x)
    if op.multiplier is not None:
        return plan_modelled(op, geometry, rows, bias, x, draft, origin)
    depthwise = 1 < geometry.groups == geometry.channels
    if is_float(op.x):
        contraction = float_contraction(op, geometry, rows.array, depthwise=depthwise)
        if depthwise:
            return _depthwise_float(geometry, rows, bias, x, draft, origin), None
        return _float(geometry, contraction, rows, bias, x, draft, origin), None
    plan = _depthwise_integer if depthwise else _integer
    return plan(op, geometry, rows, bias, x, draft, origin)


def plan_linear(op: nn.LinearOp, x: Value, draft: Draft, weights: WeightStore, origin: Origin) -> Convolution:
    """A layer along the last axis of a tensor in the network's order: a dense layer over all its rows."""
    *lines, c = shape_of(op.x)
    k, n = shape_of(op.w)[0], prod(lines)
    assert isinstance(op.w.owner, nn.WeightOp)
    rows = Rows(constant(weights, op.w, op), op.w.owner.key.data, np.ascontiguousarray)
    bias = None if op.bias is None else constant(weights, op.bias, op)
    return _float(Geometry(1, c, 1, n, k, 1, n, Window((1, 1))), F32, rows, bias, x, draft, origin)


def plan_modelled(
    op: nn.ProductOp,
    geometry: Geometry,
    weights: Rows,
    bias: Array | None,
    x: Value,
    draft: Draft,
    origin: Origin,
) -> tuple[Convolution, tuple[int, int]]:
    """A layer that multiplies by a model: the general kernel on bytes as they are, never lifted.

    Raises HapirError: HAP0710 where a sum may leave 32 bits, HAP0711 where the model has no C text.
    """
    model: Multiplier = value_at(op.multiplier_text, MULTIPLIER, op)
    with at_work("multipliers", model.name, op):
        body = model.c_body()
    if body is None:
        fail("HAP0711", f"the multiplier `{op.multiplier_text}` has no C text", at=op, help="run it on the reference")
    activation, weight = operand_formats(op)
    try:
        table = product_table(model, activation, weight)
    except ValueError as error:
        fail("HAP0305", f"the multiplier `{op.multiplier_text}` cannot serve this layer: {error}", at=op)
    rows, zero_point = weights.array, zero_point_of(element_type(op.x))
    wide = np.zeros(rows.shape[0], np.int64) if bias is None else bias.astype(np.int64)
    folded = folded_bias(rows, wide, zero_point)
    lows, highs = product_range(table, weight, rows.astype(np.int64))
    low, high = int((folded + lows.sum(axis=1)).min()), int((folded + highs.sum(axis=1)).max())
    partial = int(np.maximum(-lows, highs).sum(axis=1).max() + np.abs(folded).max())
    if partial > INT32_MAX:
        fail("HAP0710", f"a sum of products can reach {partial}, more than si32 holds", at=op, help="use fewer bits")
    contraction = modelled(draft.buffers[x.buffer].ctype, ctype_of(element_type(op.w), op))
    bias_table = Table(f"{origin.layer}.bias", "int32_t", folded.astype(np.int32))
    step = _direct(geometry, contraction, weights, bias_table, x, zero_point, 0, draft, origin)
    return replace(step, product=Product(op.multiplier_text, body)), (low, high)


@dataclass(frozen=True, eq=False)
class Rows:
    """A layer's weights as rows of taps, how they came out of its parameter, and the tiles that the IR gives it."""

    array: Array
    key: str
    arrange: Callable[[Array], Array]
    tiles: Tiles | None = None

    @staticmethod
    def of(op: nn.ProductOp, kernel: Array, x: Value) -> Rows:
        """The rows in the order in which the layer's input lies."""
        assert isinstance(op.w.owner, nn.WeightOp)

        def arrange(array: Array) -> Array:
            return channels_last(array) if isinstance(op, nn.ConvolutionOp) else dense_rows(array, x.order)

        given = op.attributes.get("tiles")
        tiles = Tiles.of(given) if isinstance(given, TilesAttr) else None
        return Rows(arrange(kernel), op.w.owner.key.data, arrange, tiles)

    def packed(self, role: str, ctype: CType, pack: Callable[[Array], Array]) -> Table:
        """The table of the rows as a kernel reads them."""
        values = pack(self.array).astype(DTYPES[ctype], copy=False)
        return Table(role, ctype, values, Source(self.key, lambda array: pack(self.arrange(array))))


def _target(geometry: Geometry, ctype: CType, draft: Draft) -> int:
    return draft.buffer(ctype, geometry.batch * geometry.rows * geometry.columns * geometry.filters)


def _direct(
    geometry: Geometry,
    contraction: Contraction,
    weights: Rows,
    bias: Table | None,
    x: Value,
    fill: float,
    lift: int,
    draft: Draft,
    origin: Origin,
) -> Convolution:
    """The outer-product kernel of a layer, after a copy of its input into a frame where it needs one.

    `fill` is what padding holds, after `lift` was added to signed bytes.
    """
    source, frame = x.buffer, Frame.around(geometry.height, geometry.width, geometry.channels, (0, 0, 0, 0), fill)
    padding = geometry.window.padding
    ragged = (
        geometry.channels // geometry.groups % (4 if isinstance(contraction, Lookup) else contraction.elements) != 0
    )
    narrow = contraction in (BF16, BF16_ODD)
    if any(padding) or lift or narrow or (ragged and draft.buffers[source].home != "arena"):
        stages = (ToBf16(),) if narrow else ()
        source, frame = reframed(source, geometry, padding, fill, lift, contraction.x, draft, origin, stages)
    runs = runs_of(geometry, frame, contraction.elements)
    tiles = weights.tiles or tiles_for(loops_of(geometry, contraction), contraction, DEFAULT)
    return Convolution(
        origin,
        _target(geometry, contraction.sums, draft),
        (),
        source=source,
        frame=frame,
        geometry=geometry,
        contraction=contraction,
        runs=runs,
        tiles=tiles,
        weights=packed_words(f"{origin.layer}.weight", weights, geometry.groups, runs, contraction, tiles),
        bias=bias,
    )


def packed_words(role: str, weights: Rows, groups: int, runs: Runs, contraction: Contraction, tiles: Tiles) -> Table:
    """The weights as an outer-product kernel reads them."""
    if isinstance(contraction, Lookup):
        return Table(role, contraction.w, pack_codes(weights.array, groups, runs, contraction, tiles.superblock))
    if contraction in (BF16, BF16_ODD):
        bits = bf16.to_bf16(weights.array)
        return Table(role, contraction.w, pack_words(bits, groups, runs, contraction.elements, tiles.superblock))

    def pack(array: Array) -> Array:
        return pack_words(array, groups, runs, contraction.elements, tiles.superblock)

    return weights.packed(role, contraction.w, pack)


def reframed(
    source: int,
    geometry: Geometry,
    padding: tuple[int, int, int, int],
    fill: float,
    lift: int,
    ctype: CType,
    draft: Draft,
    origin: Origin,
    stages: tuple[Stage, ...] = (),
) -> tuple[int, Frame]:
    """A copy of a layer's input with padding around each map, and its frame; `stages` give its type."""
    frame = Frame.around(geometry.height, geometry.width, geometry.channels, padding, fill)
    buffer = draft.buffer(ctype, geometry.batch * frame.image)
    draft.add(Reframe(origin, buffer, stages, source, geometry.batch, geometry.height, geometry.width, frame, lift))
    return buffer, frame


def runs_of(geometry: Geometry, frame: Frame, elements: int) -> Runs:
    """How a window lies in a frame: runs of whole rows where its columns are neighbours, else of pixels."""
    length = run_length(geometry)
    (r, s), (down, right) = geometry.window.kernel, geometry.window.dilation
    columns = s * (geometry.channels // geometry.groups) // length
    return Runs(r, down * frame.pitch, columns, right * geometry.channels, -(-length // elements))


def run_length(geometry: Geometry) -> int:
    """The elements of a run."""
    whole = geometry.groups == 1 and geometry.window.dilation[1] == 1
    return geometry.channels // geometry.groups * (geometry.window.kernel[1] if whole else 1)


def loops_of(geometry: Geometry, contraction: Contraction) -> Loops:
    """A layer's loops as costs see them."""
    g = one_row(geometry)
    r, s = g.window.kernel
    per_group = g.channels // g.groups
    length = run_length(g)
    runs = r * s * per_group // length
    words = runs * -(-length // contraction.elements)
    inputs = g.batch * g.height * g.width * g.channels * size_of(contraction.x)
    if isinstance(contraction, Bits):
        words = r * s * -(-per_group // WORD)
        inputs = g.batch * g.height * g.width * g.groups * -(-per_group // WORD) * contraction.elements * WORD // 8
    return Loops(g.batch * g.rows, g.columns, g.groups, g.filters // g.groups, words, inputs, runs)


def one_row(geometry: Geometry) -> Geometry:
    """The same layer over all pixels of all images as one row, where it reads pixel by pixel in their order."""
    window = geometry.window
    if window.kernel != (1, 1) or window.stride != (1, 1) or any(window.padding):
        return geometry
    pixels = geometry.batch * geometry.height * geometry.width
    return replace(geometry, batch=1, height=1, width=pixels, rows=1, columns=pixels)


def float_contraction(op: nn.ProductOp, geometry: Geometry, rows: Array, *, depthwise: bool) -> Contraction:
    """What a layer on floats multiplies. Raises HapirError (HAP0715, HAP0716) where its choice cannot be met."""
    arithmetic = arithmetic_of(op)
    if not arithmetic:
        return F32
    if arithmetic != bf16.NAME:
        fail("HAP0716", f"layers of floats have no arithmetic `{arithmetic}`", at=op, help="name bf16, or none")
    reason = bf16.bf16_refusal(rows, depthwise=depthwise)
    if reason is not None:
        fail("HAP0715", f"this layer cannot be computed in bf16: {reason}", at=op, help="leave the choice open")
    return bf16.bf16_contraction(run_length(geometry))


def _float(
    geometry: Geometry,
    contraction: Contraction,
    weights: Rows,
    bias: Array | None,
    x: Value,
    draft: Draft,
    origin: Origin,
) -> Convolution:
    table = None if bias is None else Table(f"{origin.layer}.bias", "float", bias)
    return _direct(geometry, contraction, weights, table, x, 0.0, 0, draft, origin)


def _integer(
    op: nn.ProductOp,
    geometry: Geometry,
    weights: Rows,
    bias: Array | None,
    x: Value,
    draft: Draft,
    origin: Origin,
) -> tuple[Convolution, tuple[int, int]]:
    contraction, lift = integer_contraction(draft.buffers[x.buffer].ctype, weights.array)
    arithmetic = arithmetic_of(op)
    moved = arithmetic == BYTES or (not arithmetic and weights.key in draft.loaded)
    if contraction is U8_I8 and not moved:
        contraction = lookup_for(weights.array, run_length(geometry), contraction)
    _check_arithmetic(op, arithmetic, contraction)
    zero_point = zero_point_of(element_type(op.x))
    folded, bounds = proven_bias(op, weights.array, bias, x, zero_point, lift)
    assert x.bounds is not None
    contraction = short(contraction, weights.array, max(x.bounds[1], zero_point) + lift)
    table = Table(f"{origin.layer}.bias", "int32_t", folded.astype(np.int32))
    return _direct(geometry, contraction, weights, table, x, zero_point + lift, lift, draft, origin), bounds


def _check_arithmetic(op: nn.ProductOp, arithmetic: str, contraction: Contraction) -> None:
    """Raise HapirError where a choice names an arithmetic that a layer (HAP0715) or any (HAP0716) cannot have."""
    if arithmetic not in ("", BYTES, CODES):
        fail("HAP0716", f"integer layers have no arithmetic `{arithmetic}`", at=op, help="name bits, codes or bytes")
    if arithmetic == CODES and not isinstance(contraction, Lookup):
        what = "codes take unsigned or signed bytes, and fewer bytes than weights of at most 16 levels"
        fail("HAP0715", f"the weights of this layer cannot be stored as codes: {what}", at=op, help="leave it open")
    if arithmetic == BYTES and contraction is not U8_I8:
        fail("HAP0715", "this layer does not multiply bytes", at=op, help="leave the choice open")


def integer_contraction(x: CType, rows: Array) -> tuple[Contraction, int]:
    """The fastest exact contraction of inputs of a type and these weights, and what is added to the inputs for it."""
    low, high = int(rows.min(initial=0)), int(rows.max(initial=0))
    if x in ("uint8_t", "int8_t") and low >= -LIFT and high < LIFT:
        return U8_I8, LIFT if x == "int8_t" else 0
    if x == "int16_t" and low >= -(1 << 15) and high < 1 << 15:
        return I16, 0
    bits = next(b for b in (8, 16, 32) if (low >= -(1 << b - 1) and high < 1 << b - 1) or b == 32)
    return integer(x, cast(CType, f"int{bits}_t")), 0


def short(contraction: Contraction, rows: Array, highest: int) -> Contraction:
    """`U8_I7` in the place of `U8_I8` where inputs from 0 to `highest` and weights K x E permit it."""
    if contraction is not U8_I8 or not rows.size:
        return contraction
    # any two weights of a filter may become neighbours: the cut into words depends on runs and groups
    products = np.sort(rows.astype(np.int64), axis=1) * highest
    low, high = np.minimum(products[:, :2], 0).sum(axis=1).min(), np.maximum(products[:, -2:], 0).sum(axis=1).max()
    return U8_I7 if low >= -(1 << 15) and high < 1 << 15 else U8_I8


def proven_bias(
    op: nn.ProductOp, rows: Array, bias: Array | None, x: Value, zero_point: int, offset: int
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.int64]], tuple[int, int]]:
    """The bias with zero point and lift folded in, and the range of the sums.

    Raises HapirError (HAP0710) where a result or a partial sum is not proven to fit 32 bits.
    """
    assert x.bounds is not None
    wide = np.zeros(rows.shape[0], np.int64) if bias is None else bias.astype(np.int64)
    folded = folded_bias(rows, wide, zero_point + offset)
    raw = (min(x.bounds[0], zero_point) + offset, max(x.bounds[1], zero_point) + offset)
    reach = sum_range(rows, wide, x.bounds, zero_point, raw)
    partial = reach.partial + int(np.abs(folded).max())
    if reach.low < -INT32_MAX - 1 or reach.high > INT32_MAX or partial > INT32_MAX:
        fail(
            "HAP0710",
            f"a sum of {rows.shape[1]} products can reach {partial}, more than si32 holds",
            at=op,
            help="use fewer bits, or split the layer",
        )
    return folded, (reach.low, reach.high)


def _depthwise_integer(
    op: nn.ProductOp,
    geometry: Geometry,
    weights: Rows,
    bias: Array | None,
    x: Value,
    draft: Draft,
    origin: Origin,
) -> tuple[Depthwise, tuple[int, int]]:
    """Bytes are multiplied four at a time, and signed ones lifted as they are read; other integers one by one."""
    contraction, lift = integer_contraction(draft.buffers[x.buffer].ctype, weights.array)
    packed, zero_point = contraction == U8_I8, zero_point_of(element_type(op.x))
    folded, bounds = proven_bias(op, weights.array, bias, x, zero_point, lift)
    table = Table(f"{origin.layer}.bias", "int32_t", folded.astype(np.int32))
    ctype: CType = contraction.w if packed else "int32_t"
    step = _depthwise(geometry, weights, packed, ctype, table, x, zero_point, draft, origin)
    return replace(step, lift=bool(lift)), bounds


def _depthwise_float(
    geometry: Geometry, weights: Rows, bias: Array | None, x: Value, draft: Draft, origin: Origin
) -> Depthwise:
    table = None if bias is None else Table(f"{origin.layer}.bias", "float", bias)
    return _depthwise(geometry, weights, False, "float", table, x, 0.0, draft, origin)


def _depthwise(
    geometry: Geometry,
    weights: Rows,
    packed: bool,
    ctype: CType,
    bias: Table | None,
    x: Value,
    fill: float,
    draft: Draft,
    origin: Origin,
) -> Depthwise:
    """The kernel of a depthwise layer, after a copy of its input where it needs padding or has no room behind it."""
    g, window = geometry, geometry.window
    source, frame = x.buffer, Frame.around(g.height, g.width, g.channels, (0, 0, 0, 0), fill)
    old = draft.buffers[source]
    if any(window.padding) or old.home != "arena" or g.height * g.width == 1:
        source, frame = reframed(source, g, window.padding, fill, 0, old.ctype, draft, origin)
    gathers, results = packed or ctype == "float", (g.rows, g.columns)
    blocks = blocking(packed, gathers, g.channels, g.filters, results, window.kernel, window.stride, window.dilation)
    sums: CType = "float" if ctype == "float" else "int32_t"
    return Depthwise(
        origin,
        _target(geometry, sums, draft),
        (),
        source=source,
        frame=frame,
        geometry=geometry,
        blocking=blocks,
        weights=weights.packed(
            f"{origin.layer}.weight",
            ctype,
            lambda array: pack_depthwise(array, window.kernel, window.stride[1], blocks, ctype),
        ),
        bias=bias,
        sums=sums,
    )
