"""A graph of ONNX while it grows: names, nodes, arrays, and what carries each value.

How integers are carried. In the styles `qdq` and `integer` a tensor of codes is a tensor of the narrowest ONNX type
that holds its storage type; in `qonnx` it is the reals that the codes mean. Accumulators are reals in `qdq` and
`qonnx`, see `units`. What a value is not carried as is made once, when it is asked for, see `forms`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from xdsl.dialects.builtin import FileLineColLoc
from xdsl.ir import Operation, SSAValue

from hapir.diagnostics import fail
from hapir.dialects.nn import NetworkOp, WeightOp
from hapir.dialects.num import AffineType, dtype_of, element_type, is_float, shape_of
from hapir.exporters.onnx import forms, proto
from hapir.exporters.onnx.proto import Array, Proto
from hapir.exporters.onnx.styles import Style, Unit, Unsayable, carried_dtype
from hapir.lowering.constants import constants_of
from hapir.lowering.network_edits import unused_name, weight_of
from hapir.reference.num import dequantize
from hapir.weights import WeightStore


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
        self._constants = constants_of(self.network) if self.any_batch else set[SSAValue]()
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
        """A value's shape, with a word for the batch where it is left open; what comes from parameters has none."""
        shape = shape_of(value)
        return ("N", *shape[1:]) if self.any_batch and shape and value not in self._constants else shape

    # --- what carries a value -----------------------------------------------------------------------------------------

    def carrier(self, value: SSAValue) -> str:
        """The name of what carries a value: codes, or in `qonnx` the reals that they mean."""
        found = self._names.get(value)
        if found is None and (value in self.units or value in self._later):
            make = self._later.get(value) or (lambda: forms.codes_of(self, value))
            found = self._names[value] = make()
        if found is None and (value, "codes") in self._made:
            found = self._names[value] = forms.reals_of_codes(self, value)
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
        carried = self.carrier(value) if is_float(value) else forms.codes_of(self, value)
        if carried != name:
            self.node("Identity", [carried], [name], name=f"{name}/identity")


def _place(op: Operation | None) -> str:
    location = None if op is None else op.location
    if not isinstance(location, FileLineColLoc):
        return ""
    return f"{location.filename.data}:{location.line.data}:{location.column.data}"
