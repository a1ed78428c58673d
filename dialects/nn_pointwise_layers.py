"""The statements of functions: one per entry of `nn_functions`, casts, and constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from functools import cache
from typing import Any, ClassVar, TypeAlias

from xdsl.dialects.builtin import f32
from xdsl.ir import Attribute, Operation, SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_functions import FUNCTIONS
from hapir.dialects.nn_layers import LayerDefinition, Parameters
from hapir.dialects.num import element_type, is_signed, signed, storage_of, unsigned
from hapir.registered import integer_spelling

ElementText: TypeAlias = str
"""An option that takes `f32` or an integer of at most 64 bits; number formats of the registry have at most 32."""


def element_of(text: str) -> Attribute:
    """The element type that a text names. Raises ValueError for a format that holds no plain numbers."""
    if text == "f32":
        return f32
    spelled = integer_spelling(text)
    if spelled is None or spelled["width"] > 64:
        raise ValueError(f"the type is f32 or an integer of at most 64 bits, not {text}")
    return (signed if spelled["signed"] else unsigned)(spelled["width"])


def text_of(element: Attribute) -> str:
    """The text that names an element type: the inverse of `element_of`. Raises LookupError where there is none."""
    if element == f32:
        return "f32"
    storage = storage_of(element)
    if storage is None or storage != element:
        raise LookupError(f"{element} has no name of its own")
    return ("i" if is_signed(storage) else "u") + str(storage.width.data)


@dataclass(frozen=True)
class FunctionLayer(LayerDefinition):
    """A function of each element of its operands, which repeat to fit each other."""

    function: ClassVar[str]
    takes_numbers: ClassVar[bool] = True

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        values = [getattr(self, f.name) for f in fields(self)]
        return nn.PointwiseOp(self.function, inputs, values, layer=layer)

    @classmethod
    def options_of(cls, op: Operation) -> Mapping[str, object]:
        constants = op.constants if isinstance(op, nn.PointwiseOp) else ()
        return dict(zip((f.name for f in fields(cls)), constants, strict=False))


_TRUTHS = "greater(x, 0), less(x, 1)"
_WHOLE = "cast(x, type = i32)"
_BITS = "cast(abs(x), type = u32)"
_ARGUMENTS: Mapping[str, str] = {
    **dict.fromkeys(("log", "sqrt"), "softplus(x)"),
    **dict.fromkeys(("asin", "acos", "atanh"), "softsign(x)"),
    "acosh": "cosh(x)",
    "pow": "softplus(x), 2.5",
    "where": "greater(x, 0), x, y",
    "logical_not": "is_nan(x)",
    **dict.fromkeys(("logical_and", "logical_or", "logical_xor"), _TRUTHS),
    "bit_not": _WHOLE,
    "from_bits": "bits(x)",
    **dict.fromkeys(("bit_and", "bit_or", "bit_xor"), f"{_WHOLE}, 15"),
    **dict.fromkeys(("wrapping_add", "wrapping_sub", "wrapping_mul"), f"{_WHOLE}, 3"),
    **dict.fromkeys(("shift_left", "shift_right"), f"{_BITS}, 2"),
}
"""Operands of the examples of functions that do not take any real number."""


@cache
def statement(function: str) -> type[FunctionLayer]:
    """The statement of a function of the table: its parameters are its options."""
    known = FUNCTIONS[function]
    operands = _ARGUMENTS.get(function, ", ".join(("x", "y")[: known.arity]))
    given = "".join(f", {name} = {value}" for name, value in list(known.parameters.items())[:1])
    options = [f"`{name}`: the number {name} of the formula." for name in known.parameters]
    made = make_dataclass(
        "".join(word.title() for word in function.split("_")),
        [(name, float, field(default=value)) for name, value in known.parameters.items()],
        bases=(FunctionLayer,),
        frozen=True,
    )
    words = known.words[0].upper() + known.words[1:]
    made.__doc__ = "\n\n".join([f"{words}.", *options, f"Example: `y1 = {function}({operands}{given})`"])
    made.function = function  # pyright: ignore[reportAttributeAccessIssue]  # a class variable of the new class
    made.inputs = known.arity  # pyright: ignore[reportAttributeAccessIssue]  # likewise
    made.__module__ = __name__
    return made


@dataclass(frozen=True)
class Cast(LayerDefinition):
    """The same numbers in another type: reals become integers by truncation, wider integers modulo 2^width.

    `type`: f32, or an integer as i8 or u16; u1 is 1 where the number is not 0.

    Example: `i1 = cast(x, type = i32)`
    """

    type: ElementText

    def __post_init__(self) -> None:
        element_of(self.type)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.CastOp(inputs[0], element_of(self.type), layer=layer)

    @classmethod
    def options_of(cls, op: Operation) -> Mapping[str, object]:
        return {"type": text_of(element_type(op.results[0]))}


@dataclass(frozen=True)
class Constant(LayerDefinition):
    """A tensor of numbers from the weights: the parameter `<name>.value`.

    `shape`: its sizes; none for a scalar.
    `type`: f32, or an integer as i8 or u16.

    Example: `mean = constant(shape = [1, 3, 1, 1])`
    """

    inputs: ClassVar[int | None] = 0
    shape: tuple[int, ...]
    type: ElementText = "f32"

    def __post_init__(self) -> None:
        element_of(self.type)
        if min(self.shape, default=1) < 1:
            raise ValueError(f"sizes are at least 1, got {list(self.shape)}")

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.WeightOp:
        owner: Any = parameter("value", self.shape, element_of(self.type)).owner
        return owner


def __getattr__(name: str) -> object:
    """The class of a function's statement, by its name."""
    for function in FUNCTIONS:
        if statement(function).__name__ == name:
            return statement(function)
    raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
