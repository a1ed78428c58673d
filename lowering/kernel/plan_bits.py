"""Convolutions and dense layers of few bits: bit planes that are counted, or weights stored as codes.

Planes serve where counting is cheaper than multiplying bytes: an instruction that counts 512 bits does the work of
eight that multiply 64 bytes, so planes pay up to 4 pairs of them (`counts_pay`). Everything else whose weights have at
most 16 levels keeps them as codes of 1 to 4 bits, which are looked up in registers and multiplied as bytes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from xdsl.dialects.builtin import FloatData
from xdsl.ir import BlockArgument, Operation, SSAValue

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
from hapir.lowering.kernel.contraction_bits import Bits
from hapir.lowering.kernel.pack_weights import INT32_MAX, Int64, round_up, sum_range
from hapir.lowering.kernel.plan_products import Rows, geometry_of, one_row, runs_of
from hapir.lowering.kernel.plan_stages import constant
from hapir.lowering.kernel.program import (
    LANES,
    Borders,
    Convolution,
    Frame,
    Geometry,
    Origin,
    PackBits,
    Table,
)
from hapir.lowering.kernel.program_draft import Draft, Value
from hapir.lowering.kernel.register_tiles import bit_tiles
from hapir.weights import Array, WeightStore

COUNT_COST = 0.75
"""Cycles of one count (combine, count, add) of a vector on a core that starts four vector instructions a cycle."""
DOT_COST = 0.5
"""Cycles of a product of 64 bytes, of which such a core starts two."""
PACK_COST = 4.0
"""Cycles per plane and word of packing activations."""


def plan_bits(
    op: nn.ProductOp, x: Value, draft: Draft, weights: WeightStore, origin: Origin, *, asked: bool = False
) -> tuple[Convolution, tuple[int, int]] | None:
    """The step of a layer over bit planes and the range of its sums; None where other kernels serve it better.

    Where it is `asked` for, None means that there is no such kernel.
    """
    geometry = geometry_of(op)
    narrow = draft.buffers[x.buffer].ctype in ("uint8_t", "int8_t")
    if (
        op.multiplier is not None
        or x.bounds is None
        or not narrow
        or 1 < geometry.groups == geometry.channels == geometry.filters
    ):
        return None
    rows = Rows.of(op, constant(weights, op.w, op), x)
    codes = codes_of(op.x, x.bounds)
    planes = planes_for(rows.array, codes)
    if planes is None or not (asked or counts_pay(geometry, planes, codes)):
        return None
    stored = None if op.bias is None else constant(weights, op.bias, op)
    bias = np.zeros(len(rows.array), np.int64) if stored is None else stored.astype(np.int64)
    finish = finish_of(rows.array, planes, codes)
    offset = bias + finish.constant
    if finish.reach * abs(finish.factor) + int(np.abs(offset).max(initial=0)) > INT32_MAX:
        return None  # the byte kernels say what is wrong, if anything is
    step = _convolution(geometry, planes, codes, rows, offset, x, draft, origin)
    reach = sum_range(rows.array, bias, x.bounds, codes.zero_point, x.bounds)
    return step, (reach.low, reach.high)


def codes_of(x: SSAValue, bounds: tuple[int, int]) -> Codes:
    """What an activation can be: its range, and whether all of it is odd."""
    element = element_type(x)
    zero_point = zero_point_of(element)
    if not has_steps(x):
        return Codes(*bounds, 1, zero_point)
    low, high = code_range(element)
    step = step_of(element)
    first = low + -(-(max(bounds[0], low) - low) // step) * step
    return Codes(first, min(bounds[1], high), step, zero_point)


_MOVES = (nn.MaxPoolOp, nn.GlobalMaxPoolOp, nn.FlattenOp, nn.ReshapeOp, nn.TransposeOp, nn.SplitOp)
"""Ops whose results are elements of their operand."""


def has_steps(x: SSAValue) -> bool:
    """Whether all integers of a value are proven to be codes of its type: only real numbers quantize to others."""
    if step_of(element_type(x)) == 1:
        return False
    owner = x.owner
    if isinstance(x, BlockArgument):
        block = x.block.parent_op()
        return has_steps(block.inputs[x.index]) if isinstance(block, dataflow.LayerOp) else True
    match owner:
        case num.ThresholdOp():
            return True
        case dataflow.LayerOp():
            return has_steps(owner.yield_op.values[owner.results.index(x)])
        case nn.ConcatOp():
            return all(map(has_steps, owner.operands))
        case Operation() if isinstance(owner, _MOVES):
            return has_steps(owner.operands[0])
        case num.QuantizeOp():
            return isinstance(owner.x.owner, nn.SignOp) and element_type(x) == _SIGNS
        case _:
            return False


_SIGNS = num.AffineType(num.BipolarType(1), FloatData(1.0), 0)


def planes_for(rows: Array, codes: Codes) -> Planes | None:
    """How the weights of a layer meet such activations with the fewest counts; None where both are wide."""
    low, high = int(rows.min(initial=0)), int(rows.max(initial=0))
    if codes.bits > 4 or max(-low, high) > 15:
        return None
    planes = planes_of(rows)
    if codes.is_ternary and low >= -1 and high <= 1 and planes.bits * codes.bits > 2:
        return Planes("ternary", 2)
    return planes


def pairs(planes: Planes, codes: Codes) -> int:
    """Counts of a word."""
    return 2 if planes.kind == "ternary" else planes.bits * codes.bits


def counts_pay(geometry: Geometry, planes: Planes, codes: Codes) -> bool:
    """Whether counting planes, with the packing of the activations, takes fewer cycles than multiplying bytes."""
    taps = geometry.window.kernel[0] * geometry.window.kernel[1]
    channels = geometry.channels // geometry.groups
    row = geometry.window.kernel[1] * channels if geometry.groups == 1 else channels
    dots = _vectors(geometry) * -(-row // 4) * (taps * channels // row) * DOT_COST
    return counted_cycles(geometry, planes, codes) < dots


def counted_cycles(geometry: Geometry, planes: Planes, codes: Codes) -> float:
    """Cycles of counting planes and of packing the activations, where one register holds a vector."""
    taps = geometry.window.kernel[0] * geometry.window.kernel[1]
    words = -(-geometry.channels // geometry.groups // WORD)
    counts = _vectors(geometry) * taps * words * pairs(planes, codes) * COUNT_COST
    packing = geometry.batch * geometry.height * geometry.width * geometry.groups * words * codes.bits * PACK_COST
    return counts + packing


def _vectors(geometry: Geometry) -> int:
    """Vectors of results."""
    per_group = -(-(geometry.filters // geometry.groups) // LANES)
    return geometry.batch * geometry.rows * geometry.columns * per_group * geometry.groups


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
    channels, padding = geometry.channels // geometry.groups, geometry.window.padding
    words = -(-channels // WORD)
    low, positions = positions_of(codes, planes)
    if not any(padding):
        geometry = one_row(geometry)
    frame = Frame.around(geometry.height, geometry.width, geometry.groups * words * len(positions), padding, 0)
    packed = draft.buffer("uint32_t", geometry.batch * frame.image)
    size = (geometry.batch, geometry.height, geometry.width)
    draft.add(PackBits(origin, packed, (), x.buffer, *size, geometry.channels, geometry.groups, low, positions, frame))
    window = geometry.window.kernel[0] * geometry.window.kernel[1]
    contraction = Bits.of(planes, codes, window * words)
    runs = runs_of(replace(geometry, channels=frame.channels), frame, len(positions))
    tiles = bit_tiles(geometry.columns, geometry.filters // geometry.groups, contraction)

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
