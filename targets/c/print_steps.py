"""All steps but convolutions as C, one function each."""

from __future__ import annotations

from collections.abc import Callable

from hapir.lowering.kernel.program import (
    Argmax,
    Bilinear,
    Concat,
    Convolution,
    Depthwise,
    Elementwise,
    Matmul,
    Move,
    Norm,
    PackBits,
    Pool,
    Program,
    Recurrent,
    Reframe,
    Relayout,
    ResponseNorm,
    Softmax,
    Step,
    TransposedConvolution,
)
from hapir.lowering.kernel.program_sparse import ReduceAndScale, SparseConvolution, SparseVector
from hapir.lowering.kernel.program_winograd import Winograd
from hapir.targets.c.print_bits import print_pack_bits
from hapir.targets.c.print_convolution import print_convolution, print_reframe
from hapir.targets.c.print_depthwise import print_depthwise
from hapir.targets.c.print_float_layers import (
    print_bilinear,
    print_norm,
    print_recurrent,
    print_response_norm,
    print_transposed_convolution,
)
from hapir.targets.c.print_moves import print_matmul, print_move
from hapir.targets.c.print_sparse import print_sparse, print_sparse_vector
from hapir.targets.c.print_stages import Symbols, integer, print_stages
from hapir.targets.c.print_winograd import print_winograd
from hapir.targets.c.text import Printed, c, function, minus, offset, sink, source, times


def print_step(step: Step, name: str, program: Program, symbols: Symbols) -> Printed:
    """The functions of any step; `name` is that of the one to call."""
    match step:
        case Convolution():
            return print_convolution(step, name, program, symbols)
        case PackBits():
            return print_pack_bits(step, name, program, symbols)
        case Winograd():
            return print_winograd(step, name, program, symbols)
        case Reframe():
            return print_reframe(step, name, program, symbols)
        case Depthwise():
            return print_depthwise(step, name, program, symbols)
        case Pool():
            return _pool(step, name, program, symbols)
        case SparseConvolution() | ReduceAndScale():
            return print_sparse(step, name, program, symbols)
        case SparseVector():
            return print_sparse_vector(step, name, program, symbols)
        case Elementwise():
            return _elementwise(step, name, program, symbols)
        case Relayout():
            return _relayout(step, name, program)
        case Concat():
            return _concat(step, name, program)
        case Move():
            return print_move(step, name, program, symbols)
        case Matmul():
            return print_matmul(step, name)
        case Norm():
            return print_norm(step, name, symbols)
        case ResponseNorm():
            return print_response_norm(step, name)
        case TransposedConvolution():
            return print_transposed_convolution(step, name, symbols)
        case Bilinear():
            return print_bilinear(step, name, symbols)
        case Recurrent():
            return print_recurrent(step, name, symbols)
        case Softmax():
            return _one_to_one(step, step.source, name, program, _softmax(step))
        case Argmax():
            return _one_to_one(step, step.source, name, program, _argmax(step))
        case _:
            raise AssertionError(f"no printer for {type(step).__name__}")


def _one_to_one(step: Step, x: int, name: str, program: Program, body: str) -> Printed:
    parameters = [source(program.buffers[x].ctype, "x"), sink(program.buffers[step.target].ctype, "y")]
    return Printed(function(name, parameters, body, step.origin), name, (x, step.target))


_COMBINE: dict[str, Callable[[Pool], str]] = {
    "max": lambda step: "sums[k] = from[k] > sums[k] ? from[k] : sums[k];",
    "sum": lambda step: f"sums[k] += (int32_t)from[k] - {integer(step.zero_point)};",
    "mean": lambda step: "sums[k] += from[k];",
}


def _pool(step: Pool, name: str, program: Program, symbols: Symbols) -> Printed:
    """Windows clipped to the map, all channels of a pixel at a time."""
    g, window = step.geometry, step.geometry.window
    sums = program.buffers[step.sums].ctype
    value = "sums[k]"
    if step.kind == "mean":
        value = f"sums[k] / {float(window.kernel[0] * window.kernel[1])}f" if step.count_padding else "sums[k] / count"
    zeros = "memset(sums, 0, sizeof(*sums) * $k);"
    first = "memcpy(sums, x + ((n * $height + first) * $width + start) * $k, sizeof(*sums) * $k);"
    values = {
        "batch": g.batch,
        "rows": g.rows,
        "columns": g.columns,
        "height": g.height,
        "width": g.width,
        "k": g.channels,
        "top": minus(times("p", window.stride[0]), window.padding[0]),
        "left": minus(times("q", window.stride[1]), window.padding[1]),
        "r": window.kernel[0],
        "s": window.kernel[1],
        "x": program.buffers[step.source].ctype,
    }
    counts = step.kind == "mean" and not step.count_padding
    body = c(
        """
        for (int32_t n = 0; n < $batch; ++n) {
            for (int32_t p = 0; p < $rows; ++p) {
                const int32_t top = $top, bottom = top + $r;
                const int32_t first = top < 0 ? 0 : top, end = bottom > $height ? $height : bottom;
                for (int32_t q = 0; q < $columns; ++q, y += $k) {
                    const int32_t left = $left, right = left + $s;
                    const int32_t start = left < 0 ? 0 : left, stop = right > $width ? $width : right;
                    $count
                    $begin
                    for (int32_t h = first; h < end; ++h) {
                        for (int32_t w = start; w < stop; ++w) {
                            const $x *restrict from = x + ((n * $height + h) * $width + w) * $k;
                            for (int32_t k = 0; k < $k; ++k) {
                                $combine
                            }
                        }
                    }
                    for (int32_t k = 0; k < $k; ++k) {
                        y[k] = $value;
                    }
                }
            }
        }
        """,
        **values,
        count="const float count = (float)((end - first) * (stop - start));" if counts else "",
        begin=c(first if step.kind == "max" else zeros, **values),
        combine=_COMBINE[step.kind](step),
        value=print_stages(value, sums, step.stages, "k", symbols),
    )
    x, y = program.buffers[step.source].ctype, program.buffers[step.target].ctype
    parameters = [source(x, "x"), sink(y, "y"), sink(sums, "sums")]
    return Printed(function(name, parameters, body, step.origin), name, (step.source, step.target, step.sums))


def _elementwise(step: Elementwise, name: str, program: Program, symbols: Symbols) -> Printed:
    """One loop nest; a buffer that is read and written is one parameter, so that `restrict` stays true."""
    length = step.outer * step.channels * step.inner
    by_channel = step.channels > 1
    index = offset("o", *([times("k", step.inner)] if by_channel else []), *(["i"] if step.inner > 1 else []))
    parameters: dict[int, str] = {step.target: sink(program.buffers[step.target].ctype, "y")}
    names: dict[int, str] = {step.target: "y"}
    for operand in step.operands:
        if operand.buffer not in names:
            names[operand.buffer] = f"x{len(names)}"
            parameters[operand.buffer] = source(program.buffers[operand.buffer].ctype, names[operand.buffer])
    values = [
        print_stages(f"{names[o.buffer]}[{index}]", program.buffers[o.buffer].ctype, o.stages, "k", symbols)
        for o in step.operands
    ]
    ctype = step.operands[0].stages[-1].ctype if step.operands[0].stages else None
    ctype = ctype or program.buffers[step.operands[0].buffer].ctype
    text = print_stages(f" {step.operator} ".join(values), ctype, step.stages, "k", symbols)
    body = f"y[{index}] = {text};"
    if step.inner > 1:
        body = c("for (int32_t i = 0; i < $inner; ++i) {\n    $body\n}", inner=step.inner, body=body)
    if by_channel:
        body = c("for (int32_t k = 0; k < $channels; ++k) {\n    $body\n}", channels=step.channels, body=body)
    elif "[k]" in body:
        body = f"const int32_t k = 0;\n{body}"
    body = c(
        "for (int32_t o = 0; o < $length; o += $step) {\n    $body\n}",
        length=length,
        step=step.channels * step.inner,
        body=body,
    )
    return Printed(function(name, list(parameters.values()), body, step.origin), name, tuple(parameters))


RELAYOUT_BLOCK = 16
"""Squares of so many elements stay in the first-level cache even where a stride is a power of two."""


def _relayout(step: Relayout, name: str, program: Program) -> Printed:
    last, first = f"i * {step.channels} + k", f"k * {step.pixels} + i"
    to, start = (last, first) if step.channels_last else (first, last)
    body = c(
        """
        for (int32_t n = 0; n < $batch; ++n, x += $image, y += $image) {
            for (int32_t i0 = 0; i0 < $pixels; i0 += $block) {
                const int32_t i1 = i0 + $block < $pixels ? i0 + $block : $pixels;
                for (int32_t k0 = 0; k0 < $channels; k0 += $block) {
                    const int32_t k1 = k0 + $block < $channels ? k0 + $block : $channels;
                    for (int32_t i = i0; i < i1; ++i) {
                        for (int32_t k = k0; k < k1; ++k) {
                            y[$to] = x[$start];
                        }
                    }
                }
            }
        }
        """,
        batch=step.batch,
        image=step.channels * step.pixels,
        pixels=step.pixels,
        channels=step.channels,
        block=RELAYOUT_BLOCK,
        to=to,
        start=start,
    )
    return _one_to_one(step, step.source, name, program, body)


def _concat(step: Concat, name: str, program: Program) -> Printed:
    buffers = tuple(dict.fromkeys(step.sources))
    names = {b: f"x{i}" for i, b in enumerate(buffers)}
    copies: list[str] = []
    for b, length in zip(step.sources, step.lengths, strict=True):
        copies.append(f"memcpy(y, {names[b]} + {times('o', length)}, sizeof(*y) * {length});\ny += {length};")
    body = c("for (int32_t o = 0; o < $outer; ++o) {\n    $copies\n}", outer=step.outer, copies="\n".join(copies))
    parameters = [source(program.buffers[b].ctype, names[b]) for b in buffers]
    parameters.append(sink(program.buffers[step.target].ctype, "y"))
    return Printed(function(name, parameters, body, step.origin), name, (*buffers, step.target))


def _softmax(step: Softmax) -> str:
    return c(
        """
        for (int32_t n = 0; n < $rows; ++n, x += $columns, y += $columns) {
            float largest = x[0], sum = 0.0f;
            for (int32_t k = 1; k < $columns; ++k) {
                largest = x[k] > largest ? x[k] : largest;
            }
            for (int32_t k = 0; k < $columns; ++k) {
                y[k] = expf(x[k] - largest);
                sum += y[k];
            }
            for (int32_t k = 0; k < $columns; ++k) {
                y[k] /= sum;
            }
        }
        """,
        rows=step.rows,
        columns=step.columns,
    )


def _argmax(step: Argmax) -> str:
    return c(
        """
        for (int32_t n = 0; n < $rows; ++n, x += $columns) {
            int32_t best = 0;
            for (int32_t k = 1; k < $columns; ++k) {
                best = x[k] > x[best] ? k : best;
            }
            y[n] = best;
        }
        """,
        rows=step.rows,
        columns=step.columns,
    )
