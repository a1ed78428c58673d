"""Weights that are generated from short codes, slice by slice.

Rationale. The codes and what they are expanded with are parameters like any other, so the file that `hapir compile`
writes holds nothing else; the op says how the weights come out of them. It computes on parameters alone, so witnesses
that do not generate weights on the fly see what it gives as a plain parameter. Slices lie in row-major order of their
places in the weight, each is read row-major, and what reaches beyond the weight is cropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, prod

from xdsl.dialects.builtin import (
    I64,
    ArrayAttr,
    Float64Type,
    FloatAttr,
    IntAttr,
    IntegerAttr,
    StringAttr,
    TensorType,
    f32,
    i64,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import IRDLOperation, base, irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from hapir.dialects.assembly import Real, Sizes, integers, sizes
from hapir.dialects.num import shape_of, unsigned
from hapir.factorizations.bsg import words_for
from hapir.factorizations.slices import slice_count


def _slices(result: SSAValue, slice_shape: Sequence[int]) -> int:
    """How many slices a weight has. Raises VerifyException where they do not fit it."""
    try:
        return slice_count(shape_of(result), slice_shape)
    except ValueError as error:
        raise VerifyException(str(error)) from error


def _expect(what: str, value: SSAValue, element: Attribute, shape: tuple[int, ...]) -> None:
    expected = TensorType(element, shape)
    if value.type != expected:
        raise VerifyException(f"the {what} must be {expected}, got {value.type}")


@irdl_op_definition
class CsgGenerateOp(IRDLOperation):
    """Slices as a matrix times their codes: `slice_i = reshape(A c_i)` (CSG, UCSD thesis, equation 5.1).

    Codes are S x n_c for S slices, A is prod(slice) x n_c; products are summed in f64 and rounded once to f32.

    Example:
    `%w = enc.csg_generate %codes, %matrix slice [16, 16, 3, 3] : (tensor<2x24xf32>, tensor<2304x24xf32>)
        -> tensor<32x16x3x3xf32>`
    """

    name = "enc.csg_generate"
    codes = operand_def(base(TensorType))
    matrix = operand_def(base(TensorType))
    slice = prop_def(ArrayAttr[IntAttr])
    result = result_def(base(TensorType))
    traits = traits_def(Pure())
    assembly_format = (
        "$codes `,` $matrix `slice` custom<Sizes>($slice) attr-dict `:` functional-type(operands, results)"
    )
    custom_directives = (Sizes,)

    def __init__(self, codes: SSAValue, matrix: SSAValue, slice_shape: Sequence[int], shape: Sequence[int]):
        super().__init__(
            operands=[codes, matrix],
            result_types=[TensorType(f32, shape)],
            properties={"slice": sizes(slice_shape)},
        )

    @property
    def slice_shape(self) -> tuple[int, ...]:
        """The sizes of a slice."""
        return tuple(integers(self.slice))

    def verify_(self) -> None:
        count = _slices(self.result, self.slice_shape)
        length = shape_of(self.codes)[-1] if shape_of(self.codes) else 0
        _expect("codes", self.codes, f32, (count, length))
        _expect("matrix", self.matrix, f32, (prod(self.slice_shape), length))
        _expect("result", self.result, f32, shape_of(self.result))


@irdl_op_definition
class BsgGenerateOp(IRDLOperation):
    """Slices of whole numbers from codes of signs and one vector b of signs: `W_i = sum_v b[v - i] c[v]`, times `scale`
    (BSG, UCSD thesis, equation 5.5).

    Codes are S slices of n_c bits, b is n_c bits, 1 for +1, both in words of 16 bits whose first bit is the lowest;
    `length` is n_c. With `polarity "xor"` numbers have the other sign, as equation 5.6 of the thesis prints them.

    Example:
    `%w = enc.bsg_generate %codes, %vector length 24 slice [16, 16, 3, 3] scale 0.01 polarity "xnor" :
        (tensor<2x2xui16>, tensor<2xui16>) -> tensor<32x16x3x3xf32>`
    """

    name = "enc.bsg_generate"
    codes = operand_def(base(TensorType))
    vector = operand_def(base(TensorType))
    length = prop_def(IntegerAttr[I64])
    slice = prop_def(ArrayAttr[IntAttr])
    scale = prop_def(FloatAttr[Float64Type])
    polarity = prop_def(StringAttr)
    result = result_def(base(TensorType))
    traits = traits_def(Pure())
    assembly_format = (
        "$codes `,` $vector `length` $length `slice` custom<Sizes>($slice) `scale` custom<Real>($scale) "
        "`polarity` $polarity attr-dict `:` functional-type(operands, results)"
    )
    custom_directives = (Sizes, Real)

    def __init__(
        self,
        codes: SSAValue,
        vector: SSAValue,
        slice_shape: Sequence[int],
        shape: Sequence[int],
        *,
        length: int,
        scale: float,
        polarity: str,
    ):
        super().__init__(
            operands=[codes, vector],
            result_types=[TensorType(f32, shape)],
            properties={
                "length": IntegerAttr(length, i64),
                "slice": sizes(slice_shape),
                "scale": FloatAttr(scale, 64),
                "polarity": StringAttr(polarity),
            },
        )

    @property
    def slice_shape(self) -> tuple[int, ...]:
        """The sizes of a slice."""
        return tuple(integers(self.slice))

    def verify_(self) -> None:
        count, length = _slices(self.result, self.slice_shape), self.length.value.data
        if length < 1:
            raise VerifyException(f"a code has at least one bit, got length {length}")
        if not (isfinite(self.scale.value.data) and self.scale.value.data >= 0):
            raise VerifyException(f"the scale is finite and not negative, got {self.scale.value.data}")
        if self.polarity.data not in ("xnor", "xor"):
            raise VerifyException(f'the polarity is "xnor" or "xor", got "{self.polarity.data}"')
        words = words_for(length)
        _expect("codes", self.codes, unsigned(16), (count, words))
        _expect("vector", self.vector, unsigned(16), (words,))
        _expect("result", self.result, f32, shape_of(self.result))
