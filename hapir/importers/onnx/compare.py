"""A network's layers beside the tensors of an ONNX model, both run on the same images.

A layer of a `.hap` network rarely has the name of the node that it came from, and some have no node: passes fold, move
and join. So a layer is equal where *some* tensor of its shape in the model has its values, and a layer that equals none
is still right where all that is computed from it is. The first that is neither differs.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto
from onnx.external_data_helper import load_external_data_for_model
from xdsl.dialects.builtin import Float32Type, IntegerType
from xdsl.ir import Operation

from hapir.diagnostics import fail
from hapir.dialects.nn import NetworkOp, ReturnOp
from hapir.dialects.num import AffineType, element_type
from hapir.importers.onnx.load import check, load_file
from hapir.importers.onnx.tensors import TensorReader
from hapir.lowering.network_edits import layer_name
from hapir.reference.interpret import run_network
from hapir.report.comparison import ALONE, DIFFERS, EQUAL, INSIDE, Comparison, LayerMatch
from hapir.weights import Array

DEFAULT_WITHIN = 1e-4
"""Relative error up to which values are equal: f32 sums in another order."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of the model: its name, that of the node that gives it, and its values."""

    name: str
    node: str
    values: Array


def compare(
    network: NetworkOp,
    weights: Mapping[str, Array],
    inputs: Mapping[str, Array],
    path: Path,
    within: float = DEFAULT_WITHIN,
) -> Comparison:
    """Run a network that is not fused by the reference, the model in a file by onnxruntime, and match their tensors.

    Inputs belong together in order. Raises HapirError: HAP0900 and HAP0901 for the file, HAP0931 where inputs do not
    fit, HAP0932 where onnxruntime does not run it, HAP0880 where it is not installed, HAP042x for the network.
    """
    tensors = model_tensors(path, list(inputs.values()))
    found: dict[Operation, Array] = {}

    def observe(op: Operation, results: tuple[Array, ...]) -> None:
        if layer_name(op) is not None and results and results[0].size:
            found[op] = _reals(op, results[0])

    run_network(network, weights, inputs, observe=observe)
    matcher = _Matcher(tensors, within)
    matches = {op: matcher.match(op, array) for op, array in found.items()}
    rows = [_settled(op, match, matches) for op, match in matches.items()]
    images = len(next(iter(inputs.values()))) if inputs else 0
    return Comparison(network.sym_name.data, path.name, images, within, tuple(rows))


def _reals(op: Operation, array: Array) -> Array:
    """The real numbers that a layer gives: affine integers by their scale."""
    element = element_type(op.results[0])
    if isinstance(element, AffineType):
        return (array.astype(np.float64) - element.zero_point.data) * element.scale.data
    return array.astype(np.float64) if isinstance(element, Float32Type | IntegerType) else array


def _settled(op: Operation, match: LayerMatch, matches: Mapping[Operation, LayerMatch]) -> LayerMatch:
    """A layer that equals nothing is inside where all that is computed from it is equal in the end."""
    if match.verdict == EQUAL or not _recovers(op, matches):
        return match
    return LayerMatch(match.layer, match.op, INSIDE)


def _recovers(op: Operation, matches: Mapping[Operation, LayerMatch]) -> bool:
    waiting, seen = [op], {op}
    while waiting:
        users = {use.operation for result in waiting.pop().results for use in result.uses}
        if not users or any(isinstance(user, ReturnOp) for user in users):
            return False
        for user in users - seen:
            seen.add(user)
            known = matches.get(user)
            if known is None or known.verdict != EQUAL:
                waiting.append(user)
    return True


class _Matcher:
    """Finds the tensor of a layer; one with its channels last counts with channels first too."""

    def __init__(self, tensors: Sequence[Tensor], within: float):
        self._within = within
        self._by_shape: defaultdict[tuple[int, ...], list[Tensor]] = defaultdict(list)
        for tensor in tensors:
            self._by_shape[tensor.values.shape].append(tensor)
            if tensor.values.ndim > 2:
                first = replace(tensor, values=np.moveaxis(tensor.values, -1, 1))
                self._by_shape[first.values.shape].append(first)

    def match(self, op: Operation, values: Array) -> LayerMatch:
        """The tensor beside a layer, and how far it is."""
        name, kind = layer_name(op) or "", op.name
        beside = self._by_shape.get(values.shape)
        if not beside:
            return LayerMatch(name, kind, ALONE)
        errors = [_error(values, tensor.values) for tensor in beside]
        named = [_is_named(name, tensor) for tensor in beside]
        order = sorted(range(len(beside)), key=lambda i: (errors[i][1] > self._within, not named[i], errors[i][1]))
        best = order[0]
        verdict = EQUAL if errors[best][1] <= self._within else DIFFERS
        return LayerMatch(name, kind, verdict, beside[best].name, named[best], *errors[best])


def _error(found: Array, expected: Array) -> tuple[float, float]:
    """The largest difference, and that over the largest magnitude expected."""
    wide, given = expected.astype(np.float64), found.astype(np.float64)
    largest = float(np.abs(wide).max(initial=0.0))
    with np.errstate(invalid="ignore"):
        worst = float(np.abs(np.where(given == wide, 0.0, given - wide)).max(initial=0.0))
    if np.isnan(worst):
        worst = float("inf")
    return worst, 0.0 if worst == 0 else worst / largest if largest else float("inf")


def _is_named(layer: str, tensor: Tensor) -> bool:
    """Whether the last words of a layer's name are those of the node, or of the tensor."""
    return any(_tidy(name) in (_tidy(layer), _tidy(layer.rpartition(".")[2])) for name in (tensor.name, tensor.node))


def _tidy(name: str) -> str:
    return re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower()


def model_tensors(path: Path, inputs: Sequence[Array]) -> list[Tensor]:
    """Every tensor of numbers that the nodes of a model give for inputs in order, by onnxruntime without optimizations.

    Raises HapirError as `compare` does.
    """
    runtime: Any = import_module("onnxruntime")  # it brings no types
    model = _load(path)
    constants = {tensor.name for tensor in model.graph.initializer}
    declared = [value for value in model.graph.input if value.name not in constants]
    if len(declared) != len(inputs):
        what = f"`{path.name}` has {len(declared)} inputs, the network has {len(inputs)}"
        fail("HAP0931", what, help="compare with the model that the network was imported from")
    made = {name: node.name or node.op_type for node in model.graph.node for name in node.output if name}
    given = {value.name for value in model.graph.output}
    model.graph.output.extend(ValueInfoProto(name=name) for name in made if name not in given)
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = runtime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        types = [_NUMPY.get(value.type) for value in session.get_inputs()]
        feeds = {
            value.name: array if dtype is None else array.astype(dtype)
            for value, array, dtype in zip(declared, inputs, types, strict=True)
        }
        names = [name for name in (value.name for value in session.get_outputs()) if name in made]
        arrays = session.run(names, feeds)
    except Exception as error:  # onnxruntime has classes of its own for each failure
        said = str(error).strip().splitlines()[0]
        fail("HAP0932", f"onnxruntime does not run `{path.name}`: {said}", help="give images of the size that it takes")
    pairs = ((name, np.asarray(array)) for name, array in zip(names, arrays, strict=True))
    return [Tensor(name, made[name], array) for name, array in pairs if array.dtype.kind in "fiub" and array.size]


def _load(path: Path) -> ModelProto:
    """A model with its external data, each place of which was checked."""
    loaded = load_file(path)
    check(loaded.proto)
    reader = TensorReader(loaded.folder)
    external = [t for t in loaded.proto.graph.initializer if t.data_location == TensorProto.EXTERNAL]
    for tensor in external:
        reader.array(tensor, tensor.name)
    if external:
        load_external_data_for_model(loaded.proto, str(loaded.folder))
    return loaded.proto


_NUMPY = {
    **{f"tensor({name})": np.dtype(name) for name in ("int8", "int16", "int32", "int64")},
    **{f"tensor(u{name})": np.dtype(f"u{name}") for name in ("int8", "int16", "int32", "int64")},
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(bool)": np.dtype(np.bool_),
}
"""The types of inputs as onnxruntime writes them."""
