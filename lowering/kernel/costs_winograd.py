"""What minimal filtering costs on a host, whole layers and dense-sparse ones: pure functions of shapes and counts.

Products are those of outer-product kernels (`plan_winograd.products_cycles`); transforms are counted per plane of a
vector. The constants were fitted to the printed kernels on one core (Zen 5, gcc 12); hosts with narrower vectors take
as many more instructions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np

from hapir.lowering.kernel.contraction import F32, I16_MODULAR, U8_I8, Contraction
from hapir.lowering.kernel.costs_dense import ctype_of
from hapir.lowering.kernel.costs_sparse import sparse_cost, sparse_work
from hapir.lowering.kernel.dense_sparse import TAUS, Map, kernel_map
from hapir.lowering.kernel.geometry import LANES, Geometry
from hapir.lowering.kernel.host import DEFAULT, Host
from hapir.lowering.kernel.offers import Cost, Offer, Work
from hapir.lowering.kernel.pack_weights import channels_last, round_up
from hapir.lowering.kernel.plan_winograd import SIZES, products_cycles, refusal, tiling_of
from hapir.lowering.kernel.program_winograd import tile_geometry
from hapir.weights import Array

INTO_OR_OUT = {("f32", 2): 3.2, ("f32", 4): 5.0, ("i16_modular", 2): 2.0, ("i16_modular", 4): 4.2}
"""Cycles per plane to transform a vector of words of a tile into planes, or of products out of them, by size."""


def winograd_cost(geometry: Geometry, size: int, contraction: Contraction, host: Host) -> Cost:
    """Cycles of a layer as one matrix product per plane; finishing stages left out."""
    tiling, tiles = tiling_of(geometry, size, contraction)
    vectors = -(-geometry.channels // (LANES * contraction.elements)) + -(-geometry.filters // LANES)
    slower = host.registers_per_vector * DEFAULT.ports.vector / host.ports.vector
    transforms = tiling.total * tiling.planes * vectors * INTO_OR_OUT[contraction.name, size] * slower
    products = products_cycles(geometry, tiling, tiles, contraction, host)
    return Cost(products + transforms, "compute", {"compute": products, "transforms": transforms})


# --- lists of dense kernels -----------------------------------------------------------------------------------------

VECTORS = (1, 2, 4, 8)
"""Tiles of a block of lists, in vectors of 16."""
PLANE_BYTES = 32 << 10
"""Of the first-level cache, what the words of one plane take that a tile of channels holds."""
SCRATCH_BYTES = 4 << 20
"""What the transforms and products of a block of lists may take."""


@dataclass(frozen=True)
class ListsTiling:
    """Vectors of 16 tiles in a block, words of channels in a tile of them."""

    vectors: int
    words: int


@cache
def lists_tiling(geometry: Geometry, size: int, contraction: Contraction) -> ListsTiling:
    """The blocks of a layer whose dense kernels are lists: as many tiles as scratch holds, most in use."""
    tiles = tile_geometry(geometry, size)
    places = (tiles.rows - 1) * (tiles.columns + 1) + tiles.columns
    words = -(-geometry.channels // contraction.elements) + round_up(geometry.filters, LANES)

    def fits(vectors: int) -> bool:
        scratch = 4 * (size + 2) ** 2 * LANES * vectors * words
        return vectors == 1 or (scratch <= SCRATCH_BYTES and LANES * vectors < 2 * places)

    vectors = max(v for v in VECTORS if fits(v))
    return ListsTiling(vectors, max(1, PLANE_BYTES // (4 * LANES * vectors)))


@dataclass(frozen=True)
class _Lists:
    """Cycles: per entry and vector and once, per list and vector and once, per word of a panel, per result."""

    entry_vector: float = 0.85
    entry: float = 0.75
    list_vector: float = 2.0
    list: float = 4.0
    copy: float = 0.8
    result: float = 1.5


_LISTS = _Lists()


def lists_cost(geometry: Geometry, present: Map, size: int, contraction: Contraction, host: Host) -> float:
    """Cycles of the dense kernels of a layer as lists."""
    tiling, tiles = lists_tiling(geometry, size, contraction), tile_geometry(geometry, size)
    block, planes = tiling.vectors * LANES, (size + 2) ** 2
    columns = tiles.columns + 1
    blocks = geometry.batch * -(-((tiles.rows - 1) * columns + tiles.columns) // block)
    if contraction.elements == 1:
        words = present
    else:  # of four channels 0 and 2 make a word, 1 and 3 another
        padded = np.zeros((len(present), round_up(present.shape[1], 4)), np.bool_)
        padded[:, : present.shape[1]] = present
        words = padded.reshape(len(present), -1, 2, 2).any(axis=2).reshape(len(present), -1)
    starts = range(0, words.shape[1], tiling.words)
    lists = sum(int(words[:, start : start + tiling.words].any(axis=1).sum()) for start in starts)
    c, width = _LISTS, round_up(geometry.filters, LANES)
    products = int(words.sum()) * (tiling.vectors * c.entry_vector + c.entry)
    products += lists * (tiling.vectors * c.list_vector + c.list)
    transforms = planes * tiling.vectors * (words.shape[1] + width) * INTO_OR_OUT[contraction.name, size]
    copied = -(-geometry.channels // (1 if contraction.elements == 1 else 4)) * size * size * block * c.copy
    finished = width * block * size * size * c.result
    return blocks * (planes * products + transforms + copied + finished) * _slower(host)


def _slower(host: Host) -> float:
    """How much longer the loads of a vector take than on the host that lists were fitted to."""
    return host.registers_per_vector * DEFAULT.ports.load / host.ports.load


def lists_pay(geometry: Geometry, present: Map, size: int, contraction: Contraction) -> bool:
    """Whether lists of the dense kernels take fewer cycles than matrix products with zeros for the others."""
    whole = winograd_cost(geometry, size, contraction, DEFAULT).cycles
    return lists_cost(geometry, present, size, contraction, DEFAULT) < whole


# --- dense and sparse kernels together ------------------------------------------------------------------------------


@dataclass(frozen=True)
class DscChoice:
    """A threshold, a size of tiles, and what they cost."""

    tau: int
    size: int
    cycles: float


def dsc_cost(
    geometry: Geometry, kernels: Array, tau: int, size: int, contraction: Contraction, host: Host = DEFAULT
) -> float:
    """Cycles of weights K C R S at a threshold; `contraction` is that of the sparse part."""
    parts = kernel_map(kernels, tau)
    cycles = 0.0
    if parts.sparse.any() or not parts.dense.any():
        rows = channels_last(np.where(parts.sparse[:, :, None, None], kernels, 0))
        cycles += sparse_cost(sparse_work(contraction.name, geometry, rows)).cycles * _slower(host)
    if parts.dense.any():
        dense = F32 if contraction.name == "f32" else I16_MODULAR
        whole = winograd_cost(geometry, size, dense, host).cycles
        cycles += min(whole, lists_cost(geometry, parts.dense, size, dense, host))
    return cycles


def dsc_choices(
    geometry: Geometry, kernels: Array, contraction: Contraction, taus: Iterable[int], sizes: Iterable[int], host: Host
) -> list[DscChoice]:
    """What each threshold and size costs."""
    pairs = product(taus, sizes)
    return [DscChoice(t, size, dsc_cost(geometry, kernels, t, size, contraction, host)) for t, size in pairs]


def cheapest_dsc(
    geometry: Geometry,
    kernels: Array,
    contraction: Contraction,
    tau: int | None = None,
    sizes: Sequence[int] = SIZES,
    host: Host = DEFAULT,
) -> DscChoice:
    """The cheapest threshold and size, each tried where it is not given; of equal ones the lowest."""
    choices = dsc_choices(geometry, kernels, contraction, TAUS if tau is None else (tau,), sizes, host)
    return min(choices, key=lambda choice: choice.cycles)


# --- offers ---------------------------------------------------------------------------------------------------------


def offers(work: Work, host: Host) -> Sequence[Offer]:
    """Minimal filtering in both sizes, and the dense-sparse kernel of a layer with zeros."""
    contraction = F32 if work.is_float else I16_MODULAR
    found: list[Offer] = []
    for size in SIZES:
        reason = refusal(work.geometry, ctype_of(work), work.kernel, _bounds(work), size)
        if work.modelled:
            reason = "its products are a multiplier model's"
        cost = None if reason is not None else winograd_cost(work.geometry, size, contraction, host)
        found.append(Offer("winograd", options={"tile": size}, cost=cost, refusal=reason))
    return (*found, *_dense_sparse(work, host, [o.options["tile"] for o in found if o.cost is not None]))


def _dense_sparse(work: Work, host: Host, sizes: Sequence[int]) -> Sequence[Offer]:
    """The best threshold and size; where it makes no kernel dense, the kernel `sparse` is the same."""
    reason = None
    if not sizes or work.geometry.window.kernel != (3, 3):
        reason = "its dense kernels need minimal filtering over windows of 3x3"
    elif not (np.count_nonzero(work.kernel, axis=(2, 3)) == 0).any():
        reason = "no kernel of one filter and channel is all zeros"
    if reason is not None:
        return [Offer("dsc", refusal=reason)]
    contraction = F32 if work.is_float else U8_I8
    best = cheapest_dsc(work.geometry, work.kernel, contraction, sizes=sizes, host=host)
    options = {"tau": best.tau, "tile": best.size}
    alike = not kernel_map(work.kernel, best.tau).dense.any()
    return [Offer("dsc", options=options, cost=Cost(best.cycles, "compute"), only_asked=alike)]


def dsc_offer(work: Work, host: Host, tau: int | None, size: int | None) -> Offer:
    """The dense-sparse kernel with this threshold and size, each the cheapest where it is None."""
    reason, contraction = None, F32 if work.is_float else U8_I8
    sizes: list[int] = []
    for wanted in SIZES if size is None else (size,):
        refused = refusal(work.geometry, ctype_of(work), work.kernel, _bounds(work), wanted)
        reason = reason or refused
        sizes += [] if refused else [wanted]
    if not sizes:
        return Offer("dsc", options={} if size is None else {"tile": size}, refusal=reason)
    best = cheapest_dsc(work.geometry, work.kernel, contraction, tau, sizes, host)
    return Offer("dsc", options={"tau": best.tau, "tile": best.size}, cost=Cost(best.cycles, "compute"))


def _bounds(work: Work) -> tuple[int, int] | None:
    """The range of the inputs' format."""
    if work.bits is None:
        return None
    return (-(1 << work.bits - 1), (1 << work.bits - 1) - 1) if work.signed else (0, (1 << work.bits) - 1)
