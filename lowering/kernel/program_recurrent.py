"""The step of a recurrent layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hapir.dialects.nn_cell import CellActivation
from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.steps import Step

Part = Literal[
    "weight_input", "weight_hidden", "bias_input", "bias_hidden", "peephole", "initial_h", "initial_c", "lengths"
]
"""What a cell reads beside its sequence."""


@dataclass(frozen=True)
class Recurrent(Step):
    """A cell that walks over the steps of N T C.

    `sources` is the sequence, and then the buffers of the parts that `given` names; `tables` are the parts that are
    constants. Weights lie `[input][gate]` and `[hidden][gate]` in both. An initial state is a row per sequence, or,
    where `shared` names it, one for all. `hidden` and `cell` are buffers N H that hold the last state afterwards;
    `gates` is scratch: two rows of all gates. `clip` and `reset_before` are those of the op.
    """

    kind: Literal["lstm", "gru", "rnn"]
    sources: tuple[int, ...]
    given: tuple[Part, ...]
    tables: tuple[tuple[Part, Table], ...]
    batch: int
    length: int
    inputs: int
    units: int
    gate_count: int
    reverse: bool
    shared: tuple[Part, ...]
    activations: tuple[CellActivation, ...]
    clip: float | None
    reset_before: bool
    gates: int
    hidden: int
    cell: int | None

    @property
    def own_reads(self) -> tuple[int, ...]:
        return self.sources

    @property
    def own_scratch(self) -> tuple[int, ...]:
        """The states may be read later."""
        return (self.gates, self.hidden, *(() if self.cell is None else (self.cell,)))

    @property
    def own_tables(self) -> tuple[Table | None, ...]:
        return tuple(table for _, table in self.tables)

    @property
    def rows(self) -> int:
        """The sums of a step: those of all gates."""
        return self.gate_count * self.units

    @property
    def macs(self) -> int:
        """The multiply-accumulates of all steps."""
        return self.batch * self.length * self.rows * (self.inputs + self.units)

    def has(self, part: Part) -> bool:
        """Whether the cell reads a part."""
        return part in self.given or any(part == name for name, _ in self.tables)
