"""Depthwise convolutions as C: 16 filters in lanes, several rows and columns of results per pass.

For a layer `d1` the text is `d1__finish` (bias and stages of one vector of results) and `d1`: blocks of filters, whose
weights stay in registers, then passes over the map. The last pass of a row and the last rows reach back where they are
no multiple of a pass, so every pass is whole. Two underscores keep the names apart from every mangled name.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from hapir.lowering.kernel.depthwise import LANES, TAPS_OF_A_WORD
from hapir.lowering.kernel.program import CType, Depthwise, Program
from hapir.targets.c.print_convolution import bordered
from hapir.targets.c.print_stages import Symbols, print_stages
from hapir.targets.c.text import Printed, c, function, listed, offset, sink, source, times


def print_depthwise(step: Depthwise, name: str, program: Program, symbols: Symbols) -> Printed:
    """The functions of a depthwise convolution."""
    buffers = program.buffers
    x, y, sums = buffers[step.source].ctype, buffers[step.target].ctype, step.sums
    text = _Text(step, x, symbols)
    parameters = [source(x, "x"), sink(y, "y"), *symbols.parameters(step.weights)]
    finish = function(
        f"{name}__finish",
        [source(sums, "sums"), sink(y, "y"), "int32_t first"],
        _finish(step, symbols),
    )
    body = _layer(step, name, text, y, symbols)
    parts = (finish, function(name, parameters, body, step.origin))
    return Printed("\n\n".join(parts), name, (step.source, step.target), symbols.taken(step.weights))


def _finish(step: Depthwise, symbols: Symbols) -> str:
    """`count` results: whole vectors, but where there are fewer filters than lanes; then pixel by pixel."""
    g, pixels = step.geometry, step.blocking.pixels
    bias = "" if step.bias is None else f" + {symbols.of(step.bias)}[first + i]"
    value = print_stages(f"sums[i]{bias}", step.sums, step.stages, "(first + i)", symbols)
    body = c("for (int32_t i = 0; i < $count; ++i) {\n    y[i] = $value;\n}", count=min(g.filters, LANES), value=value)
    if pixels > 1:
        body = c(
            "for (int32_t pixel = 0; pixel < $pixels; ++pixel, sums += $k, y += $k) {\n    $body\n}",
            pixels=pixels,
            k=g.filters,
            body=body,
        )
    return f"{body}\n(void)first;"


class _Text:
    """The texts of a layer that depend on how taps are read and multiplied."""

    def __init__(self, step: Depthwise, x: CType, symbols: Symbols):
        self.step, self.x, self.symbols = step, x, symbols
        g, window = step.geometry, step.geometry.window
        self.kind = "f32x16" if step.sums == "float" else "i32x16"
        self.vector = f"hapir__{self.kind}"
        self.per_filter = g.filters // g.channels
        self.tap = window.dilation[1] * g.channels
        self.down = window.dilation[0] * step.frame.pitch
        self.tables: dict[str, str] = {}
        self.held: set[int] = set()

    def use(self, name: str) -> str:
        """Ask for a primitive."""
        return self.symbols.named(name)

    def load_weights(self, place: str) -> str:
        """A vector of weights."""
        return f"{self.use(f'{self.kind}__load')}({place})"

    def weights(self, number: int) -> str:
        """A vector of weights that stays in a register."""
        self.held.add(number)
        return f"w{number}"

    def multiply(self, total: str, x: str, w: str) -> str:
        """`total` plus a vector of taps times one of weights."""
        if self.step.blocking.packed:
            return f"{self.use('i32x16__dot_lanes')}({total}, {x}, {w})"
        return f"{self.use('f32x16__fma' if self.kind == 'f32x16' else 'i32x16__mul_add')}({total}, {x}, {w})"

    def taps(self, place: int, count: int) -> str:
        """The vector of `count` taps from an element of a window's row on."""
        read = self._word(place, count) if self.step.blocking.packed else self._tap(place)
        if self.per_filter > 1:
            read = f"{self.use(f'{self.kind}__repeat')}({read}, lane)"
        return f"{self.use('i32x16__flip_bytes')}({read})" if self.step.lift else read

    def _word(self, place: int, count: int) -> str:
        """Four taps of each lane; a word that is not full repeats its last, whose weight is 0."""
        start = offset("from", str(place))
        if self.gathers:
            places = [lane + min(t, count - 1) * self.tap for lane in self._lanes() for t in range(TAPS_OF_A_WORD)]
            near = max(places) < LANES * TAPS_OF_A_WORD
            table = self._table("places", "uint8_t" if near else "int32_t", places)
            return f"{self.use('i32x16__permute_64' if near else 'i32x16__gather_bytes')}({start}, {table})"
        if count == TAPS_OF_A_WORD and self.tap == LANES:
            return f"{self.use('i32x16__zip_64')}({start})"
        taps = [offset("from", str(place + min(t, count - 1) * self.tap)) for t in range(TAPS_OF_A_WORD)]
        return f"{self.use('i32x16__zip')}({', '.join(taps)})"

    def _tap(self, place: int) -> str:
        start = offset("from", str(place))
        if self.gathers:
            return f"{self.use('f32x16__gather')}({start}, {self._table('places', 'int32_t', self._lanes())})"
        wide = self.x in ("float", "int32_t", "uint32_t")
        read = "load" if wide else f"from_{self.x.removesuffix('_t')}"
        return f"{self.use(f'{self.kind}__{read}')}({start})"

    @property
    def gathers(self) -> bool:
        """Whether the lanes of a vector are not neighbours in the source."""
        return self.step.blocking.pixels > 1 and self.step.geometry.window.stride[1] > 1

    def _lanes(self) -> list[int]:
        """Where the lanes lie that hold a result; others read the first."""
        g = self.step.geometry
        pixel = g.window.stride[1] * g.channels
        return [i // g.channels * pixel + i % g.channels if i < self.filled else 0 for i in range(LANES)]

    @property
    def filled(self) -> int:
        """Lanes that hold a result."""
        return min(LANES, self.step.geometry.filters * self.step.blocking.pixels)

    def _table(self, stem: str, ctype: str, values: Sequence[int]) -> str:
        text = listed(f"static const {ctype} %[{len(values)}] = {{", [str(v) for v in values], "};")
        if text not in self.tables:
            self.tables[text] = f"{stem}{len(self.tables)}"
        return self.tables[text]

    def declarations(self) -> list[str]:
        """Constants of the function."""
        return [text.replace("%", name) for text, name in self.tables.items()]


def _layer(step: Depthwise, name: str, text: _Text, y: CType, symbols: Symbols) -> str:
    """Every block of filters over every image."""
    g, frame, blocking = step.geometry, step.frame, step.blocking
    per_block = step.weights.values.size // -(-g.filters // LANES)
    many = g.filters > LANES
    start = frame.start - g.window.padding[0] * frame.pitch - g.window.padding[1] * frame.channels
    first = f"first / {text.per_filter}" if text.per_filter > 1 else "first"
    image = times("n", frame.image) if g.batch > 1 else ""
    down = times("p", g.window.stride[0] * frame.pitch) if g.rows > blocking.rows else ""
    across = times("q", g.window.stride[1] * g.channels) if g.columns > blocking.width else ""
    base = offset("x", str(start), image, down, across, first if many else "")
    byte = "uint8_t" if blocking.packed else text.x
    cast = "(const uint8_t *)(" if byte != text.x else ""
    body = _pass(step, name, text)
    lane = ""
    if text.per_filter > 1:
        lane = c(
            """
            int32_t lane[$lanes];
            for (int32_t i = 0; i < $lanes; ++i) {
                lane[i] = $place / $m;
            }
            """,
            lanes=LANES,
            place=f"(first % {text.per_filter} + i)" if many else "i",
            m=text.per_filter,
        )
    weights = offset(symbols.of(step.weights), times("block", per_block) if many else "")
    hold = [] if not blocking.unrolled else _held(step, text)
    inner = f"const {byte} *from0 = {cast}{base}{')' if cast else ''};\n{body}"
    inner = _passes("q", g.columns, blocking.width, inner)
    inner = _passes("p", g.rows, blocking.rows, inner)
    if g.batch > 1:
        inner = c("for (int32_t n = 0; n < $batch; ++n) {\n    $inner\n}", batch=g.batch, inner=inner)
    inner = "\n".join(
        t
        for t in (*text.declarations(), f"const {step.weights.ctype} *restrict w = {weights};", lane, *hold, inner)
        if t
    )
    if many:
        inner = c(
            """
            for (int32_t block = 0; block < $blocks; ++block) {
                const int32_t first = $first;
                $inner
            }
            """,
            blocks=-(-g.filters // LANES),
            first=_reaching_back(f"block * {LANES}", g.filters, LANES),
            inner=inner,
        )
    return bordered(symbols, y, step.to, (g.batch, g.rows, g.columns), inner)


def _passes(index: str, length: int, step: int, body: str) -> str:
    """The passes along one axis; one alone needs no loop."""
    if length <= step:
        return body
    return c(
        """
        for (int32_t $index0 = 0; $index0 < $length; $index0 += $step) {
            const int32_t $index = $place;
            $body
        }
        """.replace("$index", index),
        length=length,
        step=step,
        place=_reaching_back(f"{index}0", length, step),
        body=body,
    )


def _reaching_back(index: str, length: int, step: int) -> str:
    """The start of a pass, moved back where the last would reach past the end."""
    return index if length % step == 0 else f"{index} < {length - step} ? {index} : {length - step}"


def _vectors(step: Depthwise) -> tuple[int, int]:
    """Vectors of weights of a window's row, and elements of one."""
    b = step.blocking
    return (b.words * b.shared, LANES * TAPS_OF_A_WORD) if b.packed else (b.words, LANES)


def _held(step: Depthwise, text: _Text) -> list[str]:
    size = _vectors(step)[1]
    return [f"const {text.vector} w{i} = {text.load_weights(offset('w', str(i * size)))};" for i in sorted(text.held)]


def _pass(step: Depthwise, name: str, text: _Text) -> str:
    """The sums of one pass, and their way out."""
    g, b = step.geometry, step.blocking
    results = [(p, q, j) for p in range(b.rows) for q in range(b.columns) for j in range(b.shared)]
    starts = [f"{text.vector} {_sum(*r)} = {text.use(f'{text.kind}__zero')}();" for r in results]
    if b.unrolled:
        work = [_row(step, text, h) for h in _rows(step)]
    else:
        per_row, size = _vectors(step)
        work = [
            c(
                """
                const $type *restrict row = w;
                const $x *from = from0;
                for (int32_t r = 0; r < $r; ++r, from += $down, row += $size) {
                    $row
                }
                """,
                type=step.weights.ctype,
                x="uint8_t" if b.packed else text.x,
                r=g.window.kernel[0],
                down=text.down,
                size=per_row * size,
                row=_row(step, text, 0),
            )
        ]
    pitch = step.to.pitch if step.to else g.columns * g.filters
    image = step.to.image if step.to else g.rows * pitch
    base = step.to.start if step.to else 0
    to = offset("y", str(base), times("n", image) if g.batch > 1 else "")
    to = offset(to, times("p", pitch) if g.rows > b.rows else "", times("q", g.filters) if g.columns > b.width else "")
    to = offset(to, "first" if g.filters > LANES else "")
    store = text.use(f"{text.kind}__store")
    first = "first" if g.filters > LANES else "0"
    ends = [f"_Alignas(64) {step.sums} sums[{len(results) * LANES}];"]
    ends += [f"{store}({offset('sums', str(i * LANES))}, {_sum(*r)});" for i, r in enumerate(results)]
    for i, (p, q, j) in enumerate(results):
        place = p * pitch + (q * b.shared + j) * b.pixels * g.filters
        ends.append(f"{name}__finish({offset('sums', str(i * LANES))}, {offset(to, str(place))}, {first});")
    return "\n".join((*starts, *work, *ends))


def _sum(p: int, q: int, j: int) -> str:
    return f"s{p}_{q}_{j}"


def _rows(step: Depthwise) -> list[int]:
    """The rows of the source that a pass reads, from its first."""
    g, b = step.geometry, step.blocking
    return sorted(
        {p * g.window.stride[0] + r * g.window.dilation[0] for p in range(b.rows) for r in range(g.window.kernel[0])}
    )


def _row(step: Depthwise, text: _Text, h: int) -> str:
    """The taps of one row of the source, each used by every result that has it in its window."""
    g, b = step.geometry, step.blocking
    taps, stride = g.window.kernel[1], g.window.stride
    per_row, size = _vectors(step)
    users = [
        (p, (h - p * stride[0]) // g.window.dilation[0])
        for p in range(b.rows)
        if (h - p * stride[0]) % g.window.dilation[0] == 0
        and 0 <= (h - p * stride[0]) // g.window.dilation[0] < g.window.kernel[0]
    ]
    pixel = stride[1] * g.channels * b.pixels * b.shared
    last, taps_of = (b.shared - 1) * stride[1] + taps - 1, TAPS_OF_A_WORD if b.packed else 1
    uses: dict[tuple[int, int], list[tuple[int, int]]] = {}  # by place and taps read: which group's which vector
    for q in range(b.columns):
        for i in range(b.words):
            key = q * pixel + i * taps_of * text.tap, min(taps_of, last - i * taps_of + 1)
            uses.setdefault(key, []).append((q, i))
    lines: list[str] = []
    if b.unrolled:
        lines.append(f"const {'uint8_t' if b.packed else text.x} *from = {offset('from0', str(h * step.frame.pitch))};")
    for number, (place, count) in enumerate(sorted(uses)):
        lines.append(f"const {text.vector} x{number} = {text.taps(place, count)};")
        for (q, i), (p, r), j in product(uses[place, count], users, range(b.shared)):
            if b.packed and not _meets(i, j * stride[1], taps):
                continue
            vector = r * per_row + (i * b.shared + j if b.packed else i)
            w = text.weights(vector) if b.unrolled else text.load_weights(offset("row", str(vector * size)))
            lines.append(f"{_sum(p, q, j)} = {text.multiply(_sum(p, q, j), f'x{number}', w)};")
    inside = "\n".join(lines)
    return f"{{\n{_indented(inside)}\n}}" if b.unrolled else inside


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.split("\n"))


def _meets(word: int, first: int, taps: int) -> bool:
    """Whether a word holds a tap of the result whose taps begin at `first`."""
    return first < (word + 1) * TAPS_OF_A_WORD and word * TAPS_OF_A_WORD < first + taps
