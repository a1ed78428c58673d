"""Families of kernels beside outer products, each as offers: what a layer costs, or why it cannot be computed so.

Exactness comes from the plans; here only what they refuse and what they cost is told.
"""

from __future__ import annotations

from collections.abc import Sequence

from hapir.lowering.kernel import costs_winograd
from hapir.lowering.kernel.contraction import F32
from hapir.lowering.kernel.costs_dense import ctype_of
from hapir.lowering.kernel.costs_sparse import (
    MOST_LEVELS,
    PER_WORD,
    levels_of,
    sparse_cost,
    sparse_work,
    vector_cost,
    vector_pays,
)
from hapir.lowering.kernel.host import TYPICAL, Host
from hapir.lowering.kernel.offers import Cost, Offer, Work
from hapir.lowering.kernel.plan_products import integer_contraction, one_row


def filtering_offers(work: Work, host: Host) -> Sequence[Offer]:
    """Minimal filtering, alone and beside lists of non-zeros."""
    if work.modelled:
        reason = "its products are a multiplier model's"
        return [Offer("winograd", refusal=reason), Offer("dsc", refusal=reason)]
    return costs_winograd.offers(work, host)


def sparse_offers(work: Work, host: Host) -> Sequence[Offer]:
    """Lists of the non-zero weights, with pixels in lanes."""
    geometry = one_row(work.geometry)
    contraction = F32 if work.is_float else integer_contraction(ctype_of(work), work.rows)[0]
    reason = _refused(work, host, float_too=True)
    if reason is None and contraction.name not in PER_WORD and not vector_pays(geometry, work.rows, contraction):
        reason = f"it multiplies f32, bytes or signed halves, not {contraction.x} by {contraction.w}"
    if reason is not None:
        return [Offer("sparse", refusal=reason)]
    if vector_pays(geometry, work.rows, contraction):
        cycles = vector_cost(round((1 - work.zeros) * work.rows.size), geometry.filters, work.pixels)
    else:
        cycles = sparse_cost(sparse_work(contraction.name, geometry, work.rows)).cycles
    return [Offer("sparse", cost=Cost(cycles * _slower(host), "load"))]


def ras_offers(work: Work, host: Host) -> Sequence[Offer]:
    """A list per level of the weights."""
    reason = _refused(work, host, float_too=False)
    if reason is None and ctype_of(work) not in ("uint8_t", "int8_t"):
        reason = f"it adds activations of up to 8 bits, not of {work.bits}"
    if reason is None and (levels := levels_of(work.rows)) > MOST_LEVELS:
        reason = f"the weights have {levels} magnitudes, and it takes {MOST_LEVELS}: quantize them to fewer"
    if reason is not None:
        return [Offer("ras", refusal=reason)]
    cycles = sparse_cost(sparse_work("ras", one_row(work.geometry), work.rows)).cycles
    return [Offer("ras", cost=Cost(cycles * _slower(host), "load"))]


def _slower(host: Host) -> float:
    """How much longer a vector takes than on the host that `costs_sparse` was fitted to, one register per vector."""
    return host.registers_per_vector * TYPICAL["avx512"].ports.load / host.ports.load


def _refused(work: Work, host: Host, *, float_too: bool) -> str | None:
    """What all kernels that skip zeros refuse."""
    if work.modelled:
        return "its products are a multiplier model's"
    if work.is_float and not float_too:
        return "it adds integers, and the layer computes on floats: quantize it"
    return None
