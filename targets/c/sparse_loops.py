"""The inner loops of kernels that skip zeros: lists of places, with the sums of some vectors of pixels in registers.

A loop is an inline function per path, `sparse__CONTRACTION_VECTORS` or `ras__VECTORS`. A path with fewer registers
takes a tile in several steps, each over the whole list.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from hapir.dialects.kernel import PATHS
from hapir.lowering.kernel.c_types import CType
from hapir.lowering.kernel.contraction import Contraction
from hapir.lowering.kernel.geometry import LANES
from hapir.targets.c.simd.primitive import Primitive
from hapir.targets.c.text import c, listed, offset, sink, source, times

WIDEST = {"avx512": 8, "avx2": 2, "neon": 4, "c": 2}
"""Vectors of sums that a path keeps in registers at once."""
STRANDS = {"avx512": 8, "avx2": 4, "neon": 4, "c": 1}
"""Vectors of sums that hide the latency of a multiplication: small tiles keep several sums of each."""
MOST_STRANDS = 4


@dataclass(frozen=True)
class Texts:
    """A contraction with pixels in lanes: a vector of words of x, a word of weights in all lanes, and their product."""

    vector: str
    broadcast: str
    multiply: str

    @property
    def needs(self) -> tuple[str, ...]:
        """The primitives of a loop."""
        own = tuple(f"{self.vector}__{what}" for what in ("zero", "load", "store", "add"))
        return (*own, self.broadcast.split("(")[0], self.multiply)


TEXTS = {
    "f32": Texts("f32x16", "f32x16__set(*($from))", "f32x16__fma"),
    "u8_i8": Texts("i32x16", "i32x16__word($from)", "i32x16__dot_bytes"),
    "i16": Texts("i32x16", "i32x16__word($from)", "i32x16__dot_halves"),
    "i16_modular": Texts("i32x16", "i32x16__word($from)", "i32x16__dot_halves"),
}
"""By name of the contraction."""


def word_loop(contraction: Contraction, vectors: int, index: CType) -> Primitive:
    """Words of weights times vectors of pixels."""
    name = f"sparse__{contraction.name}_{vectors}_{index.removesuffix('_t')}"
    texts = {path: _word_loop(name, path, contraction, vectors, index) for path in PATHS}
    return Primitive(name, texts, (*TEXTS[contraction.name].needs, "prefetch__line"))


def _word_loop(name: str, path: str, contraction: Contraction, vectors: int, index: CType) -> str:
    texts, width = TEXTS[contraction.name], min(vectors, WIDEST[path])
    kind = f"hapir__{texts.vector}"
    strands = max(1, min(MOST_STRANDS, STRANDS[path] // width))
    word = "float" if contraction.sums == "float" else "int32_t"
    lanes = [v * LANES for v in range(width)]

    def entry(s: int) -> str:
        weight = c(texts.broadcast, **{"from": _plus("weight", s * contraction.elements)})
        lines = [f"const {word} *from{s} = x + place[{s}];", f"const {kind} w{s} = {weight};"]
        for v, lane in enumerate(lanes):
            pixels = f"{texts.vector}__load({_plus(f'from{s}', lane)})"
            lines.append(f"s{s}_{v} = {texts.multiply}(s{s}_{v}, {pixels}, w{s});")
        return "\n".join(lines)

    starts = [f"{kind} s0_{v} = {texts.vector}__load({_plus('sum', lane)});" for v, lane in enumerate(lanes)]
    starts += [f"{kind} s{s}_{v} = {texts.vector}__zero();" for s in range(1, strands) for v in range(width)]
    rest = c(
        """
        for (; left > 0; --left, ++place, weight += $step) {
            $entry
        }
        """,
        step=contraction.elements,
        entry=entry(0),
    )
    body = c(
        """
        $start
        int32_t left = length;
        const $index *place = places;
        const $weight *weight = weights;
        for (; left >= $strands; left -= $strands, place += $strands, weight += $step) {
            $entries
        }
        $rest
        $store
        """,
        start="\n".join(starts),
        index=index,
        weight=contraction.w,
        strands=strands,
        step=strands * contraction.elements,
        entries="\n".join(entry(s) for s in range(strands)),
        rest=rest if strands > 1 else "",
        store="\n".join(
            f"{texts.vector}__store({_plus('sum', lane)}, {_total(texts, v, strands)});" for v, lane in enumerate(lanes)
        ),
    )
    return _loops(name, contraction, word, vectors, width, index, body)


def _loops(name: str, contraction: Contraction, word: str, vectors: int, width: int, index: CType, body: str) -> str:
    """The loops over tiles of channels, lists, and steps of a tile of pixels."""
    tile = vectors * LANES
    parameters = [
        f"const {word} *restrict planes",
        sink(contraction.sums, "sums"),
        source("int32_t", "tiles"),
        "int32_t count",
    ]
    parameters += [source(index, n) for n in ("filters", "counts", "places")] + [source(contraction.w, "weights")]
    return c(
        """
        $head
        {
            for (int32_t t = 0; t < count; ++t, tiles += 2) {
                for (int32_t j = tiles[0]; j > 0; --j) {
                    const int32_t length = (int32_t)*counts++;
                    const int32_t filter = (int32_t)*filters++;
                    $fetch
                    for (int32_t v = 0; v < $tile; v += $width) {
                        const $word *x = planes + tiles[1] + v;
                        $sums *sum = sums + filter * $tile + v;
                        $body
                    }
                    places += length;
                    weights += $step;
                }
            }
        }
        """,
        head=listed(f"static void {name}(", parameters, ")"),
        fetch=_fetch(tile),
        tile=tile,
        width=width * LANES,
        word=word,
        sums=contraction.sums,
        body=body,
        step=times("length", contraction.elements),
    )


def _fetch(tile: int) -> str:
    """The next list's sums are elsewhere: fetched while this list is worked through."""
    return "\n".join(f"prefetch__line(sums + (int32_t)*filters * {tile} + {v});" for v in range(0, tile, LANES))


PIXELS = {"avx512": 8, "avx2": 4, "neon": 4, "c": 2}
"""Pixels whose sums with 16 filters a path keeps in registers at once."""


def block_loop(contraction: Contraction, pixels: int, index: CType) -> Primitive:
    """Vectors of 16 filters times the words of so many pixels that a list names."""
    name = f"blocks__{contraction.name}_{pixels}_{index.removesuffix('_t')}"
    texts = {path: _block_loop(name, path, contraction, pixels, index) for path in PATHS}
    return Primitive(name, texts, TEXTS[contraction.name].needs)


def _block_loop(name: str, path: str, contraction: Contraction, pixels: int, index: CType) -> str:
    """Full steps of pixels as one loop over the list each, then those that are left over."""
    width = min(pixels, PIXELS[path])
    parameters = [source(contraction.x, "x"), "int32_t stride", source(index, "places"), "int32_t length"]
    parameters += [source(contraction.w, "weights"), sink(contraction.sums, "sums")]
    steps = [c("for (int32_t p = 0; p <= $last; p += $width) {\n    $body\n}", last=pixels - width, width=width,
               body=_block_step(path, contraction, width, index, "p"))]  # fmt: skip
    if pixels % width:
        rest = _block_step(path, contraction, pixels % width, index, str(pixels - pixels % width))
        steps.append(c("{\n    $body\n}", body=rest))
    return c(
        """
        $head
        {
            $unused
            $steps
        }
        """,
        head=listed(f"static void {name}(", parameters, ")"),
        unused="(void)stride;" if pixels == 1 else "",
        steps="\n".join(steps),
    )


def _block_step(path: str, contraction: Contraction, pixels: int, index: CType, first: str) -> str:
    texts = TEXTS[contraction.name]
    kind = f"hapir__{texts.vector}"
    strands = max(1, min(MOST_STRANDS, STRANDS[path] // pixels))

    def entry(s: int) -> str:
        vector = f"{texts.vector}__load({_plus('weight', s * contraction.per_vector)})"
        lines = [f"const {kind} w{s} = {vector};", f"const {contraction.x} *from{s} = start + place[{s}];"]
        for p in range(pixels):
            word = c(texts.broadcast, **{"from": f"({offset(f'from{s}', times('stride', p) if p else '')})"})
            lines.append(f"s{s}_{p} = {texts.multiply}(s{s}_{p}, {word}, w{s});")
        return "\n".join(lines)

    return c(
        """
        $start
        const $x *start = $from;
        const $index *place = places;
        const $w *weight = weights;
        int32_t left = length;
        for (; left >= $strands; left -= $strands, place += $strands, weight += $step) {
            $entries
        }
        $rest
        $store
        """,
        start="\n".join(f"{kind} s{s}_{p} = {texts.vector}__zero();" for s in range(strands) for p in range(pixels)),
        x=contraction.x,
        **{"from": "x" if pixels == 1 and first == "0" else f"x + {first} * stride"},
        index=index,
        w=contraction.w,
        strands=strands,
        step=strands * contraction.per_vector,
        entries="\n".join(entry(s) for s in range(strands)),
        rest=c(
            "for (; left > 0; --left, ++place, weight += $step) {\n    $entry\n}",
            step=contraction.per_vector,
            entry=entry(0),
        )
        if strands > 1
        else "",
        store="\n".join(
            f"{texts.vector}__store(sums + ({first} + {p}) * {LANES}, {_total(texts, p, strands)});"
            for p in range(pixels)
        ),
    )


def _total(texts: Texts, lane: int, strands: int) -> str:
    return reduce(lambda sum, s: f"{texts.vector}__add({sum}, s{s}_{lane})", range(1, strands), f"s0_{lane}")


def ras_loop(vectors: int, index: CType, scaled: bool) -> Primitive:
    """Bytes added and subtracted in 16 bits, list by list, and added to the sums of 32 bits, scaled or as they are."""
    name = f"ras__{'scaled_' if scaled else ''}{vectors}_{index.removesuffix('_t')}"
    texts = {path: _ras_loop(name, path, vectors, index, scaled) for path in PATHS}
    needs = ["u16x32__set", "u16x32__add_bytes", "u16x32__subtract_bytes", "u16x32__low", "u16x32__high"]
    needs += ["i32x16__load", "i32x16__store", "i32x16__add", "prefetch__line"]
    needs += ["i32x16__set", "i32x16__mul"] if scaled else []
    return Primitive(name, texts, tuple(needs))


def _ras_loop(name: str, path: str, vectors: int, index: CType, scaled: bool) -> str:
    width = min(vectors, WIDEST[path])
    pairs = range(width // 2)
    tile = vectors * LANES

    def each(operation: str) -> str:
        return "\n".join(f"s{v} = u16x32__{operation}_bytes(s{v}, {_plus('from', v * 2 * LANES)});" for v in pairs)

    def store(v: int, half: str) -> str:
        place = _plus("sum", v * 2 * LANES + (LANES if half == "high" else 0))
        value = f"u16x32__{half}(s{v})"
        value = f"i32x16__mul({value}, scale)" if scaled else value
        return f"i32x16__store({place}, i32x16__add(i32x16__load({place}), {value}));"

    parameters = [
        "const uint8_t *restrict planes",
        sink("int32_t", "sums"),
        source("int32_t", "tiles"),
        "int32_t count",
    ]
    parameters += [source(index, n) for n in ("filters", "counts", "places")]
    parameters += [source("int32_t", "scales")] if scaled else []
    parameters += ["uint32_t offset"]
    return c(
        """
        $head
        {
            for (int32_t t = 0; t < count; ++t, tiles += 2) {
                for (int32_t j = tiles[0]; j > 0; --j) {
                    const int32_t adds = (int32_t)counts[0], minuses = (int32_t)counts[1];
                    const int32_t filter = (int32_t)*filters++;
                    counts += 2;
                    $scale
                    $fetch
                    for (int32_t v = 0; v < $tile; v += $width) {
                        const uint8_t *x = planes + tiles[1] + v;
                        int32_t *sum = sums + filter * $tile + v;
                        const $index *place = places;
                        hapir__u16x32 $start;
                        for (int32_t i = adds; i > 0; --i, ++place) {
                            const uint8_t *from = x + *place;
                            $add
                        }
                        for (int32_t i = minuses; i > 0; --i, ++place) {
                            const uint8_t *from = x + *place;
                            $subtract
                        }
                        $store
                    }
                    places += adds + minuses;
                }
            }
        }
        """,
        head=listed(f"static void {name}(", parameters, ")"),
        scale="const hapir__i32x16 scale = i32x16__set(*scales++);" if scaled else "",
        fetch=_fetch(tile),
        tile=tile,
        width=width * LANES,
        index=index,
        start=", ".join(f"s{v} = u16x32__set(offset * (uint32_t)minuses)" for v in pairs),
        add=each("add"),
        subtract=each("subtract"),
        store="\n".join(store(v, half) for v in pairs for half in ("low", "high")),
    )


def _plus(pointer: str, offset: int) -> str:
    return f"{pointer} + {offset}" if offset else pointer
