"""What sums get that reach into padding which bit planes cannot hold, as C."""

from __future__ import annotations

from hapir.lowering.kernel.geometry import LANES
from hapir.lowering.kernel.steps import Borders
from hapir.targets.c.print_stages import Symbols
from hapir.targets.c.text import c, times


def print_borders(borders: Borders, filters: int, count: str, blocks: str, symbols: Symbols) -> str:
    """What is added to the sums of `count` pixels from column q of row p on, for `count` filters from `first` on."""
    return c(
        """
        for (int32_t i = 0; i < $pixels; ++i) {
            const int32_t at = $row + $columns[q + i];
            for (int32_t k = 0; at != 0 && k < count; ++k) {
                sums[i * $blocks * $lanes + k] += $values[at * $filters + first + k];
            }
        }
        """,
        pixels=count,
        row=times(f"{symbols.of(borders.rows)}[p]", borders.column_cases),
        columns=symbols.of(borders.columns),
        blocks=blocks,
        lanes=LANES,
        values=symbols.of(borders.values),
        filters=filters,
    )
