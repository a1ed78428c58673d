"""The meaning of `enc`: bytes to the tensor that they encode, and the symbols behind a tensor.

A symbol is an unsigned number of `code_bits` bits: the two's complement bits of an integer, the packed code of a
bipolar number, the bit pattern of an f32.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import Float32Type
from xdsl.ir import Attribute, Operation

from hapir.diagnostics import fail
from hapir.dialects import enc
from hapir.dialects.num import BipolarType, CodebookType, code_bits, code_range, codes_of, element_type
from hapir.encodings.bits import Unsigned, unsigned_of
from hapir.encodings.encoding import DamagedError, Symbols, Tensor
from hapir.plugin_failures import at_work
from hapir.reference.values import Array, Meaning, Setting, dtype_of, single


def symbols_of(array: Array, element: Attribute, zero: int | None) -> Symbols:
    """The symbols of an array of an element type; `zero` is the code that means 0, as the array holds it."""
    tensor = Tensor(array.shape, code_bits(element), None if zero is None else _as_symbol(zero, element))
    return Symbols(_symbols(array.reshape(-1), element), tensor)


def _as_symbol(code: int, element: Attribute) -> int:
    return int(_symbols(np.array([code], dtype_of(element)), element)[0])


def _symbols(flat: Array, element: Attribute) -> Unsigned:
    bits = code_bits(element)
    if isinstance(element, Float32Type):
        return np.ascontiguousarray(flat).view(np.uint32)
    if isinstance(codes_of(element), BipolarType):
        return ((flat.astype(np.int64) - code_range(element)[0]) >> 1).astype(unsigned_of(bits))
    return (flat.astype(np.int64) & ((1 << bits) - 1)).astype(unsigned_of(bits))


def array_of(symbols: Unsigned, shape: tuple[int, ...], element: Attribute) -> Array:
    """The array of an element type behind flat symbols."""
    if isinstance(element, Float32Type):
        return symbols.astype(np.uint32).view(np.float32).reshape(shape)
    low, high = code_range(element)
    wide = symbols.astype(np.int64)
    if isinstance(codes_of(element), BipolarType):
        wide = 2 * wide + low
    elif low < 0:
        wide = np.where(wide > high, wide - (1 << code_bits(element)), wide)
    return wide.astype(dtype_of(element)).reshape(shape)


def _decode(op: enc.DecodeOp, operands: Sequence[Array], setting: Setting) -> Array:
    encoding, tensor = op.value, op.tensor
    try:
        with at_work("encodings", encoding.name, op):
            symbols = encoding.decode(operands, tensor)
    except DamagedError as error:
        fail("HAP0552", f"the bytes are no `{op.encoding.data}`: {error}", at=op, help="encode the weights again")
    element = element_type(op.result)
    array = array_of(symbols, tensor.shape, element)
    if isinstance(element, Float32Type):
        if not np.isfinite(array).all():
            fail("HAP0552", "a decoded weight is not finite", at=op, help="encode the weights again")
        return array
    # codes that the bits hold and the type does not, like a ternary 2 or an index past the levels
    low, high = code_range(element)
    if isinstance(element, CodebookType):
        high = setting.table(element).shape[-1] - 1
    if array.size and (array.min() < low or array.max() > high):
        fail("HAP0552", f"a decoded code is outside {element}", at=op, help="encode the weights again")
    return array


MEANINGS: dict[type[Operation], Meaning] = dict([single(enc.DecodeOp, _decode)])
"""What each op computes."""
