"""Tables as aligned text: words to the left, numbers to the right."""

from __future__ import annotations

from collections.abc import Sequence

Cell = str | int | float


def table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Lines of a table with a rule under the header. Raises ValueError where a row has another length."""
    shown = [[cell_text(cell) for cell in row] for row in rows]
    columns = list(zip(header, *shown, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [bool(rows) and all(isinstance(row[i], int | float) for row in rows) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        parts = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cells, widths, right, strict=True))
        return "  ".join(parts).rstrip()

    return "\n".join([line(header), line(["-" * w for w in widths]), *map(line, shown)])


def cell_text(cell: Cell) -> str:
    """A cell as text: thousands apart, four significant digits of a float."""
    if isinstance(cell, bool | str):
        return str(cell)
    return f"{cell:,}".replace(",", " ") if isinstance(cell, int) else f"{cell:.4g}"
