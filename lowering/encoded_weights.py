"""Where a folded parameter came from: the parts that it was decoded from, for targets that decode by themselves."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.builtin import Float32Type
from xdsl.ir import Attribute, SSAValue

from hapir.dialects import enc, num
from hapir.dialects.nn import WeightOp
from hapir.dialects.num import element_type
from hapir.encodings.encoding import Encoding, Tensor


@dataclass(frozen=True)
class EncodedWeight:
    """A parameter as it is stored: an encoding, the keys of its parts, and the element type of what is decoded.

    `is_real` says whether the parameter is the reals behind decoded codes, not the codes themselves.
    """

    encoding: Encoding
    tensor: Tensor
    element: Attribute
    parts: tuple[str, ...]
    is_real: bool


def encoded_weight(value: SSAValue) -> EncodedWeight | None:
    """How a parameter is stored: decoded bytes, dequantized or not; None for every other one."""
    op, is_real = value.owner, False
    if isinstance(op, num.DequantizeOp):
        op, is_real = op.q.owner, True
    if not isinstance(op, enc.DecodeOp) or not all(isinstance(part.owner, WeightOp) for part in op.parts):
        return None
    element = element_type(op.result)
    assert not (is_real and isinstance(element, Float32Type))
    keys = tuple(part.owner.key.data for part in op.parts if isinstance(part.owner, WeightOp))
    return EncodedWeight(op.value, op.tensor, element, keys, is_real)
