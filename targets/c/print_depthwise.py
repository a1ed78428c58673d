"""Depthwise convolutions as C: 16 filters in lanes, several rows and columns of results per pass.

The loops run over blocks of filters, whose weights stay in registers, then over passes of the map. The last pass of a
row and the last rows reach back where they are no multiple of a pass, so every pass is whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.c_types import CType
from hapir.lowering.kernel.depthwise import LANES, TAPS_OF_A_WORD
from hapir.lowering.kernel.program import Program
from hapir.lowering.kernel.steps import Depthwise
from hapir.targets.c.print_convolution import bordered
from hapir.targets.c.print_stages import Symbols
from hapir.targets.c.simd.memory import load, store
from hapir.targets.c.text import Printed, c, function, listed, offset, sink, source, times
from hapir.targets.c.threads import threads
from hapir.targets.c.vector_stages import Chain, has_vectors, print_vectors


def print_depthwise(step: Depthwise, name: str, program: Program, symbols: Symbols) -> Printed:
    """The functions of a depthwise convolution."""
    buffers = program.buffers
    x, y = buffers[step.source].ctype, buffers[step.target].ctype
    text = _Text(step, x, symbols)
    parameters = [source(x, "x"), sink(y, "y"), *symbols.parameters(step.weights)]
    body = _layer(step, text, y, symbols)
    text = function(name, parameters, body, step.origin)
    return Printed(text, name, (step.source, step.target), symbols.taken(step.weights))


class _Finish:
    """Bias and stages of one vector of results, and the constants that they need before the loops."""

    def __init__(self, step: Depthwise, target: CType, symbols: Symbols):
        self.step, self.symbols = step, symbols
        self.target: CType = target
        self.periods: dict[int, tuple[Table, str]] = {}

    def text(self, value: str, to: str) -> str:
        """The statements that send a vector to `to`."""
        g, pixels = self.step.geometry, self.step.blocking.pixels
        if pixels == 1:
            first = "first" if g.filters > LANES else "0"
            chain = Chain(self.symbols, first, min(g.filters, LANES))
            return self._through(chain, value, to)
        chain = _Periodic(self.symbols, _NO_CHANNEL, g.filters * pixels, periods=dict(self.periods))
        text = self._through(chain, value, to)
        if _NO_CHANNEL in text:
            return self._by_pixel(value, to)
        self.periods = chain.periods
        return text

    def _through(self, chain: Chain, value: str, to: str) -> str:
        if not has_vectors(self.step.sums, self.step.stages):
            return self._by_pixel(value, to)
        if self.step.bias is not None:
            value = chain.name(self.step.sums, f"{self._kind}__add({value}, {chain.row(self.step.bias)})")
        value = chain.through(value, self.step.sums, self.step.stages)
        chain.lines.append(f"{store(self.target, to, value, chain.lanes)};")
        return chain.text()

    @property
    def _kind(self) -> str:
        return "f32x16" if self.step.sums == "float" else "i32x16"

    def _by_pixel(self, value: str, to: str) -> str:
        """The results of one pixel after the other, where a stage needs to know the channel of each lane."""
        g, pixels = self.step.geometry, self.step.blocking.pixels
        count = min(g.filters, LANES)
        save = self.symbols.named(f"{self._kind}__store")
        first = "first" if g.filters > LANES else ""
        lines = [f"_Alignas(64) {self.step.sums} sums[{LANES}];", f"{save}(sums, {value});"]
        for pixel in range(pixels):
            read, write = offset("sums", str(pixel * count)), offset(to, str(pixel * count))
            given = (self.step.sums, write, self.target, self.step.stages, first, count, self.symbols)
            lines.append("{\n" + _indented(print_vectors(read, *given, bias=self.step.bias)) + "\n}")
        return "\n".join(lines)

    def declarations(self) -> list[str]:
        """Rows of channels, repeated for the pixels of a vector."""
        k = self.step.geometry.filters
        return [
            c(
                """
                $type $name[$lanes];
                for (int32_t i = 0; i < $lanes; ++i) {
                    $name[i] = $table[i % $k];
                }
                """.replace("$name", name),
                type=table.ctype,
                lanes=LANES,
                table=self.symbols.of(table),
                k=k,
            )
            for table, name in self.periods.values()
        ]


_NO_CHANNEL = "$channel"
"""Stands where a text would need the channel of lane 0."""


@dataclass
class _Periodic(Chain):
    """A chain whose lanes hold several pixels: rows of channels are read from copies that repeat them."""

    periods: dict[int, tuple[Table, str]] = field(default_factory=dict[int, tuple[Table, str]])

    def row(self, table: Table) -> str:
        _, name = self.periods.setdefault(id(table), (table, f"row{len(self.periods)}"))
        if table.ctype == "uint32_t":
            return load("int32_t", f"(const int32_t *){name}")
        return load(table.ctype, name)


class _Text:
    """The texts of a layer that depend on how taps are read and multiplied."""

    def __init__(self, step: Depthwise, x: CType, symbols: Symbols):
        self.step, self.symbols = step, symbols
        self.x: CType = x
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
        read = load("int32_t" if self.x == "uint32_t" else self.x, start)
        self.use(read.split("(")[0])
        return read

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


def _layer(step: Depthwise, text: _Text, y: CType, symbols: Symbols) -> str:
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
    finish = _Finish(step, y, symbols)
    body = _pass(step, text, finish)
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
    first_weight = f"const {step.weights.ctype} *restrict w = {weights};"
    constants = [*text.declarations(), *finish.declarations(), first_weight, lane, *hold]
    inner = "\n".join((*filter(None, constants), inner))
    if many:
        inner = c(
            """
            $threads
            for (int32_t block = 0; block < $blocks; ++block) {
                const int32_t first = $first;
                $inner
            }
            """,
            # a block that reaches back writes what the one before writes
            threads=threads(g.macs) if g.filters % LANES == 0 else "",
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


def _pass(step: Depthwise, text: _Text, finish: _Finish) -> str:
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
    ends: list[str] = []
    for p, q, j in results:
        place = p * pitch + (q * b.shared + j) * b.pixels * g.filters
        ends.append("{\n" + _indented(finish.text(_sum(p, q, j), offset(to, str(place)))) + "\n}")
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
