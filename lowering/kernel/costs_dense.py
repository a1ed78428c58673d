"""What outer-product kernels offer for a layer: the contraction that its formats imply, in the best register block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from hapir.lowering.kernel.c_types import CType, size_of
from hapir.lowering.kernel.contraction import F32, U8_I8, Contraction
from hapir.lowering.kernel.host import TYPICAL, Host
from hapir.lowering.kernel.offers import Cost, Offer, Work
from hapir.lowering.kernel.plan_bits import counted_cycles, counts_pay, planes_for
from hapir.lowering.kernel.plan_codes import lookup_for
from hapir.lowering.kernel.plan_products import integer_contraction, one_row, run_length
from hapir.lowering.kernel.program import LANES
from hapir.lowering.kernel.register_tiles import Loops, cost_of, tiles_for


def ctype_of(work: Work) -> CType:
    """What holds an input of the layer in C."""
    if work.bits is None:
        return "float"
    bits = next(b for b in (8, 16, 32) if work.bits <= b)
    return cast(CType, f"{'int' if work.signed else 'uint'}{bits}_t")


PLANES, CODES, BYTES = "planes", "codes", "bytes"
"""Arithmetics of integers up to 8 bits: bit planes that are counted, weights as codes that are looked up, as bytes."""


def contraction_of(work: Work, arithmetic: str = "") -> Contraction | None:
    """The contraction of a layer's products under an arithmetic, empty for the one that its formats imply.

    None where bit planes are counted.
    """
    if work.is_float:
        return F32
    named = arithmetic or implied(work)
    contraction = integer_contraction(ctype_of(work), work.rows)[0]
    if named == PLANES:
        return None
    return contraction if named != CODES else lookup_for(work.rows, run_length(work.geometry), contraction)


def implied(work: Work) -> str:
    """The arithmetic that the plan takes where none is named."""
    if work.is_float or work.modelled or work.depthwise:
        return "f32" if work.is_float else BYTES
    contraction = integer_contraction(ctype_of(work), work.rows)[0]
    if is_counted(work):
        return PLANES
    if contraction is U8_I8 and lookup_for(work.rows, run_length(work.geometry), contraction) is not contraction:
        return CODES
    return BYTES if contraction is U8_I8 else contraction.name


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
    """The outer-product kernel of the formats themselves, which computes every layer, and other arithmetics."""
    own = implied(work)
    if work.depthwise and not work.modelled:
        return [Offer("direct", cost=_per_channel(work, host), means=own)]
    found = [Offer("direct", cost=_cost(work, own, host), means=own)]
    if work.codes is None or work.modelled or own not in (PLANES, CODES, BYTES):
        return found
    for name in (PLANES, CODES, BYTES):
        reason = None if name == own else _refused(work, name)
        if reason is not None:
            found.append(Offer("direct", name, refusal=reason))
        elif name != own:
            found.append(Offer("direct", name, cost=_cost(work, name, host), only_asked=name == BYTES))
    return found


def _refused(work: Work, arithmetic: str) -> str | None:
    """Why a layer of few bits has no such kernel."""
    codes = work.codes
    if arithmetic == PLANES and (codes is None or planes_for(work.rows, codes) is None):
        return "bit planes need activations of up to 4 bits and weights of magnitudes up to 15"
    if arithmetic == CODES and lookup_for(work.rows, run_length(work.geometry), U8_I8) is U8_I8:
        return f"weights of {len(np.unique(work.rows))} levels take no less memory as codes"
    return None


def _cost(work: Work, arithmetic: str, host: Host) -> Cost:
    contraction = contraction_of(work, arithmetic if not work.modelled else BYTES)
    if contraction is None:
        planes = None if work.codes is None else planes_for(work.rows, work.codes)
        assert planes is not None
        assert work.codes is not None
        return Cost(counted_cycles(work.geometry, planes, work.codes) * host.registers_per_vector, "compute")
    loops = loops_of(work, contraction)
    return cost_of(loops, contraction, tiles_for(loops, contraction, host), host)


TAP_CYCLES = {"f32": 0.68, "u8_i8": 0.4}
"""Of a depthwise layer: a tap of a vector of 16 results, whose inputs serve the neighbours where the stride is 1."""
OTHER_TAP_CYCLES = 1.0
"""The same for other formats."""


def _per_channel(work: Work, host: Host) -> Cost:
    """The cycles of one filter per channel."""
    window = work.geometry.window
    taps = window.kernel[0] * window.kernel[1] * window.stride[1]
    vectors = work.pixels * work.geometry.filters / LANES
    contraction = F32 if work.is_float else integer_contraction(ctype_of(work), work.rows)[0]
    per_tap = TAP_CYCLES.get(contraction.name, OTHER_TAP_CYCLES)
    slower = host.registers_per_vector * TYPICAL["avx512"].ports.load / host.ports.load
    return Cost(vectors * taps * per_tap * slower, "load")


def is_counted(work: Work) -> bool:
    """Whether the plan counts bit planes rather than multiply."""
    if work.codes is None or work.modelled or work.depthwise:
        return False
    planes = planes_for(work.rows, work.codes)
    return planes is not None and counts_pay(work.geometry, planes, work.codes)
