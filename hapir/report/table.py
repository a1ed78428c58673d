"""Tables as aligned text: words to the left, numbers to the right."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import zip_longest

Cell = str | int | float
GAP = "  "
"""What stands between columns."""
NARROWEST = 8
"""Columns are not made narrower than this."""


def table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Lines of a table with a rule under the header. Raises ValueError where a row has another length."""
    return "\n".join(table_rows(header, rows))


def table_rows(header: Sequence[str], rows: Sequence[Sequence[Cell]], width: int | None = None) -> list[str]:
    """A table as its header, the rule, and the text of each row.

    Where it would be wider than `width`, words of the widest columns go on in further lines. Raises ValueError where a
    row has another length.
    """
    shown = [[cell_text(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *shown, strict=True)]
    right = [bool(rows) and all(isinstance(row[i], int | float) for row in rows) for i in range(len(header))]
    if width is not None:
        widths = _narrowed(widths, width - len(GAP) * (len(widths) - 1))

    def text(cells: Sequence[str]) -> str:
        pieces = [textwrap.wrap(c, w) if len(c) > w else [c] for c, w in zip(cells, widths, strict=True)]
        return "\n".join(map(line, zip_longest(*pieces, fillvalue="")))

    def line(cells: Sequence[str]) -> str:
        parts = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cells, widths, right, strict=True))
        return GAP.join(parts).rstrip()

    return [text(header), line(["-" * w for w in widths]), *map(text, shown)]


def _narrowed(widths: Sequence[int], most: int) -> list[int]:
    """Widths of columns whose sum is `most`, or was less: the widest give up what they have more than the others."""
    kept = list(widths)
    while sum(kept) > most and max(kept) > NARROWEST:
        kept[kept.index(max(kept))] -= 1
    return kept


def cell_text(cell: Cell) -> str:
    """A cell as text: thousands apart, four significant digits of a float."""
    if isinstance(cell, bool | str):
        return str(cell)
    return f"{cell:,}".replace(",", " ") if isinstance(cell, int) else f"{cell:.4g}"
