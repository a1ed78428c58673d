"""The weights of layers as one file that kernels read in place: tables one after the other, each at its alignment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.plan_arena import aligned
from hapir.lowering.kernel.program import Program


@dataclass(frozen=True, eq=False)
class Placed:
    """A table and its first byte in the file."""

    table: Table
    offset: int


@dataclass(frozen=True, eq=False)
class Image:
    """The file: its tables in order, and its bytes; wide elements store the smallest byte first."""

    placed: tuple[Placed, ...]
    data: bytes


def plan_image(program: Program) -> Image:
    """The tables that functions take from their caller: the weights of layers. Biases and the like stay constants."""
    placed: list[Placed] = []
    data = bytearray()
    for table in program.tables:
        if table.source is not None:
            placed.append(Placed(table, len(data)))
            little = table.values.astype(table.values.dtype.newbyteorder("<"), copy=False)
            data += np.ascontiguousarray(little).tobytes()
            data += bytes(aligned(len(data)) - len(data))
    return Image(tuple(placed), bytes(data))
