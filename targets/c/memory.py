"""What a network in C takes, to the byte: its context, its constants, and both layer by layer.

Laws: the rows' `weight_bytes` add up to those of the network, since a constant counts where it is read first; the
largest `live_bytes` of a row is that of the network; each table has the size of its symbol in the object file, the
context that of its struct.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.c_types import CType
from hapir.lowering.kernel.contraction import F32, U8_I8, Contraction
from hapir.lowering.kernel.plan_arena import most_live
from hapir.lowering.kernel.program import Program
from hapir.lowering.kernel.program_draft import arena_of, live_blocks, tables_of
from hapir.lowering.kernel.program_recurrent import Recurrent
from hapir.lowering.kernel.steps import (
    Convolution,
    Depthwise,
    KernelStep,
    Matmul,
    Step,
    TransposedConvolution,
    reads,
    scratch,
)


@dataclass(frozen=True)
class Work:
    """What a step does, for rooflines: the layers joined in it, how it multiplies, and what it reads and writes.

    `constant_bytes` are all constants that it reads, `value_bytes` its inputs, results and working memory.
    """

    layers: tuple[str, ...]
    contraction: Contraction | None
    constant_bytes: int
    value_bytes: int


@dataclass(frozen=True)
class LayerRow:
    """One step in figures: its layer, its kernel, multiply-accumulates, and bytes.

    `arena_bytes` are those of the arena that it touches, `live_bytes` those in use while it runs, other layers' values
    included; `weight_bytes` are constants that no layer before reads, `loaded_bytes` such tables of a weights file.
    """

    layer: str
    kernel: str
    macs: int
    arena_bytes: int
    live_bytes: int
    weight_bytes: int
    loaded_bytes: int
    work: Work


@dataclass(frozen=True)
class TableRow:
    """A constant in figures: its symbol, what it is, its elements, its bytes, and the first step that reads it."""

    symbol: str
    role: str
    ctype: CType
    elements: int
    bytes: int
    layer: int


SHOWN = ("layer", "kernel", "macs", "arena_bytes", "live_bytes", "weight_bytes", "loaded_bytes")
"""The figures of a row."""


def figures(row: LayerRow, names: Sequence[str] = SHOWN) -> dict[str, str | int]:
    """Those figures of a row by name."""
    return {name: getattr(row, name) for name in names}


def layer_rows(program: Program, loaded: Collection[int]) -> tuple[LayerRow, ...]:
    """A row per step; `loaded` are the tables, by object, that are read from a file."""
    first = _first_readers(program)
    blocks = live_blocks(program)
    rows: list[LayerRow] = []
    for number, step in enumerate(program.steps):
        own = [t for t in program.tables if first[id(t)] == number]
        in_file = sum(t.size_bytes for t in own if id(t) in loaded)
        rows.append(
            LayerRow(
                step.origin.layer,
                type(step).__name__.lower(),
                macs_of(step),
                arena_of(step, program),
                most_live([block for block in blocks if block.first <= number <= block.last]),
                sum(t.size_bytes for t in own) - in_file,
                in_file,
                _work(step, program),
            )
        )
    return tuple(rows)


def _work(step: Step, program: Program) -> Work:
    values = [program.buffers[b] for b in {*reads(step), step.target, *scratch(step)}]
    return Work(
        step.origin.fused or (step.origin.layer,),
        _contraction(step, program),
        sum(t.size_bytes for t in tables_of(step, program.buffers)),
        sum(b.size_bytes for b in values if b.home != "constant"),
    )


def _contraction(step: Step, program: Program) -> Contraction | None:
    """How a step multiplies: its own contraction, else the common one of its type; None where none is known."""
    own = getattr(step, "contraction", None)
    if isinstance(own, Contraction):
        return None if own.name == "model" else own
    if macs_of(step) == 0:
        return None
    return F32 if program.buffers[reads(step)[0]].ctype == "float" else U8_I8


def table_rows(program: Program, constants: Sequence[Table], symbols: Mapping[int, str]) -> tuple[TableRow, ...]:
    """A row per constant, in the order of their definitions."""
    first = _first_readers(program)
    return tuple(
        TableRow(symbols[id(t)], t.role, t.ctype, t.values.size, t.size_bytes, first[id(t)]) for t in constants
    )


def _first_readers(program: Program) -> dict[int, int]:
    """The first step that reads each table."""
    first: dict[int, int] = {}
    for number, step in enumerate(program.steps):
        for table in tables_of(step, program.buffers):
            first.setdefault(id(table), number)
    return first


def macs_of(step: Step) -> int:
    """The multiply-accumulates of a step's layer, those with zeros included."""
    if isinstance(step, Convolution | Depthwise | KernelStep):
        return step.geometry.macs
    if isinstance(step, TransposedConvolution):
        g = step.geometry
        return g.batch * g.height * g.width * step.weights.values.size
    if isinstance(step, Recurrent):
        return step.macs
    if isinstance(step, Matmul):
        return step.batch * step.m * step.k * step.p
    return 0
