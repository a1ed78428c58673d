"""What register blocks of all contractions are made of: their head, and the loops over the words of a window."""

from __future__ import annotations

from hapir.lowering.kernel.contraction import Contraction
from hapir.targets.c.text import c, listed, sink, source

PARAMETERS = (
    "int32_t w_step",
    "int32_t rows",
    "int32_t row_stride",
    "int32_t columns",
    "int32_t column_stride",
    "int32_t words",
)
"""Elements between words of weights; the runs of a window."""


def tile_function(name: str, contraction: Contraction, body: str) -> str:
    """A register block around its body."""
    parameters = [source(contraction.x, "x"), "int32_t x_stride", source(contraction.w, "w")]
    parameters += [*PARAMETERS, sink(contraction.sums, "sums")]
    head = listed(f"HAPIR__INLINE void {name}(", parameters, ")")
    return c("$head\n{\n    (void)x_stride;\n    $body\n}", head=head, body=body)


def whole_tile(
    name: str,
    contraction: Contraction,
    start: str,
    word: str,
    store: str,
    *,
    last: str = "",
    several: tuple[int, str] | None = None,
) -> str:
    """A register block: what comes before the loops over words, a word, and what comes after; the rest as below."""
    loops = window_loops(contraction, word, last=last, several=several)
    return tile_function(name, contraction, "\n".join((start, loops, store)))


def window_loops(
    contraction: Contraction,
    word: str,
    *,
    last: str = "",
    steps: int = 0,
    before: str = "",
    after: str = "",
    several: tuple[int, str] | None = None,
) -> str:
    """The loops around a word, `last` taking the place of a run's last one.

    With `steps`, a run is cut into pieces of so many words, each between two texts; with `several`, so many words at a
    time have a text of their own, and `word` is what is left over.
    """
    if several is not None:
        return _around_runs(contraction, _several(contraction, word, *several))
    loop = c(
        """
        for (int32_t i = 0; i < $words; ++i, from += $elements, w += w_step) {
            $word
        }
        """,
        words="some" if steps else "words - 1" if last else "words",
        elements=contraction.elements,
        word=word,
    )
    if last:
        loop += f"\n{last}\nw += w_step;"
    if steps:
        loop = c(
            """
            for (int32_t left = words; left > 0; left -= $steps) {
                const int32_t some = left < $steps ? left : $steps;
                $before
                $loop
                $after
            }
            """,
            steps=steps,
            before=before,
            loop=loop,
            after=after,
        )
    return _around_runs(contraction, loop)


def _several(contraction: Contraction, word: str, count: int, words: str) -> str:
    """A run, `count` words at a time and then one by one."""
    return c(
        """
        int32_t left = words;
        for (; left >= $count; left -= $count, from += $elements, w += $count * w_step) {
            $words
        }
        for (; left > 0; --left, from += $each, w += w_step) {
            $word
        }
        """,
        count=count,
        elements=count * contraction.elements,
        each=contraction.elements,
        words=words,
        word=word,
    )


def _around_runs(contraction: Contraction, loop: str) -> str:
    """The loops over the runs of a window."""
    return c(
        """
        for (int32_t r = 0; r < rows; ++r) {
            for (int32_t s = 0; s < columns; ++s) {
                const $x *from = x + r * row_stride + s * column_stride;
                $loop
            }
        }
        """,
        x=contraction.x,
        loop=loop,
    )


def plus(pointer: str, number: int, unit: str = "") -> str:
    """A pointer that is moved by a number of units."""
    if not number:
        return pointer
    distance = unit if unit and number == 1 else f"{number} * {unit}" if unit else str(number)
    return f"{pointer} + {distance}"
