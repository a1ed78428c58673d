"""One op while it is written as ONNX nodes: what a writer may ask, and the registry of writers.

A writer takes a `Call` and gives the op's results a name, by `give` (a node) or `alias` (a value that is there). Names:
a node is called after its layer, a value after the layer that makes it, an initializer after its weight key; further
nodes of one op are `<layer>/<operator>`, a name that no layer can have. A result of the network has the result's name.

How integers are carried. In the styles `qdq` and `integer` a tensor of codes is a tensor of the narrowest ONNX type
that holds its storage type; in `qonnx` it is the reals that the codes mean. `Call.x` gives what carries an operand, so
a writer of an op that only moves data needs not know which.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from importlib import import_module
from typing import Any, TypeVar, cast

import numpy as np
from xdsl.dialects.builtin import FileLineColLoc, Float32Type
from xdsl.ir import Attribute, Operation, OpResult, SSAValue

from hapir.diagnostics import fail
from hapir.dialects.nn import NetworkOp, WeightOp
from hapir.dialects.num import AffineType, element_type, is_float, shape_of, unsigned
from hapir.exporters.onnx import proto
from hapir.exporters.onnx.proto import Array, Proto
from hapir.lowering.network_edits import key_stem, unused_name, weight_of
from hapir.reference.num import dequantize
from hapir.reference.values import dtype_of
from hapir.weights import WeightStore

QONNX = "qonnx.custom_op.general"
OLDEST_OPSET = 13
"""The first where axes, sizes and scales are what this exporter writes."""
DEFAULT_OPSET = 17
"""What runtimes of the last years read, and the first with LayerNormalization."""


class Style(Enum):
    """How a network is said in ONNX; what each promises is in the docstring of `hapir.exporters.onnx.export`."""

    FLOAT = "float"
    QDQ = "qdq"
    QONNX = "qonnx"
    INTEGER = "integer"


class Unsayable(Exception):
    """An op, or a form of it, that ONNX cannot say: the reason, and a way out."""

    def __init__(self, reason: str, help: str | None = None):
        super().__init__(reason)
        self.reason = reason
        self.help = help


Unit = Array
"""What 1 of an accumulator stands for in the reals that carry it: a number, or one per index of axis 1 (float64)."""


def carried_dtype(element: Attribute) -> np.dtype[Any]:
    """The numpy type of a tensor of this element type in ONNX: `ui1` is bool."""
    return np.dtype(np.bool_) if element == unsigned(1) else dtype_of(element)


@dataclass
class Builder:
    """A graph while it grows: names, nodes, initializers, and what carries each value."""

    network: NetworkOp
    weights: WeightStore
    style: Style
    opset: int
    any_batch: bool
    units: dict[SSAValue, Unit] = field(default_factory=dict[SSAValue, Unit])
    """The accumulators that reals carry, in the styles that compute on reals."""
    nodes: list[Proto] = field(default_factory=list[Proto])
    initializers: list[Proto] = field(default_factory=list[Proto])
    values: list[Proto] = field(default_factory=list[Proto])
    domains: set[str] = field(default_factory=set[str])
    _names: dict[SSAValue, str] = field(default_factory=dict[SSAValue, str])
    _made: dict[tuple[SSAValue, str], str] = field(default_factory=dict[tuple[SSAValue, str], str])
    """Other forms of values: reals of codes, codes of accumulators, arrays in another order."""
    _later: dict[SSAValue, Callable[[], str]] = field(default_factory=dict[SSAValue, Callable[[], str]])
    _used: set[str] = field(default_factory=set[str])
    _node_names: set[str] = field(default_factory=set[str])
    _result_of: dict[SSAValue, str] = field(default_factory=dict[SSAValue, str])

    def __post_init__(self) -> None:
        inputs = [name.data for name in self.network.input_names]
        results = [name.data for name in self.network.result_names]
        for name in dict.fromkeys((*inputs, *results)):
            self._used.add(name)
        self._outputs = [name if name not in inputs else self.unused(name) for name in results]
        for name, value in zip(self._outputs, self.network.return_op.values, strict=True):
            self._result_of.setdefault(value, name)
        for name, argument in zip(inputs, self.network.body.block.args, strict=True):
            if self.carried_as_reals(argument) and not is_float(argument):  # the input holds codes, as hapir's does
                self._made[argument, "codes"] = name
            else:
                self._names[argument] = name

    # --- names --------------------------------------------------------------------------------------------------------

    def unused(self, stem: str) -> str:
        """A value's name like this one that nothing has yet."""
        return unused_name(stem, self._used)

    def output(self, value: SSAValue, stem: str) -> str:
        """The name for a value that a node makes now: that of the network's result, else one like `stem`."""
        returned = value not in self._names and value not in self.units
        returned = returned and self.carried_as_reals(value) == is_float(value)
        return self._result_of.get(value) or self.unused(stem) if returned else self.unused(stem)

    def put(self, value: SSAValue, name: str) -> None:
        """`name` carries a value from now on."""
        self._names[value] = name

    # --- nodes and arrays ---------------------------------------------------------------------------------------------

    def node(
        self,
        kind: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        *,
        name: str,
        domain: str = "",
        at: Operation | None = None,
        **attributes: Any,
    ) -> None:
        """Append a node; `at` is the op whose place it notes."""
        self.domains.add(domain)
        unique = unused_name(name, self._node_names)
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(proto.node(kind, inputs, outputs, unique, _place(at), domain, given))

    def array(self, name: str, array: Array, *, four_bits: bool = False) -> str:
        """An initializer under a name like this one; returns the name."""
        unique = self.unused(name)
        self.initializers.append(proto.tensor(unique, array, four_bits))
        return unique

    def describe(self, value: SSAValue, name: str, dtype: np.dtype[Any]) -> None:
        """Note the type of a value that a node makes, for those who read the graph."""
        self.values.append(proto.value_info(name, dtype, self.sizes(value)))

    def sizes(self, value: SSAValue) -> tuple[int | str, ...]:
        """A value's shape, with a word for the batch where it is left open."""
        shape = shape_of(value)
        return ("N", *shape[1:]) if self.any_batch and shape else shape

    # --- what carries a value -----------------------------------------------------------------------------------------

    def carrier(self, value: SSAValue) -> str:
        """The name of what carries a value: codes, or in `qonnx` the reals that they mean."""
        found = self._names.get(value)
        if found is None and (value in self.units or value in self._later):
            make = self._later.get(value) or (lambda: cast(str, conversions().codes_of(self, value)))
            found = self._names[value] = make()
        if found is None and (value, "codes") in self._made:
            found = self._names[value] = cast(str, conversions().reals_of_codes(self, value))
        if found is None:
            assert isinstance(value.owner, WeightOp)
            found = self._names[value] = self._parameter(value.owner)
        return found

    def give_up(self, value: SSAValue) -> None:
        """A value that is not said: what reads it is written on, so that all that is wrong is found."""
        self._names[value] = self._made[value, "reals"] = self._made[value, "codes"] = "unsaid"

    def put_later(self, value: SSAValue, make: Callable[[], str]) -> None:
        """What `make` gives carries a value, and it is called when that is asked for."""
        self._later[value] = make

    def carried_as_reals(self, value: SSAValue) -> bool:
        """Whether what carries a value is float32."""
        return is_float(value) or (self.style == Style.QONNX and isinstance(element_type(value), AffineType))

    def once(self, value: SSAValue, form: str, make: Callable[[], str]) -> str:
        """Another form of a value, made when it is first asked for."""
        if (value, form) not in self._made:
            self._made[value, form] = make()
        return self._made[value, form]

    def _parameter(self, op: WeightOp) -> str:
        array, element = self.stored(op.result), element_type(op.result)
        if isinstance(element, AffineType) and self.style == Style.QONNX:
            array = dequantize(array, element.scale.data, element.zero_point.data)
        return self.array(op.key.data, array.astype(carried_dtype(element)) if array.dtype.kind != "f" else array)

    def stored(self, value: SSAValue) -> Array:
        """The array of a parameter, as its type says. Raises Unsayable where the value is computed.

        Raises HapirError: HAP0402 where there is none, HAP0403 for another shape, HAP0424 for other elements.
        """
        op = value.owner
        if not isinstance(op, WeightOp):
            raise Unsayable("a parameter is computed, and must be an array", "export `Scheduled.decoded`")
        array = cast(Array, weight_of(value, self.weights))
        expected = dtype_of(element_type(value))
        if array.dtype != expected:
            what = f"the weights `{op.key.data}` are {array.dtype}"
            fail("HAP0424", what, at=op, help=f"the network reads them as {expected}")
        return array

    def finish(self, name: str, version: str) -> Proto:
        """The model."""
        block, outputs = self.network.body.block, list[Proto]()
        for name_, value in zip(self._outputs, self.network.return_op.values, strict=True):
            self._return(name_, value)
            dtype = carried_dtype(element_type(value))
            outputs.append(proto.value_info(name_, dtype, self.sizes(value)))
        inputs = [
            proto.value_info(n.data, carried_dtype(element_type(a)), self.sizes(a))
            for n, a in zip(self.network.input_names, block.args, strict=True)
        ]
        named = {output.name for output in outputs}
        values = [value for value in self.values if value.name not in named]
        opsets = {"": self.opset} | dict.fromkeys(sorted(self.domains - {""}), 1)
        return proto.model(name, self.nodes, inputs, outputs, self.initializers, values, opsets, version)

    def _return(self, name: str, value: SSAValue) -> None:
        """Give a result of the network the name that it must have."""
        carried = self.carrier(value) if is_float(value) else conversions().codes_of(self, value)
        if carried != name:
            self.node("Identity", [carried], [name], name=f"{name}/identity")


def conversions() -> Any:
    """The module that turns codes into reals and back; it builds on this one."""
    return import_module("hapir.exporters.onnx.conversions")


def _place(op: Operation | None) -> str:
    location = None if op is None else op.location
    if not isinstance(location, FileLineColLoc):
        return ""
    return f"{location.filename.data}:{location.line.data}:{location.column.data}"


AnyOp = TypeVar("AnyOp", bound=Operation)


class Call:
    """One op while it is written."""

    def __init__(self, op: Operation, builder: Builder):
        self.op = op
        self.builder = builder
        self.layer = key_stem(op)

    @property
    def opset(self) -> int:
        """The version of ONNX's operators."""
        return self.builder.opset

    @property
    def style(self) -> Style:
        """The style that is written."""
        return self.builder.style

    def operand(self, index: int) -> SSAValue:
        """An operand."""
        return self.op.operands[index]

    def x(self, index: int = 0) -> str:
        """What carries an operand."""
        return self.builder.carrier(self.op.operands[index])

    def shape(self, index: int = 0) -> tuple[int, ...]:
        """An operand's shape."""
        return shape_of(self.op.operands[index])

    def stored(self, index: int) -> Array:
        """The array of an operand that is a parameter. Raises Unsayable where it is computed."""
        return self.builder.stored(self.op.operands[index])

    def array(self, suffix: str, array: Any, dtype: Any = None) -> str:
        """An initializer `<layer>/<suffix>`; whole numbers are int64 unless `dtype` says otherwise."""
        return self.builder.array(f"{self.layer}/{suffix}", np.asarray(array, dtype))

    def node(self, kind: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> str:
        """A further node of the op; returns the name of its first output, the others are `<name>.1` and so on."""
        return self.nodes(kind, *inputs, outputs=outputs, domain=domain, **attributes)[0]

    def nodes(self, kind: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> tuple[str, ...]:
        """The same with all outputs."""
        stem = f"{self.layer}/{kind.lower()}"
        names = tuple(self.builder.unused(stem) for _ in range(outputs))
        self.builder.node(kind, inputs, names, name=stem, domain=domain, at=self.op, **attributes)
        return names

    def give(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> None:
        """The node that makes the op's results; it has the layer's name."""
        names = [self._output(result) for result in self.op.results]
        self.builder.node(kind, inputs, names, name=self.layer, domain=domain, at=self.op, **attributes)
        for result, name in zip(self.op.results, names, strict=True):
            self.builder.put(result, name)
            self._describe(result, name)

    def give_one(self, result: SSAValue, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> None:
        """A node that makes one result of several."""
        output = self._output(result)
        self.builder.node(kind, inputs, [output], name=name or output, at=self.op, **attributes)
        self.builder.put(result, output)
        self._describe(result, output)

    def alias(self, name: str) -> None:
        """The op's only result is what this value is already."""
        self.builder.put(self.op.results[0], name)

    def _output(self, result: SSAValue) -> str:
        return self.builder.output(result, self.result_name(result))

    def result_name(self, result: SSAValue) -> str:
        """What `.hap` calls a result: the layer, `l.h` for a state, `s[1]` for a piece."""
        assert isinstance(result, OpResult)
        count = len(self.op.results)
        if count == 1:
            return self.layer
        if self.op.name == "nn.split":
            return f"{self.layer}[{result.index + 1}]"
        return f"{self.layer}{('', '.h', '.c')[result.index]}"

    def _describe(self, result: SSAValue, name: str) -> None:
        element = element_type(result)
        reals = self.builder.carried_as_reals(result) or result in self.builder.units
        self.builder.describe(result, name, np.dtype(np.float32) if reals else carried_dtype(element))

    def carried(self, value: float) -> Array:
        """A real as the elements of the first operand's carrier: the closest code, or in `qonnx` what that means."""
        element = element_type(self.op.operands[0])
        if not isinstance(element, AffineType):
            return np.asarray(value, carried_dtype(element))
        from hapir.dialects.num import on_grid

        code = on_grid(element, value)
        if self.style != Style.QONNX:
            return np.asarray(code, dtype_of(element))
        return dequantize(np.asarray(code), element.scale.data, element.zero_point.data)

    @property
    def is_float(self) -> bool:
        """Whether the first operand is f32."""
        return isinstance(element_type(self.op.operands[0]), Float32Type)

    def cast(self, name: str, dtype: Any) -> str:
        """A value as another element type."""
        return self.node("Cast", name, to=proto.element_code(np.dtype(dtype)))


Writer = Callable[[Call], None]

FAMILIES = (
    *("elementwise", "pointwise", "layout", "resize", "products", "pools", "norms", "reductions", "recurrent"),
    "conversions",
)
"""The files that register writers."""

_WRITERS: dict[type[Operation], Writer] = {}


def writes(*kinds: type[Operation]) -> Callable[[Writer], Writer]:
    """Register a writer of these op classes."""

    def register(writer: Writer) -> Writer:
        for kind in kinds:
            _WRITERS[kind] = writer
        return writer

    return register


@cache
def writers() -> dict[type[Operation], Writer]:
    """Every op class that can be written, and its writer."""
    for family in FAMILIES:
        import_module(f"hapir.exporters.onnx.{family}")
    return dict(_WRITERS)
