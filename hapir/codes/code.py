"""What is known of a diagnostic's code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """A diagnostic's meaning: one line, what it means and what to do, and a small example that gives it.

    `about_order` says that the order of a recipe's steps is what one mends: the step is the place, the layer explains.
    """

    title: str
    text: str
    example: str
    about_order: bool = False
