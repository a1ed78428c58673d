"""Norms, transposed convolutions, bilinear sampling and recurrent layers as C, one function each."""

from __future__ import annotations

import re

from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.steps import Bilinear, Recurrent, ResponseNorm, Step, TransposedConvolution
from hapir.targets.c.print_elementwise import loop_of_vectors
from hapir.targets.c.print_stages import Symbols, float32
from hapir.targets.c.simd.memory import load, store
from hapir.targets.c.text import Printed, c, function, minus, offset, sink, source, times


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


def _cell(step: Recurrent, symbols: Symbols) -> str:
    """What a cell makes of the sums of its inputs (`in`) and of its last state (`back`), 16 units at a time."""
    units = step.units

    def body(lanes: int, i: str) -> str:
        def gate(number: int) -> str:
            both = [load("float", offset(name, str(number * units), i), lanes) for name in ("in", "back")]
            return f"f32x16__add({', '.join(both)})"

        def keep(name: str, value: str) -> str:
            return f"const hapir__f32x16 {name} = {value};"

        def state(name: str) -> str:
            return load("float", offset(name, i), lanes)

        def put(name: str, value: str) -> str:
            return f"{store('float', offset(name, i), value, lanes)};"

        if step.kind == "lstm":
            lines = [
                keep("i_gate", f"f32x16__sigmoid({gate(0)})"),
                keep("f_gate", f"f32x16__sigmoid({gate(1)})"),
                keep("g_gate", f"f32x16__tanh({gate(2)})"),
                keep("o_gate", f"f32x16__sigmoid({gate(3)})"),
                keep("kept", f"f32x16__fma(f32x16__mul(i_gate, g_gate), f_gate, {state('cell')})"),
                put("cell", "kept"),
                put("hidden", "f32x16__mul(o_gate, f32x16__tanh(kept))"),
            ]
        else:
            new = [load("float", offset(name, str(2 * units), i), lanes) for name in ("in", "back")]
            lines = [
                keep("r_gate", f"f32x16__sigmoid({gate(0)})"),
                keep("z_gate", f"f32x16__sigmoid({gate(1)})"),
                keep("fresh", f"f32x16__tanh(f32x16__fma({new[0]}, r_gate, {new[1]}))"),
                keep("rest", "f32x16__mul(f32x16__sub(f32x16__set(1.0f), z_gate), fresh)"),
                put("hidden", f"f32x16__fma(rest, z_gate, {state('hidden')})"),
            ]
        for used in re.findall(r"\b[a-z]\d+x16__\w+(?=\()", "\n".join(lines)):
            symbols.named(used)
        return "\n".join(lines)

    return loop_of_vectors(units, body)


def print_recurrent(step: Recurrent, name: str, symbols: Symbols) -> Printed:
    """One step of one sequence at a time, all gates of a vector of units at once."""
    rows = (4 if step.kind == "lstm" else 3) * step.units
    biases = ("0.0f", "0.0f") if step.biases is None else tuple(f"{symbols.of(b)}[g]" for b in step.biases)
    lstm = step.cell is not None
    body = c(
        """
        float *restrict in = gates, *restrict back = gates + $rows;
        for (int32_t n = 0; n < $batch; ++n, hidden += $h$next) {
            for (int32_t j = 0; j < $h; ++j) {
                hidden[j] = 0.0f;
                $clear
            }
            for (int32_t step = 0; step < $length; ++step) {
                const int32_t t = n * $length + $time;
                for (int32_t g = 0; g < $rows; ++g) {
                    in[g] = $b_input;
                    back[g] = $b_hidden;
                }
                $times(x + t * $inputs, $w_input, $rows, in, $inputs, $rows);
                $times(hidden, $w_hidden, $rows, back, $h, $rows);
                $cell
                memcpy(y + t * $h, hidden, sizeof(*y) * $h);
            }
        }
        """,
        rows=rows,
        batch=step.batch,
        h=step.units,
        next=f", cell += {step.units}" if lstm else "",
        clear="cell[j] = 0.0f;" if lstm else "",
        length=step.length,
        time=f"{step.length - 1} - step" if step.reverse else "step",
        b_input=biases[0],
        b_hidden=biases[1],
        inputs=step.inputs,
        w_input=symbols.of(step.w_input),
        w_hidden=symbols.of(step.w_hidden),
        times=symbols.named("hapir__add_row_times_matrix"),
        cell=_cell(step, symbols),
    )
    parameters = [source("float", "x"), *(sink("float", p) for p in ("y", "gates", "hidden"))]
    arguments = (step.source, step.target, step.gates, step.hidden)
    if step.cell is not None:
        parameters.append(sink("float", "cell"))
        arguments = (*arguments, step.cell)
    tables = (step.w_input, step.w_hidden, *(step.biases or ()))
    parameters += symbols.parameters(*tables)
    return Printed(function(name, parameters, body, step.origin), name, arguments, symbols.taken(*tables))
