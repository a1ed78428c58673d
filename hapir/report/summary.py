"""What a network is made of, counted from its IR: layers, parameters, multiply-accumulates, accesses to memory."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from xdsl.ir import SSAValue

from hapir.diagnostics import Diagnostic
from hapir.dialects.nn import LayerOp, NetworkOp, WeightOp
from hapir.dialects.nn_macs import macs
from hapir.dialects.nn_shapes import text
from hapir.dialects.num import shape_of
from hapir.report.table import table

ACCESSES_PER_MAC = 4
"""Activation, weight and partial sum are read, the sum is written (Sze et al., Proc. IEEE 105(12), 2017, fig. 21)."""


@dataclass(frozen=True)
class LayerSummary:
    """One layer: its name, its op, the shape it gives, its parameters, and its MACs for one declared batch.

    `reads` and `writes` count the activations of one declared batch that it takes and gives, each value once.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    parameters: int
    macs: int
    reads: int
    writes: int


@dataclass(frozen=True)
class NetworkSummary:
    """A network's layers in order, and their sums.

    `most_accesses` and `least_accesses` are the ends between which every order of the work lies, in values that one
    declared batch takes from and gives to a memory: without any reuse, four for each MAC; and with all of it, where
    each parameter, input and result moves once and nothing else leaves the chip.
    """

    name: str
    layers: tuple[LayerSummary, ...]
    parameters: int
    macs: int
    most_accesses: int
    least_accesses: int


@dataclass(frozen=True)
class CheckReport:
    """What `hapir check` finds in a good spec."""

    spec: str
    networks: tuple[NetworkSummary, ...]
    machines: tuple[str, ...]
    recipes: tuple[str, ...]
    schedules: tuple[str, ...]
    warnings: tuple[Diagnostic, ...] = ()

    def to_json(self) -> dict[str, object]:
        """A JSON-ready dict with the dataclass's fields; the warnings are among the command's diagnostics."""
        return {name: value for name, value in asdict(replace(self, warnings=())).items() if name != "warnings"}

    def to_text(self) -> str:
        """A table per network and a line per list of names; the JSON form says more of accesses."""
        lines: list[str] = []
        for network in self.networks:
            lines.append(f"network {network.name}")
            rows = [(la.name, la.op, text(la.shape), la.parameters, la.macs) for la in network.layers]
            rows.append(("total", "", "", network.parameters, network.macs))
            lines += [table(("layer", "op", "shape", "parameters", "MACs"), rows), ""]
        for kind, names in (("machines", self.machines), ("recipes", self.recipes), ("schedules", self.schedules)):
            lines.append(f"{kind}: {', '.join(names) or 'none'}")
        return "\n".join([*lines, f"{self.spec}: good"])


def summarize(network: NetworkOp) -> NetworkSummary:
    """Count a network. A parameter read by several layers counts once in the sum, and at its first reader."""
    counted: set[str] = set()
    activations: set[SSAValue] = set(network.body.block.args)
    layers: list[LayerSummary] = []
    for op in network.walk():
        if any(operand in activations for operand in op.operands):
            activations.update(op.results)
        if isinstance(op, LayerOp):
            layers.append(_layer(op, counted, activations))
    ends = [*network.body.block.args, *network.body.block.last_op.operands] if network.body.block.last_op else []
    parameters, products = sum(la.parameters for la in layers), sum(la.macs for la in layers)
    return NetworkSummary(
        network.sym_name.data,
        tuple(layers),
        parameters,
        products,
        most_accesses=ACCESSES_PER_MAC * products,
        least_accesses=parameters + _values(ends),
    )


def _values(tensors: Iterable[SSAValue]) -> int:
    """How many numbers some tensors hold."""
    return sum(math.prod(shape_of(tensor)) for tensor in tensors)


def _layer(op: LayerOp, counted: set[str], activations: set[SSAValue]) -> LayerSummary:
    parameters = 0
    for operand in op.operands:
        if isinstance(operand.owner, WeightOp) and operand.owner.key.data not in counted:
            counted.add(operand.owner.key.data)
            parameters += math.prod(shape_of(operand))
    kind, shape = op.name.partition(".")[2], shape_of(op.results[0])
    reads = _values(set(op.operands) & activations)
    return LayerSummary(op.layer_name or kind, kind, shape, parameters, macs(op), reads, writes=_values(op.results))
