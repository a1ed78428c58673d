"""One op while it is written as ONNX nodes: what a writer may ask, and the registry of writers.

A writer takes a `Call` and gives the op's results a name, by `give` (a node) or `alias` (a value that is there). Names:
a node is called after its layer, a value after the layer that makes it, an initializer after its weight key; further
nodes of one op are `<layer>/<operator>`, a name that no layer can have. A result of the network has the result's name.
`Call.x` gives what carries an operand, codes or reals, so a writer of an op that only moves data needs not know which.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from xdsl.dialects.builtin import Float32Type
from xdsl.ir import Operation, OpResult, SSAValue

from hapir.dialects.num import AffineType, dtype_of, element_type, on_grid, shape_of
from hapir.exporters.onnx import proto
from hapir.exporters.onnx.builder import Builder
from hapir.exporters.onnx.proto import Array
from hapir.exporters.onnx.styles import Style, carried_dtype
from hapir.lowering.network_edits import key_stem
from hapir.reference.num import dequantize


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
