"""Convolutions by minimal filtering as C: a block of tiles is transformed, multiplied plane by plane, transformed back.

For a layer `c1` the text is: `c1__pixels`, `c1__blocks`, `c1__tile`, `c1__rest` (the register block of each path, and
what is left over of a block of tiles), `c1__inputs`, `c1__products`, `c1__finish`, `c1__outputs` and `c1`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hapir.dialects.kernel import PATHS
from hapir.lowering.kernel.buffers import Frame
from hapir.lowering.kernel.c_types import CType
from hapir.lowering.kernel.geometry import LANES, Geometry
from hapir.lowering.kernel.program import Program
from hapir.lowering.kernel.program_winograd import Winograd
from hapir.lowering.kernel.stages import Join, Stage
from hapir.lowering.kernel.steps import joins
from hapir.targets.c.contractions import tile
from hapir.targets.c.print_convolution import bordered, joined_sources, print_finish
from hapir.targets.c.print_stages import Symbols
from hapir.targets.c.simd.primitive import primitives
from hapir.targets.c.text import Printed, c, function, offset, sink, source, times
from hapir.targets.c.threads import threads


def print_winograd(step: Winograd, name: str, program: Program, symbols: Symbols) -> Printed:
    """The functions of a layer."""
    contraction, buffers = step.contraction, program.buffers
    x, y = buffers[step.source].ctype, buffers[step.target].ctype
    taken = symbols.parameters(step.weights)
    inputs = [source(x, "x"), sink(contraction.x, "v"), "int32_t first", "int32_t count"]
    products = [source(contraction.x, "v"), sink(contraction.sums, "m"), "int32_t count", *taken]
    others = joined_sources(step.stages)
    outputs = [source(contraction.sums, "m"), sink(y, "y"), *others, "int32_t first", "int32_t count"]
    scratch = [sink(contraction.x, "v"), sink(contraction.sums, "m")]
    parts = [
        _blocks(step, name, symbols),
        function(f"{name}__inputs", inputs, _inputs(step, x, symbols)),
        function(f"{name}__products", products, _products(step, name, symbols)),
        print_finish(name, contraction.sums, y, step.bias, step.stages, step.geometry.filters, symbols),
        function(f"{name}__outputs", outputs, _outputs(step, name, y, symbols)),
    ]
    parameters = [source(x, "x"), sink(y, "y"), *others, *scratch, *taken]
    parts.append(function(name, parameters, _layer(step, name, symbols, y), step.origin))
    read = [join.buffer for join in joins(step)]
    arguments = (step.source, step.target, *read, step.inputs, step.products)
    return Printed("\n\n".join(parts), name, arguments, symbols.taken(step.weights))


@dataclass(frozen=True)
class Map:
    """A map that finished pixels go to or are joined with: its parameter, how it lies, where a tile begins in it."""

    name: str
    ctype: str
    frame: Frame
    at: str

    def begins(self, *terms: str) -> str:
        """The statement that finds the tile."""
        return f"{self.ctype} *{self.at} = {offset(self.name, str(self.frame.start), *terms)};"


def maps_of(stages: Sequence[Stage], to: Frame | None, row: CType, g: Geometry) -> list[Map]:
    """The result, and what stages join it with."""
    plain = Frame.around(g.rows, g.columns, g.filters, (0, 0, 0, 0), 0)
    joined = [stage for stage in stages if isinstance(stage, Join)]
    others = [Map(f"z{i}", f"const {j.source}", j.frame or plain, f"from_{i}") for i, j in enumerate(joined)]
    return [Map("y", row, to or plain, "to"), *others]


def _stem(step: Winograd) -> str:
    """What the primitives of a step's tiles are called first."""
    size = step.tiling.size
    return f"winograd{size}x{size}" if step.tiling.both else f"winograd{size}"


def _blocks(step: Winograd, name: str, symbols: Symbols) -> str:
    """The register block of each path, and those that finish a block of tiles, whose numbers are known."""
    contraction, tiling = step.contraction, step.tiling
    last = tiling.total % tiling.block or tiling.block
    lines: list[str] = []
    for path in PATHS:
        pixels, blocks = step.tiles.registers[path]
        lines.append(f"#{'if' if path == PATHS[0] else 'elif'} defined(HAPIR__PATH_{path.upper()})")
        lines.append(f"enum {{ {name}__pixels = {pixels}, {name}__blocks = {blocks} }};")
        lines.append(f"#define {name}__tile {symbols.use(tile(contraction, path, pixels, blocks))}")
        for count in sorted({tiling.block % pixels, last % pixels} - {0}):
            rest = symbols.use(tile(contraction, path, count, blocks))
            which = "last" if count == last % pixels else "rest"
            lines.append(f"#define {name}__{which} {rest}")
            lines.append(f"enum {{ {name}__{which}_tiles = {count} }};")
    return "\n".join((*lines, "#endif"))


def _inputs(step: Winograd, ctype: CType, symbols: Symbols) -> str:
    """Tiles of the map to planes of words; a tile that reaches beyond the frame reads its last rows and columns."""
    g, tiling, frame, elements = step.geometry, step.tiling, step.frame, step.contraction.elements
    name = f"{_stem(step)}__tile_{ctype.removesuffix('_t')}"
    top, left = g.window.padding[:2]
    rows, columns = g.rows + g.window.kernel[0] - 1, g.columns + 2

    def clamped(index: str, size: int, result: int) -> str:
        return f"{index} < {size} ? {index} : {size - 1}" if result % tiling.size else index

    at_row = "for (int32_t i = 0; i < $n; ++i) {\n    const int32_t h = $h;\n    $columns\n}"
    at_columns = c(
        """
        for (int32_t j = 0; j < $n; ++j) {
            const int32_t w = $w;
            at[$index] = from + h * $pitch + w * $channels;
        }
        """,
        n=tiling.reach,
        w=clamped("left + j", columns, g.columns),
        index=f"i * {tiling.reach} + j" if tiling.both else "j",
        pitch=frame.pitch,
        channels=frame.channels,
    )
    if tiling.both:
        places = c(at_row, n=tiling.reach, h=clamped("top + i", rows, g.rows), columns=at_columns)
    else:
        places = f"const int32_t h = top;\n{at_columns}"
    return c(
        """
        $threads
        for (int32_t t = 0; t < count; ++t) {
            const int32_t place = $place, top = $top, left = $left;
            const $x *from = $from;
            const $x *at[$planes];
            $places
            for (int32_t c = 0; c < $channels; c += $vector) {
                $tile(at, c, v + t * $row + c, $plane);
            }
        }
        """,
        threads=_threads(step),
        row=step.words * elements,
        place=f"(first + t) % {tiling.per_image}" if g.batch > 1 else "first + t",
        top=times(f"place / {tiling.columns}", tiling.height),
        left=times(f"place % {tiling.columns}", tiling.size),
        x=ctype,
        **{
            "from": offset("x", str(frame.start - top * frame.pitch - left * frame.channels), _image(step, frame.image))
        },
        planes=tiling.planes,
        places=places,
        channels=g.channels,
        vector=LANES * elements,
        tile=symbols.use(primitives()[name]),
        plane=step.input_plane * elements,
    )


def _image(step: Winograd, length: int) -> str:
    """Where the map of a tile starts."""
    return f"(first + t) / {step.tiling.per_image} * {length}" if step.geometry.batch > 1 else ""


def _products(step: Winograd, name: str, symbols: Symbols) -> str:
    """One matrix product per plane: its tiles by its filters, a strip's weights against all tiles."""
    contraction, tiling, tiles = step.contraction, step.tiling, step.tiles
    strip = tiles.superblock * LANES
    words = step.words * tiles.superblock * contraction.per_vector
    row = step.words * contraction.elements
    window = f"{row}, w, {tiles.superblock * contraction.per_vector}, 1, 0, 1, 0, {step.words}"
    last = tiling.total % tiling.block or tiling.block

    def rest(which: str, condition: str) -> str:
        if all(count % pixels == 0 for count in (last, tiling.block) for pixels, _ in tiles.registers.values()):
            return ""
        return c(
            """
            #ifdef $name__$which
            $condition {
                $name__$which(from + t * $row, $window, to + t * $name__blocks * $lanes);
            }
            #endif
            """.replace("$name", name).replace("$which", which),
            condition=condition.replace("$name", name),
            row=row,
            window=window,
            lanes=LANES,
        )

    return c(
        """
        $threads
        for (int32_t plane = 0; plane < $planes; ++plane) {
            const $x *from = v + plane * $input;
            for (int32_t k = 0; k < $filters; k += $name__blocks * $lanes) {
                const $w *w = $weights + plane * $all + k / $strip * $words + k % $strip * $elements;
                $sums *to = m + plane * $product + k * $block;
                int32_t t = 0;
                for (; t + $name__pixels <= count; t += $name__pixels) {
                    $name__tile(from + t * $row, $window, to + t * $name__blocks * $lanes);
                }
                $rest
                $last
            }
        }
        """.replace("$name", name),
        threads=_threads(step),
        planes=tiling.planes,
        x=contraction.x,
        input=step.input_plane * contraction.elements,
        filters=step.geometry.filters,
        lanes=LANES,
        w=contraction.w,
        weights=symbols.of(step.weights),
        all=step.strips * words,
        strip=strip,
        words=words,
        elements=contraction.elements,
        sums=contraction.sums,
        product=step.product_plane,
        block=tiling.block,
        row=row,
        window=window,
        rest=rest("rest", "if (count - t == $name__rest_tiles)"),
        last=rest("last", "if (count - t == $name__last_tiles)"),
    )


def _outputs(step: Winograd, name: str, row: CType, symbols: Symbols) -> str:
    """Products of a tile to sums of its pixels, which are finished; what lies beyond the result is dropped."""
    g, tiling, to, contraction = step.geometry, step.tiling, step.to, step.contraction
    untile = symbols.use(primitives()[f"{_stem(step)}__untile_{contraction.sums.removesuffix('_t')}"])
    maps = maps_of(step.stages, to, row, g)

    def within(start: str, size: int, result: int) -> str:
        left = f"{result} - {start}"
        return f"{left} < {size} ? {left} : {size}" if result % size else str(size)

    pixel = c(
        """
        for (int32_t j = 0; j < columns; ++j) {
            $name__finish(sums + $index * $name__blocks * $lanes, $y, k, filters);
        }
        """.replace("$name", name),
        index=f"(i * {tiling.size} + j)" if tiling.both else "j",
        lanes=LANES,
        y=", ".join(
            offset(m.at, times("i", m.frame.pitch) if tiling.both else "", times("j", g.filters), "k") for m in maps
        ),
    )
    if tiling.both:
        pixel = f"for (int32_t i = 0; i < rows; ++i) {{\n    {pixel.replace(chr(10), chr(10) + '    ')}\n}}"
    return c(
        """
        $threads
        for (int32_t t = 0; t < count; ++t) {
            _Alignas(64) $sums sums[$tile * $name__blocks * $lanes];
            const int32_t place = $place, top = $top, left = $left;
            $rows
            const int32_t columns = $columns;
            $at
            for (int32_t k = 0; k < $filters; k += $name__blocks * $lanes) {
                const int32_t filters = $count;
                const $sums *from = m + k * $block + t * $name__blocks * $lanes;
                for (int32_t i = 0; i < $name__blocks * $lanes; i += $lanes) {
                    $untile(from + i, $plane, sums + i, $name__blocks * $lanes);
                }
                $pixel
            }
        }
        """.replace("$name", name),
        threads=_threads(step),
        sums=contraction.sums,
        tile=tiling.height * tiling.size,
        lanes=LANES,
        place=f"(first + t) % {tiling.per_image}" if g.batch > 1 else "first + t",
        top=times(f"place / {tiling.columns}", tiling.height),
        left=times(f"place % {tiling.columns}", tiling.size),
        rows=f"const int32_t rows = {within('top', tiling.size, g.rows)};" if tiling.both else "",
        columns=within("left", tiling.size, g.columns),
        at="\n".join(
            m.begins(_image(step, m.frame.image), times("top", m.frame.pitch), times("left", g.filters)) for m in maps
        ),
        filters=g.filters,
        count=_filters(step, name),
        block=tiling.block,
        untile=untile,
        plane=step.product_plane,
        pixel=pixel,
    )


def _filters(step: Winograd, name: str) -> str:
    """How many filters of a block there are; a constant where none is cut."""
    block = f"{name}__blocks * {LANES}"
    filters = step.geometry.filters
    if all(filters % (blocks * LANES) == 0 for _, blocks in step.tiles.registers.values()):
        return block
    return f"{filters} - k < {block} ? {filters} - k : {block}"


def _threads(step: Winograd) -> str:
    """Threads share the tiles of a block, and the planes of its products."""
    return threads(step.geometry.macs * step.tiling.block // step.tiling.total)


def _layer(step: Winograd, name: str, symbols: Symbols, row: CType) -> str:
    """All tiles, a block at a time."""
    g, tiling, to = step.geometry, step.tiling, step.to
    handed = "".join(f", {symbols.of(table)}" for table in symbols.taken(step.weights))
    others = "".join(f", z{i}" for i in range(len(joins(step))))
    count = str(tiling.total) if tiling.block == tiling.total else ""
    if count:
        calls = c(
            """
            $name__inputs(x, v, 0, $count);
            $name__products(v, m, $count$handed);
            $name__outputs(m, y$others, 0, $count);
            """.replace("$name", name),
            count=count,
            handed=handed,
            others=others,
        )
        return bordered(symbols, row, to, (g.batch, g.rows, g.columns), calls)
    calls = c(
        """
        for (int32_t first = 0; first < $total; first += $block) {
            const int32_t count = $count;
            $name__inputs(x, v, first, count);
            $name__products(v, m, count$handed);
            $name__outputs(m, y$others, first, count);
        }
        """.replace("$name", name),
        others=others,
        total=tiling.total,
        block=tiling.block,
        count=f"{tiling.total} - first < {tiling.block} ? {tiling.total} - first : {tiling.block}"
        if tiling.total % tiling.block
        else tiling.block,
        handed=handed,
    )
    return bordered(symbols, row, to, (g.batch, g.rows, g.columns), calls)
