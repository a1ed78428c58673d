"""Elements by computed indices as C."""

from __future__ import annotations

from hapir.lowering.kernel.plan_lookup import Lookup
from hapir.lowering.kernel.program import Program
from hapir.targets.c.text import Printed, c, function, sink, source


def print_lookup(step: Lookup, name: str, program: Program) -> Printed:
    """A run of elements per index; indices outside the axis read at its ends."""
    x, indices = step.sources
    body = c(
        """
        for (int32_t o = 0; o < $outer; ++o, x += $block) {
            for (int32_t j = 0; j < $count; ++j, y += $inner) {
                int64_t i = (int64_t)indices[j];
                i = i < 0 ? i + $size : i;
                i = i < 0 ? 0 : i < $size ? i : $last;
                memcpy(y, x + i * $inner, sizeof(*y) * $inner);
            }
        }
        """,
        outer=step.outer,
        block=step.size * step.inner,
        count=step.count,
        inner=step.inner,
        size=step.size,
        last=step.size - 1,
    )
    sources = {x: source(program.buffers[x].ctype, "x")}
    if x == indices:  # numbers that are their own places
        body = f"const {program.buffers[x].ctype} *indices = x;\n{body}"
    else:
        sources[indices] = source(program.buffers[indices].ctype, "indices")
    parameters = [*sources.values(), sink(program.buffers[step.target].ctype, "y")]
    return Printed(function(name, parameters, body, step.origin), name, (*sources, step.target))
