"""What a network is made of, counted from its IR: layers, parameters, multiply-accumulates."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace

from hapir.diagnostics import Diagnostic
from hapir.dialects.nn import LayerOp, NetworkOp, WeightOp
from hapir.dialects.nn_macs import macs
from hapir.dialects.nn_shapes import text
from hapir.dialects.num import shape_of
from hapir.report.table import table


@dataclass(frozen=True)
class LayerSummary:
    """One layer: its name, its op, the shape it gives, its parameters, and its MACs for one declared batch."""

    name: str
    op: str
    shape: tuple[int, ...]
    parameters: int
    macs: int


@dataclass(frozen=True)
class NetworkSummary:
    """A network's layers in order, and their sums."""

    name: str
    layers: tuple[LayerSummary, ...]
    parameters: int
    macs: int


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
        """A table per network and a line per list of names."""
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
    layers = tuple(_layer(op, counted) for op in network.walk() if isinstance(op, LayerOp))
    return NetworkSummary(
        network.sym_name.data, layers, sum(la.parameters for la in layers), sum(la.macs for la in layers)
    )


def _layer(op: LayerOp, counted: set[str]) -> LayerSummary:
    parameters = 0
    for operand in op.operands:
        if isinstance(operand.owner, WeightOp) and operand.owner.key.data not in counted:
            counted.add(operand.owner.key.data)
            parameters += math.prod(shape_of(operand))
    kind = op.name.partition(".")[2]
    return LayerSummary(op.layer_name or kind, kind, shape_of(op.results[0]), parameters, macs(op))
