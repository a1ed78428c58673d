"""Norms, transposed convolutions and bilinear sampling as C, one function each."""

from __future__ import annotations

from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.steps import Bilinear, ResponseNorm, Step, TransposedConvolution
from hapir.targets.c.print_stages import Symbols, float32
from hapir.targets.c.text import Printed, c, function, minus, sink, source, times


def _printed(step: Step, read: int, name: str, body: str, symbols: Symbols | None = None, *tables: Table) -> Printed:
    parameters = [source("float", "x"), sink("float", "y"), *(symbols.parameters(*tables) if symbols else [])]
    taken = symbols.taken(*tables) if symbols else ()
    return Printed(function(name, parameters, body, step.origin), name, (read, step.target), taken)


def print_response_norm(step: ResponseNorm, name: str) -> Printed:
    """Per channel the squares of its neighbours, from the lowest on."""
    body = c(
        """
        for (int32_t n = 0; n < $pixels; ++n, x += $channels, y += $channels) {
            for (int32_t k = 0; k < $channels; ++k) {
                const int32_t first = k < $before ? 0 : $from, last = k + $after < $channels ? k + $after : $top;
                float sum = 0.0f;
                for (int32_t i = first; i <= last; ++i) {
                    sum += x[i] * x[i];
                }
                y[k] = x[k] / powf($bias + $alpha * sum, $beta);
            }
        }
        """,
        pixels=step.pixels,
        channels=step.channels,
        before=step.before,
        **{"from": minus("k", step.before)},
        after=step.after,
        top=step.channels - 1,
        bias=float32(step.bias),
        alpha=float32(step.alpha),
        beta=float32(step.beta),
    )
    return _printed(step, step.source, name, body)


def print_transposed_convolution(step: TransposedConvolution, name: str, symbols: Symbols) -> Printed:
    """Results start as the bias; each input pixel then adds its multiples of the filters where they fall on the map."""
    g, window = step.geometry, step.geometry.window
    inputs, filters = g.channels // g.groups, g.filters // g.groups
    body = c(
        """
        for (int32_t i = 0; i < $pixels; ++i) {
            for (int32_t k = 0; k < $k; ++k) {
                y[i * $k + k] = $bias;
            }
        }
        for (int32_t n = 0; n < $batch; ++n, y += $image) {
            for (int32_t h = 0; h < $height; ++h) {
                for (int32_t w = 0; w < $width; ++w, x += $c) {
                    for (int32_t r = 0; r < $r; ++r) {
                        const int32_t p = $row;
                        if (p < 0 || p >= $rows) {
                            continue;
                        }
                        for (int32_t s = 0; s < $s; ++s) {
                            const int32_t q = $column;
                            if (q < 0 || q >= $columns) {
                                continue;
                            }
                            float *restrict to = y + (p * $columns + q) * $k;
                            const float *restrict filter = $weights + (r * $s + s) * $taps;
                            $groups
                        }
                    }
                }
            }
        }
        """,
        pixels=g.batch * g.rows * g.columns,
        image=g.rows * g.columns * g.filters,
        k=g.filters,
        c=g.channels,
        bias="0.0f" if step.bias is None else f"{symbols.of(step.bias)}[k]",
        batch=g.batch,
        height=g.height,
        width=g.width,
        rows=g.rows,
        columns=g.columns,
        r=window.kernel[0],
        s=window.kernel[1],
        row=minus(f"{times('h', window.stride[0])} + {times('r', window.dilation[0])}", window.padding[0]),
        column=minus(f"{times('w', window.stride[1])} + {times('s', window.dilation[1])}", window.padding[1]),
        weights=symbols.of(step.weights),
        taps=inputs * filters,
        groups=c(
            """
            for (int32_t group = 0; group < $groups; ++group) {
                for (int32_t i = 0; i < $inputs; ++i) {
                    const float v = x[group * $inputs + i];
                    for (int32_t k = 0; k < $filters; ++k) {
                        to[group * $filters + k] += v * filter[group * $per_group + i * $filters + k];
                    }
                }
            }
            """,
            groups=g.groups,
            inputs=inputs,
            filters=filters,
            per_group=window.kernel[0] * window.kernel[1] * inputs * filters,
        ),
    )
    return _printed(step, step.source, name, body, symbols, step.weights)


def print_bilinear(step: Bilinear, name: str, symbols: Symbols) -> Printed:
    """Between rows first, then between columns, all channels of a pixel at a time."""
    (above, below, down), (left, right, across) = (
        [symbols.of(table) for table in axis] for axis in (step.rows, step.columns)
    )
    body = c(
        """
        for (int32_t n = 0; n < $batch; ++n, x += $image) {
            for (int32_t p = 0; p < $rows; ++p) {
                const float *restrict top = x + $above[p] * $row, *restrict bottom = x + $below[p] * $row;
                const float v = $down[p], u = 1.0f - v;
                for (int32_t q = 0; q < $columns; ++q, y += $k) {
                    const int32_t l = $left[q] * $k, r = $right[q] * $k;
                    const float t = $across[q], s = 1.0f - t;
                    for (int32_t k = 0; k < $k; ++k) {
                        y[k] = (top[l + k] * u + bottom[l + k] * v) * s + (top[r + k] * u + bottom[r + k] * v) * t;
                    }
                }
            }
        }
        """,
        batch=step.batch,
        image=step.height * step.width * step.channels,
        rows=step.rows[0].values.size,
        columns=step.columns[0].values.size,
        row=step.width * step.channels,
        k=step.channels,
        above=above,
        below=below,
        down=down,
        left=left,
        right=right,
        across=across,
    )
    return _printed(step, step.source, name, body)
