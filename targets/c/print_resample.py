"""Sums along an axis with weights per result as C."""

from __future__ import annotations

from hapir.lowering.kernel.plan_resample import Resample
from hapir.targets.c.print_stages import Symbols
from hapir.targets.c.text import Printed, c, function, sink, source, times

UNROLLED = 8
"""So many places and weights of a result are held in variables of their own."""


def print_resample(step: Resample, name: str, symbols: Symbols) -> Printed:
    """Per result the places and weights from the tables, all elements that share them in a loop."""
    start = "0.0f" if step.offsets is None else f"{symbols.of(step.offsets)}[p]"
    sums = _at_once(step, start) if step.taps <= UNROLLED else _one_by_one(step, start)
    body = c(
        """
        for (int32_t o = 0; o < $outer; ++o, x += $block) {
            for (int32_t p = 0; p < $count; ++p, y += $inner) {
                const int32_t *place = $places + p * $taps;
                const float *weight = $weights + p * $taps;
                $sums
            }
        }
        """,
        outer=step.outer,
        block=step.size * step.inner,
        count=step.places.values.size // step.taps,
        inner=step.inner,
        taps=step.taps,
        places=symbols.of(step.places),
        weights=symbols.of(step.weights),
        sums=sums,
    )
    parameters = [source("float", "x"), sink("float", "y")]
    return Printed(function(name, parameters, body, step.origin), name, (step.source, step.target))


def _at_once(step: Resample, start: str) -> str:
    """All elements that a result reads in one expression."""
    taps = range(step.taps)
    lines = [f"const float *restrict x{k} = x + {times(f'place[{k}]', step.inner)};" for k in taps]
    lines += [f"const float w{k} = weight[{k}];" for k in taps]
    return c(
        """
        $lines
        for (int32_t i = 0; i < $inner; ++i) {
            y[i] = $sum;
        }
        """,
        lines="\n".join(lines),
        inner=step.inner,
        sum=" + ".join([start, *(f"x{k}[i] * w{k}" for k in taps)]),
    )


def _one_by_one(step: Resample, start: str) -> str:
    """One element that results read after the other."""
    return c(
        """
        for (int32_t i = 0; i < $inner; ++i) {
            y[i] = $start;
        }
        for (int32_t k = 0; k < $taps; ++k) {
            for (int32_t i = 0; i < $inner; ++i) {
                y[i] += x[$place + i] * weight[k];
            }
        }
        """,
        inner=step.inner,
        start=start,
        taps=step.taps,
        place=times("place[k]", step.inner),
    )
