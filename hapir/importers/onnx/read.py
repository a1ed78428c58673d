"""A model file as a network, and a network as the two files that `hapir import` writes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp

from hapir.diagnostics import Diagnostic, fail
from hapir.dialects.nn import LayerOp, NetworkOp, PointwiseOp
from hapir.files import write_together, writing
from hapir.importers.onnx.convert import convert
from hapir.importers.onnx.graph import graph_of
from hapir.importers.onnx.load import load_file
from hapir.importers.onnx.model import Graph, GraphNode
from hapir.importers.text import network_text
from hapir.lowering.network_edits import used_keys
from hapir.pipeline import run_steps
from hapir.pipeline_text import read_passes
from hapir.pipelines import CANONICAL
from hapir.registry import make_context
from hapir.spec.tensor_types import type_text
from hapir.weights import WeightStore


@dataclass(frozen=True)
class Imported:
    """A network, its weights, and where they come from.

    `layers` are the nodes of the model by names of layers. `canonicalized` tells what was brought into one form: how
    many more layers of each kind there are than in the model, or fewer.
    """

    source: str
    module: ModuleOp
    weights: WeightStore
    warnings: tuple[Diagnostic, ...]
    graph: Graph
    layers: Mapping[str, GraphNode]
    canonicalized: Mapping[str, int]

    @property
    def network(self) -> NetworkOp:
        """The one network of the module."""
        network = self.module.body.block.first_op
        assert isinstance(network, NetworkOp)
        return network

    def save(self, path: Path | str, *, replace: bool = False, blocks: bool = True) -> Saved:
        """Write `path` and, beside it, the weights: both or none; without `blocks` each layer is a statement.

        Raises HapirError: HAP0884 where they cannot be written, HAP0918 where one of them exists and is not to be
        replaced, HAP0919 where `path` does not end in `.hap`, HAP0970 and HAP0971 where the text cannot be written.
        """
        path = Path(path)
        weights = check_output(path, replace=replace)
        written = network_text(self.network, weights.name, blocks=blocks)
        store = WeightStore({new: self.weights[old] for new, old in written.weights.items()})
        with writing(path):
            write_together({weights: store.to_bytes(), path: written.text.encode()})
        types = self.network.function_type
        return Saved(
            str(path),
            str(weights),
            written.name,
            sum(isinstance(op, LayerOp) for op in self.network.body.block.ops),
            len(written.text.splitlines()),
            sum(prod(array.shape) for array in store.values()),
            {name: type_text(type_) for name, type_ in zip(written.inputs, types.inputs, strict=True)},
            {name: type_text(type_) for name, type_ in zip(written.results, types.outputs, strict=True)},
            self.canonicalized,
        )


@dataclass(frozen=True)
class Saved:
    """What was written: the files, and the size of the network in them."""

    spec: str
    weights: str
    network: str
    layers: int
    lines: int
    parameters: int
    inputs: Mapping[str, str]
    results: Mapping[str, str]
    canonicalized: Mapping[str, int]

    def to_json(self) -> dict[str, object]:
        """A JSON-ready dict with the dataclass's fields."""
        maps = {"inputs": self.inputs, "results": self.results, "canonicalized": self.canonicalized}
        return {**vars(self), **{name: dict(given) for name, given in maps.items()}}

    def to_text(self) -> str:
        """Two lines, or three."""
        ends = [", ".join(f"{name}: {type_}" for name, type_ in part.items()) for part in (self.inputs, self.results)]
        changed = ", ".join(f"{count:+} {kind}" for kind, count in self.canonicalized.items())
        lines = [
            f"wrote {self.spec} ({self.lines} lines) and {self.weights}",
            f"network {self.network}({ends[0]}) -> ({ends[1]}): {self.layers} layers, {self.parameters} parameters",
        ]
        return "\n".join([*lines, f"layers brought into one form: {changed}"] if changed else lines)


def read(
    path: Path, *, batch: int | None, dims: Mapping[str, int] | None, name: str | None, canonical: bool = True
) -> Imported:
    """The network of a model file (see `import_model`)."""
    loaded = load_file(path)
    graph = graph_of(loaded.proto, dims, batch=batch, folder=loaded.folder)
    del loaded  # its tensors are arrays by now
    converted = convert(graph, name or network_name(path))
    before = _kinds(converted.module)
    weights = make_canonical(converted.module, converted.weights) if canonical else converted.weights
    after = _kinds(converted.module)
    changed = {kind: after[kind] - before[kind] for kind in sorted(before | after) if after[kind] != before[kind]}
    return Imported(path.name, converted.module, weights, graph.warnings, graph, converted.layers, changed)


def _kinds(module: ModuleOp) -> Counter[str]:
    """How many layers of each kind a module has; those of one function of elements are a kind."""
    layers = (op for op in module.walk() if isinstance(op, LayerOp))
    return Counter(op.function.data if isinstance(op, PointwiseOp) else op.name.partition(".")[2] for op in layers)


def make_canonical(module: ModuleOp, weights: WeightStore) -> WeightStore:
    """Run the pipeline `canonical` on a module; the weights that it names then."""
    ctx = make_context()
    ctx.weights = weights.copy()
    run_steps(module, ctx, read_passes(CANONICAL.passes, "canonical"))
    ctx.weights.retain(used_keys(module))
    return ctx.weights


def network_name(path: Path) -> str:
    """The name of a file as that of a network."""
    tidy = re.sub(r"\W+", "_", path.name.partition(".")[0], flags=re.ASCII).strip("_")
    return tidy if tidy and not tidy[0].isdigit() else f"net_{tidy}".rstrip("_")


def check_output(path: Path, *, replace: bool) -> Path:
    """The file of weights that goes with a spec.

    Raises HapirError: HAP0884, HAP0918, HAP0919 where the two cannot be written there (see `Imported.save`).
    """
    if path.suffix != ".hap":
        fail("HAP0919", f"`{path.name}` is no name of a spec", help=f"specs end in .hap: `{path.stem or 'net'}.hap`")
    weights = path.with_suffix(".safetensors")
    for file in (path, weights):
        if file.is_dir() or not file.parent.is_dir():
            wrong = "is a folder" if file.is_dir() else "lies in no folder"
            fail("HAP0884", f"cannot write `{file}`: it {wrong}", help="name a file in a folder that exists")
        if not replace and (file.exists() or file.is_symlink()):
            fail("HAP0918", f"`{file}` exists", help="choose another name, or replace it with --force")
    return weights
