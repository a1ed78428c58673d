"""Drawn values as failing tests print them."""

from __future__ import annotations

from hypothesis.vendor.pretty import RepresentationPrinter


class PrintedByRepr:
    """A dataclass that is printed by its own `repr`: hypothesis would print the fields of every op, for minutes."""

    def _repr_pretty_(self, printer: RepresentationPrinter, cycle: bool) -> None:
        printer.text(repr(self))
