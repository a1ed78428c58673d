"""Convolutions and dense layers as C: outer products of pixels and filters, a strip of filters and a row at a time.

For a layer `c1` the text is: `c1__pixels`, `c1__blocks`, `c1__tile`, `c1__rest` (the register block of each path, and
what is left over of a row), `c1__finish` (bias and stages over the filters of one pixel), `c1__strip` (a row of the
result for some filters) and `c1` (all rows of all filters, or a pool over a ring of rows). Two underscores keep these
apart from every mangled name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from hapir.dialects.kernel import PATHS
from hapir.lowering.kernel.buffers import Frame, Table
from hapir.lowering.kernel.c_types import CType
from hapir.lowering.kernel.contraction_bits import Lookup
from hapir.lowering.kernel.geometry import LANES, Geometry
from hapir.lowering.kernel.program import Program
from hapir.lowering.kernel.shared_loops import shared_loop
from hapir.lowering.kernel.stages import Join, Stage
from hapir.lowering.kernel.steps import Convolution, Reframe, joins
from hapir.targets.c.contractions import tile
from hapir.targets.c.lookup_tiles import unpack_strip
from hapir.targets.c.print_borders import print_borders
from hapir.targets.c.print_pooled import print_pooled, print_pooled_sums
from hapir.targets.c.print_product import print_product
from hapir.targets.c.print_stages import Symbols, integer
from hapir.targets.c.simd.primitive import everywhere
from hapir.targets.c.text import Printed, c, function, offset, sink, source, times
from hapir.targets.c.threads import threads
from hapir.targets.c.vector_stages import Pixels, print_vectors

_Loops = Callable[[str], str]


def print_convolution(step: Convolution, name: str, program: Program, symbols: Symbols) -> Printed:
    """The functions of a convolution or a dense layer."""
    buffers, contraction, g = program.buffers, step.contraction, step.geometry
    of_sums = step.pool is not None and step.pool.of_sums
    row = buffers[step.target if step.pool is None or of_sums else step.pool.rows_buffer].ctype
    product = print_product(step.product, symbols) if step.product else ""
    x, y, w = source(contraction.x, "x"), sink(row, "y"), source(contraction.w, "w")
    if step.unpacked:
        w = f"const {name}__weights *restrict w"
    others = joined_sources(step.stages)
    parts = [
        _blocks(step, name, symbols, product),
        print_finish(
            name,
            contraction.sums,
            row,
            step.bias,
            step.stages,
            g.filters // g.groups,
            symbols,
            Pixels("pixels", f"{name}__blocks * {LANES}", str(g.filters)),
        ),
        function(
            f"{name}__strip",
            [
                *(x, w, sink(contraction.sums, "sums") if of_sums else y, *others, "int32_t first", "int32_t count"),
                *(["int32_t p"] if step.borders else []),
            ],
            _sums_strip(step, name) if of_sums else _strip(step, name, symbols),
        ),
    ]
    taken = symbols.parameters(step.weights)
    parameters, scratch = [x, sink(buffers[step.target].ctype, "y"), *others], [join.buffer for join in joins(step)]
    if step.pool and of_sums:
        rows = sink(contraction.sums, "rows")
        pooled = print_pooled_sums(step, name, symbols)
        parts.append(function(f"{name}__pooled", [x, w, y, rows, "int32_t first", "int32_t count"], pooled))
        parameters.append(rows)
        scratch.append(step.pool.rows_buffer)
    elif step.pool:
        place = ["int32_t p"] if step.borders else []
        parts.append(function(f"{name}__row", [x, y, *place, *taken], _strips(step, name, symbols, "x", ["y"], "p")))
        parameters.append(sink(row, "rows"))
        scratch.append(step.pool.rows_buffer)
    if step.unpacked:
        parameters.append(sink("int32_t", "strip"))
        scratch.append(step.unpacked.buffer)
    parts.append(function(name, [*parameters, *taken], _layer(step, name, row, symbols), step.origin))
    return Printed("\n\n".join(parts), name, (step.source, step.target, *scratch), symbols.taken(step.weights))


def joined_sources(stages: Sequence[Stage]) -> list[str]:
    """The parameters that are the maps which stages read: z0, z1, ..."""
    joined = [stage for stage in stages if isinstance(stage, Join)]
    return [source(join.source, f"z{i}") for i, join in enumerate(joined)]


def _blocks(step: Convolution, name: str, symbols: Symbols, product: str) -> str:
    """The register block of each path."""
    lines: list[str] = []
    columns = step.geometry.columns
    for path in PATHS:
        pixels, blocks = step.tiles.registers[path]
        contraction, words = step.contraction, step.runs.words
        if step.unpacked and path in step.unpacked.paths:
            contraction, words = step.unpacked.contraction, step.unpacked.words
        whole = symbols.use(tile(contraction, path, pixels, blocks, product))
        lines.append(f"#{'if' if path == PATHS[0] else 'elif'} defined(HAPIR__PATH_{path.upper()})")
        lines.append(f"enum {{ {name}__pixels = {pixels}, {name}__blocks = {blocks} }};")
        if step.unpacked:
            word = step.tiles.superblock * contraction.per_vector
            lines.append(f"enum {{ {name}__word = {word}, {name}__words = {words} }};")
            lines.append(f"typedef {contraction.w} {name}__weights;")
        lines.append(f"#define {name}__tile {whole}")
        if columns % pixels:
            rest = symbols.use(tile(contraction, path, columns % pixels, blocks, product))
            lines.append(f"#define {name}__rest {rest}")
    return "\n".join((*lines, "#endif"))


def print_finish(
    name: str,
    sums: CType,
    row: CType,
    bias: Table | None,
    stages: tuple[Stage, ...],
    filters: int,
    symbols: Symbols,
    pixels: Pixels | None = None,
) -> str:
    """`NAME__finish(sums, y, first, count)`: bias and stages over neighbouring ones of so many filters of a pixel.

    The maps that stages read come behind y, and then the number of pixels where there are several.
    """
    others = joined_sources(stages)
    joined = [f"z{i}" for i in range(len(others))]
    body = print_vectors(
        "sums", sums, "y", row, stages, "first", "count", symbols, bias=bias, of=filters, joined=joined, pixels=pixels
    )
    if not re.search(r"\bfirst\b", body):
        body = f"{body}\n(void)first;"
    several = [f"int32_t {pixels.count}"] if pixels else []
    parameters = [source(sums, "sums"), sink(row, "y"), *others, *several, "int32_t first", "int32_t count"]
    text = function(f"{name}__finish", parameters, body)
    # inlined, so that the number of pixels is a constant
    return text.replace("static void", "HAPIR__INLINE void", 1) if pixels else text


def _strip(step: Convolution, name: str, symbols: Symbols) -> str:
    """Blocks of pixels of one row, then those that are left over."""
    g, runs = step.geometry, step.runs
    x_stride = g.window.stride[1] * step.frame.channels
    word, words = step.tiles.superblock * step.contraction.per_vector, runs.words
    if step.unpacked:
        word, words = f"{name}__word", f"{name}__words"
    window = (
        f"{x_stride}, w, {word}, {runs.rows}, {runs.row_stride}, {runs.columns}, {runs.column_stride}, {words}, sums"
    )

    def borders(pixels: str) -> str:
        if step.borders is None:
            return ""
        return print_borders(step.borders, g.filters, pixels, f"{name}__blocks", symbols)

    rests = any(g.columns % pixels for pixels, _ in step.tiles.registers.values())
    rest = c(
        """
        #ifdef $name__rest
        {
            _Alignas(64) $sums sums[$name__pixels * $name__blocks * $lanes];
            const int32_t q = $columns - $columns % $name__pixels;
            $name__rest($x, $window);
            $borders
            $finish
        }
        #endif
        """.replace("$name", name),
        sums=step.contraction.sums,
        lanes=LANES,
        columns=g.columns,
        x=offset("x", times("q", x_stride)),
        window=window,
        borders=borders(f"{g.columns} - q"),
        finish=_finish(step, name, f"{g.columns} % {name}__pixels"),
    )
    return c(
        """
        $threads
        for (int32_t q = 0; q <= $columns - $name__pixels; q += $name__pixels) {
            _Alignas(64) $sums sums[$name__pixels * $name__blocks * $lanes];
            $name__tile($x, $window);
            $borders
            $finish
        }
        $rest
        """.replace("$name", name),
        threads=_threads(step, "columns"),
        sums=step.contraction.sums,
        lanes=LANES,
        columns=g.columns,
        x=offset("x", times("q", x_stride)),
        window=window,
        borders=borders(f"{name}__pixels"),
        finish=_finish(step, name, f"{name}__pixels"),
        rest=rest if rests else "",
    )


def _sums_strip(step: Convolution, name: str) -> str:
    """The sums of one row as vectors, nothing else."""
    g, runs = step.geometry, step.runs
    x_stride = g.window.stride[1] * step.frame.channels
    window = (
        f"{x_stride}, w, {step.tiles.superblock * step.contraction.per_vector}, {runs.rows}, {runs.row_stride}, "
        f"{runs.columns}, {runs.column_stride}, {runs.words}, sums + q * {name}__blocks * {LANES}"
    )
    return c(
        """
        $threads
        for (int32_t q = 0; q <= $columns - $name__pixels; q += $name__pixels) {
            $name__tile($x, $window);
        }
        #ifdef $name__rest
        {
            const int32_t q = $columns - $columns % $name__pixels;
            $name__rest($x, $window);
        }
        #endif
        (void)first;
        (void)count;
        """.replace("$name", name),
        threads=_threads(step, "columns"),
        columns=g.columns,
        x=offset("x", times("q", x_stride)),
        window=window,
    )


def _maps(step: Convolution) -> list[tuple[str, Frame | None]]:
    """The result and what it is joined with, and how each lies."""
    return [("y", step.to), *((f"z{i}", join.frame) for i, join in enumerate(joins(step)))]


def _finish(step: Convolution, name: str, pixels: str) -> str:
    """The call that finishes so many pixels from `q` on, or those of each where they lie in the rows of frames."""
    maps = _maps(step)
    if step.maps is None or all(frame is None for _, frame in maps):
        places = ", ".join(offset(map_, times("q", step.geometry.filters)) for map_, _ in maps)
        return f"{name}__finish(sums, {places}, {pixels}, first, count);"
    places = ", ".join(_pixel(step, step.maps, *map_) for map_ in maps)
    call = f"{name}__finish(sums + i * {name}__blocks * {LANES}, {places}, 1, first, count);"
    return f"for (int32_t i = 0; i < {pixels}; ++i) {{\n    {call}\n}}"


def _pixel(step: Convolution, maps: tuple[int, int, int], map_: str, frame: Frame | None) -> str:
    """Where pixel `q + i` lies of a row that is all pixels of several maps."""
    filters = step.geometry.filters
    if frame is None:
        return offset(map_, times("(q + i)", filters))
    batch, rows, columns = maps
    row = f"(q + i) / {columns}"
    image = f"(q + i) / {rows * columns} * {frame.image}" if batch > 1 else ""
    within = f"{row} % {rows}" if batch > 1 else row
    return offset(map_, image, f"{within} * {frame.pitch}", times(f"(q + i) % {columns}", filters))


def _strips(
    step: Convolution, name: str, symbols: Symbols, x: str, maps: Sequence[str], p: str, rows: _Loops | None = None
) -> str:
    """All strips of filters of row `p`, group by group; `rows` puts the loops over rows inside.

    `maps` are where the result's row and those of what it is joined with begin.
    """
    g, contraction = step.geometry, step.contraction
    per_group = g.filters // g.groups
    strip = step.tiles.superblock * LANES
    strips = -(-per_group // strip)
    words = step.runs.total_words * contraction.per_vector * step.tiles.superblock
    weights = symbols.of(step.weights)
    group = times("group", strips * words) if g.groups > 1 else ""
    call = f"$name__strip($x, w, $y, $first, count{f', {p}' if step.borders else ''});"
    values = {
        "x": offset(x, times("group", step.frame.channels // g.groups) if g.groups > 1 else ""),
        "y": ", ".join(offset(map_, times("group", per_group) if g.groups > 1 else "", "k") for map_ in maps),
        "first": f"group * {per_group} + k" if g.groups > 1 else "k",
    }
    body = c(
        """
        $threads
        for (int32_t k = 0; k < $filters; k += $name__blocks * $lanes) {
            $w
            const int32_t count = $filters - k < $name__blocks * $lanes ? $filters - k : $name__blocks * $lanes;
            $call
        }
        """.replace("$name", name),
        threads=_threads(step, "filters"),
        filters=per_group,
        lanes=LANES,
        w=_filters(step, f"{offset(weights, group)} + k / {strip} * {words}", symbols),
        call=c((rows(call) if rows else call).replace("$name", name), **values),
    )
    if g.groups > 1:
        loop = "$threads\nfor (int32_t group = 0; group < $groups; ++group) {\n    $body\n}"
        body = c(loop, threads=_threads(step, "groups"), groups=g.groups, body=body)
    return body


def _filters(step: Convolution, packed: str, symbols: Symbols) -> str:
    """The weights from filter `k` of a group on, out of a packed strip."""
    strip, elements = step.tiles.superblock * LANES, step.contraction.per_vector // LANES
    stored = f"const {step.contraction.w} *w = {packed} + k % {strip} * {elements};"
    if step.unpacked is None or not isinstance(step.contraction, Lookup):
        return stored
    runs, bytes_ = step.runs, step.unpacked.contraction
    unpack = [symbols.use(unpack_strip(step.contraction, path)) for path in step.unpacked.paths].pop()
    return c(
        """
        #if $paths
        if (k % $strip == 0) {
            $unpack($packed, strip, $runs, $words, $blocks);
        }
        const $type *w = (const $type *)strip + k % $strip * $elements;
        #else
        $stored
        (void)strip;
        #endif
        """,
        paths=" || ".join(f"defined(HAPIR__PATH_{path.upper()})" for path in step.unpacked.paths),
        strip=strip,
        unpack=unpack,
        packed=packed,
        runs=runs.rows * runs.columns,
        words=runs.words,
        blocks=step.tiles.superblock,
        type=bytes_.w,
        elements=bytes_.per_vector // LANES,
        stored=stored,
    )


def _threads(step: Convolution, loop: str) -> str:
    """What goes before a loop: that threads share it, where it is that loop."""
    shared = shared_loop(step)
    return threads(shared.macs) if shared.loop == loop else ""


def _layer(step: Convolution, name: str, row: CType, symbols: Symbols) -> str:
    """Every row of every image, for one strip of filters after the other or row by row."""
    g, frame, to = step.geometry, step.frame, step.to
    top, left = g.window.padding[:2]
    origin = frame.start - top * frame.pitch - left * frame.channels
    start = f"x + {origin}" if origin else "x"
    image = times("n", frame.image) if g.batch > 1 else ""

    def x(p: str) -> str:
        return offset(start, image, times(p, g.window.stride[0] * frame.pitch) if g.rows > 1 else "")

    if step.pool is not None and step.pool.of_sums:
        pitch = step.pool.columns * g.filters
        image_pitch, base = (to.image, to.start) if to else (step.pool.rows * pitch, 0)
        y = offset("y", str(base), times("n", image_pitch) if g.batch > 1 else "")

        def over_images(_: str) -> str:
            call = "$name__pooled($x, w, $y, rows, $first, count);"
            loop = "for (int32_t n = 0; n < $batch; ++n) {\n    $call\n}"
            return loop.replace("$batch", str(g.batch)).replace("$call", call) if g.batch > 1 else call

        body = _strips(step, name, symbols, offset(start, image), [y], "0", over_images)
        return bordered(symbols, row, to, (g.batch, step.pool.rows, step.pool.columns), body)
    if step.pool is not None:
        handed = "".join(f", {symbols.of(table)}" for table in symbols.taken(step.weights))
        place = ", row" if step.borders else ""
        rows = print_pooled(g, step.pool, row, lambda to: f"{name}__row({x('row')}, {to}{place}{handed});", to)
        body = c("for (int32_t n = 0; n < $batch; ++n) {\n    $rows\n}", batch=g.batch, rows=rows)
        return bordered(symbols, row, to, (g.batch, step.pool.rows, step.pool.columns), body)
    maps = [_row_of(map_, frame, g) for map_, frame in _maps(step)]

    def over_rows(body: str) -> str:
        shared = _threads(step, "rows")
        if g.rows > 1:
            loop = "$threads\nfor (int32_t p = 0; p < $rows; ++p) {\n    $body\n}"
            body = c(loop, threads=shared if g.rows >= g.batch else "", rows=g.rows, body=body)
        if g.batch > 1:
            loop = "$threads\nfor (int32_t n = 0; n < $batch; ++n) {\n    $body\n}"
            body = c(loop, threads=shared if g.rows < g.batch else "", batch=g.batch, body=body)
        return body

    p = "p" if g.rows > 1 else "0"
    if step.tiles.order == "rows":
        body = over_rows(_strips(step, name, symbols, x("p"), maps, p))
    else:
        body = _strips(step, name, symbols, x("p"), maps, p, over_rows)
    return bordered(symbols, row, to, step.maps or (g.batch, g.rows, g.columns), body)


def bordered(symbols: Symbols, ctype: CType, frame: Frame | None, maps: tuple[int, int, int], body: str) -> str:
    """Statements that write maps (images, rows, columns), and the border around them where they lie in a frame."""
    if frame is None:
        return body
    return f"{print_border(symbols, ctype)}(y, {border_arguments(frame, *maps)});\n{body}"


def _row_of(map_: str, frame: Frame | None, g: Geometry) -> str:
    """Where row p of map n begins."""
    plain = Frame.around(g.rows, g.columns, g.filters, (0, 0, 0, 0), 0)
    lies = frame or plain
    return offset(
        map_,
        str(lies.start),
        times("n", lies.image) if g.batch > 1 else "",
        times("p", lies.pitch) if g.rows > 1 else "",
    )


def border_arguments(frame: Frame, batch: int, height: int, width: int) -> str:
    """What the border of a frame takes."""
    left, columns = frame.left * frame.channels, width * frame.channels
    fill = integer(int(frame.fill))
    return f"{batch}, {frame.rows}, {frame.pitch}, {frame.top}, {height}, {left}, {columns}, {fill}"


def print_border(symbols: Symbols, ctype: CType) -> str:
    """The name of the function that writes what lies around the maps of a frame."""
    name = f"border__{ctype.removesuffix('_t')}"
    text = c(
        """
        /* What lies around maps of height x width elements in frames of rows x pitch. */
        HAPIR__INLINE void $name($type *restrict y, int32_t batch, int32_t rows, int32_t pitch, int32_t top,
            int32_t height, int32_t left, int32_t width, $type fill)
        {
            for (int32_t n = 0; n < batch; ++n, y += rows * pitch) {
                for (int32_t i = 0; i < top * pitch; ++i) {
                    y[i] = fill;
                }
                for (int32_t h = top; h < top + height; ++h) {
                    for (int32_t i = 0; i < left; ++i) {
                        y[h * pitch + i] = fill;
                    }
                    for (int32_t i = left + width; i < pitch; ++i) {
                        y[h * pitch + i] = fill;
                    }
                }
                for (int32_t i = (top + height) * pitch; i < rows * pitch; ++i) {
                    y[i] = fill;
                }
            }
        }
        """,
        name=name,
        type=ctype,
    )
    return symbols.use(everywhere(name, text))


def print_reframe(step: Reframe, name: str, program: Program, symbols: Symbols) -> Printed:
    """A map copied into its frame."""
    x, y = program.buffers[step.source].ctype, program.buffers[step.target].ctype
    to, length = step.to, step.width * step.to.channels
    old = step.frame
    copy = f"memcpy(row, x, sizeof(*row) * {length});"
    if step.lift:
        copy = c(
            """
            for (int32_t j = 0; j < $length; ++j) {
                row[j] = ($type)(x[j] + $lift);
            }
            """,
            length=length,
            type=y,
            lift=step.lift,
        )
    elif step.stages:
        copy = print_vectors("x", x, "row", y, step.stages, "", length, symbols)
    elif x != y:
        copy = f"for (int32_t j = 0; j < {length}; ++j) {{\n    row[j] = ({y})x[j];\n}}"
    body = c(
        """
        $border(y, $arguments);
        $begin
        for (int32_t n = 0; n < $batch; ++n) {
            for (int32_t h = 0; h < $height; ++h, x += $row) {
                $type *row = y + (n * $image + h * $pitch + $start);
                $copy
            }
            $skip
        }
        """,
        type=y,
        begin=f"x += {old.start};" if old else "",
        row=old.pitch if old else length,
        skip=f"x += {old.image - step.height * old.pitch};" if old and step.batch > 1 else "",
        border=print_border(symbols, y),
        arguments=border_arguments(to, step.batch, step.height, step.width),
        batch=step.batch,
        height=step.height,
        length=length,
        image=to.image,
        pitch=to.pitch,
        start=to.start,
        copy=copy,
    )
    text = function(name, [source(x, "x"), sink(y, "y")], body, step.origin)
    return Printed(text, name, (step.source, step.target))
