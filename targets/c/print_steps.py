"""All steps but convolutions as C, one function each."""

from __future__ import annotations

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
from hapir.lowering.kernel.program_winograd import Winograd, WinogradLists
from hapir.targets.c.print_bits import print_pack_bits
from hapir.targets.c.print_convolution import bordered, print_convolution, print_reframe
from hapir.targets.c.print_depthwise import print_depthwise
from hapir.targets.c.print_elementwise import print_elementwise
from hapir.targets.c.print_float_layers import (
    print_bilinear,
    print_norm,
    print_recurrent,
    print_response_norm,
    print_transposed_convolution,
)
from hapir.targets.c.print_moves import print_matmul, print_move
from hapir.targets.c.print_pool import print_pool
from hapir.targets.c.print_sparse import print_sparse, print_sparse_vector
from hapir.targets.c.print_stages import Symbols
from hapir.targets.c.print_winograd import print_winograd
from hapir.targets.c.print_winograd_lists import print_winograd_lists
from hapir.targets.c.text import Printed, c, function, offset, sink, source, times


def print_step(step: Step, name: str, program: Program, symbols: Symbols) -> Printed:
    """The functions of any step; `name` is that of the one to call."""
    match step:
        case Convolution():
            return print_convolution(step, name, program, symbols)
        case PackBits():
            return print_pack_bits(step, name, program, symbols)
        case Winograd():
            return print_winograd(step, name, program, symbols)
        case WinogradLists():
            return print_winograd_lists(step, name, program, symbols)
        case Reframe():
            return print_reframe(step, name, program, symbols)
        case Depthwise():
            return print_depthwise(step, name, program, symbols)
        case Pool():
            return print_pool(step, name, program, symbols)
        case SparseConvolution() | ReduceAndScale():
            return print_sparse(step, name, program, symbols)
        case SparseVector():
            return print_sparse_vector(step, name, program, symbols)
        case Elementwise():
            return print_elementwise(step, name, program, symbols)
        case Relayout():
            return _relayout(step, name, program, symbols)
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


RELAYOUT_BLOCK = 16
"""Squares of so many elements stay in the first-level cache even where a stride is a power of two."""
FEW_CHANNELS = 4
"""So many planes are interleaved in one loop, which compilers vectorize."""


def _relayout(step: Relayout, name: str, program: Program, symbols: Symbols) -> Printed:
    """Row by row where the result lies in a frame, else all pixels of an image as one row."""
    channels, to = step.channels, step.to
    width = step.width if to else step.pixels
    rows, size = step.pixels // width, channels * step.pixels
    pitch, image, start = (to.pitch, to.image, to.start) if to else (channels * width, size, 0)
    body = _interleaved(step, width) if step.channels_last and channels <= FEW_CHANNELS else _transposed(step, width)
    y = offset("y", str(start), times("n", image) if step.batch > 1 else "", times("h", pitch) if rows > 1 else "")
    x = offset("x", times("n", size) if step.batch > 1 else "", times("h", width) if rows > 1 else "")
    ctypes = program.buffers[step.source].ctype, program.buffers[step.target].ctype
    body = f"const {ctypes[0]} *restrict from = {x};\n{ctypes[1]} *restrict to = {y};\n{body}"
    for index, length in (("h", rows), ("n", step.batch)):
        if length > 1:
            loop = "for (int32_t $i = 0; $i < $length; ++$i) {\n    $body\n}".replace("$i", index)
            body = c(loop, length=length, body=body)
    body = bordered(symbols, ctypes[1], to, (step.batch, rows, width), body)
    return _one_to_one(step, step.source, name, program, body)


def _interleaved(step: Relayout, width: int) -> str:
    copies = [
        f"to[{offset(times('i', step.channels), str(k))}] = from[{offset('i', str(k * step.pixels))}];"
        for k in range(step.channels)
    ]
    return c("for (int32_t i = 0; i < $width; ++i) {\n    $copies\n}", width=width, copies="\n".join(copies))


def _transposed(step: Relayout, width: int) -> str:
    last, first = f"i * {step.channels} + k", f"k * {step.pixels} + i"
    to, start = (last, first) if step.channels_last else (first, last)
    return c(
        """
        for (int32_t i0 = 0; i0 < $width; i0 += $block) {
            const int32_t i1 = i0 + $block < $width ? i0 + $block : $width;
            for (int32_t k0 = 0; k0 < $channels; k0 += $block) {
                const int32_t k1 = k0 + $block < $channels ? k0 + $block : $channels;
                for (int32_t i = i0; i < i1; ++i) {
                    for (int32_t k = k0; k < k1; ++k) {
                        to[$to] = from[$start];
                    }
                }
            }
        }
        """,
        width=width,
        channels=step.channels,
        block=RELAYOUT_BLOCK,
        to=to,
        start=start,
    )


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
