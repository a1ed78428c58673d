"""Layers that skip zeros as C: panels of the input, lists of non-zero weights, sums transposed to rows of filters.

For a layer `c1` the text is: `c1__pack` (the panel of a run of places), `c1__finish` (bias and stages over the filters
of one pixel), `c1__rows` (the sums of a tile, brought to the result) and `c1`. The loops over lists are helpers that
layers share (`sparse_loops`).
"""

from __future__ import annotations

from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.c_types import CType
from hapir.lowering.kernel.geometry import LANES, Geometry
from hapir.lowering.kernel.pack_weights import round_up
from hapir.lowering.kernel.program import Program
from hapir.lowering.kernel.program_sparse import (
    PixelTiles,
    ReduceAndScale,
    SparseBlocks,
    SparseConvolution,
    SparseStep,
    SparseVector,
)
from hapir.targets.c.print_convolution import print_finish
from hapir.targets.c.print_stages import Symbols, integer
from hapir.targets.c.simd.primitive import primitives
from hapir.targets.c.sparse_loops import block_loop, ras_loop, word_loop
from hapir.targets.c.text import Printed, c, function, listed, minus, offset, sink, source, times


def print_sparse(step: SparseStep, name: str, program: Program, symbols: Symbols) -> Printed:
    """The functions of a layer with pixels in lanes."""
    x, y = program.buffers[step.source].ctype, program.buffers[step.target].ctype
    sums = program.buffers[step.tiles.sums].ctype
    parts = [
        print_pack(step.geometry, step.tiles, name, x, symbols),
        print_finish(name, sums, y, step.bias, step.stages, step.geometry.filters, symbols),
        _rows(step, name, sums, y, symbols),
    ]
    work = [sink(step.tiles.panel.ctype, "planes"), sink(sums, "sums"), sink(sums, "rows"), sink(x, "blank")]
    parts.append(function(name, [source(x, "x"), sink(y, "y"), *work], _layer(step, name, symbols), step.origin))
    tiles = step.tiles
    buffers = (step.source, step.target, tiles.planes, tiles.sums, tiles.rows, tiles.blank)
    return Printed("\n\n".join(parts), name, buffers)


def print_pack(g: Geometry, tiles: PixelTiles, name: str, x: CType, symbols: Symbols) -> str:
    """16 places of a phase at a time: the pixels that they hold, or padding, turned to planes."""
    panel, window = tiles.panel, g.window
    pack = symbols.use(primitives()["pack__bytes" if panel.ctype == "uint8_t" else "pack__words"])
    several = len(panel.phases) > 1
    down, right = zip(*panel.phases, strict=True)
    body = c(
        """
        $phases
        for (int32_t i = 0; i < $length; i += $lanes) {
            $open
            int32_t row = (first + i) / $columns, column = (first + i) % $columns;
            const uint8_t *from[$lanes];
            for (int32_t j = 0; j < $lanes; ++j) {
                const int32_t h = $h, w = $w;
                const int inside = h >= 0 && h < $height && w >= 0 && w < $width;
                from[j] = (const uint8_t *)(inside ? x + (h * $width + w) * $channels : blank);
                column = column + 1 == $columns ? 0 : column + 1;
                row += column == 0;
            }
            $pack(from, $bytes, (uint8_t *)($planes), $stride, $flip);
            $close
        }
        """,
        phases=c(
            "static const int32_t down[] = {$down}, right[] = {$right};",
            down=", ".join(map(str, down)),
            right=", ".join(map(str, right)),
        )
        if several
        else "",
        open=f"for (int32_t phase = 0; phase < {len(panel.phases)}; ++phase) {{" if several else "",
        close="}" if several else "",
        length=panel.length,
        lanes=LANES,
        columns=panel.columns,
        h=minus(offset(times("row", window.stride[0]), "down[phase]" if several else str(down[0])), window.padding[0]),
        w=minus(
            offset(times("column", window.stride[1]), "right[phase]" if several else str(right[0])), window.padding[1]
        ),
        height=g.height,
        width=g.width,
        channels=g.channels,
        pack=pack,
        bytes=f"(int32_t)sizeof(*x) * {g.channels}",
        planes=offset("planes", times("phase", panel.length) if several else "", "i"),
        stride=f"(int32_t)sizeof(*planes) * {len(panel.phases) * panel.length}",
        flip="0x80808080U" if tiles.lift else "0U",
    )
    parameters = [source(x, "x"), sink(panel.ctype, "planes"), source(x, "blank"), "int32_t first"]
    return function(f"{name}__pack", parameters, body)


def _rows(step: SparseStep, name: str, sums: CType, y: CType, symbols: Symbols) -> str:
    """16 pixels at a time: sums to rows of filters, and each row that is a pixel to its place."""
    g, tiles = step.geometry, step.tiles
    place = offset("y", times(f"(p * {g.columns} + q)", g.filters))
    columns, width = tiles.panel.columns, round_up(g.filters, LANES)
    finish = f"{name}__finish(rows + j * {width}, {place}, 0, {g.filters});"
    if columns > g.columns:
        finish = c("if (q < $columns) {\n    $finish\n}", columns=g.columns, finish=finish)
    body = c(
        """
        int32_t p = first / $columns, q = first % $columns;
        for (int32_t v = 0; v < $tile && first + v < $places; v += $lanes) {
            for (int32_t k = 0; k < $width; k += $lanes) {
                const uint8_t *from[$lanes];
                for (int32_t j = 0; j < $lanes; ++j) {
                    from[j] = (const uint8_t *)(sums + (k + j) * $tile + v);
                }
                $transpose(from, 0, (uint8_t *)(rows + k), (int32_t)sizeof(*rows) * $width, 0U);
            }
            const int32_t count = $places - first - v < $lanes ? $places - first - v : $lanes;
            for (int32_t j = 0; j < count; ++j) {
                $finish
                q = q + 1 == $columns ? 0 : q + 1;
                p += q == 0;
            }
        }
        """,
        columns=columns,
        tile=tiles.vectors * LANES,
        places=(g.rows - 1) * columns + g.columns,
        lanes=LANES,
        width=width,
        transpose=symbols.use(primitives()["words__transpose"]),
        finish=finish,
    )
    return function(f"{name}__rows", [source(sums, "sums"), sink(sums, "rows"), sink(y, "y"), "int32_t first"], body)


def _layer(step: SparseStep, name: str, symbols: Symbols) -> str:
    """Run by run: a panel, then its tiles."""
    g, tiles = step.geometry, step.tiles
    panel, tile = tiles.panel, tiles.vectors * LANES
    return c(
        """
        for (int32_t i = 0; i < $channels; ++i) {
            blank[i] = $fill;
        }
        for (int32_t n = 0; n < $batch; ++n) {
            for (int32_t first = 0; first < $places; first += $run) {
                $pack($x, planes, blank, first);
                for (int32_t i = 0; i < $run && first + i < $places; i += $tile) {
                    memset(sums, 0, sizeof(*sums) * $sums);
                    $loop
                    $rows(sums, rows, $y, first + i);
                }
            }
        }
        """,
        channels=g.channels,
        fill=integer(tiles.fill),
        batch=g.batch,
        places=(g.rows - 1) * panel.columns + g.columns,
        run=panel.run,
        tile=tile,
        pack=f"{name}__pack",
        rows=f"{name}__rows",
        x=offset("x", times("n", g.height * g.width * g.channels) if g.batch > 1 else ""),
        y=offset("y", times("n", g.rows * g.columns * g.filters) if g.batch > 1 else ""),
        sums=round_up(g.filters, LANES) * tile,
        loop=_loop(step, symbols),
    )


def _loop(step: SparseStep, symbols: Symbols) -> str:
    lists, vectors = step.lists, step.tiles.vectors
    index = lists.places.ctype
    tables: list[Table] = [lists.filters, lists.counts, lists.places]
    if isinstance(step, SparseConvolution):
        loop = symbols.use(word_loop(step.contraction, vectors, index))
        tail = [symbols.of(step.weights)]
    else:
        assert isinstance(step, ReduceAndScale)
        loop = symbols.use(ras_loop(vectors, index, step.scales is not None))
        tail = [*([] if step.scales is None else [symbols.of(step.scales)]), f"{step.offset}U"]
    count = lists.tiles.values.size // 2
    arguments = ["planes + i", "sums", symbols.of(lists.tiles), str(count), *map(symbols.of, tables), *tail]
    return listed(f"{loop}(", arguments, ");")


STRANDS = 4
"""Sums of a filter that a `SparseVector` keeps, to hide the latency of a multiplication."""


def print_sparse_vector(step: SparseVector, name: str, program: Program, symbols: Symbols) -> Printed:
    """The functions of a layer that is computed pixel by pixel."""
    g, contraction = step.geometry, step.contraction
    x, y = program.buffers[step.source].ctype, program.buffers[step.target].ctype
    kind, index = contraction.sums, step.places.ctype
    cast = "" if kind == "float" else "(int32_t)"
    value = f"{cast}x[place[$i]] * weight[$i]"
    strands = range(STRANDS)
    body = c(
        """
        for (int32_t p = 0; p < $pixels; ++p) {
            const $index *place = $places;
            const $w *weight = $weights;
            for (int32_t k = 0; k < $filters; ++k) {
                int32_t left = (int32_t)$counts[k];
                $sums $start;
                for (; left >= $strands; left -= $strands, place += $strands, weight += $strands) {
                    $add
                }
                for (; left > 0; --left, ++place, ++weight) {
                    s0 += $first;
                }
                sums[k] = $total;
            }
            $finish(sums, y + $y, 0, $filters);
            x += $channels;
        }
        """,
        pixels=g.batch * g.rows * g.columns,
        index=index,
        places=symbols.of(step.places),
        w=contraction.w,
        weights=symbols.of(step.weights),
        filters=g.filters,
        counts=symbols.of(step.counts),
        sums=kind,
        start=", ".join(f"s{s} = 0" for s in strands),
        strands=STRANDS,
        add="\n".join(f"s{s} += {c(value, i=s)};" for s in strands),
        first=c(value, i=0),
        total="((s0 + s1) + (s2 + s3))",
        finish=f"{name}__finish",
        y=times("p", g.filters),
        channels=g.channels,
    )
    text = "\n\n".join(
        (
            print_finish(name, kind, y, step.bias, step.stages, g.filters, symbols),
            function(name, [source(x, "x"), sink(y, "y"), sink(kind, "sums")], body, step.origin),
        )
    )
    return Printed(text, name, (step.source, step.target, step.sums))


def print_sparse_blocks(step: SparseBlocks, name: str, program: Program, symbols: Symbols) -> Printed:
    """The functions of a layer by blocks of 16 filters: a chunk of a row for each vector of filters."""
    g, frame, contraction, pixels = step.geometry, step.frame, step.contraction, step.pixels
    y, index, per_group = program.buffers[step.target].ctype, step.places.ctype, g.filters // g.groups
    stride = g.window.stride[1] * g.channels
    top, left = g.window.padding[:2]
    origin = frame.start - top * frame.pitch - left * g.channels
    row = offset(
        f"x + {origin}" if origin else "x",
        times("n", frame.image) if g.batch > 1 else "",
        times("p", g.window.stride[0] * frame.pitch) if g.rows > 1 else "",
    )
    pixel = "q + i"
    pixel = f"p * {g.columns} + {pixel}" if g.rows > 1 else pixel
    pixel = f"n * {g.rows * g.columns} + {pixel}" if g.batch > 1 else pixel
    first = f"group * {per_group} + k" if g.groups > 1 else "k"
    place = offset("y", times(f"({pixel})", g.filters), first)

    def turn(count: int) -> str:
        return c(
            """
            $loop($x, $stride, places, length, weights, sums);
            for (int32_t i = 0; i < $count; ++i) {
                $name__finish(sums + i * $lanes, $place, $first, count);
            }
            """.replace("$name", name),
            loop=symbols.use(block_loop(contraction, count, index)),
            x=offset(row, times("q", stride)),
            stride=stride,
            count=count,
            lanes=LANES,
            place=place,
            first=first,
        )

    rest = g.columns % pixels
    whole = g.columns - rest
    chunked = step.chunk < g.columns
    last = (
        c(
            """
        $open
            const int32_t q = $whole;
            $turn
        }
        """,
            open=f"if (start + {step.chunk} >= {g.columns}) {{" if chunked else "{",
            whole=whole,
            turn=turn(rest),
        )
        if rest
        else ""
    )
    body = c(
        """
        const int32_t length = (int32_t)*counts++, count = $filters - k < $lanes ? $filters - k : $lanes;
        for (int32_t q = $start; q < $end; q += $pixels) {
            $turn
        }
        $last
        places += length;
        weights += length * $words;
        """,
        filters=per_group,
        lanes=LANES,
        start="start" if chunked else "0",
        end="end" if chunked else whole,
        pixels=pixels,
        turn=turn(pixels),
        last=last,
        words=contraction.per_vector,
    )
    body = c(
        "for (int32_t k = 0; k < $filters; k += $lanes) {\n    $body\n}", filters=per_group, lanes=LANES, body=body
    )
    if g.groups > 1:
        body = c("for (int32_t group = 0; group < $groups; ++group) {\n    $body\n}", groups=g.groups, body=body)
    tables = {"counts": step.counts, "places": step.places, "weights": step.weights}
    starts = "\n".join(f"const {table.ctype} *{n} = {symbols.of(table)};" for n, table in tables.items())
    body = f"{starts}\n{body}"
    if chunked:
        body = c(
            """
            for (int32_t start = 0; start < $columns; start += $chunk) {
                const int32_t end = $whole - start < $chunk ? $whole : start + $chunk;
                $body
            }
            """,
            columns=g.columns,
            chunk=step.chunk,
            whole=whole,
            body=body,
        )
    for variable, size in (("p", g.rows), ("n", g.batch)):
        if size > 1:
            loop = f"for (int32_t {variable} = 0; {variable} < {size}; ++{variable}) {{"
            body = c("$loop\n    $body\n}", loop=loop, body=body)
    body = f"_Alignas(64) {contraction.sums} sums[{LANES * pixels}];\n{body}"
    text = "\n\n".join(
        (
            print_finish(name, contraction.sums, y, step.bias, step.stages, per_group, symbols),
            function(name, [source(contraction.x, "x"), sink(y, "y")], body, step.origin),
        )
    )
    return Printed(text, name, (step.source, step.target))
