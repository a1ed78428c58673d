"""Convolutions and dense layers that skip zeros: lists of non-zero weights, tiled by the cost model.

Law: exact on integers, every partial sum proven to fit 32 bits and every list's to fit 16; on floats the sum runs tile
by tile of channels, within one in the order of channels and taps, over as many strands as the printer keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hapir.diagnostics import fail
from hapir.dialects import nn
from hapir.dialects.kernel import ChoiceAttr
from hapir.dialects.num import element_type, is_float, zero_point_of
from hapir.encodings.ras import flush_interval
from hapir.lowering.kernel.buffers import Frame, Table
from hapir.lowering.kernel.c_types import DTYPES, CType, size_of
from hapir.lowering.kernel.contraction import F32, Contraction, integer
from hapir.lowering.kernel.costs_sparse import (
    BLOCK_INPUT,
    BLOCK_PIXELS,
    LIST_BITS,
    MOST_LEVELS,
    SparseTiling,
    levels_of,
    sparse_choices,
    sparse_cost,
    sparse_work,
)
from hapir.lowering.kernel.geometry import LANES, Geometry, Origin
from hapir.lowering.kernel.pack_weights import INT32_MAX, round_up
from hapir.lowering.kernel.plan_products import (
    LIFT,
    Rows,
    geometry_of,
    integer_contraction,
    one_row,
    proven_bias,
    reframed,
    run_length,
    runs_of,
)
from hapir.lowering.kernel.plan_stages import constant
from hapir.lowering.kernel.program_draft import Draft, Value
from hapir.lowering.kernel.program_sparse import (
    Panel,
    PixelTiles,
    ReduceAndScale,
    SparseBlocks,
    SparseConvolution,
    SparseVector,
)
from hapir.lowering.kernel.sparse_lists import (
    Taps,
    block_places,
    blocks_of,
    entries_of,
    in_lists,
    list_tables,
    panel_of,
    places_of,
    unsigned,
)
from hapir.lowering.kernel.steps import Step
from hapir.weights import Array, WeightStore

Bounds = tuple[int, int] | None
Numbers = npt.NDArray[np.int64] | npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer whose arithmetic is known: `bias` has zero point and lift in it, `bounds` is the range of integer sums,
    `largest` the largest activation as the kernel reads it."""

    geometry: Geometry
    rows: Array
    contraction: Contraction
    bias: Numbers | None
    bounds: Bounds
    largest: int
    lift: int
    fill: int
    x: Value
    x_type: CType
    origin: Origin

    @property
    def role(self) -> str:
        """What its tables are named after."""
        return self.origin.layer

    def bias_table(self, offsets: Numbers | None = None) -> Table | None:
        """The bias, less what the kernel adds on top."""
        if self.bias is None:
            return None
        sums = self.contraction.sums
        values = self.bias if offsets is None else self.bias - offsets
        return Table(f"{self.role}.bias", sums, values.astype(DTYPES[sums]))

    def result(self, draft: Draft) -> int:
        """A buffer for the result."""
        g = self.geometry
        return draft.buffer(self.contraction.sums, g.batch * g.rows * g.columns * g.filters)


def plan_sparse(op: nn.ProductOp, x: Value, draft: Draft, weights: WeightStore, origin: Origin) -> tuple[Step, Bounds]:
    """A layer by its non-zeros, in the cheapest form, and the range of its integer sums.

    Raises HapirError: HAP0717 where the formats have no such kernel, HAP0710 where a sum is not proven to fit.
    """
    x_type, geometry, rows = draft.buffers[x.buffer].ctype, geometry_of(op), _rows(op, x, weights)
    contraction, lift = (F32, 0) if is_float(op.x) else integer_contraction(x_type, rows)
    choices = sparse_choices(geometry, rows, contraction)
    if not choices:
        fail("HAP0717", f"sparse kernels multiply f32, bytes or signed halves, not {x_type} by {contraction.w}", at=op)
    form = choices[0].form
    if form == "vector" and not is_float(op.x):
        contraction, lift = integer(x_type, contraction.w), 0
    flat = geometry if form == "blocks" else one_row(geometry)
    layer = _layer(op, flat, rows, contraction, lift, x, draft, weights, origin)
    plan = _words if form == "lanes" else _vector if form == "vector" else _blocks
    return plan(layer, draft), layer.bounds


def plan_ras(
    op: nn.ProductOp, x: Value, draft: Draft, weights: WeightStore, origin: Origin
) -> tuple[ReduceAndScale, Bounds]:
    """A layer whose weights have few magnitudes: lists per level, and the range of its sums.

    No list is longer than what 16 bits hold of the largest activation. Raises HapirError: HAP0717 for other activations
    than bytes, HAP0718 for too many levels, HAP0710 where a sum is not proven to fit.
    """
    x_type, geometry, rows = draft.buffers[x.buffer].ctype, one_row(geometry_of(op)), _rows(op, x, weights)
    if x_type not in ("uint8_t", "int8_t"):
        fail("HAP0717", f"Reduce-and-Scale adds activations of up to 8 bits, not {x_type}", at=op)
    if levels_of(rows) > MOST_LEVELS:
        fail(
            "HAP0718",
            f"the weights have {levels_of(rows)} magnitudes, Reduce-and-Scale takes {MOST_LEVELS}",
            at=op,
            help="quantize them to fewer levels, as ttq() and n_ary() do",
        )
    lift = LIFT if x_type == "int8_t" else 0
    layer = _layer(op, geometry, rows, integer("uint8_t", "int32_t"), lift, x, draft, weights, origin)
    longest = flush_interval(max(1, layer.largest.bit_length()), LIST_BITS, signed=False)
    tiling = sparse_cost(sparse_work("ras", geometry, rows)).tiling
    entries, taps = entries_of(rows, geometry, 1), Taps.of(geometry)
    panel = panel_of(geometry, taps, tiling.vectors, tiling.run, geometry.channels, "uint8_t")
    places = places_of(entries, taps, panel, tiling.words)
    order = in_lists(entries, places, tiling.words, longest)
    offsets = np.zeros(geometry.filters, np.int64)
    np.add.at(offsets, order.filters, order.scales * order.subtractions * layer.largest)
    assert layer.bias is not None
    reach = int(np.abs(rows.astype(np.int64)).sum(axis=1).max(initial=0)) * layer.largest
    bound = int(np.abs(layer.bias - offsets).max()) + reach
    if bound > INT32_MAX:
        fail("HAP0710", f"a sum of activations can reach {bound}, more than si32 holds", at=op, help="use fewer bits")
    scales = Table(f"{origin.layer}.scales", "int32_t", np.append(order.scales, 0).astype(np.int32))
    step = ReduceAndScale(
        origin,
        layer.result(draft),
        (),
        source=x.buffer,
        geometry=geometry,
        tiles=_tiles(layer, panel, tiling, draft),
        lists=list_tables(layer.role, order, places, panel, tiling.words, signed=True),
        bias=layer.bias_table(offsets),
        offset=layer.largest,
        scales=None if (order.scales == 1).all() else scales,
    )
    return step, layer.bounds


def _rows(op: nn.ProductOp, x: Value, weights: WeightStore) -> Array:
    return Rows.of(op, constant(weights, op.w, op), x).array


def _layer(
    op: nn.ProductOp,
    geometry: Geometry,
    rows: Array,
    contraction: Contraction,
    lift: int,
    x: Value,
    draft: Draft,
    weights: WeightStore,
    origin: Origin,
) -> Layer:
    """Raises HapirError (HAP0710) where a sum is not proven to fit 32 bits."""
    bias = None if op.bias is None else constant(weights, op.bias, op)
    reals = None if bias is None else bias.astype(np.float64)
    x_type = draft.buffers[x.buffer].ctype
    layer = Layer(geometry, rows, contraction, reals, None, 0, lift, 0, x, x_type, origin)
    if is_float(op.x):
        return layer
    assert x.bounds is not None
    zero_point = zero_point_of(element_type(op.x))
    folded, bounds = proven_bias(op, rows, bias, x, zero_point, lift)
    largest = max(x.bounds[1], zero_point) + lift
    return replace(layer, bias=folded, bounds=bounds, largest=largest, fill=zero_point)


def _words(layer: Layer, draft: Draft) -> SparseConvolution:
    """Words of weights, with pixels in lanes."""
    geometry, contraction = layer.geometry, layer.contraction
    tiling = sparse_cost(sparse_work(contraction.name, geometry, layer.rows)).tiling
    entries = entries_of(layer.rows.astype(DTYPES[contraction.w], copy=False), geometry, contraction.elements)
    taps, depth = Taps.of(geometry), -(-geometry.channels // contraction.elements)
    word: CType = "float" if contraction.sums == "float" else "int32_t"
    panel = panel_of(geometry, taps, tiling.vectors, tiling.run, depth, word)
    places = places_of(entries, taps, panel, tiling.words)
    order = in_lists(entries, places, tiling.words)
    words = np.append(entries.values[order.entries], np.zeros((1, contraction.elements), entries.values.dtype))
    return SparseConvolution(
        layer.origin,
        layer.result(draft),
        (),
        source=layer.x.buffer,
        geometry=geometry,
        tiles=_tiles(layer, panel, tiling, draft),
        lists=list_tables(layer.role, order, places, panel, tiling.words, signed=False),
        bias=layer.bias_table(),
        contraction=contraction,
        weights=Table(f"{layer.role}.weight", contraction.w, words.reshape(-1)),
    )


def _vector(layer: Layer, draft: Draft) -> SparseVector:
    """Pixel by pixel, each filter's non-zeros times the inputs that they name."""
    contraction = layer.contraction
    entries = entries_of(layer.rows.astype(DTYPES[contraction.w], copy=False), layer.geometry, 1)
    counts = np.bincount(entries.filters, minlength=layer.geometry.filters)
    return SparseVector(
        layer.origin,
        layer.result(draft),
        (),
        source=layer.x.buffer,
        geometry=layer.geometry,
        contraction=contraction,
        counts=unsigned(f"{layer.role}.counts", counts),
        places=unsigned(f"{layer.role}.places", np.append(entries.words, 0)),
        weights=Table(
            f"{layer.role}.weight", contraction.w, np.append(entries.values[:, 0], entries.values.dtype.type(0))
        ),
        bias=layer.bias_table(),
        sums=draft.buffer(contraction.sums, layer.geometry.filters),
    )


def _blocks(layer: Layer, draft: Draft) -> SparseBlocks:
    """Words that one of 16 filters has a weight for, with filters in lanes."""
    geometry, contraction, source = layer.geometry, layer.contraction, layer.x.buffer
    padding, fill = geometry.window.padding, layer.fill + layer.lift
    ragged = run_length(geometry) % contraction.elements != 0 and draft.buffers[source].home != "arena"
    if any(padding) or layer.lift or ragged:
        source, frame = reframed(source, geometry, padding, fill, layer.lift, contraction.x, draft, layer.origin)
    else:
        geometry = one_row(geometry)
        frame = Frame.around(geometry.height, geometry.width, geometry.channels, (0, 0, 0, 0), fill)
    runs = runs_of(geometry, frame, contraction.elements)
    blocks = blocks_of(layer.rows.astype(DTYPES[contraction.w], copy=False), geometry, runs, contraction.elements)
    places = block_places(blocks, geometry, runs, contraction.elements)
    pixels = min(BLOCK_PIXELS, geometry.columns)
    pixel_bytes = geometry.window.kernel[0] * geometry.channels * size_of(contraction.x)
    one_more = np.zeros(contraction.per_vector, blocks.weights.dtype)
    return SparseBlocks(
        layer.origin,
        layer.result(draft),
        (),
        source=source,
        frame=frame,
        geometry=geometry,
        contraction=contraction,
        pixels=pixels,
        chunk=round_up(min(geometry.columns, max(1, BLOCK_INPUT // pixel_bytes)), pixels),
        counts=unsigned(f"{layer.role}.counts", blocks.counts),
        places=unsigned(f"{layer.role}.places", np.append(places, 0)),
        weights=Table(f"{layer.role}.weight", contraction.w, np.append(blocks.weights, one_more)),
        bias=layer.bias_table(),
    )


def _tiles(layer: Layer, panel: Panel, tiling: SparseTiling, draft: Draft) -> PixelTiles:
    """How pixels pass through, and the scratch for it."""
    sums, filters = layer.contraction.sums, round_up(layer.geometry.filters, LANES)
    return PixelTiles(
        panel,
        tiling.vectors,
        lift=layer.lift != 0,
        fill=layer.fill,
        planes=draft.buffer(panel.ctype, panel.size),
        sums=draft.buffer(sums, filters * LANES * tiling.vectors),
        rows=draft.buffer(sums, LANES * filters),
        blank=draft.buffer(layer.x_type, layer.geometry.channels),
    )


SPARSE_PLANS: dict[str, Callable[..., tuple[Step, Bounds]]] = {"sparse": plan_sparse, "ras": plan_ras}
"""How the layers of this file's algorithms are planned."""


def algorithm_of(op: nn.ProductOp) -> str:
    """The algorithm that was chosen for a layer; empty where none was."""
    choice = op.attributes.get("kernel")
    return choice.algorithm.data if isinstance(choice, ChoiceAttr) else ""


def layer_of(op: nn.ProductOp, x: Value, draft: Draft, weights: WeightStore, origin: Origin) -> Layer:
    """A layer whose products are made by more than one kernel, with the lift that lists of words need.

    Raises HapirError: HAP0717 where the formats have no lists of words, HAP0710 where a sum is not proven to fit.
    """
    x_type, rows = draft.buffers[x.buffer].ctype, _rows(op, x, weights)
    contraction, lift = (F32, 0) if is_float(op.x) else integer_contraction(x_type, rows)
    if contraction.name not in ("f32", "u8_i8"):
        fail("HAP0717", f"sparse kernels multiply f32 or bytes, not {x_type} by {contraction.w}", at=op)
    return _layer(op, geometry_of(op), rows, contraction, lift, x, draft, weights, origin)


def part_of(layer: Layer, rows: Array, draft: Draft) -> SparseConvolution:
    """The sums of some weights of a layer, without its bias."""
    return _words(replace(layer, rows=rows, bias=None), draft)
