"""Convolutions and dense layers as C, one output row at a time, so that a pool can follow the rows.

For a layer `c1` the text is: `c1__patch` (the inputs of one output pixel, padding included), `c1__finish` (bias and
stages over the channels of one pixel), `c1__row` (one output row) and `c1` (all rows, or a pool over a ring of rows).
Two underscores keep these apart from every mangled name.
"""

from __future__ import annotations

from collections.abc import Callable

from hapir.lowering.kernel.pack_weights import round_up
from hapir.lowering.kernel.program import Convolution, CType, Depthwise, Pooled, Program
from hapir.targets.c.print_stages import Symbols, integer, print_stages
from hapir.targets.c.text import Printed, c, function, minus, offset, sink, source, times
from hapir.targets.c.tiles import float_tile, integer_tile, product_tile


def print_convolution(step: Convolution | Depthwise, name: str, program: Program, symbols: Symbols) -> Printed:
    """The functions of a convolution or a dense layer."""
    buffers = program.buffers
    x, sums = buffers[step.source].ctype, buffers[step.sums].ctype
    row = buffers[step.pool.rows_buffer if step.pool else step.target].ctype
    scratch = [step.sums]
    work = [sink(sums, "sums")]
    parts = [_finish(step, name, row, sums, symbols)]
    if isinstance(step, Depthwise):
        row_body = _depthwise_row(step, name, x, sums, symbols)
    else:
        row_body = _row(step, name, symbols, sums)
        if step.patch is not None:
            parts.append(_patch(step, name, x))
            scratch.insert(0, step.patch)
            work.insert(0, sink(step.patch_ctype, "patch"))
    taken = symbols.parameters(step.weights)
    parts.append(function(f"{name}__row", [source(x, "x"), sink(row, "y"), *work, *taken, "int32_t p"], row_body))
    parameters = [source(x, "x"), sink(buffers[step.target].ctype, "y"), *work]
    if step.pool:
        parameters.append(sink(row, "rows"))
        scratch.append(step.pool.rows_buffer)
    layer = _layer(step, name, program, row, [symbols.of(table) for table in symbols.taken(step.weights)])
    parts.append(function(name, [*parameters, *taken], layer, step.origin))
    return Printed("\n\n".join(parts), name, (step.source, step.target, *scratch), symbols.taken(step.weights))


def _finish(step: Convolution | Depthwise, name: str, target: CType, sums: CType, symbols: Symbols) -> str:
    value = "sums[k]"
    if step.bias is not None and isinstance(step, Convolution):  # depthwise sums start from the bias
        value = f"sums[k] + {symbols.of(step.bias)}[k]"
    body = c(
        """
        for (int32_t k = 0; k < $k; ++k) {
            y[k] = $value;
        }
        """,
        k=step.geometry.filters,
        value=print_stages(value, sums, step.stages, "k", symbols),
    )
    return function(f"{name}__finish", [source(sums, "sums"), sink(target, "y")], body)


def _patch(step: Convolution, name: str, x: CType) -> str:
    """The inputs of one output pixel in (r, s, c) order; a kernel row that lies inside the map is one copy."""
    g, window = step.geometry, step.geometry.window
    per_group = g.channels // g.groups
    (r, s), (top, left) = window.kernel, window.padding[:2]
    group = times("group", per_group) if g.groups > 1 else ""

    def start(column: str) -> str:
        return offset("x", times(f"(h * {g.width} + {column})", g.channels), group)

    parameters = [source(x, "x"), sink(step.patch_ctype, "patch"), "int32_t p", "int32_t q"]
    parameters += ["int32_t group"] if g.groups > 1 else []
    if window.kernel == (1, 1) and not any(window.padding):
        pixel = f"({times('p', window.stride[0])} * {g.width} + {times('q', window.stride[1])})"
        start_of_pixel = offset("x", times(pixel, g.channels), group)
        return function(f"{name}__patch", parameters, _copy("patch", start_of_pixel, per_group, step, x))
    whole_row = ""
    if g.groups == 1 and window.dilation[1] == 1:
        whole_row = c(
            """
            if (w0 >= 0 && w0 + $s <= $width) {
                $copy
                continue;
            }
            """,
            s=s,
            width=g.width,
            copy=_copy("patch", start("w0"), s * per_group, step, x),
        )
    column = offset("patch", times("s", per_group))
    body = c(
        """
        const int32_t h0 = $top, w0 = $left;
        for (int32_t r = 0; r < $r; ++r, patch += $row) {
            const int32_t h = h0 + $h;
            if (h < 0 || h >= $height) {
                $fill_row
                continue;
            }
            $whole_row
            for (int32_t s = 0; s < $s; ++s) {
                const int32_t w = w0 + $w;
                if (w < 0 || w >= $width) {
                    $fill_pixel
                } else {
                    $copy_pixel
                }
            }
        }
        """,
        top=minus(times("p", window.stride[0]), top),
        left=minus(times("q", window.stride[1]), left),
        h=times("r", window.dilation[0]),
        w=times("s", window.dilation[1]),
        r=r,
        s=s,
        row=s * per_group,
        height=g.height,
        width=g.width,
        fill_row=_fill("patch", s * per_group, step),
        whole_row=whole_row,
        fill_pixel=_fill(column, per_group, step),
        copy_pixel=_copy(column, start("w"), per_group, step, x),
    )
    return function(f"{name}__patch", parameters, body)


def _fill(to: str, length: int, step: Convolution) -> str:
    if step.pad_value == 0 or step.patch_ctype == "uint8_t":
        return f"memset({to}, {step.pad_value}, sizeof(*patch) * {length});"
    return _each(length, f"{_indexable(to)}[i] = {integer(step.pad_value)};")


def _copy(to: str, start: str, length: int, step: Convolution, x: CType) -> str:
    if step.lift:
        to, start = _indexable(to), _indexable(start)
        assert x == "int8_t"
        return _each(length, f"{to}[i] = (uint8_t)({start}[i] + 128);")
    return f"memcpy({to}, {start}, sizeof(*patch) * {length});"


def _indexable(pointer: str) -> str:
    return f"({pointer})" if " " in pointer else pointer


def _each(length: int, statement: str) -> str:
    return c(
        """
        for (int32_t i = 0; i < $length; ++i) {
            $statement
        }
        """,
        length=length,
        statement=statement,
    )


def _row(step: Convolution, name: str, symbols: Symbols, sums: CType) -> str:
    """Blocks of `tile.pixels` output pixels, then single ones."""
    columns, pixels = step.geometry.columns, step.tile.pixels
    whole = columns // pixels * pixels
    runs = [(0, whole, pixels)] + ([(whole, columns, 1)] if whole < columns and pixels > 1 else [])
    return "\n".join(
        c(
            """
            for (int32_t q = $first; q < $end; q += $pixels) {
                $body
            }
            """,
            first=first,
            end=end,
            pixels=size,
            body=_pixels(step, name, size, symbols, sums),
        )
        for first, end, size in runs
    )


def _pixels(step: Convolution, name: str, pixels: int, symbols: Symbols, sums: CType) -> str:
    """One block: for each group patches, then tiles over the output channels; then the finish."""
    g = step.geometry
    per_group = g.filters // g.groups
    stride = (g.groups - 1) * per_group + round_up(per_group, step.tile.filters)
    work = _tiles(step, pixels, stride, symbols, sums)
    if step.patch is not None:
        patches = c(
            """
            for (int32_t i = 0; i < $pixels; ++i) {
                $name(x, patch + $i, p, q + i$group);
            }
            """,
            name=f"{name}__patch",
            pixels=pixels,
            i=times("i", step.row_length),
            group=", group" if g.groups > 1 else "",
        )
        work = f"{patches}\n{work}"
    if g.groups > 1:
        work = c("for (int32_t group = 0; group < $groups; ++group) {\n    $work\n}", groups=g.groups, work=work)
    return c(
        """
        $work
        for (int32_t i = 0; i < $pixels; ++i) {
            $finish(sums + $sums, y + $y);
        }
        """,
        work=work,
        pixels=pixels,
        finish=f"{name}__finish",
        sums=times("i", stride),
        y=times("(q + i)", g.filters),
    )


def _tiles(step: Convolution, pixels: int, stride: int, symbols: Symbols, sums: CType) -> str:
    """Tiles of pixels x filters over the filters of one group; `stride` is between the sums of two pixels."""
    g, window = step.geometry, step.geometry.window
    per_group = g.filters // g.groups
    padded = round_up(per_group, step.tile.filters)
    if step.patch is not None:
        rows, row_stride = "patch", step.row_length
    else:
        pixel = f"({times('p', window.stride[0])} * {g.width} + {times('q', window.stride[1])})"
        group = times("group", g.channels // g.groups) if g.groups > 1 else ""
        rows, row_stride = offset("x", times(pixel, g.channels), group), window.stride[1] * g.channels
    if step.product is not None:
        tile = product_tile(step.product, step.patch_ctype, step.weights.ctype, symbols)
    elif sums == "int32_t":
        tile = integer_tile(pixels, step.tile.filters, step.patch_ctype, step.weights.ctype, symbols)
    else:
        tile = float_tile(pixels, step.tile.filters, symbols)
    weight_row = f"(group * {padded} + k)" if g.groups > 1 else "k"
    return c(
        """
        for (int32_t k = 0; k < $filters; k += $step) {
            $tile($rows, $row_stride, $weights, $sums, $stride, $length);
        }
        """,
        filters=per_group,
        step=step.tile.filters,
        tile=tile,
        rows=rows,
        row_stride=row_stride,
        weights=offset(symbols.of(step.weights), times(weight_row, step.row_length)),
        sums=offset("sums", times("group", per_group) if g.groups > 1 else "", "k"),
        stride=stride,
        length=step.row_length,
    )


UNROLLED_TAPS = 25
"""Kernels of at most so many taps get a loop over channels with all taps in it, where the window lies inside."""


def _depthwise_row(step: Depthwise, name: str, x: CType, sums: CType, symbols: Symbols) -> str:
    """Per pixel the taps that lie inside the map, each over all channels; all taps at once where none is outside."""
    g, window = step.geometry, step.geometry.window
    values: dict[str, object] = {
        "k": g.channels,
        "start": f"{symbols.of(step.bias)}[k]" if step.bias is not None else 0,
        "r": window.kernel[0],
        "s": window.kernel[1],
        "h": times("r", window.dilation[0]),
        "w": times("s", window.dilation[1]),
        "height": g.height,
        "width": g.width,
        "x": x,
        "weight_type": step.weights.ctype,
        "weights": symbols.of(step.weights),
        "value": "from[k]" if sums == "float" else f"((int32_t)from[k] - {integer(step.zero_point)})",
    }
    clipped = c(
        """
        for (int32_t k = 0; k < $k; ++k) {
            sums[k] = $start;
        }
        for (int32_t r = 0; r < $r; ++r) {
            const int32_t h = h0 + $h;
            if (h < 0 || h >= $height) {
                continue;
            }
            for (int32_t s = 0; s < $s; ++s) {
                const int32_t w = w0 + $w;
                if (w < 0 || w >= $width) {
                    continue;
                }
                const $x *restrict from = x + (h * $width + w) * $k;
                const $weight_type *restrict weight = $weights + (r * $s + s) * $k;
                for (int32_t k = 0; k < $k; ++k) {
                    sums[k] += $value * weight[k];
                }
            }
        }
        """,
        **values,
    )
    taps = window.kernel[0] * window.kernel[1]
    return c(
        """
        const int32_t h0 = $top;
        for (int32_t q = 0; q < $columns; ++q) {
            const int32_t w0 = $left;
            $pixel
            $finish(sums, y + q * $k);
        }
        """,
        top=minus(times("p", window.stride[0]), window.padding[0]),
        left=minus(times("q", window.stride[1]), window.padding[1]),
        columns=g.columns,
        pixel=_unrolled_depthwise(step, sums, values, clipped) if taps <= UNROLLED_TAPS else clipped,
        finish=f"{name}__finish",
        k=g.channels,
    )


def _unrolled_depthwise(step: Depthwise, sums: CType, values: dict[str, object], clipped: str) -> str:
    g, window = step.geometry, step.geometry.window
    (dilation_h, dilation_w), (rows, columns) = window.dilation, window.extent
    zero_point = "" if sums == "float" or step.zero_point == 0 else f" - {integer(step.zero_point)}"
    taps: list[str] = []
    for r in range(window.kernel[0]):
        for s in range(window.kernel[1]):
            place = offset(str((r * dilation_h * g.width + s * dilation_w) * g.channels), "k")
            weight = offset(str((r * window.kernel[1] + s) * g.channels), "k")
            value = f"from[{place}]" if sums == "float" else f"((int32_t)from[{place}]{zero_point})"
            taps.append(f"sum += {value} * weight[{weight}];")
    return c(
        """
        if (h0 >= 0 && h0 + $extent_h <= $height && w0 >= 0 && w0 + $extent_w <= $width) {
            const $x *restrict from = x + (h0 * $width + w0) * $k;
            const $weight_type *restrict weight = $weights;
            for (int32_t k = 0; k < $k; ++k) {
                $sum_type sum = $start;
                $taps
                sums[k] = sum;
            }
        } else {
            $clipped
        }
        """,
        **values,
        extent_h=rows,
        extent_w=columns,
        sum_type=sums,
        taps="\n".join(taps),
        clipped=clipped,
    )


def _layer(step: Convolution | Depthwise, name: str, program: Program, row: CType, tables: list[str]) -> str:
    """Every row of every image, pooled where a pool follows; `tables` are parameters to hand on."""
    g = step.geometry
    patch = step.patch if isinstance(step, Convolution) else None
    scratch = ", ".join(["patch", "sums", *tables] if patch is not None else ["sums", *tables])
    call = f"{name}__row($x, $to, {scratch}, $p);"
    x = offset("x", times("n", g.height * g.width * g.channels))
    if step.pool is None:
        to = offset("y", times(f"(n * {g.rows} + p)", g.columns * g.filters))
        rows = c(f"for (int32_t p = 0; p < $rows; ++p) {{\n    {call}\n}}", rows=g.rows, x=x, to=to, p="p")
    else:
        rows = _pooled(step, step.pool, row, lambda to: c(call, x=x, to=to, p="row"))
    return c(
        """
        $clear
        for (int32_t n = 0; n < $batch; ++n) {
            $rows
        }
        """,
        # the elements that fill a patch up to whole vectors meet zero weights, but must be defined
        clear=f"memset(patch, 0, sizeof(*patch) * {program.buffers[patch].length});" if patch is not None else "",
        batch=g.batch,
        rows=rows,
    )


def _pooled(step: Convolution | Depthwise, pool: Pooled, row: CType, call: Callable[[str], str]) -> str:
    """Rows into a ring of as many as the window is high, each computed once; the pool reads the ring."""
    g, window = step.geometry, pool.window
    return c(
        """
        $row_type *restrict to = y + n * $image;
        int32_t row = 0;
        for (int32_t p = 0; p < $rows; ++p) {
            const int32_t top = $top, bottom = top + $r;
            const int32_t first = top < 0 ? 0 : top, end = bottom > $height ? $height : bottom;
            row = row < first ? first : row;
            for (; row < end; ++row) {
                $call
            }
            for (int32_t q = 0; q < $columns; ++q, to += $k) {
                const int32_t left = $left, right = left + $s;
                const int32_t start = left < 0 ? 0 : left, stop = right > $width ? $width : right;
                memcpy(to, rows + (first % $r) * $length + start * $k, sizeof(*to) * $k);
                for (int32_t h = first; h < end; ++h) {
                    for (int32_t w = start; w < stop; ++w) {
                        const $row_type *restrict from = rows + (h % $r) * $length + w * $k;
                        for (int32_t k = 0; k < $k; ++k) {
                            to[k] = from[k] > to[k] ? from[k] : to[k];
                        }
                    }
                }
            }
        }
        """,
        row_type=row,
        image=pool.rows * pool.columns * g.filters,
        rows=pool.rows,
        columns=pool.columns,
        top=minus(times("p", window.stride[0]), window.padding[0]),
        left=minus(times("q", window.stride[1]), window.padding[1]),
        r=window.kernel[0],
        s=window.kernel[1],
        height=g.rows,
        width=g.columns,
        k=g.filters,
        length=g.columns * g.filters,
        call=call(f"rows + (row % {window.kernel[0]}) * {g.columns * g.filters}"),
    )
