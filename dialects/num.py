"""Conversions between number formats.

Rationale. A quantized tensor's element type says how its integers read as reals (see `num_types`, whose names are this
module's too). Raw integers (accumulators, multipliers) use builtin `si32`, `ui8`: the sign is always written, never
implied. Every conversion carries its rounding; requantization carries its clamp bounds, so ReLU after it is a bound and
not an op.

real = scale * (integer - zero_point)
"""

from __future__ import annotations

from typing import ClassVar

from xdsl.dialects.builtin import I64, Float32Type, IntegerAttr, Signedness, StringAttr, TensorType, UnitAttr, i64
from xdsl.ir import Attribute, Dialect, SSAValue
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

from hapir.dialects.num_rescale import RescaleOp, verify_bounds
from hapir.dialects.num_rounding import Rounding, RoundingAttr
from hapir.dialects.num_thresholds import ThresholdOp, ViewOp, step_of
from hapir.dialects.num_types import (
    CODED,
    QUANTIZED,
    SI8,
    SI32,
    UI8,
    UI16,
    AffineType,
    BipolarType,
    CodebookType,
    Codes,
    PerChannelType,
    PlanesType,
    ScaledType,
    TernaryType,
    code_bits,
    code_range,
    codes_of,
    dtype_of,
    element_type,
    integer_range,
    is_float,
    is_signed,
    on_grid,
    shape_of,
    signed,
    storage_of,
    table_key,
    unsigned,
    verify_axis,
    zero_point_of,
)

__all__ = [
    "CODED",
    "QUANTIZED",
    "SI8",
    "SI32",
    "UI8",
    "UI16",
    "AffineType",
    "BipolarType",
    "CodebookType",
    "Codes",
    "DequantizeOp",
    "Num",
    "PerChannelType",
    "PlanesType",
    "QuantizeOp",
    "RequantizeOp",
    "RescaleOp",
    "Rounding",
    "RoundingAttr",
    "ScaledType",
    "TernaryType",
    "ThresholdOp",
    "ViewOp",
    "WidenOp",
    "code_bits",
    "code_range",
    "codes_of",
    "dtype_of",
    "element_type",
    "integer_range",
    "is_float",
    "is_signed",
    "on_grid",
    "shape_of",
    "signed",
    "step_of",
    "storage_of",
    "table_key",
    "unsigned",
    "verify_axis",
    "zero_point_of",
]


def _same_shape(a: SSAValue, b: SSAValue) -> None:
    if shape_of(a) != shape_of(b):
        raise VerifyException(f"shapes differ: {shape_of(a)} and {shape_of(b)}")


@irdl_op_definition
class QuantizeOp(IRDLOperation):
    """Reals to affine integers: `q = clamp(round(x / scale) + zero_point)`, clamped to the storage type's range.

    The quotient is one of doubles; with `single` it is rounded to f32 first, as ONNX has it.

    Example: `%q = num.quantize %x half_even : tensor<1x8xf32> -> tensor<1x8x!num.affine<ui8, 0.5 : 0>>`
    """

    name = "num.quantize"
    x = operand_def(base(TensorType))
    rounding = prop_def(RoundingAttr)
    single = opt_prop_def(UnitAttr)
    result = result_def(base(TensorType))
    layer = opt_prop_def(StringAttr)
    traits = traits_def(Pure())
    assembly_format = "$x $rounding (`single` $single^)? (`layer` $layer^)? attr-dict `:` type($x) `->` type($result)"

    def __init__(
        self,
        x: SSAValue,
        result: Attribute,
        rounding: Rounding = Rounding.half_even,
        layer: str | None = None,
        *,
        single: bool = False,
    ):
        super().__init__(
            operands=[x],
            result_types=[result],
            properties={
                "rounding": RoundingAttr(rounding),
                "single": UnitAttr() if single else None,
                "layer": None if layer is None else StringAttr(layer),
            },
        )

    def verify_(self) -> None:
        _same_shape(self.x, self.result)
        if not is_float(self.x):
            raise VerifyException(f"quantizes f32, got {element_type(self.x)}")
        if not isinstance(element_type(self.result), QUANTIZED):
            raise VerifyException(f"gives a quantized type, got {element_type(self.result)}")
        verify_axis(self.result)


@irdl_op_definition
class DequantizeOp(IRDLOperation):
    """Codes to reals: `x = scale * (q - zero_point)`, or what the table of the type says, in f32.

    Example: `%x = num.dequantize %q : tensor<1x8x!num.affine<ui8, 0.5 : 0>> -> tensor<1x8xf32>`
    """

    name = "num.dequantize"
    q = operand_def(base(TensorType))
    result = result_def(base(TensorType))
    layer = opt_prop_def(StringAttr)
    traits = traits_def(Pure())
    assembly_format = "$q (`layer` $layer^)? attr-dict `:` type($q) `->` type($result)"

    def __init__(self, q: SSAValue, layer: str | None = None):
        super().__init__(
            operands=[q],
            result_types=[TensorType(Float32Type(), shape_of(q))],
            properties={"layer": None if layer is None else StringAttr(layer)},
        )

    def verify_(self) -> None:
        _same_shape(self.q, self.result)
        if not isinstance(element_type(self.q), CODED):
            raise VerifyException(f"dequantizes a quantized type, got {element_type(self.q)}")
        verify_axis(self.q)
        if not is_float(self.result):
            raise VerifyException(f"gives f32, got {element_type(self.result)}")


@irdl_op_definition
class WidenOp(IRDLOperation):
    """Affine integers to scaled raw integers: `(q - zero_point) * multiplier` in si32.

    Brings operands of different scales onto one before an integer `nn.add` or `nn.concat`. The verifier proves that
    the product fits.

    Example: `%a = num.widen %q by 181 : tensor<1x8x!num.affine<ui8, 0.5 : 3>> -> tensor<1x8xsi32>`
    """

    name = "num.widen"
    q = operand_def(base(TensorType))
    multiplier = prop_def(IntegerAttr[I64])
    result = result_def(base(TensorType))
    layer = opt_prop_def(StringAttr)
    traits = traits_def(Pure())
    assembly_format = "$q `by` $multiplier (`layer` $layer^)? attr-dict `:` type($q) `->` type($result)"

    def __init__(self, q: SSAValue, multiplier: int, layer: str | None = None):
        super().__init__(
            operands=[q],
            result_types=[TensorType(signed(32), shape_of(q))],
            properties={
                "multiplier": IntegerAttr(multiplier, i64),
                "layer": None if layer is None else StringAttr(layer),
            },
        )

    def verify_(self) -> None:
        _same_shape(self.q, self.result)
        element = element_type(self.q)
        if not isinstance(element, AffineType):
            raise VerifyException(f"widens an affine type, got {element}")
        if element_type(self.result) != signed(32):
            raise VerifyException(f"gives si32, got {element_type(self.result)}")
        low, high = code_range(element)
        zero_point, factor = element.zero_point.data, self.multiplier.value.data
        limit = max(abs(low - zero_point), abs(high - zero_point)) * abs(factor)
        if limit >= 1 << 31:
            raise VerifyException(f"(q - {zero_point}) * {factor} reaches {limit}, more than si32 holds")


@irdl_op_definition
class RequantizeOp(IRDLOperation):
    """Accumulators to affine integers by an integer multiplier and a right shift:

    `q = clamp(round(acc * multiplier / 2^shift) + zero_point, low, high)`

    acc is si32 of any shape; multiplier (unsigned) and shift (ui8, 0..62) are tensors of length 1 (per tensor) or of
    acc's axis 1 (per channel). The product is exact (64 bit); rounding is by `rounding`. `low`/`high` lie within the
    result's storage range; a ReLU is `low = zero_point`.

    Example:
    `%q = num.requantize %acc, %m, %s half_up bounds 0, 255 : tensor<1x4xsi32>, tensor<4xui16>, tensor<4xui8>
        -> tensor<1x4x!num.affine<ui8, 0.5 : 0>>`
    """

    name = "num.requantize"
    acc = operand_def(base(TensorType))
    multiplier = operand_def(base(TensorType))
    shift = operand_def(base(TensorType))
    rounding = prop_def(RoundingAttr)
    low = prop_def(IntegerAttr[I64])
    high = prop_def(IntegerAttr[I64])
    result = result_def(base(TensorType))
    layer = opt_prop_def(StringAttr)
    traits = traits_def(Pure())
    assembly_format = (
        "$acc `,` $multiplier `,` $shift $rounding `bounds` $low `,` $high (`layer` $layer^)? attr-dict "
        "`:` type($acc) `,` type($multiplier) `,` type($shift) `->` type($result)"
    )

    MAX_SHIFT: ClassVar[int] = 62

    def __init__(
        self,
        acc: SSAValue,
        multiplier: SSAValue,
        shift: SSAValue,
        result: Attribute,
        *,
        rounding: Rounding,
        low: int,
        high: int,
        layer: str | None = None,
    ):
        super().__init__(
            operands=[acc, multiplier, shift],
            result_types=[result],
            properties={
                "rounding": RoundingAttr(rounding),
                "low": IntegerAttr(low, i64),
                "high": IntegerAttr(high, i64),
                "layer": None if layer is None else StringAttr(layer),
            },
        )

    def verify_(self) -> None:
        _same_shape(self.acc, self.result)
        if element_type(self.acc) != signed(32):
            raise VerifyException(f"requantizes si32, got {element_type(self.acc)}")
        element = element_type(self.result)
        if not isinstance(element, AffineType):
            raise VerifyException(f"gives an affine type, got {element}")
        multiplier = storage_of(element_type(self.multiplier))
        if multiplier is None or multiplier.signedness.data != Signedness.UNSIGNED:
            raise VerifyException(f"the multiplier is an unsigned integer, got {element_type(self.multiplier)}")
        if multiplier.width.data > 32:
            raise VerifyException(f"the multiplier has at most 32 bits, got {multiplier}: the product must fit 64")
        if element_type(self.shift) != unsigned(8):
            raise VerifyException(f"the shift is ui8, got {element_type(self.shift)}")
        channels = shape_of(self.acc)[1] if len(shape_of(self.acc)) > 1 else 1
        for what, value in (("multiplier", self.multiplier), ("shift", self.shift)):
            if shape_of(value) not in ((1,), (channels,)):
                raise VerifyException(f"{what} has shape {shape_of(value)}, needs (1,) or ({channels},)")
        verify_bounds(element, self.low.value.data, self.high.value.data)


Num = Dialect(
    "num",
    [QuantizeOp, DequantizeOp, WidenOp, RequantizeOp, RescaleOp, ThresholdOp, ViewOp],
    [
        RoundingAttr,
        BipolarType,
        TernaryType,
        AffineType,
        PerChannelType,
        ScaledType,
        CodebookType,
        PlanesType,
    ],
)
