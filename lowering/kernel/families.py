"""Families of kernels beside outer products, each as offers: what a layer costs, or why it cannot be computed so.

Exactness comes from the plans; here only what they refuse and what they cost is told.
"""

from __future__ import annotations

from collections.abc import Sequence

from hapir.lowering.kernel import costs_dense
from hapir.lowering.kernel.costs_dense import contraction_of, ctype_of
from hapir.lowering.kernel.costs_sparse import (
    MOST_LEVELS,
    SparseChoice,
    levels_of,
    sparse_choices,
    sparse_cost,
    sparse_work,
)
from hapir.lowering.kernel.host import TYPICAL, Host
from hapir.lowering.kernel.offers import Cost, Offer, Work
from hapir.lowering.kernel.plan_products import one_row


def sparse_offers(work: Work, host: Host) -> Sequence[Offer]:
    """Lists of the non-zero weights, in the form that costs least."""
    reason, contraction = _refused(work, host, float_too=True), contraction_of(work)
    choices = [] if reason is not None else sparse_choices(work.geometry, work.rows, contraction)
    if reason is None and not choices:
        reason = f"it multiplies f32, bytes or signed halves, not {contraction.x} by {contraction.w}"
    if reason is not None:
        return [Offer("sparse", refusal=reason)]
    return [Offer("sparse", cost=min((_sparse(choice, work, host) for choice in choices), key=lambda c: c.cycles))]


BLOCK_WORTH = 1.25
"""What a word of a list of blocks takes, against one of the dense kernel: measured up to 1.3 where no word is zero."""


def _sparse(choice: SparseChoice, work: Work, host: Host) -> Cost:
    """Blocks are the dense kernel on fewer words, so they never cost less than their share of it."""
    cycles = choice.cycles * _slower(host)
    if choice.form == "blocks":
        dense = min(offer.cost.cycles for offer in costs_dense.offers(work, host) if offer.cost is not None)
        cycles = max(cycles, BLOCK_WORTH * choice.share * dense)
    return Cost(cycles, "load")


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
