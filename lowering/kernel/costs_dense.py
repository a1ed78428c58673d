"""What outer-product kernels offer for a layer: the contraction that its formats imply, in the best register block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from hapir.lowering.kernel.c_types import CType, size_of
from hapir.lowering.kernel.contraction import F32, Contraction
from hapir.lowering.kernel.host import Host
from hapir.lowering.kernel.offers import Cost, Offer, Work
from hapir.lowering.kernel.plan_bits import counted_cycles, counts_pay, planes_for
from hapir.lowering.kernel.plan_products import integer_contraction, one_row
from hapir.lowering.kernel.register_tiles import Loops, cost_of, tiles_for


def ctype_of(work: Work) -> CType:
    """What holds an input of the layer in C."""
    if work.bits is None:
        return "float"
    bits = next(b for b in (8, 16, 32) if work.bits <= b)
    return cast(CType, f"{'int' if work.signed else 'uint'}{bits}_t")


def contraction_of(work: Work) -> Contraction:
    """The contraction that the formats of a layer imply."""
    return F32 if work.is_float else integer_contraction(ctype_of(work), work.rows)[0]


def loops_of(work: Work, contraction: Contraction) -> Loops:
    """The loops of a layer's outer-product kernel."""
    g = one_row(work.geometry)
    window, per_group = g.window, g.channels // g.groups
    r, s = window.kernel
    whole = g.groups == 1 and window.dilation[1] == 1
    columns, length = (1, s * per_group) if whole else (s, per_group)
    words = r * columns * -(-length // contraction.elements)
    inputs = g.batch * g.height * g.width * g.channels * size_of(contraction.x)
    return Loops(g.batch * g.rows, g.columns, g.groups, g.filters // g.groups, words, inputs, r * columns)


def offers(work: Work, host: Host) -> Sequence[Offer]:
    """The outer-product kernel of the formats themselves, which computes every layer; bit planes where these pay."""
    counted = _counts(work, host)
    if counted is not None:
        return [Offer("direct", cost=counted)]
    contraction = contraction_of(work)
    loops = loops_of(work, contraction)
    return [Offer("direct", cost=cost_of(loops, contraction, tiles_for(loops, contraction, host), host))]


def is_counted(work: Work) -> bool:
    """Whether the plan counts bit planes rather than multiply."""
    if work.codes is None or work.modelled or work.depthwise:
        return False
    planes = planes_for(work.rows, work.codes)
    return planes is not None and counts_pay(work.geometry, planes, work.codes)


def _counts(work: Work, host: Host) -> Cost | None:
    """The cycles of counting bit planes; None where the plan multiplies."""
    planes = None if work.codes is None or not is_counted(work) else planes_for(work.rows, work.codes)
    if planes is None or work.codes is None:
        return None
    return Cost(counted_cycles(work.geometry, planes, work.codes) * host.registers_per_vector, "compute")
