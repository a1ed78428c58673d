"""Memory of a C program: constant tables, buffers, and maps inside of larger buffers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from hapir.lowering.kernel.c_types import CType, size_of
from hapir.weights import Array

ALIGNMENT = 64
"""Bytes; every buffer and table starts at a multiple (one cache line, one 512-bit vector)."""


@dataclass(frozen=True)
class Source:
    """The parameter that a table holds in another order: its weight key, and what moves its elements there."""

    key: str
    arrange: Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class Table:
    """A constant array; `role` is its name before mangling (`c1.weight`). Values are flat and of the ctype's dtype.

    `source` is known of the weights of layers, which may be decoded when the program starts.
    """

    role: str
    ctype: CType
    values: Array = field(repr=False)
    source: Source | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes in the weights unit."""
        return self.values.size * size_of(self.ctype)


SLACK = 64
"""Bytes behind every buffer of the arena that kernels may read: whole words and vectors at the end of a row."""


@dataclass(frozen=True)
class Frame:
    """How a channels-last map lies in a larger buffer, all in elements.

    `pitch` is from row to row and `image` from map to map, `start` where the first map begins; what lies around the
    maps is `fill`, written by the step that writes the maps. `rows` and `columns` are those of the frame.
    """

    rows: int
    columns: int
    channels: int
    top: int
    left: int
    fill: int | float

    @staticmethod
    def around(height: int, width: int, channels: int, padding: tuple[int, int, int, int], fill: float) -> Frame:
        """The frame of a map with padding top, left, bottom, right."""
        top, left, bottom, right = padding
        return Frame(height + top + bottom, width + left + right, channels, top, left, fill)

    @property
    def pitch(self) -> int:
        """From row to row."""
        return self.columns * self.channels

    @property
    def image(self) -> int:
        """From map to map: the elements of one frame."""
        return self.rows * self.pitch

    @property
    def start(self) -> int:
        """Where the first map begins."""
        return self.top * self.pitch + self.left * self.channels


@dataclass(frozen=True)
class Buffer:
    """Memory of one value. `offset` is in bytes within the arena; `table` is set for constants only."""

    ctype: CType
    length: int
    home: Literal["arena", "input", "output", "constant"]
    offset: int = 0
    table: Table | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes, without alignment."""
        return self.length * size_of(self.ctype)
