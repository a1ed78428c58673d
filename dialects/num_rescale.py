"""Requantization for processors with a floating-point unit: accumulators times a real scale."""

from __future__ import annotations

from xdsl.dialects.builtin import I64, Float32Type, IntegerAttr, StringAttr, TensorType, UnitAttr, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    base,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from hapir.dialects.num_rounding import Rounding, RoundingAttr
from hapir.dialects.num_types import SI32, AffineType, code_range, element_type, shape_of


@irdl_op_definition
class RescaleOp(IRDLOperation):
    """Accumulators to affine integers by a real scale:

    `q = clamp(round(acc * scale) + zero_point, low, high)`

    acc is si32 of any shape; scale is f32, of length 1 (per tensor) or of acc's axis 1 (per channel). The product is
    one of doubles, rounded once to the nearest; with `single` acc becomes f32 and the product is one of f32, as
    onnxruntime computes. Then `rounding` gives an integer. `low` and `high` lie within the result's range; a ReLU is
    `low = zero_point`.

    Example:
    `%q = num.rescale %acc, %s half_even bounds 0, 255 : tensor<1x4xsi32>, tensor<4xf32>
        -> tensor<1x4x!num.affine<ui8, 0.5 : 0>>`
    """

    name = "num.rescale"
    acc = operand_def(base(TensorType))
    scale = operand_def(base(TensorType))
    rounding = prop_def(RoundingAttr)
    low = prop_def(IntegerAttr[I64])
    high = prop_def(IntegerAttr[I64])
    single = opt_prop_def(UnitAttr)
    result = result_def(base(TensorType))
    layer = opt_prop_def(StringAttr)
    traits = traits_def(Pure())
    assembly_format = (
        "$acc `,` $scale $rounding (`single` $single^)? `bounds` $low `,` $high (`layer` $layer^)? attr-dict "
        "`:` type($acc) `,` type($scale) `->` type($result)"
    )

    def __init__(
        self,
        acc: SSAValue,
        scale: SSAValue,
        result: Attribute,
        *,
        rounding: Rounding,
        low: int,
        high: int,
        layer: str | None = None,
        single: bool = False,
    ):
        super().__init__(
            operands=[acc, scale],
            result_types=[result],
            properties={
                "rounding": RoundingAttr(rounding),
                "low": IntegerAttr(low, i64),
                "high": IntegerAttr(high, i64),
                "single": UnitAttr() if single else None,
                "layer": None if layer is None else StringAttr(layer),
            },
        )

    def verify_(self) -> None:
        if shape_of(self.acc) != shape_of(self.result):
            raise VerifyException(f"shapes differ: {shape_of(self.acc)} and {shape_of(self.result)}")
        if element_type(self.acc) != SI32:
            raise VerifyException(f"rescales si32, got {element_type(self.acc)}")
        element = element_type(self.result)
        if not isinstance(element, AffineType):
            raise VerifyException(f"gives an affine type, got {element}")
        channels = shape_of(self.acc)[1] if len(shape_of(self.acc)) > 1 else 1
        if not isinstance(element_type(self.scale), Float32Type) or shape_of(self.scale) not in ((1,), (channels,)):
            raise VerifyException(f"the scale is {self.scale.type}, needs f32 of shape (1,) or ({channels},)")
        verify_bounds(element, self.low.value.data, self.high.value.data)


def verify_bounds(element: AffineType, low: int, high: int) -> None:
    """Raise VerifyException where clamp bounds do not lie within the codes of a type."""
    first, last = code_range(element)
    if not first <= low <= high <= last:
        raise VerifyException(f"bounds {low}..{high} do not lie in {element.codes} ({first}..{last})")
