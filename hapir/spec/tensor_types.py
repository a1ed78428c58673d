"""Types of tensors: `f32[1, 10]` in a spec, a ranked tensor type in the IR, and how large one may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import Attribute

from hapir.diagnostics import Findings
from hapir.dialects.nn_shapes import ShapeError, text
from hapir.dialects.num import storage_of
from hapir.spec import foreign, syntax
from hapir.spec.evaluate import Scope, evaluate
from hapir.spec.options import origins
from hapir.spec.values import integer_format, show

MAXIMUM_SIZE = (1 << 31) - 1
"""Elements of a tensor and size of a dimension: what a signed 32-bit index of generated code reaches."""


def tensor_type(tensor: syntax.Tensor, scope: Scope, findings: Findings) -> TensorType[Attribute] | None:
    """The IR type of a tensor as it is written; None after an error."""
    element: Attribute | None = f32 if tensor.element.text == "f32" else integer_format(tensor.element)
    if element is None:
        findings.error(
            "HAP0306",
            f"`{tensor.element.text}` is not an element type",
            at=tensor.element.span,
            help=foreign.suggest_value("", tensor.element.text, lambda name: bool(name))
            or "f32, or an integer with its sign and width: i8, u8, i32",
        )
    shape: list[int] = []
    for written in tensor.dimensions:
        size = written if isinstance(written, syntax.Pair) else evaluate(written, scope, findings)
        if isinstance(size, syntax.Number) and isinstance(size.value, int) and 0 < size.value <= MAXIMUM_SIZE:
            shape.append(size.value)
            continue
        element = None
        if size is not None:
            labels = [] if isinstance(size, syntax.Pair) else origins([size])
            shown = "a pair" if isinstance(size, syntax.Pair) else show(size)
            message = f"a dimension is an integer in 1..{MAXIMUM_SIZE}, not {shown}"
            help = "write a number, or a parameter of the network with a default: `size = 32`"
            findings.error("HAP0305", message, at=written.span, labels=labels, help=help)
    if element is None:
        return None
    try:
        check_size(tuple(shape))
    except ShapeError as error:
        findings.error("HAP0305", str(error), at=tensor.span, help="make a dimension smaller")
        return None
    return TensorType(element, shape)


def check_size(shape: Sequence[int]) -> None:
    """Refuse a tensor that generated code could not index. Raises ShapeError."""
    count = 1
    for size in shape:
        count *= size
    if count > MAXIMUM_SIZE:
        raise ShapeError(f"a tensor of {text(shape)} has more than {MAXIMUM_SIZE} elements")


def plain_element(element: Attribute) -> Attribute:
    """The element type that a spec declares for a tensor: of codes the integers that hold them."""
    return storage_of(element) or element


def type_text(type_: Attribute) -> str:
    """A tensor type as the spec writes it: `f32[1, 10]`; of codes the integers that hold them."""
    if not isinstance(type_, TensorType):
        return str(type_)
    shaped = cast("TensorType[Attribute]", type_)
    element = str(plain_element(shaped.get_element_type())).replace("si", "i").replace("ui", "u")
    return f"{element}[{', '.join(map(str, shaped.get_shape()))}]"
