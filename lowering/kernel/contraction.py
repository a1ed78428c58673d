"""What outer-product kernels multiply: reductions run over words of 32 bits, one per filter in each lane of a vector.

A contraction says how many elements of a window a word holds and of which types they are; how a word is multiplied on
each SIMD path is the printer's (`targets/c/contractions.py`). Plain data, no IR.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hapir.lowering.kernel.c_types import CType


@dataclass(frozen=True)
class Contraction:
    """Words of `elements` inputs of type `x` times as many weights of type `w`, added to sums of type `sums`.

    `modular` sums may wrap: what is made of them is exact modulo 2^32.
    """

    name: str
    x: CType
    w: CType
    sums: CType
    elements: int
    modular: bool = field(default=False, kw_only=True)

    @property
    def per_vector(self) -> int:
        """Weights that a vector of 16 filters takes of a word."""
        return 16 * self.elements


F32 = Contraction("f32", "float", "float", "float", 1)
"""One float; sums in f32, in the order of the window."""
U8_I8 = Contraction("u8_i8", "uint8_t", "int8_t", "int32_t", 4)
"""Four unsigned bytes times four signed ones: vpdpbusd, or its exact equivalent."""
BF16 = Contraction("bf16", "uint16_t", "uint16_t", "float", 2)
"""Two pairs of bfloat16, the second added first; sums in f32: vdpbf16ps, bfdot, or two multiply-adds of f32."""
BF16_ODD = Contraction("bf16_odd", "uint16_t", "uint16_t", "float", 2)
"""The same over runs whose last word is one pair."""
U8_I7 = Contraction("u8_i7", "uint8_t", "int8_t", "int32_t", 4)
"""The same where two neighbouring products together fit 16 bits: vpmaddubsw does not saturate."""
I16 = Contraction("i16", "int16_t", "int16_t", "int32_t", 2)
"""Two pairs of 16 bits: vpdpwssd, pmaddwd."""
I16_MODULAR = Contraction("i16_modular", "int16_t", "int16_t", "int32_t", 2, modular=True)
"""The same where sums may wrap."""


def integer(x: CType, w: CType) -> Contraction:
    """Any integers, one product of 32 bits at a time."""
    return Contraction(f"{x.removesuffix('_t')}_{w.removesuffix('_t')}", x, w, "int32_t", 1)


def modelled(x: CType, w: CType) -> Contraction:
    """Products of a multiplier model, one at a time."""
    return Contraction("model", x, w, "int32_t", 1)
