"""What passes ask quantize to do with one layer, as attributes on its `nn` op: written here, read here.

- `weight_format = "i4"`: the integers of the layer's weights.
- `activation_format = "u4"`: the integers of the layer's result; a ReLU behind it and whatever else keeps its integers
  have the same.
- `activation_range = [0.0, 6.0]`: the reals that those integers cover, instead of what calibration shows.

On an `nn.network` the last two are for its inputs.

quantize removes the attributes when it has carried them out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from xdsl.dialects.builtin import ArrayAttr, FloatAttr, IntegerType, StringAttr, f64
from xdsl.ir import Attribute, Operation

from hapir.diagnostics import fail
from hapir.dialects.num import signed, unsigned

WeightFormat = Literal["i2", "i3", "i4", "i5", "i6", "i7", "i8"]
ActivationFormat = Literal[
    "u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "i2", "i3", "i4", "i5", "i6", "i7", "i8"
]  # fmt: skip

WEIGHT_FORMAT, ACTIVATION_FORMAT, ACTIVATION_RANGE = "weight_format", "activation_format", "activation_range"
ANNOTATIONS = (WEIGHT_FORMAT, ACTIVATION_FORMAT, ACTIVATION_RANGE)
"""The names of all of them."""


def storage_named(name: str) -> IntegerType:
    """The explicit-sign type behind a format name: `i8` is si8, `u4` is ui4."""
    width = int(name[1:])
    return signed(width) if name[0] == "i" else unsigned(width)


@dataclass(frozen=True)
class Request:
    """What is asked of one activation; None leaves a side to quantize's own options."""

    storage: IntegerType | None = None
    range: tuple[float, float] | None = None

    def __bool__(self) -> bool:
        return self != Request()

    def fits(self, other: Request) -> bool:
        """Whether the other one grants all that this one asks."""
        return self.storage in (None, other.storage) and self.range in (None, other.range)


def ask_for(
    op: Operation,
    *,
    weights: str | None = None,
    activations: str | None = None,
    range: tuple[float, float] | None = None,
) -> None:
    """Write the annotations that are given; what the op was annotated with before stays where nothing new is given."""
    if weights is not None:
        op.attributes[WEIGHT_FORMAT] = StringAttr(weights)
    if activations is not None:
        op.attributes[ACTIVATION_FORMAT] = StringAttr(activations)
    if range is not None:
        op.attributes[ACTIVATION_RANGE] = ArrayAttr([FloatAttr(end, f64) for end in range])


def asked_weight_width(op: Operation) -> int | None:
    """The bits asked for a layer's weights. Raises HapirError (HAP0526) for an annotation that says no such thing."""
    name = _format_of(op, WEIGHT_FORMAT, get_args(WeightFormat))
    return None if name is None else int(name[1:])


def asked_of(op: Operation) -> Request:
    """What is asked for a layer's result. Raises HapirError (HAP0526) for annotations that say no such thing."""
    name = _format_of(op, ACTIVATION_FORMAT, get_args(ActivationFormat))
    return Request(None if name is None else storage_named(name), _range_of(op))


def drop_annotations(op: Operation, names: Sequence[str] = ANNOTATIONS) -> None:
    """Remove annotations that are carried out, or have lost their meaning."""
    for name in names:
        op.attributes.pop(name, None)


def _format_of(op: Operation, name: str, known: tuple[str, ...]) -> str | None:
    attribute = op.attributes.get(name)
    if attribute is None:
        return None
    text = attribute.data if isinstance(attribute, StringAttr) else str(attribute)
    if text not in known:
        fail("HAP0526", f"`{name}` is `{text}`, which is none of {', '.join(known)}", at=op)
    return text


def _range_of(op: Operation) -> tuple[float, float] | None:
    attribute = op.attributes.get(ACTIVATION_RANGE)
    if attribute is None:
        return None
    ends = [_number(end) for end in cast("ArrayAttr[Attribute]", attribute)] if isinstance(attribute, ArrayAttr) else []
    if len(ends) != 2 or not (math.isfinite(ends[0]) and math.isfinite(ends[1]) and ends[0] <= 0 <= ends[1]):
        what = f"`{ACTIVATION_RANGE}` is {attribute}, not two finite numbers with 0 between them"
        fail("HAP0526", what, at=op, help="write [low, high]; 0 must have a code for ReLU and padding")
    return ends[0], ends[1]


def _number(attribute: Attribute) -> float:
    return attribute.value.data if isinstance(attribute, FloatAttr) else math.nan
