"""Convolutions and dense layers: which kernel, which register block, how the weights are packed.

Integers run as dot products of bytes along (r, s, c), the form for which compilers have instructions (vpdpbusd, udot,
pmaddwd). They multiply unsigned by signed bytes, so signed activations are lifted by 128; lift and zero point fold into
the bias. Floats run with 4..16 output channels in the inner loop. One filter per channel is a kernel of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np

from hapir.diagnostics import fail
from hapir.dialects import nn
from hapir.dialects.nn_products import operand_formats
from hapir.dialects.nn_shapes import Window, as_map
from hapir.dialects.num import element_type, is_float, shape_of, zero_point_of
from hapir.lowering.kernel.pack_weights import (
    INT32_MAX,
    channels_last,
    dense_rows,
    dot_length,
    folded_bias,
    pack_dot_rows,
    pack_outer_blocks,
    round_up,
    sum_range,
)
from hapir.lowering.kernel.plan_stages import constant, ctype_of
from hapir.lowering.kernel.program import Convolution, CType, Depthwise, Geometry, Origin, Product, Source, Table, Tile
from hapir.lowering.kernel.program_draft import Draft, Value
from hapir.multipliers.model import Multiplier, product_range, product_table
from hapir.plugin_failures import at_work
from hapir.registered import MULTIPLIER, value_at
from hapir.weights import Array, WeightStore

INTEGER_TILE = Tile(4, 4)
"""16 running sums: with AVX-512 all stay in registers."""
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
    depthwise = 1 < geometry.groups == geometry.channels == geometry.filters
    if is_float(op.x):
        plan = _depthwise_float if depthwise else _float
        return plan(geometry, rows, bias, x, draft, origin), None
    plan = _depthwise_integer if depthwise else _integer
    return plan(op, geometry, rows, bias, x, draft, origin)


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
    # the kernel starts from the raw products: what is left over of a row meets 0 * 0, which a model gives as 0
    ctype = draft.buffers[x.buffer].ctype
    tile = Tile(1, 1)
    step = Convolution(
        origin,
        _target(geometry, "int32_t", draft),
        (),
        source=x.buffer,
        geometry=geometry,
        weights=weights.packed(
            f"{origin.layer}.weight",
            ctype_of(element_type(op.w), op),
            lambda array: pack_dot_rows(array, geometry.groups, tile.filters, array.shape[1]),
        ),
        bias=Table(f"{origin.layer}.bias", "int32_t", folded.astype(np.int32)),
        tile=tile,
        row_length=rows.shape[1],
        patch=None if _reads_in_place(geometry) else draft.buffer(ctype, rows.shape[1]),
        patch_ctype=ctype,
        lift=False,
        pad_value=zero_point,
        sums=draft.buffer("int32_t", _sums_length(geometry, tile)),
        product=Product(op.multiplier_text, body),
    )
    return step, (low, high)


@dataclass(frozen=True, eq=False)
class Rows:
    """A layer's weights as rows of taps, and how they came out of its parameter."""

    array: Array
    key: str
    arrange: Callable[[Array], Array]

    @staticmethod
    def of(op: nn.ProductOp, kernel: Array, x: Value) -> Rows:
        """The rows in the order in which the layer's input lies."""
        assert isinstance(op.w.owner, nn.WeightOp)

        def arrange(array: Array) -> Array:
            return channels_last(array) if isinstance(op, nn.ConvolutionOp) else dense_rows(array, x.order)

        return Rows(arrange(kernel), op.w.owner.key.data, arrange)

    def packed(self, role: str, ctype: CType, pack: Callable[[Array], Array]) -> Table:
        """The table of the rows as a kernel reads them."""
        return Table(role, ctype, pack(self.array), Source(self.key, lambda array: pack(self.arrange(array))))


def _target(geometry: Geometry, ctype: CType, draft: Draft) -> int:
    return draft.buffer(ctype, geometry.batch * geometry.rows * geometry.columns * geometry.filters)


def _reads_in_place(geometry: Geometry) -> bool:
    """Whether a patch is a pixel's own channels."""
    window = geometry.window
    return window.kernel == (1, 1) and not any(window.padding)


def _sums_length(geometry: Geometry, tile: Tile) -> int:
    """Sums of one block of pixels; the last group is rounded up to whole filter blocks."""
    per_group = geometry.filters // geometry.groups
    return tile.pixels * ((geometry.groups - 1) * per_group + round_up(per_group, tile.filters))


def _float(
    geometry: Geometry, weights: Rows, bias: Array | None, x: Value, draft: Draft, origin: Origin
) -> Convolution:
    per_group = geometry.filters // geometry.groups
    # one pixel alone needs many filters in flight to hide the latency of its sums
    blocks = (4, 8, 16, 32, 64) if geometry.columns == 1 else (4, 8, 16)
    tile = Tile(min(4, geometry.columns), next((b for b in blocks if per_group <= b), blocks[-1]))
    elements = weights.array.shape[1]
    patch = None if _reads_in_place(geometry) else draft.buffer("float", tile.pixels * elements)
    return Convolution(
        origin,
        _target(geometry, "float", draft),
        (),
        source=x.buffer,
        geometry=geometry,
        weights=weights.packed(
            f"{origin.layer}.weight",
            "float",
            lambda array: pack_outer_blocks(array, geometry.groups, tile.filters),
        ),
        bias=None if bias is None else Table(f"{origin.layer}.bias", "float", bias),
        tile=tile,
        row_length=elements,
        patch=patch,
        patch_ctype="float",
        lift=False,
        pad_value=0,
        sums=draft.buffer("float", _sums_length(geometry, tile)),
    )


def _integer(
    op: nn.ProductOp,
    geometry: Geometry,
    weights: Rows,
    bias: Array | None,
    x: Value,
    draft: Draft,
    origin: Origin,
) -> tuple[Convolution, tuple[int, int]]:
    source_ctype = draft.buffers[x.buffer].ctype
    lift = source_ctype == "int8_t"
    offset = LIFT if lift else 0
    rows, zero_point = weights.array, zero_point_of(element_type(op.x))
    folded, bounds = _proven_bias(op, rows, bias, x, zero_point, offset)
    elements = rows.shape[1]
    length = dot_length(elements)
    in_place = _reads_in_place(geometry) and not lift and length == elements
    tile = Tile(min(INTEGER_TILE.pixels, geometry.columns), INTEGER_TILE.filters)
    patch_ctype: CType = "uint8_t" if lift else source_ctype
    step = Convolution(
        origin,
        _target(geometry, "int32_t", draft),
        (),
        source=x.buffer,
        geometry=geometry,
        weights=weights.packed(
            f"{origin.layer}.weight",
            ctype_of(element_type(op.w), op),
            lambda array: pack_dot_rows(array, geometry.groups, tile.filters, length),
        ),
        bias=Table(f"{origin.layer}.bias", "int32_t", folded.astype(np.int32)),
        tile=tile,
        row_length=length,
        patch=None if in_place else draft.buffer(patch_ctype, tile.pixels * length),
        patch_ctype=patch_ctype,
        lift=lift,
        pad_value=zero_point + offset,
        sums=draft.buffer("int32_t", _sums_length(geometry, tile)),
    )
    return step, bounds


def _proven_bias(
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
    rows, zero_point = weights.array, zero_point_of(element_type(op.x))
    assert x.bounds is not None
    wide = np.zeros(rows.shape[0], np.int64) if bias is None else bias.astype(np.int64)
    shifted = (min(x.bounds[0], zero_point) - zero_point, max(x.bounds[1], zero_point) - zero_point)
    reach = sum_range(rows, wide, x.bounds, zero_point, shifted)
    partial = reach.partial + int(np.abs(wide).max())
    if partial > INT32_MAX or max(abs(shifted[0]), abs(shifted[1])) > INT32_MAX:
        fail("HAP0710", f"a sum of products can reach {partial}, more than si32 holds", at=op, help="use fewer bits")
    ctype = ctype_of(element_type(op.w), op)
    table = None if bias is None else Table(f"{origin.layer}.bias", "int32_t", bias)
    step = _depthwise(geometry, weights, ctype, table, zero_point, "int32_t", x, draft, origin)
    return step, (reach.low, reach.high)


def _depthwise_float(
    geometry: Geometry, weights: Rows, bias: Array | None, x: Value, draft: Draft, origin: Origin
) -> Depthwise:
    table = None if bias is None else Table(f"{origin.layer}.bias", "float", bias)
    return _depthwise(geometry, weights, "float", table, 0, "float", x, draft, origin)


def _depthwise(
    geometry: Geometry,
    weights: Rows,
    weight_ctype: CType,
    bias: Table | None,
    zero_point: int,
    sum_ctype: str,
    x: Value,
    draft: Draft,
    origin: Origin,
) -> Depthwise:
    ctype = cast(CType, sum_ctype)
    return Depthwise(
        origin,
        _target(geometry, ctype, draft),
        (),
        source=x.buffer,
        geometry=geometry,
        weights=weights.packed(
            f"{origin.layer}.weight", weight_ctype, lambda array: np.ascontiguousarray(array.T).reshape(-1)
        ),
        bias=bias,
        zero_point=zero_point,
        sums=draft.buffer(ctype, geometry.channels),
    )
