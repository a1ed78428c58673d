"""One operator while it is converted: what a handler may ask, and the registry of handlers.

A handler takes a `Call` and returns the value of the only output, or one value per output, None where an output is not
computed because nothing reads it. It raises `Unsupported` with the reason and, where there is one, the nearest form
that works; ValueError, ShapeError and VerifyException of the ops that it makes count as such reasons, IndexError and
ArithmeticError as shapes that the operator does not take.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from math import isnan, prod
from typing import Never, Protocol, TypeVar

import numpy as np
from xdsl.dialects.builtin import FloatData, IntAttr, StringAttr, TensorType
from xdsl.ir import Attribute, Operation, SSAValue

from hapir.dialects.assembly import shortest
from hapir.dialects.num import SI32, AffineType, DequantizeOp, PerChannelType, shape_of
from hapir.importers.onnx.limits import MAXIMUM_RANK, MAXIMUM_SIZE
from hapir.importers.onnx.model import Array, AttributeValue, Coded, GraphNode

ONNX = ""
"""ONNX's own domain; `ai.onnx` is the same."""
MICROSOFT = "com.microsoft"
QONNX = "qonnx.custom_op.general"
QONNX_DOMAINS = (QONNX, "onnx.brevitas", "finn.custom_op.general")
"""The domains under which QONNX's operators are found, the newest first."""

FAMILIES = (
    *("control", "elementwise", "reduce", "layout", "indices", "sampling"),
    *("products", "pools", "norms", "recurrent", "quantized", "qonnx"),
)
"""The files `ops_*` that register handlers."""

Result = SSAValue | Sequence[SSAValue | None]
AnyOp = TypeVar("AnyOp", bound=Operation)


class Unsupported(Exception):
    """A node, or a form of it, that cannot be imported: the reason, and the nearest form that can."""

    def __init__(self, reason: str, nearest: str | None = None):
        super().__init__(reason)
        self.reason = reason
        self.nearest = nearest


class NotConstant(Unsupported):
    """An input must be constant and is computed, or given at run time: its name is `value`."""

    def __init__(self, index: int, value: str):
        super().__init__(f"input {index} `{value}` must be constant", "an initializer, or a Constant node")
        self.value = value


class Values(Protocol):
    """What a call asks of the converter."""

    def tensor(self, name: str) -> SSAValue:
        """The value of a name; a constant becomes a parameter of its own."""
        ...

    def constant(self, name: str) -> Array | None:
        """The array of a constant; None for a value that is computed."""
        ...

    def coded(self, name: str) -> Coded | None:
        """The codes behind a constant of reals, if there are any."""
        ...

    def element(self, name: str) -> Attribute:
        """The element type of a name."""
        ...

    def insert(self, op: Operation) -> None:
        """Append an op to the network."""
        ...

    def store(self, key: str, array: Array) -> str:
        """Keep an array that a type reads under this key, or a free one like it, which it returns."""
        ...

    def parameter(self, key: str, array: Array, element: Attribute | None) -> SSAValue:
        """A parameter of the network with this key, or with a free one like it."""
        ...


class Call:
    """One node while it is converted."""

    def __init__(self, node: GraphNode, opset: int, layer: str, values: Values):
        """`opset` is the version of the node's domain, `layer` the unique name for the node's layer."""
        self.node = node
        self.opset = opset
        self.layer = layer
        self._values = values

    # --- inputs and outputs -------------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """The number of inputs, those left out included."""
        return len(self.node.inputs)

    def has(self, index: int) -> bool:
        """Whether an input is given."""
        return index < self.count and self.node.inputs[index] != ""

    def wants(self, index: int) -> bool:
        """Whether an output is asked for."""
        return index < len(self.node.outputs) and self.node.outputs[index] != ""

    def tensor(self, index: int) -> SSAValue:
        """An input as a value of the network; a constant becomes a parameter of its own."""
        return self._values.tensor(self._given(index))

    def tensors(self) -> list[SSAValue]:
        """All inputs that are given."""
        return [self.tensor(i) for i in range(self.count) if self.has(i)]

    def is_constant(self, index: int) -> bool:
        """Whether an input is given and constant."""
        return self.has(index) and self._values.constant(self.node.inputs[index]) is not None

    def constant(self, index: int) -> Array:
        """The array of an input. Raises Unsupported where it is computed."""
        name = self._given(index)
        array = self._values.constant(name)
        if array is None:
            raise NotConstant(index, name)
        return array

    def shape(self, index: int) -> tuple[int, ...]:
        """The shape of an input."""
        name = self._given(index)
        array = self._values.constant(name)
        return shape_of(self._values.tensor(name)) if array is None else array.shape

    def element(self, index: int) -> Attribute:
        """The element type of an input."""
        return self._values.element(self._given(index))

    def _given(self, index: int) -> str:
        if not self.has(index):
            raise Unsupported(f"input {index} is missing")
        return self.node.inputs[index]

    # --- attributes ---------------------------------------------------------------------------------------------------

    def attribute(self, name: str) -> AttributeValue | None:
        """An attribute as it is; None where it is not given."""
        return self.node.attributes.get(name)

    def integer(self, name: str, default: int = 0) -> int:
        """An attribute that is an integer."""
        value = self.node.attributes.get(name, default)
        return value if isinstance(value, int) else self._wrong(name, "an integer")

    def real(self, name: str, default: float = 0.0) -> float:
        """An attribute that is a number: an f32 in the model, here by its fewest digits."""
        value = self.node.attributes.get(name, default)
        if isinstance(value, int | float) and not isnan(value):
            return shortest(value)
        self._wrong(name, "a number")

    def word(self, name: str, default: str = "") -> str:
        """An attribute that is a string."""
        value = self.node.attributes.get(name, default)
        return value if isinstance(value, str) else self._wrong(name, "a string")

    def integers(self, name: str, default: Sequence[int] = ()) -> list[int]:
        """An attribute that is a list of integers."""
        value = self.node.attributes.get(name)
        if value is None:
            return list(default)
        if isinstance(value, list) and all(isinstance(v, int) for v in value):
            return [int(v) for v in value]
        self._wrong(name, "a list of integers")

    def _wrong(self, name: str, wanted: str) -> Never:
        raise Unsupported(f"the attribute `{name}` is not {wanted}")

    # --- making ops ---------------------------------------------------------------------------------------------------

    def sub(self, suffix: str) -> str:
        """The layer name of a further op of this node."""
        return f"{self.layer}_{suffix}"

    def add(self, op: Operation) -> SSAValue:
        """Insert an op; its first result."""
        return self.add_all(op)[0]

    def add_all(self, op: Operation) -> Sequence[SSAValue]:
        """Insert an op; its results."""
        op.verify(verify_nested_ops=False)
        for result in op.results:
            check_limits(shape_of(result))
        self._values.insert(op)
        return op.results

    def keyed(self, key: str, array: Array, element: Attribute | None = None) -> SSAValue:
        """A parameter of a further layer of this node: the key is the layer's name and what the parameter is there."""
        return self._values.parameter(key, array, element)

    def parameter(
        self, suffix: str, array: Array, element: Attribute | None = None, *, layer: str | None = None
    ) -> SSAValue:
        """The parameter `<layer>.<suffix>`, of the array's own type where `element` says no other.

        It is one of the node's own layer where `layer` names no further one.
        """
        return self.keyed(f"{layer or self.layer}.{suffix}", array, element)

    def weight(self, index: int, *, turned: bool = False) -> SSAValue:
        """The parameter `<layer>.weight` from a constant; of a computed input its value.

        `turned` takes the transposed matrix. Codes with one scale, or one for each index of axis 0, stay codes: the
        value is then what they are dequantized to.
        """
        if not self.is_constant(index):
            return self.tensor(index)
        found = self._values.coded(self.node.inputs[index])
        if (
            found is not None
            and found.element != SI32
            and (found.scales.size == 1 or found.axis == (1 if turned else 0))
        ):
            codes = found.codes.T if turned else found.codes
            return self.add(DequantizeOp(self.parameter("weight", np.ascontiguousarray(codes), self.scaled(found))))
        array = self.constant(index)
        return self.parameter("weight", np.ascontiguousarray(array.T if turned else array))

    def scaled(self, found: Coded) -> Attribute:
        """The element type of codes whose scales are one, or those of axis 0, which become `<layer>.weight.scale`."""
        if found.scales.size == 1:
            return AffineType(found.element, FloatData(float(found.scales[0])), IntAttr(0))
        key = self.table("weight.scale", found.scales.astype(np.float32))
        return PerChannelType(found.element, IntAttr(0), StringAttr(key))

    def table(self, suffix: str, array: Array) -> str:
        """The key `<layer>.<suffix>` of scales that a type reads."""
        return self._values.store(f"{self.layer}.{suffix}", array)


Handler = Callable[[Call], Result]
_HANDLERS: dict[tuple[str, str], Handler] = {}


def handles(*ops: str, domain: str = ONNX) -> Callable[[Handler], Handler]:
    """Registers a handler for operators of a domain."""

    def register(handler: Handler) -> Handler:
        for op in ops:
            assert (domain, op) not in _HANDLERS, f"{op} has two handlers"
            _HANDLERS[domain, op] = handler
        return handler

    return register


@cache
def handlers() -> dict[tuple[str, str], Handler]:
    """All handlers by domain and operator."""
    for family in FAMILIES:
        import_module(f"hapir.importers.onnx.ops_{family}")
    return _HANDLERS


def axis_in(axis: int, rank: int) -> int:
    """An axis counted from the front. Raises Unsupported where there is none."""
    if not -rank <= axis < rank:
        raise Unsupported(f"there is no axis {axis} among {rank}")
    return axis % rank


def check_limits(shape: Sequence[int]) -> None:
    """Raise Unsupported for a shape that is too large for hapir."""
    if len(shape) > MAXIMUM_RANK:
        raise Unsupported(f"a tensor has {len(shape)} axes", f"at most {MAXIMUM_RANK}")
    if prod(shape) > MAXIMUM_SIZE or any(size > MAXIMUM_SIZE for size in shape):
        raise Unsupported(f"a tensor has the shape {list(shape)}", f"at most {MAXIMUM_SIZE} elements")


def scalar(array: Array) -> float | int:
    """The number of an array of one element. Raises Unsupported for others."""
    if array.size != 1:
        raise Unsupported(f"expected one number, got shape {array.shape}")
    return array.reshape(()).item()


def plain(array: Array) -> Array:
    """An array as the weight store holds it: booleans as bytes."""
    return array.astype(np.uint8) if array.dtype == np.bool_ else array


def elements_as(value: SSAValue, element: Attribute) -> TensorType[Attribute]:
    """The type of a value with other elements."""
    return TensorType(element, shape_of(value))
