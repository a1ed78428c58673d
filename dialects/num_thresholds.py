"""Activations of few levels as comparisons, and accumulators that are read as reals.

A threshold takes the place of everything between an accumulator and the codes of the next layer (scale, bias, batch
norm, activation, quantizer): the code counts how many of its channel's thresholds the accumulator has reached.
"""

from __future__ import annotations

from xdsl.dialects.builtin import I64, IntegerAttr, StringAttr, TensorType, i64
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

from hapir.dialects.num_types import (
    QUANTIZED,
    AffineType,
    BipolarType,
    code_range,
    codes_of,
    element_type,
    is_signed,
    shape_of,
    storage_of,
    unsigned,
    verify_axis,
)


@irdl_op_definition
class ThresholdOp(IRDLOperation):
    """Integers to codes of few levels, by comparing with thresholds:

    `q = low + step * n`, n the number of thresholds i with `thresholds[c][i] <= acc`; where `flips[c]` is 1, L minus
    that number (a batch norm with negative gamma turns the order round).

    acc is N C ... of integers that si32 holds. thresholds is C x L (1 x L where all channels share them), signed, each
    row ascending; flips is ui1 of as many rows. A threshold that acc never reaches, or always has, makes a level that
    never changes: a channel whose gamma is 0 is a constant. The step is 2 between bipolar codes, else 1. With L = 1 and
    bipolar codes it is batch norm and sign (FINN, Umuroglu et al., FPGA 2017, section 4.2.2).

    Example:
    `%q = num.threshold %acc, %t, %f from -1 : tensor<1x4xsi32>, tensor<4x1xsi10>, tensor<4xui1>
        -> tensor<1x4x!num.affine<!num.bipolar<1>, 1.0 : 0>>`
    """

    name = "num.threshold"
    acc = operand_def(base(TensorType))
    thresholds = operand_def(base(TensorType))
    flips = operand_def(base(TensorType))
    low = prop_def(IntegerAttr[I64])
    result = result_def(base(TensorType))
    layer = opt_prop_def(StringAttr)
    traits = traits_def(Pure())
    assembly_format = (
        "$acc `,` $thresholds `,` $flips `from` $low (`layer` $layer^)? attr-dict "
        "`:` type($acc) `,` type($thresholds) `,` type($flips) `->` type($result)"
    )

    def __init__(
        self,
        acc: SSAValue,
        thresholds: SSAValue,
        flips: SSAValue,
        result: Attribute,
        *,
        low: int,
        layer: str | None = None,
    ):
        super().__init__(
            operands=[acc, thresholds, flips],
            result_types=[result],
            properties={"low": IntegerAttr(low, i64), "layer": None if layer is None else StringAttr(layer)},
        )

    @property
    def levels(self) -> int:
        """L, the thresholds of one channel."""
        return shape_of(self.thresholds)[1]

    @property
    def step(self) -> int:
        """What lies between neighbouring codes."""
        return step_of(element_type(self.result))

    @property
    def code_bounds(self) -> tuple[int, int]:
        """The lowest and the highest code that can come out."""
        low = self.low.value.data
        return low, low + self.step * self.levels

    def verify_(self) -> None:
        if shape_of(self.acc) != shape_of(self.result):
            raise VerifyException(f"shapes differ: {shape_of(self.acc)} and {shape_of(self.result)}")
        acc = storage_of(element_type(self.acc))
        if acc is None or acc.width.data > (32 if is_signed(acc) else 31):
            raise VerifyException(f"compares integers that si32 holds, got {element_type(self.acc)}")
        element = element_type(self.result)
        if not isinstance(element, AffineType):
            raise VerifyException(f"gives an affine type, got {element}")
        thresholds = element_type(self.thresholds)
        storage = storage_of(thresholds)
        if storage is None or storage != thresholds or not is_signed(storage) or storage.width.data > 32:
            raise VerifyException(f"thresholds are signed integers of at most 32 bits, got {thresholds}")
        channels = shape_of(self.acc)[1] if len(shape_of(self.acc)) > 1 else 1
        shape = shape_of(self.thresholds)
        if len(shape) != 2 or shape[0] not in (1, channels) or shape[1] < 1:
            raise VerifyException(f"thresholds have shape {shape}, needs (1, L) or ({channels}, L)")
        if shape_of(self.flips) != shape[:1] or element_type(self.flips) != unsigned(1):
            raise VerifyException(f"flips are {self.flips.type}, needs tensor<{shape[0]}xui1>")
        first, last = code_range(element)
        low, high = self.code_bounds
        if not first <= low <= high <= last:
            raise VerifyException(f"{shape[1]} thresholds from {low} reach {high}, {element.codes} has {first}..{last}")
        if isinstance(element.codes, BipolarType) and low % 2 == 0:
            raise VerifyException(f"bipolar codes are odd, and they begin at {low}")


@irdl_op_definition
class ViewOp(IRDLOperation):
    """The same integers, read by another element type.

    So accumulators get the scale that makes them reals, bytes from outside become codes and codes bytes, and bipolar
    codes become integers that have a zero (`si2`).

    Example: `%a = num.view %acc : tensor<1x10xsi32> -> tensor<1x10x!num.per_channel<si32, 1, "f1.scale">>`
    """

    name = "num.view"
    x = operand_def(base(TensorType))
    result = result_def(base(TensorType))
    layer = opt_prop_def(StringAttr)
    traits = traits_def(Pure())
    assembly_format = "$x (`layer` $layer^)? attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, element: Attribute, layer: str | None = None):
        super().__init__(
            operands=[x],
            result_types=[TensorType(element, shape_of(x))],
            properties={"layer": None if layer is None else StringAttr(layer)},
        )

    def verify_(self) -> None:
        if shape_of(self.x) != shape_of(self.result):
            raise VerifyException(f"shapes differ: {shape_of(self.x)} and {shape_of(self.result)}")
        before, after = element_type(self.x), element_type(self.result)
        if not isinstance(after, QUANTIZED) and storage_of(after) != after:
            raise VerifyException(f"gives a quantized type or integers, got {after}")
        if not _holds(after, before):
            raise VerifyException(f"{after} does not hold all integers of {before} as they lie in memory")
        verify_axis(self.result)


def _holds(after: Attribute, before: Attribute) -> bool:
    """Whether the integers of one element type are among those of another, and lie in memory alike."""
    if storage_of(before) is None or storage_of(before) != storage_of(after) or step_of(after) > step_of(before):
        return False
    (low, high), (first, last) = code_range(before), code_range(after)
    return first <= low <= high <= last


def step_of(element: Attribute) -> int:
    """What lies between neighbouring codes of an element type."""
    return 2 if isinstance(codes_of(element), BipolarType) else 1
