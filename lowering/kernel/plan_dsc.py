"""Dense-sparse convolution: minimal filtering for the kernels that are dense, lists of non-zeros for the sparse ones.

Law: exact on integers, for every threshold; on floats the sums of both parts are added once. The sparse part makes a
map of sums first, which the dense part joins with its own. Without dense kernels the layer is a sparse one; without
sparse kernels there is no map to join with.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hapir.diagnostics import fail
from hapir.dialects import nn
from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.contraction import F32, I16_MODULAR
from hapir.lowering.kernel.costs_winograd import DscChoice, cheapest_dsc, lists_pay, lists_tiling
from hapir.lowering.kernel.dense_sparse import TAUS, Map, kernel_map
from hapir.lowering.kernel.geometry import LANES, Geometry, Origin
from hapir.lowering.kernel.pack_weights import channels_last
from hapir.lowering.kernel.plan_sparse import Layer, layer_of, part_of, plan_sparse
from hapir.lowering.kernel.plan_stages import constant
from hapir.lowering.kernel.plan_winograd import SIZES, gemm_step, refusal, transformed
from hapir.lowering.kernel.program_draft import Draft, Value
from hapir.lowering.kernel.program_sparse import Panel, PixelTiles
from hapir.lowering.kernel.program_winograd import Winograd, WinogradLists, tile_geometry
from hapir.lowering.kernel.sparse_lists import Taps, entries_of, in_lists, list_tables, panel_of, places_of
from hapir.lowering.kernel.stages import Join, Stage
from hapir.lowering.kernel.steps import Step
from hapir.weights import Array, WeightStore


def plan_dsc(
    op: nn.ProductOp,
    x: Value,
    draft: Draft,
    weights: WeightStore,
    origin: Origin,
    tau: int | None = None,
    size: int | None = None,
) -> tuple[Step, tuple[int, int] | None]:
    """The last step of a layer and the range of its integer sums; the steps before it are added to `draft`.

    `tau` is the number of non-zeros from which a kernel is dense, `size` that of the tiles; the cost model chooses what
    is not given. Raises HapirError: HAP0723 where `tau` is no threshold, HAP0724 where the layer cannot be computed so,
    HAP0717 and HAP0710 as `plan_sparse` does.
    """
    if tau is not None and tau not in TAUS:
        fail("HAP0723", f"`tau` counts the non-zeros of a 3x3 kernel: it is in 0..10, not {tau}", at=op)
    layer = layer_of(op, x, draft, weights, origin)
    geometry, kernels = layer.geometry, constant(weights, op.w, op)
    if geometry.window.kernel != (3, 3) or geometry.groups != 1 or op.multiplier is not None:
        fail("HAP0724", "the layer has no dense-sparse kernel: its filters must be 3x3, over all channels", at=op)
    bounds = None
    if layer.bounds is not None:
        assert x.bounds is not None
        bounds = min(x.bounds[0], layer.fill), max(x.bounds[1], layer.fill) + layer.lift
    reasons = {s: refusal(geometry, layer.x_type, kernels, bounds, s) for s in (SIZES if size is None else (size,))}
    sizes = [s for s, reason in reasons.items() if reason is None]
    if not sizes:
        reason = next(iter(reasons.values()))
        fail("HAP0724", f"the layer has no dense-sparse kernel: {reason}", at=op, help="use another algorithm")
    chosen = cheapest_dsc(geometry, kernels, layer.contraction, tau, sizes)
    parts = kernel_map(kernels, chosen.tau)
    if not parts.dense.any():
        return plan_sparse(op, x, draft, weights, origin)
    dense = np.where(parts.dense[:, :, None, None], kernels, 0).astype(kernels.dtype)
    stages: tuple[Stage, ...] = ()
    if parts.sparse.any():
        sparse = np.where(parts.sparse[:, :, None, None], kernels, 0).astype(kernels.dtype)
        step = part_of(layer, channels_last(sparse), draft)
        draft.add(replace(step, origin=replace(origin, text=f"{origin.text}, sparse kernels")))
        sums = layer.contraction.sums
        stages = (Join(step.target, sums, (), sums),)
    contraction = F32 if layer.bounds is None else I16_MODULAR
    lists = lists_pay(geometry, parts.dense, chosen.size, contraction)
    made = _lists(layer, dense, parts.dense, chosen, draft) if lists else _gemm(layer, dense, chosen, draft)
    return replace(made, stages=stages), layer.bounds


def _gemm(layer: Layer, dense: Array, chosen: DscChoice, draft: Draft) -> Winograd:
    """The dense kernels as matrix products, zeros among them; its inputs are not lifted."""
    contraction = F32 if layer.bounds is None else I16_MODULAR
    lifted = layer.lift * dense.astype(np.int64).sum(axis=(1, 2, 3)) if layer.lift else None
    return gemm_step(
        dense,
        chosen.size,
        layer.geometry,
        contraction,
        layer.bias_table(None if lifted is None else -lifted),
        layer.fill,
        layer.x,
        draft,
        layer.origin,
    )


def _lists(layer: Layer, dense: Array, present: Map, chosen: DscChoice, draft: Draft) -> WinogradLists:
    """The dense kernels as lists."""
    geometry, size = layer.geometry, chosen.size
    contraction = F32 if layer.bounds is None else I16_MODULAR
    tiling = lists_tiling(geometry, size, contraction)
    tiles, block = tile_geometry(geometry, size), tiling.vectors * LANES
    per_place = 1 if contraction.elements == 1 else 4
    depth = -(-geometry.channels // per_place)
    panel = panel_of(tiles, Taps.of(tiles), tiling.vectors, block, depth, "float" if per_place == 1 else "int32_t")
    planes = _in_words(transformed(dense, size, contraction), per_place)
    words = _in_words(present[None], per_place)[0]
    one = Geometry(1, words.shape[1], 1, block, len(words), 1, block, replace(geometry.window, kernel=(1, 1)))
    entries = entries_of(words.astype(np.int8), one, contraction.elements)
    plane = Panel(((0, 0),), block, block, block, words.shape[1] // contraction.elements, panel.ctype)
    places = places_of(entries, Taps.of(one), plane, tiling.words)
    order = in_lists(entries, places, tiling.words)
    filters, at = entries.filters[order.entries], entries.words[order.entries]
    packed = planes.reshape(*planes.shape[:2], -1, contraction.elements)[:, filters, at].reshape(-1)
    step = WinogradLists(
        layer.origin,
        layer.result(draft),
        (),
        source=layer.x.buffer,
        geometry=geometry,
        size=size,
        contraction=contraction,
        tiles=PixelTiles(panel, tiling.vectors, layer.lift != 0, layer.fill, 0, 0, 0, 0),
        lists=list_tables(layer.role, order, places, plane, tiling.words, signed=False),
        entries=len(order.entries),
        weights=Table(
            f"{layer.role}.weight", contraction.w, np.append(packed, np.zeros(contraction.elements, packed.dtype))
        ),
        bias=layer.bias_table(),
        inputs=0,
        corner=0,
    )
    sums = contraction.sums
    scratch = replace(
        step.tiles,
        planes=draft.buffer(panel.ctype, panel.size),
        sums=draft.buffer(sums, step.planes * step.product_plane),
        rows=draft.buffer(sums, size * size * LANES * step.width),
        blank=draft.buffer(layer.x_type, geometry.channels),
    )
    inputs = draft.buffer(contraction.x, step.planes * step.input_plane * contraction.elements)
    return replace(step, tiles=scratch, inputs=inputs, corner=draft.buffer(sums, size * size * LANES * LANES))


def _in_words(planes: Array, per_place: int) -> Array:
    """`[plane][filter][channel]` with the channels in the order of transformed words: of each four 0, 2, 1, 3."""
    if per_place == 1:
        return planes
    padded = np.zeros((*planes.shape[:2], -(-planes.shape[2] // 4) * 4), planes.dtype)
    padded[:, :, : planes.shape[2]] = planes
    fours = padded.reshape(*planes.shape[:2], -1, 4)[..., [0, 2, 1, 3]]
    return fours.reshape(padded.shape)
