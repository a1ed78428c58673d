"""What a weight quantizer gives: codes, and the table that says which reals they stand for. Plain numpy, no IR.

Three kinds, as `num` has types for them: integers with a scale per block, indices into levels, and bits that choose the
signs of bases. `reals` is the exact meaning of each, in f32; the reference interpreter computes it by the functions
here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hapir.dialects.formats import Bipolar, Integer, Ternary

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
CodeArray = npt.NDArray[np.integer]


def spread(blocks: npt.NDArray[np.floating], shape: tuple[int, ...]) -> npt.NDArray[np.floating]:
    """An array of blocks, repeated along each axis to a shape whose sizes its own divide; axes of size 1 broadcast."""
    for axis, (count, size) in enumerate(zip(blocks.shape, shape, strict=True)):
        if count not in (1, size):
            blocks = np.repeat(blocks, size // count, axis)
    return blocks


def fits_blocks(blocks: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether an array of blocks can be spread to a shape."""
    return len(blocks) == len(shape) and all(n > 0 and size % n == 0 for n, size in zip(blocks, shape, strict=True))


def scaled_reals(codes: CodeArray, scales: npt.NDArray[np.floating]) -> Singles:
    """`scale * q`, the product in f64 and rounded once to f32."""
    return (codes * spread(scales.astype(np.float64), codes.shape)).astype(np.float32)


def codebook_reals(codes: CodeArray, levels: npt.NDArray[np.floating]) -> Singles:
    """`levels[c]`, or `levels[i][c]` in block i of as many equal blocks of axis 0 as there are rows of levels."""
    table = levels.astype(np.float32)
    if table.ndim == 1:
        return table[codes]
    reals = np.empty(codes.shape, np.float32)
    rows = len(codes) // len(table)
    for i, row in enumerate(table):
        reals[i * rows : (i + 1) * rows] = row[codes[i * rows : (i + 1) * rows]]
    return reals


def planes_reals(codes: CodeArray, bases: npt.NDArray[np.floating]) -> Singles:
    """`sum_i bases[i] * (2 * bit_i - 1)` over the bits of each code, summed from bit 0 up in f64, rounded once to f32.

    Each of the 2^M sums is made once and looked up.
    """
    table = bases.astype(np.float64)
    codes_there_are = np.arange(1 << table.shape[-1], dtype=np.int64)
    sums: Floats = np.zeros((*table.shape[:-1], codes_there_are.size), np.float64)
    for i in range(table.shape[-1]):
        sums = sums + table[..., i, np.newaxis] * ((codes_there_are >> i & 1) * 2 - 1)
    return codebook_reals(codes, sums.astype(np.float32))


@dataclass(frozen=True, eq=False)
class Scaled:
    """Raw numbers of a format with scales: real = scale * code.

    `codes` are numbers of `format` (-1, 0, 1 of a ternary one), int8 up to 8 bits, else int16 or int32. `scales` are
    positive f32 of the codes' rank; each of its sizes divides that of the codes (see `spread`).
    """

    codes: CodeArray
    format: Integer | Bipolar | Ternary
    scales: Singles

    @property
    def bits(self) -> int:
        """Bits of a packed code."""
        return self.format.bits

    @property
    def zero_code(self) -> int | None:
        """The code that means 0; None for bipolar numbers, which have none."""
        return None if isinstance(self.format, Bipolar) else 0

    def reals(self) -> Singles:
        """What the codes mean."""
        return scaled_reals(self.codes, self.scales)


@dataclass(frozen=True, eq=False)
class Codebook:
    """Indices into levels: real = levels[code].

    `codes` are unsigned. `levels` are f32 in ascending order: L of them, or G rows of L, one row for
    each of G equal blocks of axis 0 (the gates of a recurrent layer, or single channels). A row may repeat its first
    and last level.
    """

    codes: CodeArray
    levels: Singles

    @property
    def bits(self) -> int:
        """Bits of a packed code: enough for the last level, at least one."""
        return max(1, (self.levels.shape[-1] - 1).bit_length())

    @property
    def zero_code(self) -> int | None:
        """The index of the level 0, where each row has it at the same place."""
        found = np.flatnonzero((self.levels == 0).reshape(-1, self.levels.shape[-1]).all(axis=0))
        return int(found[0]) if len(found) else None

    def reals(self) -> Singles:
        """What the codes mean."""
        return codebook_reals(self.codes, self.levels)


@dataclass(frozen=True, eq=False)
class Planes:
    """Bits that choose the signs of bases: real = sum_i bases[i] * (2 * bit_i - 1).

    `codes` are unsigned, bit 0 belongs to base 0. `bases` are f32: M of them, or G rows of M,
    one row for each of G equal blocks of axis 0.
    """

    codes: CodeArray
    bases: Singles

    @property
    def bits(self) -> int:
        """Bits of a packed code, one per base."""
        return self.bases.shape[-1]

    @property
    def zero_code(self) -> int | None:
        """None: a sum of bases that cancels is no code of its own."""
        return None

    def reals(self) -> Singles:
        """What the codes mean."""
        return planes_reals(self.codes, self.bases)


Coded = Scaled | Codebook | Planes
"""What a weight quantizer gives."""
