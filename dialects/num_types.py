"""The element types of `num`: how the integers of a tensor read as reals.

Rationale. The integers themselves are `codes`: a builtin `si8` or `ui4`, or a set that has fewer members than its bits
could hold, `!num.bipolar<W>` (odd numbers) and `!num.ternary`. A quantized type adds the reals behind them: one scale
and zero point (`!num.affine`), a scale per index of an axis (`!num.per_channel`) or per block (`!num.scaled`), a table
of levels (`!num.codebook`), or a sum of signed bases (`!num.planes`). Tables are arrays of the weight store, named by
their keys. In memory a tensor of codes is an array of the integers that `storage_of` gives.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from xdsl.dialects.builtin import (
    Float32Type,
    FloatData,
    IntAttr,
    IntegerType,
    Signedness,
    StringAttr,
    TensorType,
)
from xdsl.ir import Attribute, ParametrizedAttribute, SSAValue, TypeAttribute
from xdsl.irdl import irdl_attr_definition, param_def
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from hapir.dialects.assembly import float_text


def signed(width: int) -> IntegerType:
    """The builtin type `si<width>`."""
    return IntegerType(width, Signedness.SIGNED)


def unsigned(width: int) -> IntegerType:
    """The builtin type `ui<width>`."""
    return IntegerType(width, Signedness.UNSIGNED)


SI32 = signed(32)
"""Accumulators."""
SI8, UI8, UI16 = signed(8), unsigned(8), unsigned(16)


def is_signed(storage: IntegerType) -> bool:
    """Whether an explicit-sign integer type is signed."""
    return storage.signedness.data == Signedness.SIGNED


def integer_range(storage: IntegerType) -> tuple[int, int]:
    """The lowest and highest value of an explicit-sign integer type."""
    width = storage.width.data
    return (-(1 << width - 1), (1 << width - 1) - 1) if is_signed(storage) else (0, (1 << width) - 1)


@irdl_attr_definition
class BipolarType(ParametrizedAttribute, TypeAttribute):
    """The odd numbers from `-(2^width - 1)` to `2^width - 1`: all sums of +-1, +-2, ... +-2^(width - 1).

    A packed code c means `2c - (2^width - 1)`; width 1 is +-1. In memory a number is itself, in `si<width + 1>`.

    Example: `!num.bipolar<1>`
    """

    name = "num.bipolar"
    width: IntAttr = param_def(converter=IntAttr.get)

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            return [IntAttr(parser.parse_integer(allow_negative=False))]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(str(self.width.data))

    def verify(self) -> None:
        if not 1 <= self.width.data <= 31:
            raise VerifyException(f"bipolar numbers have 1 to 31 bits, got {self.width.data}")


@irdl_attr_definition
class TernaryType(ParametrizedAttribute, TypeAttribute):
    """The numbers -1, 0 and 1. In memory they are `si2`.

    Example: `!num.ternary`
    """

    name = "num.ternary"


Codes = IntegerType | BipolarType | TernaryType
"""The sets of integers that a quantized type may store."""


def codes_of(element: Attribute) -> Attribute | None:
    """The set of integers behind an element type; None for floats."""
    if isinstance(element, AffineType | PerChannelType | ScaledType):
        return element.codes
    return element if isinstance(element, BipolarType | TernaryType) else storage_of(element)


def code_range(element: Attribute) -> tuple[int, int]:
    """The lowest and highest integer of a set of codes, or of the codes of an element type."""
    match codes_of(element):
        case BipolarType() as codes:
            return -(1 << codes.width.data) + 1, (1 << codes.width.data) - 1
        case TernaryType():
            return -1, 1
        case codes:
            assert codes is not None
            return integer_range(_held(codes))


def code_bits(element: Attribute) -> int:
    """How many bits a packed code of an element type takes; 32 for f32."""
    match codes_of(element):
        case None:
            return 32
        case BipolarType() as codes:
            return codes.width.data
        case codes:
            return _held(codes).width.data


def _verify_codes(codes: Attribute) -> None:
    if isinstance(codes, IntegerType):
        integers = cast(IntegerType, codes)
        if integers.signedness.data == Signedness.SIGNLESS:
            raise VerifyException(f"storage type {codes} does not say its sign: write si{integers.width.data} or ui...")
    if not isinstance(codes, Codes):
        raise VerifyException(f"{codes} is no set of integers: write si8, ui4, !num.bipolar<1> or !num.ternary")


def _parse_key(parser: AttrParser) -> StringAttr:
    parser.parse_punctuation(",")
    return StringAttr(parser.parse_str_literal())


def _print_key(printer: Printer, key: StringAttr) -> None:
    printer.print_string(", ")
    printer.print_string_literal(key.data)


@irdl_attr_definition
class AffineType(ParametrizedAttribute, TypeAttribute):
    """Integers of `codes` that mean `scale * (q - zero_point)`.

    Example: `!num.affine<ui8, 0.0078125 : 128>`
    """

    name = "num.affine"
    codes: Attribute
    scale: FloatData
    zero_point: IntAttr = param_def(converter=IntAttr.get)

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            codes = parser.parse_type()
            parser.parse_punctuation(",")
            scale = FloatData(float(parser.parse_number()))
            parser.parse_punctuation(":")
            zero_point = IntAttr(parser.parse_integer())
        return [codes, scale, zero_point]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_attribute(self.codes)
            printer.print_string(f", {float_text(self.scale.data)} : {self.zero_point.data}")

    def verify(self) -> None:
        _verify_codes(self.codes)
        if not (np.isfinite(self.scale.data) and self.scale.data > 0):
            raise VerifyException(f"scale must be positive and finite, got {self.scale.data}")
        low, high = code_range(self.codes)
        if not low <= self.zero_point.data <= high:
            raise VerifyException(f"zero point {self.zero_point.data} is outside {self.codes}")

    @property
    def storage(self) -> IntegerType:
        """The integers that hold the codes in memory."""
        return _held(self.codes)


@irdl_attr_definition
class PerChannelType(ParametrizedAttribute, TypeAttribute):
    """Symmetric integers of `codes` that mean `scales[i] * q`, i the index along `axis`; `scales` is a weight key.

    Example: `!num.per_channel<si8, 0, "c1.weight.scale">`
    """

    name = "num.per_channel"
    codes: Attribute
    axis: IntAttr = param_def(converter=IntAttr.get)
    scales: StringAttr

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            codes = parser.parse_type()
            parser.parse_punctuation(",")
            axis = IntAttr(parser.parse_integer(allow_negative=False))
            scales = _parse_key(parser)
        return [codes, axis, scales]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_attribute(self.codes)
            printer.print_string(f", {self.axis.data}")
            _print_key(printer, self.scales)

    def verify(self) -> None:
        _verify_codes(self.codes)

    @property
    def storage(self) -> IntegerType:
        """The integers that hold the codes in memory."""
        return _held(self.codes)


@irdl_attr_definition
class ScaledType(ParametrizedAttribute, TypeAttribute):
    """Symmetric integers of `codes` that mean `scale * q`, with a scale per block; `scales` is a weight key.

    The array of scales has the tensor's rank, and each of its sizes divides the tensor's: (1, 1, 1, 1) is one scale,
    (K, 1, 1, 1) one per filter, (1, 1, R, S) one per kernel position, (K / 4, 1, 1, 1) one per four filters.

    Example: `!num.scaled<!num.ternary, "c1.weight.twn.scale">`
    """

    name = "num.scaled"
    codes: Attribute
    scales: StringAttr

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            return [parser.parse_type(), _parse_key(parser)]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_attribute(self.codes)
            _print_key(printer, self.scales)

    def verify(self) -> None:
        _verify_codes(self.codes)

    @property
    def storage(self) -> IntegerType:
        """The integers that hold the codes in memory."""
        return _held(self.codes)


@irdl_attr_definition
class CodebookType(ParametrizedAttribute, TypeAttribute):
    """Indices that mean `levels[c]`; `levels` is a weight key.

    The array holds L levels in ascending order, `L <= 2^width`, or G rows of them: one codebook for
    each of G equal blocks of axis 0.

    Example: `!num.codebook<ui2, "c1.weight.n_ary.levels">`
    """

    name = "num.codebook"
    storage: IntegerType
    levels: StringAttr

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            return [parser.parse_type(), _parse_key(parser)]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_attribute(self.storage)
            _print_key(printer, self.levels)

    def verify(self) -> None:
        if self.storage.signedness.data != Signedness.UNSIGNED or not 1 <= self.storage.width.data <= 16:
            raise VerifyException(f"indices are ui1 to ui16, got {self.storage}")


@irdl_attr_definition
class PlanesType(ParametrizedAttribute, TypeAttribute):
    """Bits that choose signs: a code means `sum_i bases[i] * (2 * bit_i - 1)`; `bases` is a weight key.

    Bit 0 is the lowest. The array holds M bases, one per bit, or G rows of them for G equal blocks of axis 0.

    Example: `!num.planes<2, "c1.weight.lq_net.bases">`
    """

    name = "num.planes"
    count: IntAttr = param_def(converter=IntAttr.get)
    bases: StringAttr

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            return [IntAttr(parser.parse_integer(allow_negative=False)), _parse_key(parser)]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(str(self.count.data))
            _print_key(printer, self.bases)

    def verify(self) -> None:
        if not 1 <= self.count.data <= 16:
            raise VerifyException(f"there are 1 to 16 planes, got {self.count.data}")

    @property
    def storage(self) -> IntegerType:
        """The integers that hold the codes in memory."""
        return unsigned(self.count.data)


QUANTIZED = (AffineType, PerChannelType)
"""What integer ops compute on."""
CODED = (*QUANTIZED, ScaledType, CodebookType, PlanesType)
"""What stands for reals, and can be dequantized."""


def table_key(element: Attribute) -> str | None:
    """The weight key of the table that an element type reads: scales, levels or bases; None for one without."""
    match element:
        case PerChannelType() | ScaledType():
            return element.scales.data
        case CodebookType():
            return element.levels.data
        case PlanesType():
            return element.bases.data
        case _:
            return None


def _held(codes: Attribute) -> IntegerType:
    storage = storage_of(codes)
    assert storage is not None
    return storage


def storage_of(element: Attribute) -> IntegerType | None:
    """The integers behind an element type: of a quantized type its storage, of an integer itself, of a float None."""
    match element:
        case AffineType() | PerChannelType() | ScaledType():
            return storage_of(element.codes)
        case CodebookType() | PlanesType():
            return element.storage
        case BipolarType():
            return signed(element.width.data + 1)
        case TernaryType():
            return signed(2)
        case _:
            return cast(IntegerType, element) if isinstance(element, IntegerType) else None


def dtype_of(element: Attribute) -> np.dtype[Any]:
    """The numpy type that holds an element type. Raises TypeError for a type that numpy cannot hold."""
    if isinstance(element, Float32Type):
        return np.dtype(np.float32)
    storage = storage_of(element)
    if storage is None or storage.width.data > 64:
        raise TypeError(f"{element} has no numpy type")
    bits = next(bits for bits in (8, 16, 32, 64) if storage.width.data <= bits)
    return np.dtype(f"{'int' if is_signed(storage) else 'uint'}{bits}")


def zero_point_of(element: Attribute) -> int:
    """The zero point of an element type; 0 for every type that has none."""
    return element.zero_point.data if isinstance(element, AffineType) else 0


def on_grid(element: AffineType, value: float) -> int:
    """The integer of an affine type closest to a real, ties to even, clamped to the storage type's range."""
    low, high = code_range(element)
    return int(min(max(np.rint(value / element.scale.data) + element.zero_point.data, low), high))


def element_type(value: SSAValue) -> Attribute:
    """The element type of a tensor value."""
    type_ = value.type
    if not isinstance(type_, TensorType):
        raise VerifyException(f"expected a tensor, got {type_}")
    return cast(TensorType[Attribute], type_).get_element_type()


def is_float(value: SSAValue) -> bool:
    """Whether a tensor holds f32."""
    return isinstance(element_type(value), Float32Type)


def shape_of(value: SSAValue) -> tuple[int, ...]:
    """The static shape of a tensor value."""
    type_ = value.type
    if not isinstance(type_, TensorType):
        raise VerifyException(f"expected a tensor, got {type_}")
    return type_.get_shape()


def verify_axis(value: SSAValue) -> None:
    """Raise VerifyException where a tensor's per-channel type scales along an axis that the tensor does not have."""
    element = element_type(value)
    if isinstance(element, PerChannelType) and element.axis.data >= len(shape_of(value)):
        raise VerifyException(f"{element} scales along axis {element.axis.data} of a tensor of shape {shape_of(value)}")
