"""hapir as an `onnx.backend`: ONNX models run by the reference interpreter, or as generated C.

```python
import hapir.backend

outputs = hapir.backend.prepare(model, "c").run([x])
```

Devices are `reference` (also under onnx's name `CPU`) and `c`, which needs a C compiler. `prepare` converts the model
and raises HapirError (HAP0990, one diagnostic per node) where it cannot. Two things may be missing until data arrive:
sizes that the model leaves open, and inputs that the network needs as constants, such as the shape of a Reshape. Then
the first `run` converts, for its own sizes and values; a later run with others converts again.

Models of operators older than opset 7 are converted by onnx first. Numbers of float16, bfloat16 and float64 are
computed in float32.

Inputs are numpy arrays in the order of the model's inputs without initializers, or by name; outputs are a tuple.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from hapir.diagnostics import HapirError, fail
from hapir.dialects.nn import NetworkOp
from hapir.dialects.nn_functions import BOOLEAN
from hapir.dialects.num import element_type
from hapir.witnesses import naming_extras

with naming_extras():
    from onnx import ModelProto, NodeProto, ValueInfoProto, helper, numpy_helper, shape_inference, version_converter
    from onnx.backend.base import Backend, BackendRep

    from hapir.importers.onnx.convert import Converted, convert, try_convert
    from hapir.importers.onnx.graph import graph_of
    from hapir.importers.onnx.load import OLDEST_OPSET
    from hapir.importers.onnx.read import make_canonical

if TYPE_CHECKING:
    from hapir.targets.c.build import CModule
    from hapir.targets.c.emit import CArtefact
    from hapir.weights import WeightStore

Array = npt.NDArray[Any]

REFERENCE = "reference"
C = "c"
DEVICES = {REFERENCE: REFERENCE, C: C, "CPU": REFERENCE}
"""The names of devices, and what each stands for."""
C_FLAGS = ("-std=c11", "-O2", "-ffp-contract=off")
"""How C is compiled where `prepare` is not told otherwise."""
NAME = "model"
"""Of networks that models become."""
__all__ = ["Bound", "HapirBackend", "HapirRep", "bind", "is_compatible", "prepare", "run_model", "run_node"]


@dataclass(frozen=True)
class Bound:
    """A model whose open sizes and constants are known: its network and weights.

    `inputs` are the model's names of those that stayed inputs, `types` those of its outputs. `constants` are the inputs
    that were bound, `shapes` those of the others.
    """

    network: NetworkOp
    weights: WeightStore
    inputs: tuple[str, ...]
    types: tuple[np.dtype[Any], ...]
    constants: Mapping[str, Array]
    shapes: Mapping[str, tuple[int, ...]] = field(repr=False)

    def fits(self, inputs: Mapping[str, Array]) -> bool:
        """Whether it is right for these inputs."""
        same = all(np.array_equal(array, inputs[name]) for name, array in self.constants.items())
        return same and all(inputs[name].shape == shape for name, shape in self.shapes.items())

    def feeds(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The model's inputs by the names of the network's, as it takes them: booleans are bytes of 0 and 1.

        Raises HapirError (HAP0482) where f32 cannot hold numbers of float64.
        """
        named = zip(self.network.input_names, self.network.body.block.args, self.inputs, strict=True)
        return {name.data: _as_network(origin, inputs[origin], value) for name, value, origin in named}

    def results(self, found: Mapping[str, Array]) -> tuple[Array, ...]:
        """The network's results in order, of the types that the model has: it may compute in wider ones."""
        named = zip(self.network.result_names, self.types, strict=True)
        return tuple(found[name.data].astype(dtype, copy=False) for name, dtype in named)

    def run_reference(self, inputs: Mapping[str, Array]) -> tuple[Array, ...]:
        """The model's outputs by the reference interpreter."""
        from hapir.reference.interpret import run_network

        return self.results(run_network(self.network, self.weights, self.feeds(inputs), finite=False))

    def artefact(self, name: str = NAME) -> CArtefact:
        """The network as C, all of it, under a name of its own: fused, its kernels chosen as `hapir run --on c` does.

        Raises HapirError (HAP07xx).
        """
        from hapir.lowering.fold_constants import fold_constants, has_constant_ops
        from hapir.pipeline import Step, run_steps
        from hapir.pipeline_text import read_passes
        from hapir.registry import make_context
        from hapir.targets.c.emit import emit_c

        ctx, module = make_context(), ModuleOp([self.network.clone()])
        ctx.weights = self.weights.copy()
        run_steps(module, ctx, [Step(step.what) for step in read_passes("finish,kernels", "hapir")])
        network = module.body.block.first_op
        assert isinstance(network, NetworkOp)
        if has_constant_ops(network):
            fold_constants(network, ctx.weights)
        return emit_c(network, ctx.weights, name)

    def run_c(self, module: CModule, inputs: Mapping[str, Array]) -> tuple[Array, ...]:
        """The model's outputs by what was compiled of the artefact."""
        return self.results(module.run(self.feeds(inputs)))


def bind(model: ModelProto, inputs: Mapping[str, Array]) -> Bound:
    """The network of a model for inputs like these. Raises HapirError (HAP0990, HAP0991)."""
    # a tensor of the IR has elements: an array without any, such as a list of no axes, can only be a constant
    constants = {name: array for name, array in inputs.items() if array.size == 0}
    model = _current(model)
    while True:
        graph = graph_of(_bound(model, inputs, constants))
        converted = try_convert(graph, NAME)
        wanted = _wanted(converted) & set(graph.inputs)
        if not wanted:
            break
        constants.update((name, inputs[name]) for name in sorted(wanted))
    if converted.missing:
        convert(graph, NAME)
    weights = make_canonical(converted.module, converted.weights)
    network = converted.module.body.block.first_op
    assert isinstance(network, NetworkOp)
    shapes = {name: inputs[name].shape for name in graph.inputs}
    terminator = network.body.block.last_op
    assert terminator is not None
    types = tuple(map(_dtype, model.graph.output, terminator.operands))
    return Bound(network, weights, graph.inputs, types, constants, shapes)


def _dtype(value: ValueInfoProto, computed: SSAValue) -> np.dtype[Any]:
    """The type of an output: what the model says, else what the network gives."""
    from hapir.reference.values import dtype_of

    element, gives = value.type.tensor_type.elem_type, element_type(computed)
    if element:
        return helper.tensor_dtype_to_np_dtype(element)
    return np.dtype(np.bool_) if gives == BOOLEAN else dtype_of(gives)


def _current(model: ModelProto) -> ModelProto:
    """The model, or if it is of operators that are too old for the importer, its like of the first that are not."""
    old = any(o.domain in ("", "ai.onnx") and o.version < OLDEST_OPSET for o in model.opset_import)
    return version_converter.convert_version(model, OLDEST_OPSET) if old else model


def _wanted(converted: Converted) -> set[str]:
    """The values that nodes need as constants."""
    return {m.value for m in converted.missing if m.value is not None}


def _bound(model: ModelProto, inputs: Mapping[str, Array], constants: Mapping[str, Array]) -> ModelProto:
    """The model with the sizes of its inputs, and some of them as initializers."""
    bound = ModelProto()
    bound.CopyFrom(model)
    kept = [value for value in model.graph.input if value.name not in constants]
    del bound.graph.input[:]
    for value in kept:
        if value.name in inputs and value.type.HasField("tensor_type"):
            shape, element = inputs[value.name].shape, value.type.tensor_type.elem_type
            value = helper.make_tensor_value_info(value.name, element, shape)
        bound.graph.input.append(value)
    bound.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    return bound


def _as_network(name: str, array: Array, value: SSAValue) -> Array:
    """An input as the network takes it. Raises HapirError (HAP0482) where f32 cannot hold numbers of float64."""
    from hapir.reference.values import dtype_of

    with np.errstate(over="ignore"):
        converted = np.asarray(array, dtype_of(element_type(value)), order="C")
    if array.dtype == np.float64 and not np.array_equal(np.isfinite(array), np.isfinite(converted)):
        fail("HAP0482", f"the input `{name}` holds values that f32 cannot hold", help="scale them")
    return converted


class HapirRep(BackendRep):
    """A prepared model."""

    def __init__(self, model: ModelProto, device: str, flags: Sequence[str] = C_FLAGS):
        self._model = model
        self._device = device
        self._flags = flags
        self._bound: Bound | None = None
        self._module: CModule | None = None

    def run(self, inputs: Sequence[Array] | Mapping[str, Array], **kwargs: Any) -> tuple[Array, ...]:
        """The outputs. Raises HapirError: HAP0420, HAP0421 for inputs that do not fit, HAP0990 for what `prepare`
        could not know.
        """
        named = _named(self._model, inputs)
        if self._bound is None or not self._bound.fits(named):
            self._bound, self._module = bind(self._model, named), None
        if self._device == REFERENCE:
            return self._bound.run_reference(named)
        if self._module is None:
            from hapir.targets.c.build import build_c

            self._module = build_c(self._bound.artefact(), flags=self._flags)
        return self._bound.run_c(self._module, named)


def _named(model: ModelProto, inputs: Sequence[Array] | Mapping[str, Array]) -> dict[str, Array]:
    """Arrays by the names of the model's inputs. Raises HapirError (HAP0420, HAP0421)."""
    constants = {t.name for t in model.graph.initializer}
    declared = {v.name: v for v in model.graph.input if v.name not in constants}
    if not isinstance(inputs, Mapping):
        if len(inputs) != len(declared):
            what = f"{len(inputs)} arrays are given, the model has {len(declared)} inputs"
            fail("HAP0420", what, help=f"they are {', '.join(declared)}")
        inputs = dict(zip(declared, inputs, strict=True))
    for name in declared:
        if name not in inputs:
            fail("HAP0420", f"no array is given for the input `{name}`", help=f"they are {', '.join(declared)}")
    arrays = {name: np.asarray(inputs[name]) for name in declared}
    for name, value in declared.items():
        _check(value, arrays[name])
    return arrays


def _check(value: ValueInfoProto, array: Array) -> None:
    """The type and the sizes that a model states are those of the array."""
    tensor = value.type.tensor_type
    dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    if array.dtype != dtype:
        fail("HAP0421", f"the input `{value.name}` is {array.dtype}", help=f"the model takes {dtype}")
    if not tensor.HasField("shape"):
        return
    sizes = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
    if len(sizes) != array.ndim or any(s not in (None, n) for s, n in zip(sizes, array.shape, strict=True)):
        shown = ", ".join("?" if s is None else str(s) for s in sizes)
        fail("HAP0421", f"the input `{value.name}` has shape {array.shape}", help=f"the model takes [{shown}]")


class HapirBackend(Backend):
    """What onnx calls a backend; the functions of this module are its methods."""

    @classmethod
    def is_compatible(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether `prepare` takes the model; what needs data to be known counts as yes."""
        try:
            cls.prepare(model, device)
        except HapirError:
            return False
        return True

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether there is such a device."""
        return device in DEVICES

    @classmethod
    def prepare(
        cls, model: ModelProto, device: str = "CPU", *, flags: Sequence[str] = C_FLAGS, **kwargs: Any
    ) -> HapirRep:
        """A model made ready to run; `flags` are the C compiler's.

        Raises HapirError: HAP0930 for an unknown device, HAP0990 for nodes that cannot be imported.
        """
        if device not in DEVICES:
            fail("HAP0930", f"there is no device `{device}`", help=f"known: {', '.join(DEVICES)}")
        model = _current(model)
        if not _is_open(model):
            graph = graph_of(model)
            converted = try_convert(graph, NAME)
            if any(m.value not in graph.inputs for m in converted.missing):
                convert(graph, NAME)
        return HapirRep(model, DEVICES[device], flags)

    @classmethod
    def run_model(cls, model: ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any) -> tuple[Array, ...]:
        """The outputs of a model for inputs. Raises HapirError as `prepare` and `run` do."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[npt.DTypeLike, tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Array, ...]:
        """The outputs of one node; `opset_version` says which operator set it is of, by default the newest.

        Raises HapirError as `run_model` does.
        """
        return cls.run_model(_model_of(node, inputs, kwargs.get("opset_version")), inputs, device)


def _is_open(model: ModelProto) -> bool:
    """Whether sizes of inputs are not said."""
    tensors = [value.type.tensor_type for value in model.graph.input]
    return any(not t.HasField("shape") or any(not d.HasField("dim_value") for d in t.shape.dim) for t in tensors)


def _model_of(node: NodeProto, inputs: Sequence[Array] | Mapping[str, Array], opset: int | None) -> ModelProto:
    """A model of one node, for arrays in the order of those inputs that are given, or by name."""
    names = list(dict.fromkeys(name for name in node.input if name))
    arrays: list[Array] = list(
        map(np.asarray, map(inputs.__getitem__, names) if isinstance(inputs, Mapping) else inputs)
    )
    if len(arrays) != len(names):
        fail("HAP0420", f"{len(arrays)} arrays are given, the node has {len(names)} inputs")
    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in zip(names, arrays, strict=True)
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    graph = helper.make_graph([node], NAME, values, outputs)
    imports = None if opset is None else [helper.make_opsetid(node.domain, opset)]
    return shape_inference.infer_shapes(helper.make_model(graph, opset_imports=imports))


prepare = HapirBackend.prepare
run_model = HapirBackend.run_model
run_node = HapirBackend.run_node
is_compatible = HapirBackend.is_compatible
supports_device = HapirBackend.supports_device
