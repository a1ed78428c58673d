"""What outer-product kernels offer for a layer: the contraction that its formats imply, in the best register block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from hapir.lowering.kernel import bf16
from hapir.lowering.kernel.bit_planes import planes_of
from hapir.lowering.kernel.c_types import CType
from hapir.lowering.kernel.contraction import F32, U8_I8, Contraction
from hapir.lowering.kernel.geometry import LANES
from hapir.lowering.kernel.host import TYPICAL, Host
from hapir.lowering.kernel.offers import Cost, Offer, Work
from hapir.lowering.kernel.plan_bits import bits_for, counted, counts_pay, refusal
from hapir.lowering.kernel.plan_codes import BITS, BYTES, CODES, lookup_for
from hapir.lowering.kernel.plan_products import LIFT, integer_contraction, loops_of, run_length, short
from hapir.lowering.kernel.register_tiles import cost_of, tiles_for


def ctype_of(work: Work) -> CType:
    """What holds an input of the layer in C."""
    if work.bits is None:
        return "float"
    bits = next(b for b in (8, 16, 32) if work.bits <= b)
    return cast(CType, f"{'int' if work.signed else 'uint'}{bits}_t")


def contraction_of(work: Work) -> Contraction:
    """The contraction that the formats of a layer imply."""
    return F32 if work.is_float else integer_contraction(ctype_of(work), work.rows)[0]


def multiplies_bytes(work: Work) -> bool:
    """Whether the formats of a layer imply products of bytes over the loops that arithmetics share."""
    return contraction_of(work) is U8_I8 and not work.modelled and not work.depthwise


def contraction_for(work: Work, arithmetic: str) -> Contraction:
    """The contraction of a layer by the name of its arithmetic; empty: what the plan takes by itself."""
    implied = contraction_of(work)
    if work.is_float and arithmetic == bf16.NAME:
        return bf16.bf16_contraction(run_length(work.geometry))
    if not multiplies_bytes(work):
        return implied
    if arithmetic in ("", BITS) and work.codes is not None and refusal(work.geometry, work.rows, work.codes) is None:
        planes = planes_of(work.rows, work.codes)
        if arithmetic or counts_pay(work.geometry, planes, work.codes):
            return bits_for(work.geometry, planes, work.codes)
    if arithmetic != BYTES:
        implied = lookup_for(work.rows, run_length(work.geometry), implied)
    return short(implied, work.rows, highest(work))


def highest(work: Work) -> int:
    """The largest byte that a layer of integers multiplies: signed ones are lifted."""
    assert work.bits is not None
    return LIFT + (1 << work.bits - 1) - 1 if work.signed else (1 << work.bits) - 1


def offers(work: Work, host: Host) -> Sequence[Offer]:
    """The outer-product kernel of the formats themselves, which computes every layer; those of few bits, and bf16.

    Where there are several, each has a name. Weights as codes cost what bytes cost at most: a lookup hides behind the
    products of several pixels, and less is read.
    """
    bytes_ = contraction_of(work)
    if work.is_float:
        return _on_floats(work, bytes_, host)
    if work.depthwise and not work.modelled:
        return [Offer("direct", cost=_per_channel(work, bytes_, host))]
    implied = _cost(work, bytes_ if bytes_ is not U8_I8 else short(bytes_, work.rows, highest(work)), host)
    if bytes_ is not U8_I8 or work.modelled:
        return [Offer("direct", cost=implied)]
    reason = refusal(work.geometry, work.rows, work.codes)
    codes = lookup_for(work.rows, run_length(work.geometry), bytes_)
    if reason is not None and codes is bytes_:
        return [Offer("direct", cost=implied), Offer("direct", BITS, refusal=reason), _no_codes()]
    coded = Offer("direct", CODES, cost=min(_cost(work, codes, host), implied, key=lambda cost: cost.cycles))
    bits = Offer("direct", BITS, refusal=reason)
    if reason is None and work.codes is not None:
        bits = Offer("direct", BITS, cost=counted(work.geometry, planes_of(work.rows, work.codes), work.codes, host))
    plain = Offer("direct", BYTES, cost=implied, only_asked=codes is not bytes_)
    return [bits, _no_codes() if codes is bytes_ else coded, plain]


def _on_floats(work: Work, contraction: Contraction, host: Host) -> Sequence[Offer]:
    """The kernel in f32, and where the schedule asks for it, as it is less exact, that in bf16."""
    cost = _per_channel(work, contraction, host) if work.depthwise else _cost(work, contraction, host)
    reason = bf16.bf16_refusal(work.rows, depthwise=work.depthwise)
    if reason is not None:
        return [Offer("direct", cost=cost), Offer("direct", bf16.NAME, refusal=reason)]
    rounded = _cost(work, contraction_for(work, bf16.NAME), host)
    return [Offer("direct", cost=cost), Offer("direct", bf16.NAME, cost=rounded, only_asked=True)]


TAP_CYCLES = {"f32": 0.68, "u8_i8": 0.4}
"""Of a depthwise layer: a tap of a vector of 16 results, whose inputs serve the neighbours where the stride is 1."""
OTHER_TAP_CYCLES = 1.0
"""The same for other formats."""


def _per_channel(work: Work, contraction: Contraction, host: Host) -> Cost:
    """The cycles of one filter per channel."""
    window = work.geometry.window
    taps = window.kernel[0] * window.kernel[1] * window.stride[1]
    vectors = work.pixels * work.geometry.filters / LANES
    slower = host.registers_per_vector * TYPICAL["avx512"].ports.load / host.ports.load
    return Cost(vectors * taps * TAP_CYCLES.get(contraction.name, OTHER_TAP_CYCLES) * slower, "load")


def _no_codes() -> Offer:
    return Offer("direct", CODES, refusal="its weights have more than 16 levels, or take no fewer bytes as codes")


def _cost(work: Work, contraction: Contraction, host: Host) -> Cost:
    loops = loops_of(work.geometry, contraction)
    return cost_of(loops, contraction, tiles_for(loops, contraction, host), host)
