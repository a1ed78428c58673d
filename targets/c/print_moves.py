"""Moves of data and products of matrices as C."""

from __future__ import annotations

from hapir.lowering.kernel.program import Matmul, Move, Program, Table
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


def print_matmul(step: Matmul, name: str) -> Printed:
    """A row of the result at a time, so that the inner loop runs over neighbours."""
    body = c(
        """
        for (int32_t n = 0; n < $batch; ++n, b += $of_b) {
            for (int32_t i = 0; i < $m; ++i, a += $k, y += $p) {
                for (int32_t j = 0; j < $p; ++j) {
                    y[j] = 0.0f;
                }
                for (int32_t k = 0; k < $k; ++k) {
                    const float v = a[k];
                    const float *restrict row = b + $row;
                    for (int32_t j = 0; j < $p; ++j) {
                        y[j] += v * row[j];
                    }
                }
            }
        }
        """,
        batch=step.batch,
        of_b=step.k * step.p,
        m=step.m,
        k=step.k,
        p=step.p,
        row=times("k", step.p),
    )
    parameters = [source("float", "a"), source("float", "b"), sink("float", "y")]
    return Printed(function(name, parameters, body, step.origin), name, (*step.sources, step.target))
