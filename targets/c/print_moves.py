"""Moves of data and products of matrices as C."""

from __future__ import annotations

from hapir.dialects.kernel import PATHS
from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.contraction import F32
from hapir.lowering.kernel.geometry import LANES
from hapir.lowering.kernel.program import Program
from hapir.lowering.kernel.steps import Matmul, Move
from hapir.targets.c.contractions import tile
from hapir.targets.c.print_stages import Symbols, float32, integer
from hapir.targets.c.text import Printed, c, function, offset, sink, source, times


def print_move(step: Move, name: str, program: Program, symbols: Symbols) -> Printed:
    """Loops of copies; neighbours that stay neighbours are copied at once."""
    ctype, buffer = program.buffers[step.source].ctype, program.buffers[step.target]
    axes = list(step.axes)
    run = axes.pop().size if axes and (axes[-1].read, axes[-1].write) == (1, 1) else 1
    reads, writes = [str(step.read_from)], [str(step.write_to)]
    for i, axis in enumerate(axes):
        if isinstance(axis.read, Table):
            reads.append(f"{symbols.of(axis.read)}[i{i}]")
        elif axis.read:
            reads.append(times(f"i{i}", axis.read))
        writes.append(times(f"i{i}", axis.write))
    to, start = (_place(terms) for terms in (writes, reads))
    body = f"y[{to}] = x[{start}];"
    if run > 1:
        body = f"memcpy({offset('y', to)}, {offset('x', start)}, sizeof(*y) * {run});"
    for i, axis in reversed(list(enumerate(axes))):
        body = c(f"for (int32_t i{i} = 0; i{i} < $size; ++i{i}) {{\n    $body\n}}", size=axis.size, body=body)
    if step.fill is not None:
        value = float32(step.fill) if ctype == "float" else integer(int(step.fill))
        fill = c("for (int32_t i = 0; i < $length; ++i) {\n    y[i] = $value;\n}", length=buffer.length, value=value)
        body = f"{fill}\n{body}"
    parameters = [source(ctype, "x"), sink(buffer.ctype, "y")]
    return Printed(function(name, parameters, body, step.origin), name, (step.source, step.target))


def _place(terms: list[str]) -> str:
    """A sum of terms without zeros."""
    return " + ".join(term for term in terms if term != "0") or "0"


_MATMUL_BLOCKS = {"avx512": (8, 2), "avx2": (3, 2), "neon": (4, 2), "c": (2, 1)}
"""Rows and vectors of columns whose sums stay in registers, by path."""


def print_matmul(step: Matmul, name: str, symbols: Symbols) -> Printed:
    """Blocks of rows and columns as products of other layers have them; the rest row by row."""
    lines: list[str] = []
    for path in PATHS:
        rows, vectors = _MATMUL_BLOCKS[path]
        block = symbols.use(tile(F32, path, rows, vectors))
        lines.append(f"#{'if' if path == PATHS[0] else 'elif'} defined(HAPIR__PATH_{path.upper()})")
        lines.append(f"enum {{ {name}__rows = {rows}, {name}__columns = {vectors * LANES} }};")
        lines.append(f"#define {name}__tile {block}")
    body = c(
        """
        enum { rows = $m - $m % $name__rows, columns = $p - $p % $name__columns };
        _Alignas(64) float sums[$name__rows * $name__columns];
        for (int32_t n = 0; n < $batch; ++n, a += $of_a, b += $of_b, y += $of_y) {
            memset(y, 0, sizeof(*y) * $of_y);
            for (int32_t i = 0; i < rows; i += $name__rows) {
                for (int32_t j = 0; j < columns; j += $name__columns) {
                    $name__tile(a + i * $k, $k, b + j, $p, 1, 0, 1, 0, $k, sums);
                    for (int32_t r = 0; r < $name__rows; ++r) {
                        memcpy(y + (i + r) * $p + j, sums + r * $name__columns, sizeof(*y) * $name__columns);
                    }
                }
            }
            for (int32_t i = 0; i < $m; ++i) {
                const int32_t j = i < rows ? columns : 0;
                $times(a + i * $k, b + j, $p, y + i * $p + j, $k, $p - j);
            }
        }
        """.replace("$name", name),
        batch=step.batch,
        of_a=step.m * step.k,
        of_b=step.k * step.p,
        of_y=step.m * step.p,
        m=step.m,
        k=step.k,
        p=step.p,
        times=symbols.named("hapir__add_row_times_matrix"),
    )
    parameters = [source("float", "a"), source("float", "b"), sink("float", "y")]
    text = "\n".join((*lines, "#endif", "", function(name, parameters, body, step.origin)))
    return Printed(text, name, (*step.sources, step.target))
