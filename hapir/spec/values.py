"""Values of the syntax as they are written: the word that one is, the format it names, and how messages show it."""

from __future__ import annotations

from xdsl.dialects.builtin import IntegerType

from hapir.dialects.num import signed, unsigned
from hapir.registered import integer_spelling
from hapir.spec import syntax


def word(value: syntax.Value | syntax.Pair) -> str | None:
    """The name that a value is written as, whether or not a constant of that name was put in; None of other values."""
    match value:
        case syntax.Name():
            return value.text
        case syntax.Number() | syntax.Quantity() | syntax.Text() if value.origin is not None:
            return value.origin.name
        case _:
            return None


def integer_format(value: syntax.Value) -> IntegerType | None:
    """`u8` and `i32` as explicit-sign integer types; None for anything else."""
    spelled = integer_spelling(word(value) or "")
    if spelled is None or spelled["width"] > 64:
        return None
    return (signed if spelled["signed"] else unsigned)(spelled["width"])


def show(value: syntax.Value) -> str:
    """A value as a message shows it."""
    match value:
        case syntax.Name():
            return f"`{value.text}`"
        case syntax.Number():
            return str(value.value)
        case syntax.Quantity():
            return f"{value.value} {value.unit}"
        case syntax.Text():
            return f'"{value.value}"'
        case syntax.Call():
            return f"a call of `{value.function.text}`"
        case syntax.Tensor() | syntax.Member():
            return "a tensor"
        case syntax.Sequence():
            return f"a list of {len(value.elements)}"
        case syntax.Product():
            return "a product"
        case syntax.Binary() | syntax.Negative():
            return "an expression"
