"""Depthwise convolutions as C: per pixel the taps of its window, each over all channels."""

from __future__ import annotations

from hapir.lowering.kernel.program import CType, Depthwise, Program
from hapir.targets.c.print_pooled import print_pooled
from hapir.targets.c.print_stages import Symbols, integer, print_stages
from hapir.targets.c.text import Printed, c, function, minus, offset, sink, source, times


def print_depthwise(step: Depthwise, name: str, program: Program, symbols: Symbols) -> Printed:
    """The functions of a depthwise convolution."""
    buffers, g = program.buffers, step.geometry
    x, sums = buffers[step.source].ctype, buffers[step.sums].ctype
    row = buffers[step.pool.rows_buffer if step.pool else step.target].ctype
    work, scratch, taken = [sink(sums, "sums")], [step.sums], symbols.parameters(step.weights)
    parts = [_finish(step, name, row, sums, symbols)]
    body = _depthwise_row(step, name, x, sums, symbols)
    parts.append(function(f"{name}__row", [source(x, "x"), sink(row, "y"), *work, *taken, "int32_t p"], body))
    parameters = [source(x, "x"), sink(buffers[step.target].ctype, "y"), *work]
    if step.pool:
        parameters.append(sink(row, "rows"))
        scratch.append(step.pool.rows_buffer)
    handed = "".join(f", {symbols.of(table)}" for table in symbols.taken(step.weights))
    image = offset("x", times("n", g.height * g.width * g.channels))
    if step.pool is None:
        to = offset("y", times(f"(n * {g.rows} + p)", g.columns * g.filters))
        call = f"{name}__row({image}, {to}, sums{handed}, p);"
        rows = c("for (int32_t p = 0; p < $rows; ++p) {\n    $call\n}", rows=g.rows, call=call)
    else:
        rows = print_pooled(g, step.pool, row, lambda to: f"{name}__row({image}, {to}, sums{handed}, row);")
    layer = c("for (int32_t n = 0; n < $batch; ++n) {\n    $rows\n}", batch=g.batch, rows=rows)
    parts.append(function(name, [*parameters, *taken], layer, step.origin))
    return Printed("\n\n".join(parts), name, (step.source, step.target, *scratch), symbols.taken(step.weights))


def _finish(step: Depthwise, name: str, target: CType, sums: CType, symbols: Symbols) -> str:
    body = c(
        """
        for (int32_t k = 0; k < $k; ++k) {
            y[k] = $value;
        }
        """,
        k=step.geometry.filters,
        value=print_stages("sums[k]", sums, step.stages, "k", symbols),
    )
    return function(f"{name}__finish", [source(sums, "sums"), sink(target, "y")], body)


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
