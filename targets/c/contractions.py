"""Register blocks of outer-product kernels as C: the sums of pixels x vectors of filters over the words of a window.

A block is an inline function with constant lengths, `tile__CONTRACTION_PIXELSxVECTORS`: the sums stay in registers,
each named, so no compiler has to find that out. On the path without vectors, and for contractions that no instruction
serves, see `plain_tiles`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hapir.lowering.kernel.contraction import Contraction
from hapir.lowering.kernel.contraction_bits import Bits, Lookup
from hapir.lowering.kernel.geometry import LANES
from hapir.targets.c.bit_tiles import bit_tile
from hapir.targets.c.lookup_tiles import lookup_tile
from hapir.targets.c.neon_tiles import NEON, neon_tile
from hapir.targets.c.plain_tiles import plain_tile
from hapir.targets.c.register_words import REGISTERS, register_tile
from hapir.targets.c.simd.primitive import Primitive
from hapir.targets.c.text import c
from hapir.targets.c.tile_text import plus, whole_tile


@dataclass(frozen=True)
class Texts:
    """A contraction on the paths with vectors: how a word of x is broadcast, a vector of w loaded, both multiplied.

    `vector` is the type of sums and, where no other is given, of operands; the expressions are over `from` and `w`
    (pointers) and `sum`, `x`, `w`. `last` broadcasts the last word of a run where that is not whole.
    """

    vector: str
    broadcast: str
    load: str
    multiply: str
    needs: tuple[str, ...]
    operand: str = ""
    last: str = ""


VECTORIZED = {
    "f32": Texts(
        "f32x16",
        "f32x16__set(*($from))",
        "f32x16__load($w)",
        "f32x16__fma($sum, $x, $w)",
        ("f32x16__zero", "f32x16__set", "f32x16__load", "f32x16__fma", "f32x16__store", "f32x16__kept"),
    ),
    "u8_i8": Texts(
        "i32x16",
        "i32x16__word($from)",
        "i32x16__load($w)",
        "i32x16__dot_u8_i8($sum, $x, $w)",
        ("i32x16__zero", "i32x16__word", "i32x16__load", "i32x16__dot_u8_i8", "i32x16__store", "i32x16__kept"),
    ),
    "i16": Texts(
        "i32x16",
        "i32x16__word($from)",
        "i32x16__load($w)",
        "i32x16__dot_i16($sum, $x, $w)",
        ("i32x16__zero", "i32x16__word", "i32x16__load", "i32x16__dot_i16", "i32x16__store", "i32x16__kept"),
    ),
}
VECTORIZED["bf16"] = Texts(
    "f32x16",
    "i32x16__word($from)",
    "i32x16__load($w)",
    "f32x16__dot_bf16($sum, $x, $w)",
    ("f32x16__zero", "i32x16__word", "i32x16__load", "f32x16__dot_bf16", "f32x16__store", "i32x16__kept"),
    operand="i32x16",
)
VECTORIZED["bf16_odd"] = replace(VECTORIZED["bf16"], last="i32x16__set(*($from))")
VECTORIZED["u8_i7"] = replace(
    VECTORIZED["u8_i8"],
    multiply="i32x16__dot_u8_i7($sum, $x, $w)",
    needs=("i32x16__zero", "i32x16__word", "i32x16__load", "i32x16__dot_u8_i7", "i32x16__store", "i32x16__kept"),
)
VECTORIZED["i16_modular"] = VECTORIZED["i16"]  # the instructions wrap
"""By name of the contraction."""


def tile(contraction: Contraction, path: str, pixels: int, blocks: int, product: str = "") -> Primitive:
    """The register block of a contraction on a path; `product` is the function that takes the place of `*`."""
    if isinstance(contraction, Bits):
        return bit_tile(contraction, path, pixels, blocks)
    if isinstance(contraction, Lookup):
        return lookup_tile(contraction, path, pixels, blocks)
    name = f"tile__{product or contraction.name}_{pixels}x{blocks}"
    texts = VECTORIZED.get(contraction.name)
    if path == "c" or texts is None:
        plain = plain_tile(name, contraction, pixels, blocks, product)
        return Primitive(name, {path: plain.texts["c"]}, plain.needs)
    if path == "neon" and contraction.name in NEON:
        return neon_tile(name, contraction, pixels, blocks)
    registers = REGISTERS.get((path, contraction.name))
    if registers is not None:
        return Primitive(name, {path: register_tile(name, contraction, registers, pixels, blocks)}, registers.needs)
    if pixels == 1 and blocks in CHAINS and contraction.sums == "int32_t":
        text = _chains(name, contraction, texts, blocks, CHAINS[blocks])
        return Primitive(name, {path: text}, (*texts.needs, "i32x16__add"))
    return Primitive(name, {path: _vector(name, contraction, texts, pixels, blocks)}, texts.needs)


CHAINS = {1: 4, 2: 2}
"""Of a block of one pixel and so many vectors of integers: sums per result, by turns, where else each word would wait
for the one before."""


def _chains(name: str, contraction: Contraction, texts: Texts, blocks: int, chains: int) -> str:
    """A block of one pixel with several sums per result; integers may be added in any order."""
    vector, columns = f"hapir__{texts.vector}", range(blocks)

    def word(i: int) -> list[str]:
        loads = [plus(plus("w", i, "w_step"), j * contraction.per_vector) for j in columns]
        x = c(texts.broadcast, **{"from": plus("from", i * contraction.elements)})
        adds = [c(texts.multiply, sum=f"s{i}_{j}", x=f"x{i}", w=c(texts.load, w=loads[j])) for j in columns]
        return [f"const {vector} x{i} = {x};", *(f"s{i}_{j} = {adds[j]};" for j in columns)]

    starts = [
        f"{vector} " + ", ".join(f"s{i}_{j} = {texts.vector}__zero()" for j in columns) + ";" for i in range(chains)
    ]
    totals = [f"s0_{j} = {texts.vector}__add(s0_{j}, s{i}_{j});" for i in range(1, chains) for j in columns]
    stores = [f"{texts.vector}__store({plus('sums', j * LANES)}, s0_{j});" for j in columns]
    several = chains, "\n".join(line for i in range(chains) for line in word(i))
    end = "\n".join((*totals, *stores))
    return whole_tile(name, contraction, "\n".join(starts), "\n".join(word(0)), end, several=several)


def _vector(name: str, contraction: Contraction, texts: Texts, pixels: int, blocks: int) -> str:
    rows, columns = range(pixels), range(blocks)
    vector, zero = f"hapir__{texts.vector}", f"{texts.vector}__zero()"
    starts = [f"{vector} " + ", ".join(f"s{i}_{j} = {zero}" for j in columns) + ";" for i in rows]
    operand = texts.operand or texts.vector
    load = f"{operand}__kept({texts.load})" if pixels > 1 else texts.load  # loaded once, used by each pixel
    loads = [f"const hapir__{operand} w{j} = {c(load, w=plus('w', j * contraction.per_vector))};" for j in columns]

    def word(broadcast: str) -> str:
        products: list[str] = []
        for i in rows:
            place = plus("from", i, "x_stride")
            adds = [f"s{i}_{j} = {c(texts.multiply, sum=f's{i}_{j}', x=f'x{i}', w=f'w{j}')};" for j in columns]
            products += [f"const hapir__{operand} x{i} = {c(broadcast, **{'from': place})};", *adds]
        return "\n".join((*loads, *products))

    last = c("{\n    $word\n}", word=word(texts.last)) if texts.last else ""
    stores = [
        f"{texts.vector}__store({plus('sums', (i * blocks + j) * LANES)}, s{i}_{j});" for i in rows for j in columns
    ]
    return whole_tile(name, contraction, "\n".join(starts), word(texts.broadcast), "\n".join(stores), last=last)
