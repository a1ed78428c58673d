"""Register blocks on AArch64: pixels are multiplied by lane, several words of a run at a time.

A load brings the next words of a pixel, and every product takes one lane of it, so nothing is broadcast. Bytes are
multiplied by the dot products that the compiler has: of both signs (i8mm); of signed bytes (dotprod), where pixels are
less by 128 and the weights' own sums make up for it; else as halves, after the four bytes of weights are taken apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hapir.lowering.kernel.contraction import Contraction
from hapir.lowering.kernel.geometry import LANES
from hapir.targets.c.simd.primitive import Primitive
from hapir.targets.c.text import c
from hapir.targets.c.tile_text import plus, whole_tile

PARTS = 4
"""Registers of 16 lanes."""


@dataclass(frozen=True)
class Lanes:
    """How a contraction is multiplied by lane.

    `load` brings `words` words from `$from`, `one` a single one, both as an `x` register. `weights` gives the lines
    that load one word of 16 filters from a place, `products` those that multiply it by word `k` of a register into
    four sums. With `correction` a register more per four filters is added to by each word; what is left of the sums
    follows at the end.
    """

    type: str
    words: int
    x: str
    load: str
    one: str
    weights: Callable[[str], list[str]]
    products: Callable[[Sequence[str], str, int], list[str]]
    correction: str = ""
    corrected: str = ""


def _loads(place: str, kind: str, load: str, elements: int) -> list[str]:
    """Four registers of weights in a row."""
    return [f"const {kind} w{j} = {load}({plus(place, 4 * elements * j)});" for j in range(PARTS)]


def _each(text: str, sums: Sequence[str], x: str, k: int) -> list[str]:
    return [c(text, s=s, w=f"w{j}", x=x, k=k) for j, s in enumerate(sums)]


def _by_half(sums: Sequence[str], x: str, lane: int, low: str, high: str) -> list[str]:
    """Products of 16 filters, as halves in two registers, and one lane."""
    return [
        f"{sums[0]} = vmlal_laneq_s16({sums[0]}, vget_low_s16({low}), {x}, {lane});",
        f"{sums[1]} = vmlal_high_laneq_s16({sums[1]}, {low}, {x}, {lane});",
        f"{sums[2]} = vmlal_laneq_s16({sums[2]}, vget_low_s16({high}), {x}, {lane});",
        f"{sums[3]} = vmlal_high_laneq_s16({sums[3]}, {high}, {x}, {lane});",
    ]


def _halves_of_word(sums: Sequence[str], x: str, k: int) -> list[str]:
    return [line for e in range(2) for line in _by_half(sums, x, 2 * k + e, f"w0.val[{e}]", f"w1.val[{e}]")]


def _bytes_of_word(sums: Sequence[str], x: str, k: int) -> list[str]:
    return [line for e in range(4) for line in _by_half(sums, x, 4 * k + e, f"low{e}", f"high{e}")]


def _bytes_apart(place: str) -> list[str]:
    halves = [
        line
        for e in range(4)
        for line in (
            f"const int16x8_t low{e} = vmovl_s8(vget_low_s8(w0.val[{e}]));",
            f"const int16x8_t high{e} = vmovl_high_s8(w0.val[{e}]);",
        )
    ]
    return [f"const int8x16x4_t w0 = vld4q_s8({place});", *halves]


FLOATS = Lanes(
    "f32",
    4,
    "float32x4_t",
    "vld1q_f32($from)",
    "vld1q_dup_f32($from)",
    lambda place: _loads(place, "float32x4_t", "vld1q_f32", 1),
    lambda sums, x, k: _each("$s = vfmaq_laneq_f32($s, $w, $x, $k);", sums, x, k),
)
HALVES = Lanes(
    "s32",
    4,
    "int16x8_t",
    "vld1q_s16($from)",
    "vreinterpretq_s16_s32(vdupq_n_s32(hapir__word($from)))",
    lambda place: [
        f"const int16x8x2_t w0 = vld2q_s16({place});",
        f"const int16x8x2_t w1 = vld2q_s16({plus(place, 16)});",
    ],
    _halves_of_word,
)
_BYTES = "vreinterpretq_u8_s32(vdupq_n_s32(hapir__word($from)))"
MIXED = Lanes(
    "s32",
    4,
    "uint8x16_t",
    "vld1q_u8($from)",
    _BYTES,
    lambda place: _loads(place, "int8x16_t", "vld1q_s8", 4),
    lambda sums, x, k: _each("$s = vsudotq_laneq_s32($s, $w, $x, $k);", sums, x, k),
)
SIGNED = Lanes(
    "s32",
    4,
    "int8x16_t",
    "vreinterpretq_s8_u8(veorq_u8(vld1q_u8($from), vdupq_n_u8(128)))",
    f"vreinterpretq_s8_u8(veorq_u8({_BYTES}, vdupq_n_u8(128)))",
    lambda place: _loads(place, "int8x16_t", "vld1q_s8", 4),
    lambda sums, x, k: _each("$s = vdotq_laneq_s32($s, $w, $x, $k);", sums, x, k),
    "$more = vdotq_s32($more, $w, vdupq_n_s8(-128));",
    "vreinterpretq_s32_u32(vsubq_u32(vreinterpretq_u32_s32($sum), vreinterpretq_u32_s32($more)))",
)
APART = Lanes(
    "s32",
    2,
    "int16x8_t",
    "vreinterpretq_s16_u16(vmovl_u8(vld1_u8($from)))",
    "vreinterpretq_s16_u16(vmovl_u8(vreinterpret_u8_s32(vdup_n_s32(hapir__word($from)))))",
    _bytes_apart,
    _bytes_of_word,
)

_TYPES = {"f32": ("float32x4_t", "vdupq_n_f32(0.0f)", "vst1q_f32"), "s32": ("int32x4_t", "vdupq_n_s32(0)", "vst1q_s32")}
_BY_FEATURE = (("__ARM_FEATURE_MATMUL_INT8", MIXED), ("__ARM_FEATURE_DOTPROD", SIGNED), ("", APART))
NEON: dict[str, tuple[tuple[str, Lanes], ...]] = {
    "f32": (("", FLOATS),),
    "i16": (("", HALVES),),
    "i16_modular": (("", HALVES),),
    "u8_i8": _BY_FEATURE,
    "u8_i7": _BY_FEATURE,
}
"""By name of the contraction: what the compiler must define, and the text then; the last needs nothing."""


def neon_tile(name: str, contraction: Contraction, pixels: int, blocks: int) -> Primitive:
    """The register block of a contraction that `NEON` knows."""
    parts: list[str] = []
    for feature, lanes in NEON[contraction.name]:
        if feature:
            parts.append(f"#{'elif' if parts else 'if'} defined({feature})")
        elif parts:
            parts.append("#else")
        parts.append(_tile(name, contraction, lanes, pixels, blocks))
    if len(NEON[contraction.name]) > 1:
        parts.append("#endif")
    needs = ("hapir__keep", *(() if contraction.x == "float" else ("hapir__word",)))
    return Primitive(name, {"neon": "\n".join(parts)}, needs)


def _tile(name: str, contraction: Contraction, lanes: Lanes, pixels: int, blocks: int) -> str:
    kind, zero, save = _TYPES[lanes.type]
    columns, rows = range(blocks * PARTS), range(pixels)
    starts = [f"{kind} " + ", ".join(f"s{i}_{j} = {zero}" for j in columns) + ";" for i in rows]
    if lanes.correction:
        starts.append(f"{kind} " + ", ".join(f"more{j} = {zero}" for j in columns) + ";")

    def text(load: str, words: int) -> str:
        lines: list[str] = []
        for i in rows:
            place = "from" if i == 0 else "from + x_stride" if i == 1 else f"from + {i} * x_stride"
            lines.append(f"const {lanes.x} x{i} = {c(load, **{'from': place})};")
        for k in range(words):
            if k:
                lines.append("HAPIR__FORGET;")  # GCC else loads all words at once, and spills them
            for b in range(blocks):
                place = plus(plus("w", k, "w_step"), b * contraction.per_vector)
                own = range(b * PARTS, (b + 1) * PARTS)
                inner = lanes.weights(place)
                for i in rows:
                    inner += lanes.products([f"s{i}_{j}" for j in own], f"x{i}", k)
                if lanes.correction:
                    inner += [c(lanes.correction, more=f"more{j}", w=f"w{j - b * PARTS}") for j in own]
                lines.append("{\n    " + "\n    ".join(inner) + "\n}")
        return "\n".join(lines)

    stores: list[str] = []
    for i in rows:
        for j in columns:
            total = c(lanes.corrected, sum=f"s{i}_{j}", more=f"more{j}") if lanes.corrected else f"s{i}_{j}"
            stores.append(f"{save}({plus('sums', (i * blocks * PARTS + j) * LANES // PARTS)}, {total});")
    several = (lanes.words, text(lanes.load, lanes.words))
    return whole_tile(name, contraction, "\n".join(starts), text(lanes.one, 1), "\n".join(stores), several=several)
