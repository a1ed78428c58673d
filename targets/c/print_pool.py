"""Pools as C: windows inside the map in one loop over the channels with all taps in it, others clipped to the map."""

from __future__ import annotations

from collections.abc import Callable

from hapir.lowering.kernel.program import Program
from hapir.lowering.kernel.steps import Pool
from hapir.targets.c.print_convolution import bordered
from hapir.targets.c.print_stages import Symbols, integer, print_stages
from hapir.targets.c.text import Printed, c, function, minus, offset, sink, source, times

UNROLLED_TAPS = 16
"""Windows of at most so many taps are unrolled."""

_COMBINE: dict[str, Callable[[Pool, str], str]] = {
    "max": lambda step, value: f"{value} > v ? {value} : v",
    "sum": lambda step, value: f"v + ((int32_t){value}{_less(step)})",
    "mean": lambda step, value: f"v + {value}",
}
"""What a pool makes of `v` and another element."""


def _less(step: Pool) -> str:
    return f" - {integer(step.zero_point)}" if step.zero_point else ""


def print_pool(step: Pool, name: str, program: Program, symbols: Symbols) -> Printed:
    """All channels of a pixel at a time."""
    g, window = step.geometry, step.geometry.window
    (r, s), (top, left, _, _) = window.kernel, window.padding
    x, y = program.buffers[step.source].ctype, program.buffers[step.target].ctype
    sums = program.buffers[step.sums].ctype
    frame, to = step.frame, step.to
    pitch, image, start = (frame.pitch, frame.image, frame.start) if frame else (g.width * g.channels, 0, 0)
    image = image or g.height * pitch
    to_pitch, to_image, to_start = (to.pitch, to.image, to.start) if to else (g.columns * g.channels, 0, 0)
    to_image = to_image or g.rows * to_pitch
    count = "sums[k]"
    if step.kind == "mean":
        count = f"sums[k] / {float(r * s)}f" if step.count_padding else "sums[k] / count"
    values: dict[str, object] = {
        "k": g.channels,
        "r": r,
        "s": s,
        "height": g.height,
        "width": g.width,
        "rows_spanned": window.extent[0],
        "columns_spanned": window.extent[1],
        "pitch": pitch,
        "x": x,
        "type": sums,
        "count": f"const float count = {r * s}.0f;" if "/ count" in count else "",
        "value": print_stages(count, sums, step.stages, "k", symbols),
    }
    inside = _inside(step, values)
    padded = any(window.padding)
    body = inside
    if padded:
        taps = (_taps(span, step) for span, step in zip(("end - first", "stop - start"), window.dilation, strict=True))
        values["count"] = values["count"] and f"const float count = (float)({' * '.join(taps)});"
        clipped = _clipped(step, values)
        body = c(
            """
            const int32_t h0 = $top, w0 = $left;
            if (h0 >= 0 && h0 + $rows_spanned <= $height && w0 >= 0 && w0 + $columns_spanned <= $width) {
                $inside
            } else {
                $clipped
            }
            """,
            **values,
            top=minus(times("p", window.stride[0]), top),
            left=minus(times("q", window.stride[1]), left),
            inside=inside,
            clipped=clipped,
        )
    text = c(
        """
        for (int32_t n = 0; n < $batch; ++n) {
            const $x *restrict map = x + $map;
            $y *restrict to = y + $to;
            for (int32_t p = 0; p < $rows; ++p$skip) {
                for (int32_t q = 0; q < $columns; ++q, to += $k) {
                    $body
                }
            }
        }
        """,
        x=x,
        y=y,
        k=g.channels,
        batch=g.batch,
        rows=g.rows,
        columns=g.columns,
        map=offset(times("n", image), str(start)),
        to=offset(times("n", to_image), str(to_start)),
        skip=f", to += {to_pitch - g.columns * g.channels}" if to_pitch != g.columns * g.channels else "",
        body=body,
    )
    parameters = [source(x, "x"), sink(y, "y"), sink(sums, "sums")]
    text = bordered(symbols, y, to, (g.batch, g.rows, g.columns), text)
    if "sums[" not in text and "(sums" not in text:
        text = f"{text}\n(void)sums;"
    return Printed(function(name, parameters, text, step.origin), name, (step.source, step.target, step.sums))


def _inside(step: Pool, values: dict[str, object]) -> str:
    """A window inside the map."""
    g, window = step.geometry, step.geometry.window
    (r, s), pitch = window.kernel, int(str(values["pitch"]))
    h, w = (
        minus(times(index, stride), before)
        for index, stride, before in zip("pq", window.stride, window.padding[:2], strict=True)
    )
    begin = "from[k]" if step.kind != "sum" else f"(int32_t)from[k]{_less(step)}"
    head = f"const {values['x']} *restrict from = map + ({h}) * {pitch} + ({w}) * {g.channels};"
    down, right = window.dilation
    if r * s <= UNROLLED_TAPS:
        places = [i * down * pitch + j * right * g.channels for i in range(r) for j in range(s)][1:]
        lines = [f"v = {_COMBINE[step.kind](step, f'from[k + {place}]')};" for place in places]
        loop = c(
            """
            for (int32_t k = 0; k < $k; ++k) {
                $type v = $begin;
                $lines
                $store
            }
            """,
            **values,
            begin=begin,
            lines="\n".join(lines),
            store="to[k] = v;" if values["value"] == "sums[k]" else "sums[k] = v;",
        )
    else:
        loop = c(
            """
            for (int32_t k = 0; k < $k; ++k) {
                sums[k] = $begin;
            }
            for (int32_t h = 0; h < $r; ++h) {
                for (int32_t w = h == 0; w < $s; ++w) {
                    const $x *restrict next = from + h * $row + w * $column;
                    for (int32_t k = 0; k < $k; ++k) {
                        const $type v = sums[k];
                        sums[k] = $combine;
                    }
                }
            }
            """,
            **values,
            begin=begin,
            row=down * pitch,
            column=right * g.channels,
            combine=_COMBINE[step.kind](step, "next[k]"),
        )
    direct = r * s <= UNROLLED_TAPS and values["value"] == "sums[k]"
    return "\n".join(t for t in (str(values["count"]), head, loop, "" if direct else _out(values)) if t)


def _out(values: dict[str, object]) -> str:
    return c("for (int32_t k = 0; k < $k; ++k) {\n    to[k] = $value;\n}", **values)


def _clipped(step: Pool, values: dict[str, object]) -> str:
    """A window of which some taps lie outside of the map."""
    begin = (
        "memcpy(sums, map + first * $pitch + start * $k, sizeof(*sums) * $k);"
        if step.kind == "max"
        else "memset(sums, 0, sizeof(*sums) * $k);"
    )
    down, right = step.geometry.window.dilation
    return c(
        """
        const int32_t first = $first, end = h0 + $rows_spanned > $height ? $height : h0 + $rows_spanned;
        const int32_t start = $start, stop = w0 + $columns_spanned > $width ? $width : w0 + $columns_spanned;
        $count
        $begin
        for (int32_t h = first; h < end; $down) {
            for (int32_t w = start; w < stop; $right) {
                const $x *restrict from = map + h * $pitch + w * $k;
                for (int32_t k = 0; k < $k; ++k) {
                    const $type v = sums[k];
                    sums[k] = $combine;
                }
            }
        }
        $out
        """,
        **values,
        first=_first("h0", down),
        start=_first("w0", right),
        down="++h" if down == 1 else f"h += {down}",
        right="++w" if right == 1 else f"w += {right}",
        begin=c(begin, **values),
        combine=_COMBINE[step.kind](step, "from[k]"),
        out=_out(values),
    )


def _first(origin: str, dilation: int) -> str:
    """Where the first tap of a window lies that is not before the map."""
    if dilation == 1:
        return f"{origin} < 0 ? 0 : {origin}"
    return f"{origin} < 0 ? (({dilation - 1} - {origin}) / {dilation}) * {dilation} + {origin} : {origin}"


def _taps(span: str, dilation: int) -> str:
    """The taps in a span of rows or columns that begins with one."""
    return f"({span})" if dilation == 1 else f"(({span} + {dilation - 1}) / {dilation})"
