"""Minimal filtering with tiles in lanes as C: a panel of pixels, its tiles transformed, lists plane by plane.

For a layer `c1` the text is: `c1__pack` (the panel of a block of tiles), `c1__inputs`, `c1__products`, `c1__finish`,
`c1__outputs` and `c1`. The loop over lists is the one of kernels that skip zeros (`sparse_loops`).
"""

from __future__ import annotations

from hapir.lowering.kernel.c_types import CType
from hapir.lowering.kernel.geometry import LANES, Geometry
from hapir.lowering.kernel.program import Program
from hapir.lowering.kernel.program_winograd import WinogradLists, tile_geometry
from hapir.lowering.kernel.sparse_lists import Taps
from hapir.lowering.kernel.steps import joins
from hapir.targets.c.print_convolution import joined_sources, print_finish
from hapir.targets.c.print_sparse import print_pack
from hapir.targets.c.print_stages import Symbols, integer
from hapir.targets.c.print_winograd import maps_of
from hapir.targets.c.simd.primitive import primitives
from hapir.targets.c.sparse_loops import word_loop
from hapir.targets.c.text import Printed, c, function, listed, offset, sink, source, times


def print_winograd_lists(step: WinogradLists, name: str, program: Program, symbols: Symbols) -> Printed:
    """The functions of a layer."""
    x, y = program.buffers[step.source].ctype, program.buffers[step.target].ctype
    tiles, contraction, geometry = step.tiles, step.contraction, tile_geometry(step.geometry, step.size)
    panel, words, sums = tiles.panel.ctype, contraction.x, contraction.sums
    others = joined_sources(step.stages)
    outputs = [source(sums, "m"), sink(sums, "corner"), sink(sums, "rows"), sink(y, "y"), *others, "int32_t first"]
    parts = [
        print_pack(geometry, tiles, name, x, symbols),
        function(f"{name}__inputs", [source(panel, "planes"), sink(words, "v")], _inputs(step, geometry, symbols)),
        function(f"{name}__products", [source(words, "v"), sink(sums, "m")], _products(step, symbols)),
        print_finish(name, sums, y, step.bias, step.stages, step.geometry.filters, symbols),
        function(f"{name}__outputs", outputs, _outputs(step, geometry, name, y, symbols)),
    ]
    work = [sink(panel, "planes"), sink(words, "v"), sink(sums, "m"), sink(sums, "corner"), sink(sums, "rows")]
    parameters = [source(x, "x"), sink(y, "y"), *others, *work, sink(x, "blank")]
    parts.append(function(name, parameters, _layer(step, geometry, name), step.origin))
    scratch = (tiles.planes, step.inputs, tiles.sums, step.corner, tiles.rows, tiles.blank)
    return Printed("\n\n".join(parts), name, (step.source, step.target, *(j.buffer for j in joins(step)), *scratch))


def _inputs(step: WinogradLists, geometry: Geometry, symbols: Symbols) -> str:
    """Tiles of the panel to planes, a vector of tiles and a word of the panel at a time."""
    panel, block, stem = step.tiles.panel, step.block, f"winograd{step.size}x{step.size}"
    taps = Taps.of(geometry)
    places = [p * panel.length + s for p, s in zip(taps.phase.tolist(), taps.shift.tolist(), strict=True)]
    plane = step.input_plane * step.contraction.elements
    if step.contraction.elements == 1:
        tile = symbols.use(primitives()[f"{stem}__tile_float"])
        calls = f"{tile}(at, c, v + w * {block} + t, {plane});"
    else:
        even, odd = (symbols.use(primitives()[f"{stem}__tile_{half}"]) for half in ("even", "odd"))
        calls = f"{even}(at, c, v + w * {4 * block} + 2 * t, {plane});\n"
        calls += f"{odd}(at, c, v + w * {4 * block} + {2 * block} + 2 * t, {plane});"
    return c(
        """
        $places
        const $word *at[$count];
        for (int32_t i = 0; i < $count; ++i) {
            at[i] = planes + place[i];
        }
        for (int32_t w = 0; w < $depth; ++w) {
            for (int32_t t = 0; t < $block; t += $lanes) {
                const int32_t c = w * $stride + t;
                $calls
            }
        }
        """,
        places=listed("static const int32_t place[] = {", [str(p) for p in places], "};"),
        word=panel.ctype,
        count=len(places),
        depth=panel.depth,
        block=block,
        lanes=LANES,
        stride=len(panel.phases) * panel.length,
        calls=calls,
    )


def _products(step: WinogradLists, symbols: Symbols) -> str:
    """The lists, once per plane: their places are the same, their weights are not."""
    lists, contraction = step.lists, step.contraction
    loop = symbols.use(word_loop(contraction, step.tiles.vectors, lists.places.ctype))
    word = "const float *" if contraction.sums == "float" else "const int32_t *"
    planes = f"v + plane * {step.input_plane * contraction.elements}"
    arguments = [
        planes if contraction.elements == 1 else f"({word})(const void *)({planes})",
        "to",
        symbols.of(lists.tiles),
        str(lists.tiles.values.size // 2),
        *(symbols.of(table) for table in (lists.filters, lists.counts, lists.places)),
        f"{symbols.of(step.weights)} + plane * {step.entries * contraction.elements}",
    ]
    return c(
        """
        for (int32_t plane = 0; plane < $planes; ++plane) {
            $sums *to = m + plane * $product;
            memset(to, 0, sizeof(*to) * $length);
            $call
        }
        """,
        planes=step.planes,
        sums=contraction.sums,
        product=step.product_plane,
        length=step.width * step.block,
        call=listed(f"{loop}(", arguments, ");"),
    )


def _outputs(step: WinogradLists, geometry: Geometry, name: str, row: CType, symbols: Symbols) -> str:
    """16 tiles at a time: products to results of 16 filters, these to rows of filters, and each pixel to its place."""
    g, size, sums = step.geometry, step.size, step.contraction.sums
    pixels, width, columns = size * size, step.width, step.tiles.panel.columns
    maps = maps_of(step.stages, None, row, g)
    pixel = ", ".join(offset(m.name, f"((top + i) * {g.columns} + left + j) * {g.filters}") for m in maps)
    bounds = [f"top + i < {g.rows}"] if g.rows % size else []
    bounds += [f"left + j < {g.columns}"] if g.columns % size else []
    finish = f"{name}__finish(rows + ((i * {size} + j) * {LANES} + lane) * {width}, {pixel}, 0, {g.filters});"
    if bounds:
        finish = c("if ($bounds) {\n    $finish\n}", bounds=" && ".join(bounds), finish=finish)
    return c(
        """
        for (int32_t t = 0; t < $block && first + t < $places; t += $lanes) {
            for (int32_t k = 0; k < $width; k += $lanes) {
                for (int32_t j = 0; j < $lanes; ++j) {
                    $untile(m + (k + j) * $block + t, $plane, corner + j * $lanes, $corner);
                }
                for (int32_t i = 0; i < $pixels; ++i) {
                    const uint8_t *from[$lanes];
                    for (int32_t j = 0; j < $lanes; ++j) {
                        from[j] = (const uint8_t *)(corner + i * $corner + j * $lanes);
                    }
                    $transpose(from, 0, (uint8_t *)(rows + i * $image + k), (int32_t)sizeof(*rows) * $width, 0U);
                }
            }
            for (int32_t lane = 0; lane < $lanes; ++lane) {
                const int32_t place = first + t + lane;
                const int32_t top = place / $columns * $size, left = place % $columns * $size;
                if (place < $places && left < $across) {
                    for (int32_t i = 0; i < $size; ++i) {
                        for (int32_t j = 0; j < $size; ++j) {
                            $finish
                        }
                    }
                }
            }
        }
        """,
        block=step.block,
        places=(geometry.rows - 1) * columns + geometry.columns,
        lanes=LANES,
        width=width,
        untile=symbols.use(primitives()[f"winograd{size}x{size}__untile_{sums.removesuffix('_t')}"]),
        plane=step.product_plane,
        corner=LANES * LANES,
        pixels=pixels,
        transpose=symbols.use(primitives()["words__transpose"]),
        image=LANES * width,
        columns=columns,
        size=size,
        across=geometry.columns * size,
        finish=finish,
    )


def _layer(step: WinogradLists, geometry: Geometry, name: str) -> str:
    """All tiles of every map, a block at a time."""
    g, tiles = step.geometry, step.tiles
    columns = tiles.panel.columns
    maps = ["y", *(f"z{i}" for i in range(len(joins(step))))]
    step_by = times("n", g.rows * g.columns * g.filters) if g.batch > 1 else ""
    return c(
        """
        for (int32_t i = 0; i < $channels; ++i) {
            blank[i] = $fill;
        }
        for (int32_t n = 0; n < $batch; ++n) {
            for (int32_t first = 0; first < $places; first += $block) {
                $name__pack($x, planes, blank, first);
                $name__inputs(planes, v);
                $name__products(v, m);
                $name__outputs(m, corner, rows, $maps, first);
            }
        }
        """.replace("$name", name),
        channels=g.channels,
        fill=integer(tiles.fill),
        batch=g.batch,
        places=(geometry.rows - 1) * columns + geometry.columns,
        block=step.block,
        x=offset("x", times("n", g.height * g.width * g.channels) if g.batch > 1 else ""),
        maps=", ".join(offset(map_, step_by) for map_ in maps),
    )
