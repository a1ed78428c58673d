"""Sums along an axis with weights per result as C."""

from __future__ import annotations

from hapir.lowering.kernel.plan_resample import Resample
from hapir.targets.c.print_stages import Symbols
from hapir.targets.c.text import Printed, c, function, sink, source


def print_resample(step: Resample, name: str, symbols: Symbols) -> Printed:
    """Per result the places and weights from the tables, all elements that share them in a loop."""
    body = c(
        """
        for (int32_t o = 0; o < $outer; ++o, x += $block) {
            for (int32_t p = 0; p < $count; ++p, y += $inner) {
                const int32_t *restrict place = $places + p * $taps;
                const float *restrict weight = $weights + p * $taps;
                for (int32_t i = 0; i < $inner; ++i) {
                    float sum = $start;
                    for (int32_t k = 0; k < $taps; ++k) {
                        sum += x[place[k] * $inner + i] * weight[k];
                    }
                    y[i] = sum;
                }
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
        start="0.0f" if step.offsets is None else f"{symbols.of(step.offsets)}[p]",
    )
    parameters = [source("float", "x"), sink("float", "y")]
    return Printed(function(name, parameters, body, step.origin), name, (step.source, step.target))
