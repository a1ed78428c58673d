"""A max pool that follows a layer row by row, as C."""

from __future__ import annotations

from collections.abc import Callable

from hapir.dialects.nn_shapes import Window
from hapir.lowering.kernel.buffers import Frame
from hapir.lowering.kernel.c_types import CType
from hapir.lowering.kernel.geometry import LANES, Geometry, Pooled
from hapir.lowering.kernel.steps import Convolution
from hapir.targets.c.print_stages import Symbols
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


def print_pooled_sums(step: Convolution, name: str, symbols: Symbols) -> str:
    """`NAME__pooled(x, w, y, rows, first, count)`: one image of a strip of filters.

    Its sums lie in the ring as vectors; of those of a window the largest is kept, and finished alone.
    """
    g, pool, sums = step.geometry, step.pool, step.contraction.sums
    assert pool is not None
    window, kind = pool.window, "f32x16" if sums == "float" else "i32x16"
    load, store = symbols.named(f"{kind}__load"), symbols.named(f"{kind}__store")
    larger = symbols.named("f32x16__at_least" if sums == "float" else "i32x16__max")
    (r, s), inside = window.kernel, not any(window.padding)
    y_pitch = step.to.pitch if step.to else pool.columns * g.filters
    if inside:
        places = [
            f"{_slot(h, window)} * length + (left + {w}) * {name}__blocks * {LANES}" for h in range(r) for w in range(s)
        ]
        taken = [f"v = {larger}(v, {load}(from + {place}));" for place in places[1:]]
        best = "\n".join([f"hapir__{kind} v = {load}(from + {places[0]});", *taken])
    else:
        best = c(
            """
            hapir__$kind v = $load(from + first_row % $r * length + start * $name__blocks * $lanes);
            for (int32_t h = first_row; h < end; ++h) {
                for (int32_t w = start; w < stop; ++w) {
                    v = $larger(v, $load(from + h % $r * length + w * $name__blocks * $lanes));
                }
            }
            """.replace("$name", name),
            kind=kind,
            load=load,
            larger=larger,
            r=r,
            lanes=LANES,
        )
    clipped = c(
        "const int32_t right = left + $s, start = left < 0 ? 0 : left, stop = right > $width ? $width : right;",
        s=s,
        width=g.columns,
    )
    body = c(
        """
        enum { length = $width * $name__blocks * $lanes };
        _Alignas(64) $sums best[$name__blocks * $lanes];
        int32_t row = 0;
        for (int32_t p = 0; p < $rows; ++p, y += $pitch) {
            const int32_t top = $top, bottom = top + $r;
            const int32_t first_row = top < 0 ? 0 : top, end = bottom > $height ? $height : bottom;
            row = row < first_row ? first_row : row;
            for (; row < end; ++row) {
                $name__strip(x + row * $down, w, rows + row % $r * length, first, count);
            }
            for (int32_t q = 0; q < $columns; ++q) {
                const int32_t left = $left;
                $clipped
                for (int32_t b = 0; b < $name__blocks; ++b) {
                    const $sums *from = rows + b * $lanes;
                    $best
                    $store(best + b * $lanes, v);
                }
                $name__finish(best, y + $q, 1, first, count);
            }
        }
        """.replace("$name", name),
        width=g.columns,
        lanes=LANES,
        sums=sums,
        rows=pool.rows,
        columns=pool.columns,
        pitch=y_pitch,
        top=minus(times("p", window.stride[0]), window.padding[0]),
        left=minus(times("q", window.stride[1]), window.padding[1]),
        r=r,
        height=g.rows,
        down=g.window.stride[0] * step.frame.pitch,
        clipped="" if inside else clipped,
        best=best,
        store=store,
        q=times("q", g.filters),
    )
    return body


def _slot(h: int, window: Window) -> str:
    """The row of the ring that holds row h of a window."""
    r, stride = window.kernel[0], window.stride[0]
    return str(h) if stride % r == 0 else f"((p * {stride} + {h}) % {r})" if h else f"(p * {stride} % {r})"
