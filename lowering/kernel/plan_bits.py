"""Convolutions and dense layers of few bits: bit planes that are counted, or weights stored as codes.

Planes serve where counting is cheaper than multiplying bytes (`counts_pay`): with an instruction that counts the bits
of a vector, up to 4 pairs of them. Everything else whose weights have at most 16 levels keeps them as codes of 1 to 4
bits, which are looked up in registers and multiplied as bytes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from xdsl.dialects.builtin import FloatData
from xdsl.ir import BlockArgument, Operation, SSAValue

from hapir.diagnostics import fail
from hapir.dialects import dataflow, nn, num
from hapir.dialects.num import code_range, element_type, step_of, zero_point_of
from hapir.lowering.kernel.bit_planes import (
    WORD,
    Codes,
    Planes,
    finish_of,
    pack_words,
    planes_of,
    positions_of,
    weight_bits,
)
from hapir.lowering.kernel.buffers import Frame, Table
from hapir.lowering.kernel.contraction import U8_I8
from hapir.lowering.kernel.contraction_bits import Bits
from hapir.lowering.kernel.geometry import LANES, Geometry, Origin
from hapir.lowering.kernel.host import DEFAULT, Host
from hapir.lowering.kernel.offers import Cost
from hapir.lowering.kernel.pack_weights import INT32_MAX, Int64, round_up, sum_range
from hapir.lowering.kernel.plan_codes import BITS, arithmetic_of
from hapir.lowering.kernel.plan_products import Rows, geometry_of, loops_of, runs_of
from hapir.lowering.kernel.plan_stages import constant
from hapir.lowering.kernel.program_draft import Draft, Value
from hapir.lowering.kernel.register_tiles import cost_of, tiles_for
from hapir.lowering.kernel.steps import Borders, Convolution, PackBits
from hapir.weights import Array, WeightStore

MOST_BITS = 4
"""Of activations and of weights that are counted."""
MOST_COUNTS = 4
"""Pairs of planes that an AVX-512 core counts in the time of one product of bytes: 5.3 of them (5880 and 1100 GOPS)."""
PACK_CYCLES = 3.0
"""To pack a word of one plane."""


def plan_bits(
    op: nn.ProductOp, x: Value, draft: Draft, weights: WeightStore, origin: Origin
) -> tuple[Convolution, tuple[int, int]] | None:
    """The step of a layer over bit planes and the range of its sums; None where other kernels serve it better.

    Raises HapirError (HAP0714) where the layer's choice asks for bit planes and it has none.
    """
    geometry, arithmetic = geometry_of(op), arithmetic_of(op)
    rows = Rows.of(op, constant(weights, op.w, op), x)
    if arithmetic not in ("", BITS) or (not arithmetic and rows.key in draft.loaded):
        return None
    codes = None if x.bounds is None else codes_of(op.x, x.bounds)
    reason = refusal(geometry, rows.array, codes, modelled=op.multiplier is not None)
    if arithmetic == BITS and reason is not None:
        fail("HAP0714", f"this layer has no kernel on bit planes: {reason}", at=op, help="leave the choice open")
    if reason is not None or codes is None:
        return None
    planes = planes_of(rows.array, codes)
    if not arithmetic and not counts_pay(geometry, planes, codes):
        return None
    stored = None if op.bias is None else constant(weights, op.bias, op)
    bias = np.zeros(len(rows.array), np.int64) if stored is None else stored.astype(np.int64)
    finish = finish_of(rows.array, planes, codes)
    offset = bias + finish.constant
    partial = finish.reach * abs(finish.factor) + int(np.abs(offset).max(initial=0))
    if partial > INT32_MAX and arithmetic == BITS:
        fail("HAP0710", f"a sum of counts can reach {partial}, more than si32 holds", at=op, help="use fewer bits")
    if partial > INT32_MAX:
        return None
    step = _convolution(geometry, planes, codes, rows, offset, x, draft, origin)
    bounds = codes.low, codes.high
    reach = sum_range(rows.array, bias, bounds, codes.zero_point, bounds)
    return step, (reach.low, reach.high)


def codes_of(x: SSAValue, bounds: tuple[int, int]) -> Codes:
    """What an activation can be: its range, and whether it is one of a set of codes with gaps."""
    element = element_type(x)
    zero_point = zero_point_of(element)
    if not has_codes(x):
        return Codes(*bounds, 1, zero_point)
    low, high = code_range(element)
    step = step_of(element)
    first = low + -(-(max(bounds[0], low) - low) // step) * step
    return Codes(first, min(bounds[1], high), step, zero_point)


_MOVES = (
    *(nn.MaxPoolOp, nn.GlobalMaxPoolOp, nn.FlattenOp, nn.ReshapeOp, nn.TransposeOp, nn.SplitOp),
    *(nn.SliceOp, nn.TileOp, nn.GatherOp),
)
"""Ops whose results are elements of their operand."""


def has_codes(x: SSAValue) -> bool:
    """Whether all integers of a value are proven to be codes of its type: only real numbers quantize to others."""
    if not isinstance(codes := num.codes_of(element_type(x)), num.BipolarType | num.TernaryType):
        return False
    owner = x.owner
    if isinstance(x, BlockArgument):
        block = x.block.parent_op()
        return has_codes(block.inputs[x.index]) if isinstance(block, dataflow.LayerOp) else True
    match owner:
        case num.ThresholdOp():
            return True
        case dataflow.LayerOp():
            return has_codes(owner.yield_op.values[owner.results.index(x)])
        case nn.ConcatOp():
            return all(map(has_codes, owner.operands))
        case Operation() if isinstance(owner, _MOVES):
            return has_codes(owner.operands[0])
        case num.QuantizeOp():
            signs = isinstance(owner.x.owner, nn.SignOp) and codes == num.BipolarType(1)
            return signs and element_type(x) == num.AffineType(codes, FloatData(1.0), 0)
        case _:
            return False


def refusal(geometry: Geometry, rows: Array, codes: Codes | None, *, modelled: bool = False) -> str | None:
    """Why a layer cannot be computed on bit planes, as a clause; None where it can."""
    low, high = int(rows.min(initial=0)), int(rows.max(initial=0))
    if modelled:
        return "its products are a multiplier model's"
    if codes is None:
        return "its activations are no integers"
    if 1 < geometry.groups == geometry.channels:
        return "each of its filters reads one channel"
    if codes.low < -128 or codes.high > 255 or codes.bits > MOST_BITS:
        return f"its activations take {codes.bits} bits, and {MOST_BITS} is the most"
    if max(-low, high) >= 1 << MOST_BITS:
        return f"its weights reach {low if -low > high else high}, and {MOST_BITS} bits are the most"
    return None


def counts_pay(geometry: Geometry, planes: Planes, codes: Codes) -> bool:
    """Whether counting planes, with the packing of the activations, takes fewer cycles than multiplying bytes.

    For the host that nobody named. More pairs of planes than `MOST_COUNTS` never pay: bytes are as near.
    """
    if bits_for(geometry, planes, codes).counts > MOST_COUNTS:
        return False
    loops = loops_of(geometry, U8_I8)
    multiplied = cost_of(loops, U8_I8, tiles_for(loops, U8_I8, DEFAULT), DEFAULT)
    return counted(geometry, planes, codes, DEFAULT).cycles < multiplied.cycles


def counted(geometry: Geometry, planes: Planes, codes: Codes, host: Host) -> Cost:
    """Cycles of counting planes and of packing the activations."""
    contraction = bits_for(geometry, planes, codes)
    loops = loops_of(geometry, contraction)
    cost = cost_of(loops, contraction, tiles_for(loops, contraction, host), host)
    words = geometry.groups * _words(geometry) * contraction.elements
    packing = geometry.batch * geometry.height * geometry.width * words * PACK_CYCLES * host.registers_per_vector
    return Cost(cost.cycles + packing, cost.bound, cost.parts)


def bits_for(geometry: Geometry, planes: Planes, codes: Codes) -> Bits:
    """The contraction of a layer on bit planes."""
    window = geometry.window.kernel[0] * geometry.window.kernel[1]
    return Bits.of(planes, codes, window * _words(geometry))


def _words(geometry: Geometry) -> int:
    """Words of a pixel's plane in one group."""
    return -(-geometry.channels // geometry.groups // WORD)


def _convolution(
    geometry: Geometry,
    planes: Planes,
    codes: Codes,
    rows: Rows,
    bias: Int64,
    x: Value,
    draft: Draft,
    origin: Origin,
) -> Convolution:
    """The packing of the input, and the counts."""
    padding, words = geometry.window.padding, _words(geometry)
    low, positions = positions_of(codes, planes)
    frame = Frame.around(geometry.height, geometry.width, geometry.groups * words * len(positions), padding, 0)
    packed = draft.buffer("uint32_t", geometry.batch * frame.image)
    size = (geometry.batch, geometry.height, geometry.width)
    draft.add(PackBits(origin, packed, (), x.buffer, *size, geometry.channels, geometry.groups, low, positions, frame))
    window = geometry.window.kernel[0] * geometry.window.kernel[1]
    contraction = bits_for(geometry, planes, codes)
    runs = runs_of(replace(geometry, channels=frame.channels), frame, len(positions))
    tiles = rows.tiles or tiles_for(loops_of(geometry, contraction), contraction, DEFAULT)

    def pack(array: Array) -> Array:
        return pack_planes(array, planes, geometry.groups, window, tiles.superblock)

    return Convolution(
        origin,
        draft.buffer("int32_t", geometry.batch * geometry.rows * geometry.columns * geometry.filters),
        (),
        source=packed,
        frame=frame,
        geometry=geometry,
        contraction=contraction,
        runs=runs,
        tiles=tiles,
        weights=Table(f"{origin.layer}.weight", "uint32_t", pack(rows.array)),
        bias=Table(f"{origin.layer}.bias", "int32_t", bias.astype(np.int32)),
        borders=_borders(geometry, rows.array, codes, planes, origin) if any(padding) else None,
    )


def pack_planes(rows: Array, planes: Planes, groups: int, window: int, superblock: int) -> Array:
    """K x E -> groups x strips x words x `superblock` x planes x 16, flat, E being `window` taps of channels."""
    k, elements = rows.shape
    per_group, strip = k // groups, superblock * LANES
    bits = pack_words(weight_bits(rows.reshape(k, window, elements // window), planes))
    words = window * bits.shape[2]
    padded = np.zeros((groups, round_up(per_group, strip), words, planes.bits), np.uint32)
    padded[:, :per_group] = bits.reshape(groups, per_group, words, planes.bits)
    lanes = padded.reshape(groups, -1, superblock, LANES, words, planes.bits).transpose(0, 1, 4, 2, 5, 3)
    return np.ascontiguousarray(lanes).reshape(-1)


def _borders(geometry: Geometry, rows: Array, codes: Codes, planes: Planes, origin: Origin) -> Borders | None:
    """What sums lack where padding lies in their window: there words are 0, which means `offset` and not 0."""
    if codes.offset == 0 or planes.kind == "ternary":
        return None
    (r, s), (down, right) = geometry.window.kernel, geometry.window.dilation
    top, left = geometry.window.padding[:2]
    inside_rows = _inside(geometry.rows, geometry.window.stride[0], top, down, r, geometry.height)
    inside_columns = _inside(geometry.columns, geometry.window.stride[1], left, right, s, geometry.width)
    row_cases, row_of = _cases(inside_rows)
    column_cases, column_of = _cases(inside_columns)
    taps = rows.astype(np.int64).reshape(len(rows), r, s, -1).sum(axis=3)
    padded = ~(row_cases[:, None, :, None] & column_cases[None, :, None, :])
    values = -codes.offset * np.einsum("abrs,krs->abk", padded.astype(np.int64), taps)
    return Borders(
        Table(f"{origin.layer}.rows", "uint8_t" if len(row_cases) < 256 else "uint16_t", row_of),
        Table(f"{origin.layer}.columns", "uint8_t" if len(column_cases) < 256 else "uint16_t", column_of),
        len(column_cases),
        Table(f"{origin.layer}.borders", "int32_t", values.astype(np.int32).reshape(-1)),
    )


def _inside(results: int, stride: int, before: int, dilation: int, taps: int, size: int) -> np.ndarray:
    """Per result and tap of one axis, whether the tap reads the map."""
    places = np.arange(results)[:, None] * stride - before + np.arange(taps) * dilation
    return (places >= 0) & (places < size)


def _cases(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different rows, that without padding first, and which one each row is."""
    whole = np.ones((1, inside.shape[1]), np.bool_)
    cases, of = np.unique(np.concatenate([~whole, ~inside]), axis=0, return_inverse=True)
    return ~cases, of.reshape(-1)[1:]
