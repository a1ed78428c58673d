"""The C program of a network as data: what an emitter prints, with every decision already made.

A `Program` is a list of steps over numbered buffers. A step names its kernel, its geometry, its constant tables (packed
already) and the stages that finish each element; a buffer knows its home and, in the arena, its byte offset. Maps lie
channels-last (N H W C) inside the program; inputs and results keep the network's order (N C H W).

Invariants: steps are in execution order; a buffer in the arena overlaps no other that is live at the same step; every
integer sum was proven to fit 32 bits with the weights at hand, so the C text needs no overflow check.
"""

from __future__ import annotations

from dataclasses import dataclass

from hapir.lowering.kernel.buffers import Buffer, Table
from hapir.lowering.kernel.steps import Step


@dataclass(frozen=True)
class Port:
    """An input or result: its name in the spec, its buffer, its shape in the network's order, its type in words."""

    name: str
    buffer: int
    shape: tuple[int, ...]
    meaning: str


@dataclass(frozen=True)
class Program:
    """A network ready to be printed. `live_bytes` is the lower bound: the most bytes live at one step."""

    name: str
    inputs: tuple[Port, ...]
    results: tuple[Port, ...]
    buffers: tuple[Buffer, ...]
    steps: tuple[Step, ...]
    tables: tuple[Table, ...]
    arena_bytes: int
    live_bytes: int

    @property
    def weight_bytes(self) -> int:
        """Bytes of all constant tables."""
        return sum(t.size_bytes for t in self.tables)
