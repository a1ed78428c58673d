"""The layer program: one wide instruction per layer, and the image of the outside memory that goes with it.

Fields are as wide as the largest value of the program needs; coordinates and byte addresses wrap modulo their width.
Memory, in words: for each layer its weight stream (per output-channel tile the row tiles, rows of one byte per column;
before the last row tile the parameters of the channels), then the input planes, then the output planes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hapir.lowering.schedule.conv_work import ConvWork, LayerData
from hapir.lowering.schedule.weight_stationary import LayerPlan
from hapir.lowering.schedule.ws_machine import PARAMETER_BITS

SIGNED_BYTE_BITS = 9
"""Bytes of either sign travel as 9-bit signed numbers where they are compared."""


@dataclass(frozen=True)
class Field:
    """One instruction field and its value in every layer."""

    name: str
    width: int
    values: tuple[int, ...]


@dataclass(frozen=True)
class Program:
    """Instruction layout and values, and where things lie in the outside memory (addresses in words)."""

    fields: tuple[Field, ...]
    weight_base: tuple[int, ...]
    input_base: int
    output_base: int
    memory_words: int
    coordinate_bits: int
    byte_bits: int
    address_bits: int

    def __getitem__(self, name: str) -> Field:
        return next(f for f in self.fields if f.name == name)

    def width(self, name: str) -> int:
        """Bits of a field."""
        return self[name].width

    def ports(self, *names: str) -> dict[str, int]:
        """Fields as input ports of a module."""
        return {name: self.width(name) for name in names}

    @property
    def instruction_bits(self) -> int:
        """Bits of an instruction."""
        return sum(f.width for f in self.fields)

    def instructions(self) -> list[int]:
        """The ROM: fields packed from bit 0 up, in order."""
        words: list[int] = []
        for layer in range(len(self.weight_base)):
            word = position = 0
            for f in self.fields:
                word |= f.values[layer] << position
                position += f.width
            words.append(word)
        return words


def make_program(plans: Sequence[LayerPlan]) -> Program:
    """Lay out memory and encode every layer."""
    weight_base: list[int] = []
    words = 0
    for plan in plans:
        weight_base.append(words)
        words += plan.stream_words
    input_base = words
    output_base = input_base + plans[0].input_words
    memory_words = output_base + plans[-1].output_words
    coordinate_bits = max(_coordinate_bits(plan.work) for plan in plans)
    byte_bits = max(max(1, (p.input_plane_words * p.machine.word_bytes - 1).bit_length()) for p in plans)
    encoded = [
        _encode(plan, coordinate_bits, byte_bits, base, input_base, output_base)
        for plan, base in zip(plans, weight_base, strict=True)
    ]
    fixed = {"low": SIGNED_BYTE_BITS, "high": SIGNED_BYTE_BITS, "zero_point": SIGNED_BYTE_BITS, "pad": 8}
    fixed |= dict.fromkeys(_COORDINATES, coordinate_bits) | dict.fromkeys(_BYTES, byte_bits)
    fields: list[Field] = []
    for name in encoded[0]:
        values = tuple(e[name] for e in encoded)
        width = fixed.get(name, max(1, max(values).bit_length()))
        fields.append(Field(name, width, tuple(v % (1 << width) for v in values)))
    address_bits = max(1, (memory_words - 1).bit_length())
    return Program(
        tuple(fields),
        tuple(weight_base),
        input_base,
        output_base,
        memory_words,
        coordinate_bits,
        byte_bits,
        address_bits,
    )


_COORDINATES = ("height", "width", "y_first", "x_first", "step_x", "line_y", "line_x", "next_y", "next_x", "wrap_y",
                "tap_dy", "tap_dx")  # fmt: skip
_BYTES = ("byte_first", "step_byte", "line_byte", "next_byte", "wrap_byte", "tap_step", "tap_wrap")


def _coordinate_bits(work: ConvWork) -> int:
    """Bits for coordinates from -padding to the far side of the padded map, negative ones as wrapped large ones."""
    pool = work.pool
    pool_reach = max(pool.kernel) * max(work.window.stride) if pool else 0
    reach = max(work.height, work.width) + 2 * max(work.window.padding) + max(work.window.extent)
    return (2 * (reach + pool_reach + max(work.window.stride) * (1 + (max(pool.stride) if pool else 0)))).bit_length()


def _encode(
    plan: LayerPlan, coordinate_bits: int, byte_bits: int, weight_base: int, input_base: int, output_base: int
) -> dict[str, int]:
    """All fields of one layer; coordinates and byte addresses may be negative here."""
    work, machine, tiles = plan.work, plan.machine, plan.row_tiles
    (sy, sx), (dy, dx), width = work.window.stride, work.window.dilation, work.width
    kernel_r, kernel_s = work.window.kernel
    top, left = work.window.padding[:2]
    (kh, kw), (py, px) = (work.pool.kernel, work.pool.stride) if work.pool else ((1, 1), (1, 1))
    _, q = work.output_size
    mask = sum(1 << b for b in range(0, tiles.full_rows, work.channels)) if tiles.packed else 1

    def flat(y: int, x: int) -> int:
        return y * width + x

    line = (sy, -(kw - 1) * sx)
    following = (-(kh - 1) * sy, px * sx - (kw - 1) * sx)
    wrap_y = (py - (kh - 1)) * sy
    wrap_x = -((q - 1) * px + kw - 1) * sx
    return {
        "load": int(plan.load),
        "store": int(plan.store),
        "weight_base": weight_base,
        "input_base": input_base if plan.load else 0,
        "input_words": plan.input_words if plan.load else 0,
        "input_plane": plan.input_plane_words,
        "input_banks": mask,
        "output_base": output_base if plan.store else 0,
        "output_words": plan.output_words if plan.store else 0,
        "output_plane": plan.output_plane_words,
        "output_step": machine.cols // machine.rows * plan.output_plane_words,
        "pixel_tile_last": plan.pixel_tiles - 1,
        "col_tile_last": plan.column_tiles - 1,
        "row_tile_last": tiles.count - 1,
        "tail_from": tiles.count - tiles.tail,
        "rows_full": tiles.full_rows,
        "rows_tail": tiles.tail_rows,
        "words_full": tiles.full_rows * machine.words_per_row,
        "words_tail": tiles.tail_rows * machine.words_per_row,
        "cols_last": plan.last_columns,
        "windows_full_last": plan.windows_per_tile - 1,
        "windows_tail_last": plan.last_windows - 1,
        "pool_x_last": kw - 1,
        "pool_y_last": kh - 1,
        "window_x_last": q - 1,
        "height": work.height,
        "width": width,
        "y_first": -top,
        "x_first": -left,
        "byte_first": flat(-top, -left),
        "step_x": sx,
        "step_byte": sx,
        "line_y": line[0],
        "line_x": line[1],
        "line_byte": flat(*line),
        "next_y": following[0],
        "next_x": following[1],
        "next_byte": flat(*following),
        "wrap_y": wrap_y,
        "wrap_byte": flat(wrap_y, wrap_x),
        "packed": int(tiles.packed),
        "channel_last": work.channels - 1 if tiles.packed else 0,
        "tap_x_last": kernel_s - 1,
        "tap_y_last": kernel_r - 1,
        "tap_dx": dx,
        "tap_dy": dy,
        "tap_step": dx,
        "tap_wrap": flat(dy, -(kernel_s - 1) * dx),
        "pad": work.x_type.zero_point.data,
        "zero_point": work.y_type.zero_point.data,
        "low": work.low,
        "high": work.high,
    }


def row_weights(plan: LayerPlan, weights: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """The weights of every row tile: arrays [column tile, row, column], in the order the array takes them."""
    work, machine, tiles = plan.work, plan.machine, plan.row_tiles
    taps = work.taps
    padded = np.zeros((plan.column_tiles * machine.cols, work.channels, taps), np.int64)
    padded[: work.filters] = weights.reshape(work.filters, work.channels, taps)
    columns = padded.reshape(plan.column_tiles, machine.cols, work.channels, taps)
    found: list[npt.NDArray[np.int64]] = []
    for index in range(tiles.count):
        if tiles.packed:
            at_once = tiles.full_rows // work.channels
            chosen = range(index * at_once, min((index + 1) * at_once, taps))
            rows = [columns[:, :, c, t] for t in chosen for c in range(work.channels)]
        else:
            group, tap = divmod(index, taps)
            chosen = range(group * machine.rows, min((group + 1) * machine.rows, work.channels))
            rows = [columns[:, :, c, tap] for c in chosen]
        found.append(np.stack(rows, axis=1))
    return found


def weight_stream(plan: LayerPlan, data: LayerData) -> npt.NDArray[np.uint8]:
    """The bytes of one layer's weight stream, whole words."""
    machine, work = plan.machine, plan.work
    row_bytes = machine.words_per_row * machine.word_bytes
    tiles: list[npt.NDArray[np.uint8]] = []
    for rows in row_weights(plan, data.weights):
        padded = np.zeros((*rows.shape[:2], row_bytes), np.uint8)
        padded[:, :, : machine.cols] = rows.astype(np.int8).view(np.uint8)
        tiles.append(padded.reshape(plan.column_tiles, -1))
    parameters = np.zeros(plan.column_tiles * machine.cols, np.uint64)
    bias = (data.bias % (1 << 32)).astype(np.uint64)
    packed = (
        bias | (data.multiplier.astype(np.uint64) << np.uint64(32)) | (data.shift.astype(np.uint64) << np.uint64(56))
    )
    parameters[: work.filters] = packed
    lines = np.zeros((plan.column_tiles, machine.parameter_words * machine.word_bytes), np.uint8)
    lines[:, : machine.cols * PARAMETER_BITS // 8] = (
        parameters.astype("<u8").view(np.uint8).reshape(plan.column_tiles, machine.cols * PARAMETER_BITS // 8)
    )
    tiles.insert(len(tiles) - 1, lines)
    return np.concatenate(tiles, axis=1).reshape(-1)


def memory_image(plans: Sequence[LayerPlan], program: Program, data: Mapping[str, LayerData]) -> npt.NDArray[np.uint8]:
    """The outside memory before the run, in bytes: every weight stream; input and output areas are zero."""
    image = np.zeros(program.memory_words * plans[0].machine.word_bytes, np.uint8)
    for plan, base in zip(plans, program.weight_base, strict=True):
        stream = weight_stream(plan, data[plan.work.name])
        start = base * plan.machine.word_bytes
        image[start : start + len(stream)] = stream
    return image


def pack_input(plan: LayerPlan, x: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Inputs N x C x H x W (or N x C) of the storage type as bytes in memory order: N x (C planes of whole words)."""
    return _planes(x, plan.work.channels, plan.input_plane_words * plan.machine.word_bytes)


def pack_output(plan: LayerPlan, y: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Outputs N x K x P x Q as the hardware leaves them in the output area; bytes beyond a plane are 0."""
    return _planes(y, plan.work.filters, plan.output_plane_words * plan.machine.word_bytes)


def _planes(values: npt.NDArray[np.generic], channels: int, plane_bytes: int) -> npt.NDArray[np.uint8]:
    planes = np.ascontiguousarray(values).reshape(len(values), channels, -1).view(np.uint8)
    padded = np.zeros((len(values), channels, plane_bytes), np.uint8)
    padded[:, :, : planes.shape[2]] = planes
    return padded.reshape(len(values), -1)


def unpack_output(plan: LayerPlan, area: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The inverse for the output area: N x bytes to N x K x (P * Q), raw bytes."""
    plane = plan.output_plane_words * plan.machine.word_bytes
    return area.reshape(len(area), plan.work.filters, plane)[:, :, : plan.windows]
