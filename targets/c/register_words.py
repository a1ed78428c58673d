"""Register blocks on paths whose registers hold fewer than 16 lanes: every register has a name of its own.

What is used more often stays in registers: the weights of a word where there are many pixels, else the words of the
pixels, so that blocks of few pixels and many filters need few registers beside their sums.
"""

from __future__ import annotations

from dataclasses import dataclass

from hapir.lowering.kernel.contraction import Contraction
from hapir.lowering.kernel.geometry import LANES
from hapir.targets.c.text import c
from hapir.targets.c.tile_text import plus, whole_tile


@dataclass(frozen=True)
class Registers:
    """A contraction in registers of `lanes` lanes: expressions over pointers `from`, `w`, `to`, and `sum`, `x`, `w`.

    With `add`, sums may be added in any order.
    """

    type: str
    lanes: int
    zero: str
    broadcast: str
    load: str
    multiply: str
    store: str
    kept: str
    needs: tuple[str, ...]
    add: str = ""


_FLOATS = Registers(
    "__m256",
    8,
    "_mm256_setzero_ps()",
    "_mm256_broadcast_ss($from)",
    "_mm256_loadu_ps($w)",
    "_mm256_fmadd_ps($x, $w, $sum)",
    "_mm256_storeu_ps($to, $sum)",
    "HAPIR__IN_PLACE($x);",
    ("in_place",),
)


def _integers(product: str) -> Registers:
    return Registers(
        "__m256i",
        8,
        "_mm256_setzero_si256()",
        "i32x8__word($from)",
        "_mm256_loadu_si256((const void *)($w))",
        f"i32x8__{product}($sum, $x, $w)",
        "_mm256_storeu_si256((void *)($to), $sum)",
        "HAPIR__IN_PLACE($x);",
        ("in_place", "i32x8__word", f"i32x8__{product}"),
        "_mm256_add_epi32($sum, $more)",
    )


REGISTERS = {
    ("avx2", "f32"): _FLOATS,
    ("avx2", "u8_i8"): _integers("dot_u8_i8"),
    ("avx2", "u8_i7"): _integers("dot_u8_i7"),
    ("avx2", "i16"): _integers("dot_i16"),
    ("avx2", "i16_modular"): _integers("dot_i16"),
}
"""By path and name of the contraction."""


CHAINS = 4
"""Sums per result of one pixel and one vector of integers, by turns, where else each word waits for the one before."""


def register_tile(name: str, contraction: Contraction, texts: Registers, pixels: int, blocks: int) -> str:
    """The text of a block."""
    if (pixels, blocks) == (1, 1) and texts.add:
        return _chains(name, contraction, texts)
    rows, columns = range(pixels), range(blocks * LANES // texts.lanes)
    cells = [(i, j) for i in rows for j in columns]
    starts = [f"{texts.type} " + ", ".join(f"s{i}_{j} = {texts.zero}" for j in columns) + ";" for i in rows]

    def x(i: int) -> str:
        place = "from" if i == 0 else "from + x_stride" if i == 1 else f"from + {i} * x_stride"
        return f"{texts.type} x{i} = {c(texts.broadcast, **{'from': place})};"

    def w(j: int) -> str:
        return f"{texts.type} w{j} = {c(texts.load, w=plus('w', j * texts.lanes * contraction.elements))};"

    def multiply(i: int, j: int) -> str:
        return f"s{i}_{j} = {c(texts.multiply, sum=f's{i}_{j}', x=f'x{i}', w=f'w{j}')};"

    word: list[str] = []
    if pixels >= len(columns):
        for j in columns:
            word += [w(j), *([c(texts.kept, x=f"w{j}")] if pixels > 1 else [])]
        for i in rows:
            word += [f"const {x(i)}", *(multiply(i, j) for j in columns)]
    else:
        for i in rows:
            word += [x(i), c(texts.kept, x=f"x{i}")]
        for j in columns:
            word += [w(j), *([c(texts.kept, x=f"w{j}")] if pixels > 1 else []), *(multiply(i, j) for i in rows)]
    stores = [
        f"{c(texts.store, to=plus('sums', (i * len(columns) + j) * texts.lanes), sum=f's{i}_{j}')};" for i, j in cells
    ]
    return whole_tile(name, contraction, "\n".join(starts), "\n".join(word), "\n".join(stores))


def _chains(name: str, contraction: Contraction, texts: Registers) -> str:
    """One vector of results with several sums each."""
    columns = range(LANES // texts.lanes)

    def word(i: int) -> list[str]:
        lines = [f"const {texts.type} x{i} = {c(texts.broadcast, **{'from': plus('from', i * contraction.elements)})};"]
        for j in columns:
            w = c(texts.load, w=plus(plus("w", i, "w_step"), j * texts.lanes * contraction.elements))
            lines.append(f"s{i}_{j} = {c(texts.multiply, sum=f's{i}_{j}', x=f'x{i}', w=w)};")
        return lines

    starts = [f"{texts.type} " + ", ".join(f"s{i}_{j} = {texts.zero}" for j in columns) + ";" for i in range(CHAINS)]
    ends = [f"s0_{j} = {c(texts.add, sum=f's0_{j}', more=f's{i}_{j}')};" for i in range(1, CHAINS) for j in columns]
    ends += [f"{c(texts.store, to=plus('sums', j * texts.lanes), sum=f's0_{j}')};" for j in columns]
    several = CHAINS, "\n".join(line for i in range(CHAINS) for line in word(i))
    return whole_tile(name, contraction, "\n".join(starts), "\n".join(word(0)), "\n".join(ends), several=several)
