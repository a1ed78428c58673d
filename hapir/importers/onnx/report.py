"""What of a model can be imported, before anything is written: a dry conversion tells the reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path

from hapir.diagnostics import Diagnostic
from hapir.dialects.nn_macs import macs
from hapir.importers.onnx.convert import Missing, try_convert
from hapir.importers.onnx.graph import graph_of
from hapir.importers.onnx.limits import shown
from hapir.importers.onnx.load import load_file
from hapir.importers.onnx.model import Graph, GraphNode, tensor_of
from hapir.report.table import table
from hapir.spec.tensor_types import type_text


@dataclass(frozen=True)
class Gap:
    """Why nodes of an operator cannot be imported: the reason, the nearest form that can, how many, and their names."""

    reason: str
    nearest: str | None
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class OperatorCoverage:
    """An operator of a model: how many nodes it has, and what is missing.

    `untried` are nodes that read what others do not give: whether they can be imported shows when those can.
    """

    operator: str
    nodes: int
    untried: int
    missing: tuple[Gap, ...]

    @property
    def imported(self) -> int:
        """Nodes that can be imported."""
        return self.nodes - self.untried - sum(len(gap.nodes) for gap in self.missing)


@dataclass(frozen=True)
class Coverage:
    """What of a model can be imported. `macs` are those of the layers that can, for the declared batch."""

    model: str
    opsets: Mapping[str, int]
    inputs: Mapping[str, str]
    outputs: tuple[str, ...]
    operators: tuple[OperatorCoverage, ...]
    parameters: int
    macs: int
    warnings: tuple[Diagnostic, ...]

    @property
    def whole(self) -> bool:
        """Whether all of it can be imported."""
        return all(not operator.missing for operator in self.operators)

    def to_json(self) -> dict[str, object]:
        """A JSON-ready dict with the dataclass's fields; the warnings are the command's."""
        operators = [{**asdict(operator), "imported": operator.imported} for operator in self.operators]
        return {
            "model": self.model,
            "whole": self.whole,
            "opsets": {name or "ai.onnx": version for name, version in self.opsets.items()},
            "inputs": dict(self.inputs),
            "outputs": list(self.outputs),
            "parameters": self.parameters,
            "macs": self.macs,
            "operators": operators,
        }

    def to_text(self) -> str:
        """A few lines, a table of the operators, and what is missing."""
        nodes = sum(operator.nodes for operator in self.operators)
        good = sum(operator.imported for operator in self.operators)
        opsets = ", ".join(f"{name or 'ai.onnx'} {version}" for name, version in self.opsets.items())
        partly = "" if self.whole else " in what can be imported"
        lines = [
            f"{self.model}: {opsets}; {self.parameters} parameters, {self.macs} MACs{partly}",
            f"inputs: {', '.join(f'{name}: {type_}' for name, type_ in self.inputs.items())}",
            f"outputs: {', '.join(self.outputs)}",
            "",
            table(
                ("operator", "nodes", "imported", "not tried", "missing"),
                [
                    (o.operator, o.nodes, o.imported, o.untried, o.nodes - o.imported - o.untried)
                    for o in self.operators
                ],
            ),
            "",
            f"{good} of {nodes} nodes can be imported",
        ]
        for operator in self.operators:
            for gap in operator.missing:
                lines += ["", f"{operator.operator}: {gap.reason} ({len(gap.nodes)}: {_listed(gap.nodes)})"]
                lines += [f"    what works: {gap.nearest}"] if gap.nearest else []
        return "\n".join(lines)


def coverage(path: Path, *, batch: int | None = None, dims: Mapping[str, int] | None = None) -> Coverage:
    """The coverage of a model file. Raises HapirError as `import_model` does, but not for what cannot be imported."""
    loaded = load_file(path)
    return coverage_of(graph_of(loaded.proto, dims, batch=batch, folder=loaded.folder), path.name)


def coverage_of(graph: Graph, model: str) -> Coverage:
    """The coverage of a graph. Raises HapirError (HAP0991) for inputs that cannot be imported."""
    converted = try_convert(graph, "network")
    counts, untried = _counted(graph.nodes), _counted(converted.untried)
    gaps: dict[str, dict[tuple[str, str | None], list[str]]] = {}
    for missing in converted.missing:
        reasons = gaps.setdefault(_operator(missing.node.domain, missing.node.op), {})
        reasons.setdefault((missing.reason, missing.nearest), []).append(_name(missing))
    operators = [
        OperatorCoverage(
            name,
            count,
            untried.get(name, 0),
            tuple(Gap(*why, tuple(nodes)) for why, nodes in gaps.get(name, {}).items()),
        )
        for name, count in sorted(counts.items())
    ]
    types = {name: tensor_of(graph.types[name]) for name in graph.inputs}
    return Coverage(
        model,
        graph.opsets,
        {name: type_text(type_) for name, type_ in types.items() if type_ is not None},
        graph.outputs,
        tuple(operators),
        sum(prod(array.shape) for array in graph.constants.values()),
        sum(macs(op) for op in converted.module.walk()),
        graph.warnings,
    )


def _counted(nodes: Sequence[GraphNode]) -> Counter[str]:
    return Counter(_operator(node.domain, node.op) for node in nodes)


def _operator(domain: str, op: str) -> str:
    return f"{domain}.{op}" if domain else op


def _name(missing: Missing) -> str:
    node = missing.node
    return node.name or next((output for output in node.outputs if output), "")


def _listed(nodes: tuple[str, ...]) -> str:
    named = ", ".join(shown(node) for node in nodes[:3])
    return f"{named}, ..." if len(nodes) > 3 else named
