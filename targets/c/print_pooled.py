"""A max pool that follows a layer row by row, as C."""

from __future__ import annotations

from collections.abc import Callable

from hapir.lowering.kernel.program import CType, Frame, Geometry, Pooled
from hapir.targets.c.text import c, minus, offset, times


def print_pooled(
    geometry: Geometry, pool: Pooled, row: CType, call: Callable[[str], str], frame: Frame | None = None
) -> str:
    """Rows into a ring of as many as the window is high, each computed once; the pool reads the ring.

    `call` is the statement that computes `row` of image `n` into a pointer. The result lies in `frame` where it is
    given.
    """
    g, window = geometry, pool.window
    length = pool.columns * g.filters
    pitch, image, start = (frame.pitch, frame.image, frame.start) if frame else (length, pool.rows * length, 0)
    return c(
        """
        $row_type *restrict to = $to;
        int32_t row = 0;
        for (int32_t p = 0; p < $rows; ++p) {
            const int32_t top = $top, bottom = top + $r;
            const int32_t first = top < 0 ? 0 : top, end = bottom > $height ? $height : bottom;
            row = row < first ? first : row;
            for (; row < end; ++row) {
                $call
            }
            for (int32_t q = 0; q < $columns; ++q, to += $k) {
                const int32_t left = $left, right = left + $s;
                const int32_t start = left < 0 ? 0 : left, stop = right > $width ? $width : right;
                memcpy(to, rows + (first % $r) * $length + start * $k, sizeof(*to) * $k);
                for (int32_t h = first; h < end; ++h) {
                    for (int32_t w = start; w < stop; ++w) {
                        const $row_type *restrict from = rows + (h % $r) * $length + w * $k;
                        for (int32_t k = 0; k < $k; ++k) {
                            to[k] = from[k] > to[k] ? from[k] : to[k];
                        }
                    }
                }
            }
            $skip
        }
        """,
        row_type=row,
        to=offset("y", times("n", image) if g.batch > 1 else "", str(start)),
        skip=f"to += {pitch - length};" if pitch > length else "",
        rows=pool.rows,
        columns=pool.columns,
        top=minus(times("p", window.stride[0]), window.padding[0]),
        left=minus(times("q", window.stride[1]), window.padding[1]),
        r=window.kernel[0],
        s=window.kernel[1],
        height=g.rows,
        width=g.columns,
        k=g.filters,
        length=g.columns * g.filters,
        call=call(f"rows + (row % {window.kernel[0]}) * {g.columns * g.filters}"),
    )
