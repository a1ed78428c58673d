"""All steps but convolutions as C, one function each."""

from __future__ import annotations

from hapir.lowering.kernel.loops import Loops
from hapir.lowering.kernel.plan_lookup import Lookup
from hapir.lowering.kernel.plan_resample import Resample
from hapir.lowering.kernel.program import Program
from hapir.lowering.kernel.program_recurrent import Recurrent
from hapir.lowering.kernel.program_sparse import ReduceAndScale, SparseBlocks, SparseConvolution, SparseVector
from hapir.lowering.kernel.program_winograd import Winograd, WinogradLists
from hapir.lowering.kernel.steps import (
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
    Reframe,
    Relayout,
    ResponseNorm,
    Softmax,
    Step,
    TransposedConvolution,
)
from hapir.targets.c.print_bits import print_pack_bits
from hapir.targets.c.print_convolution import print_convolution, print_reframe
from hapir.targets.c.print_depthwise import print_depthwise
from hapir.targets.c.print_elementwise import print_elementwise
from hapir.targets.c.print_float_layers import (
    print_bilinear,
    print_response_norm,
    print_transposed_convolution,
)
from hapir.targets.c.print_lookup import print_lookup
from hapir.targets.c.print_loops import print_loops
from hapir.targets.c.print_moves import print_matmul, print_move
from hapir.targets.c.print_pool import print_pool
from hapir.targets.c.print_recurrent import print_recurrent
from hapir.targets.c.print_relayout import print_relayout
from hapir.targets.c.print_resample import print_resample
from hapir.targets.c.print_rows import argmax_body, print_norm, softmax_body
from hapir.targets.c.print_sparse import print_sparse, print_sparse_blocks, print_sparse_vector
from hapir.targets.c.print_stages import Symbols
from hapir.targets.c.print_winograd import print_winograd
from hapir.targets.c.print_winograd_lists import print_winograd_lists
from hapir.targets.c.text import Printed, c, function, sink, source, times


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
        case SparseBlocks():
            return print_sparse_blocks(step, name, program, symbols)
        case SparseVector():
            return print_sparse_vector(step, name, program, symbols)
        case Elementwise():
            return print_elementwise(step, name, program, symbols)
        case Loops():
            return print_loops(step, name, program, symbols)
        case Relayout():
            return print_relayout(step, name, program, symbols)
        case Concat():
            return _concat(step, name, program)
        case Move():
            return print_move(step, name, program, symbols)
        case Matmul():
            return print_matmul(step, name, symbols)
        case Norm():
            return print_norm(step, name, symbols)
        case ResponseNorm():
            return print_response_norm(step, name)
        case TransposedConvolution():
            return print_transposed_convolution(step, name, symbols)
        case Bilinear():
            return print_bilinear(step, name, symbols)
        case Lookup():
            return print_lookup(step, name, program)
        case Resample():
            return print_resample(step, name, symbols)
        case Recurrent():
            return print_recurrent(step, name, program, symbols)
        case Softmax():
            return _one_to_one(step, step.source, name, program, softmax_body(step, symbols))
        case Argmax():
            return _one_to_one(step, step.source, name, program, argmax_body(step))
        case _:
            raise AssertionError(f"no printer for {type(step).__name__}")


def _one_to_one(step: Step, x: int, name: str, program: Program, body: str) -> Printed:
    parameters = [source(program.buffers[x].ctype, "x"), sink(program.buffers[step.target].ctype, "y")]
    return Printed(function(name, parameters, body, step.origin), name, (x, step.target))


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
