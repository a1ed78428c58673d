"""Register blocks over bit planes: words combined by XOR or AND, their bits counted, the counts summed by place value.

With an instruction that counts the bits of 32-bit lanes every sum is a vector of its own. Elsewhere counts stay in
bytes (AVX2, AVX-512 without that instruction) or halves (NEON) for as many words as these are proven to hold, and are
widened then; a window of few words is widened once, at its end (G. Schindler, 2021, chapter 4: 31 and 4095 steps).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from hapir.lowering.kernel.contraction_bits import BYTE_STEPS, HALF_STEPS, Bits
from hapir.lowering.kernel.geometry import LANES
from hapir.targets.c.simd.primitive import Primitive
from hapir.targets.c.text import c
from hapir.targets.c.tile_text import plus, tile_function, window_loops

Width = Literal["bytes", "halves"]

_OPERATORS = {"bipolar": ("xor",), "unsigned": ("and",), "signed": ("and",), "ternary": ("and", "and_xor")}


def bit_tile(contraction: Bits, path: str, pixels: int, blocks: int) -> Primitive:
    """The register block of a contraction on a path."""
    name = f"tile__{contraction.name}_{pixels}x{blocks}"
    if path == "c":
        text = tile_function(name, contraction, _plain(contraction, pixels, blocks))
        return Primitive(name, {path: text}, ("hapir__count",))
    tile = _Tile(contraction, pixels, blocks)
    width: Width = "halves" if path == "neon" and not contraction.shallow else "bytes"
    body = tile.narrow(width)
    needs = ["zero", "word", "load", "store", "add", "sub", *_OPERATORS[contraction.planes.kind]]
    needs += [f"count_{width}", f"widen_{width}"]
    if path == "avx512":
        body = f"#if defined(__AVX512VPOPCNTDQ__)\n{tile.direct()}\n#else\n{body}\n#endif"
        needs += ["count", "uncount"]
    functions = [f"i32x16__{n}" for n in needs]
    return Primitive(name, {path: tile_function(name, contraction, body)}, ("hapir__keep", *functions))


@dataclass(frozen=True)
class _Sum:
    """Counts of one place value; the words that are counted are expressions over `{x0}`, `{w0}`, ..."""

    place: int
    added: tuple[str, ...]
    subtracted: tuple[str, ...] = ()

    @property
    def parts(self) -> list[tuple[str, tuple[str, ...]]]:
        """What is added and what is subtracted, where there is any."""
        return [(sign, words) for sign, words in (("added", self.added), ("subtracted", self.subtracted)) if words]


def _sums(contraction: Bits) -> list[_Sum]:
    """What a word adds to which sum, the lowest place first."""
    if contraction.planes.kind == "ternary":
        both = "i32x16__and({x0}, {w0})"
        return [_Sum(1, (both,)), _Sum(2, (), (f"i32x16__and_xor({both}, {{x1}}, {{w1}})",))]
    operator = _OPERATORS[contraction.planes.kind][0]

    def words(place: int) -> tuple[str, ...]:
        terms = (term for term in contraction.terms if term.place == place)
        return tuple(f"i32x16__{operator}({{x{term.x}}}, {{w{term.w}}})" for term in terms)

    places = sorted({abs(term.place) for term in contraction.terms})
    return [_Sum(place, words(place), words(-place)) for place in places]


@dataclass(frozen=True)
class _Tile:
    """The vector texts of one register block. Sum a of pixel i and vector j is called `s{a}_{i}_{j}`."""

    contraction: Bits
    pixels: int
    blocks: int

    @property
    def _cells(self) -> list[tuple[int, int]]:
        return [(i, j) for i in range(self.pixels) for j in range(self.blocks)]

    @property
    def _wide(self) -> list[str]:
        return [f"s{a}_{i}_{j}" for i, j in self._cells for a in range(len(_sums(self.contraction)))]

    def _word(self, count: Callable[[str, str, str], str]) -> str:
        """A word's loads and counts; `count` takes the name of a sum, the kind of part and what is counted."""
        planes, x_planes = self.contraction.planes.bits, self.contraction.elements
        lines = [
            f"const hapir__i32x16 w{n}_{j} = i32x16__load({plus('w', (j * planes + n) * LANES)});"
            for j in range(self.blocks)
            for n in range(planes)
        ]
        for i in range(self.pixels):
            place = plus("from", i, "x_stride")
            lines += [f"const hapir__i32x16 x{m}_{i} = i32x16__word({plus(place, m)});" for m in range(x_planes)]
            for j in range(self.blocks):
                names = {f"x{m}": f"x{m}_{i}" for m in range(x_planes)} | {f"w{n}": f"w{n}_{j}" for n in range(planes)}
                lines += [
                    count(f"{a}_{i}_{j}", kind, word.format(**names))
                    for a, total in enumerate(_sums(self.contraction))
                    for kind, words in total.parts
                    for word in words
                ]
        return "\n".join(lines)

    def direct(self) -> str:
        """Counts in 32 bits."""

        def count(place: str, kind: str, word: str) -> str:
            return f"s{place} = i32x16__{'count' if kind == 'added' else 'uncount'}(s{place}, {word});"

        keep = [f"HAPIR__KEEP({name});" for name in self._wide]
        loops = window_loops(self.contraction, "\n".join((self._word(count), *keep, "HAPIR__FORGET;")))
        return "\n".join((*_zeros(self._wide), loops, self._stores()))

    def narrow(self, width: Width) -> str:
        """Counts in bytes or halves, widened before one can overflow."""

        def count(place: str, kind: str, word: str) -> str:
            return f"{kind}{place} = i32x16__count_{width}({kind}{place}, {word});"

        sums, narrow, widen = _sums(self.contraction), list[str](), list[str]()
        for i, j in self._cells:
            for a, total in enumerate(sums):
                for kind, _ in total.parts:
                    place = f"{a}_{i}_{j}"
                    narrow.append(f"{kind}{place}")
                    wide = f"i32x16__widen_{width}(s{place}, {kind}{place})"
                    if kind == "subtracted":
                        wide = f"i32x16__sub(s{place}, i32x16__widen_{width}(i32x16__zero(), {kind}{place}))"
                    widen.append(f"s{place} = {wide};")
        if self.contraction.shallow:
            loops = window_loops(self.contraction, self._word(count))
            return "\n".join((*_zeros(narrow), loops, *_zeros(self._wide), *widen, self._stores()))
        most = max(len(words) for total in sums for _, words in total.parts)
        loops = window_loops(
            self.contraction,
            self._word(count),
            steps=(BYTE_STEPS if width == "bytes" else HALF_STEPS) // most,
            before="\n".join(_zeros(narrow)),
            after="\n".join(widen),
        )
        return "\n".join((*_zeros(self._wide), loops, self._stores()))

    def _stores(self) -> str:
        """The sums by place added up, times the factor, where the finish reads them."""
        count = len(_sums(self.contraction))
        lines: list[str] = []
        for number, (i, j) in enumerate(self._cells):
            total = f"s{count - 1}_{i}_{j}"
            for a in reversed(range(count - 1)):
                total = f"i32x16__add(i32x16__add({total}, {total}), s{a}_{i}_{j})"
                lines.append(f"s{a}_{i}_{j} = {total};")
                total = f"s{a}_{i}_{j}"
            if abs(self.contraction.factor) == 2:
                total = f"i32x16__add({total}, {total})"
            if self.contraction.factor < 0:
                total = f"i32x16__sub(i32x16__zero(), {total})"
            lines.append(f"i32x16__store({plus('sums', number * LANES)}, {total});")
        return "\n".join(lines)


def _zeros(names: list[str]) -> list[str]:
    return [f"hapir__i32x16 {name} = i32x16__zero();" for name in names]


def _plain(contraction: Bits, pixels: int, blocks: int) -> str:
    """One lane after the other."""
    planes, x_planes = contraction.planes.bits, contraction.elements
    names = {f"w{n}": f"v[{n * LANES} + j]" if n else "v[j]" for n in range(planes)}
    lines: list[str] = []
    for i in range(pixels):
        place = plus("from", i, "x_stride")
        own = names | {f"x{m}": f"*({plus(place, m)})" if i or m else "*from" for m in range(x_planes)}
        terms: list[str] = []
        if contraction.planes.kind == "ternary":
            terms.append("hapir__count({x0} & {w0})")
            terms.append("-2 * hapir__count({x0} & {w0} & ({x1} ^ {w1}))")
        else:
            operator = "^" if contraction.planes.kind == "bipolar" else "&"
            for term in contraction.terms:
                count = f"hapir__count({{x{term.x}}} {operator} {{w{term.w}}})"
                terms.append(count if term.place == 1 else f"{term.place} * {count}")
        total = " + ".join(term.format(**own) for term in terms)
        factor = "" if contraction.factor == 1 else f"{contraction.factor} * "
        target = f"total[{i * blocks * LANES} + k * {LANES} + j]"
        lines.append(f"{target} += {factor}({total});")
    word = c(
        """
        for (int32_t k = 0; k < $blocks; ++k) {
            const uint32_t *v = w + k * $vector;
            for (int32_t j = 0; j < $lanes; ++j) {
                $lines
            }
        }
        """,
        blocks=blocks,
        vector=planes * LANES,
        lanes=LANES,
        lines="\n".join(lines),
    )
    start = f"int32_t total[{pixels * blocks * LANES}] = {{0}};"
    return "\n".join((start, window_loops(contraction, word), "memcpy(sums, total, sizeof(total));"))
