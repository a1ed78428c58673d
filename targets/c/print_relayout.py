"""Maps that change the order of their axes, N C H W to N H W C or back, as C: squares in registers."""

from __future__ import annotations

from hapir.lowering.kernel.c_types import size_of
from hapir.lowering.kernel.program import Program
from hapir.lowering.kernel.steps import Relayout
from hapir.targets.c.print_convolution import bordered
from hapir.targets.c.print_stages import Symbols
from hapir.targets.c.text import Printed, c, function, offset, sink, source, times

FEW_CHANNELS = 4
"""So few are written side by side, one pixel after the other."""


def print_relayout(step: Relayout, name: str, program: Program, symbols: Symbols) -> Printed:
    """Row by row where the result lies in a frame, else all pixels of an image as one row."""
    channels, to = step.channels, step.to
    width = step.width if to else step.pixels
    rows, size = step.pixels // width, channels * step.pixels
    pitch, image, start = (to.pitch, to.image, to.start) if to else (channels * width, size, 0)
    ctypes = program.buffers[step.source].ctype, program.buffers[step.target].ctype
    element = size_of(ctypes[0])
    square = 16 // element
    if step.channels_last and channels <= FEW_CHANNELS:
        body = _interleaved(step, width)
    elif element < 8 and channels >= square and width >= square and ctypes[0] == ctypes[1]:
        body = _squares(step, width, element, symbols)
    else:
        body = _elements(step, width)
    y = offset("y", str(start), times("n", image) if step.batch > 1 else "", times("h", pitch) if rows > 1 else "")
    x = offset("x", times("n", size) if step.batch > 1 else "", times("h", width) if rows > 1 else "")
    body = f"const {ctypes[0]} *restrict from = {x};\n{ctypes[1]} *restrict to = {y};\n{body}"
    for index, length in (("h", rows), ("n", step.batch)):
        if length > 1:
            loop = "for (int32_t $i = 0; $i < $length; ++$i) {\n    $body\n}".replace("$i", index)
            body = c(loop, length=length, body=body)
    body = bordered(symbols, ctypes[1], to, (step.batch, rows, width), body)
    text = function(name, [source(ctypes[0], "x"), sink(ctypes[1], "y")], body, step.origin)
    return Printed(text, name, (step.source, step.target))


def _interleaved(step: Relayout, width: int) -> str:
    copies = [
        f"to[{offset(times('i', step.channels), str(k))}] = from[{offset('i', str(k * step.pixels))}];"
        for k in range(step.channels)
    ]
    return c("for (int32_t i = 0; i < $width; ++i) {\n    $copies\n}", width=width, copies="\n".join(copies))


def _squares(step: Relayout, width: int, element: int, symbols: Symbols) -> str:
    """Blocks of pixels, each over all channels, so that what is written side by side stays in the cache.

    The last squares of a row and of the channels lie over those before them where they would reach beyond.
    """
    square, channels = 16 // element, step.channels
    last = step.channels_last
    move = symbols.named(f"transpose__{element}_to_{'last' if last else 'first'}")
    one = symbols.named(f"transpose__{element}_one")
    of_pixel, of_channel = f"i * {channels} + c", f"c * {step.pixels} + i"
    to, start = (of_pixel, of_channel) if last else (of_channel, of_pixel)
    strides = step.pixels * element, channels * element
    from_stride, to_stride = strides if last else strides[::-1]

    def over_channels(name: str) -> str:
        return c(
            """
            for (int32_t k = 0; k < $channels; k += $square) {
                const int32_t c = $place;
                $move((const uint8_t *)(from + $start), $from_stride, (uint8_t *)(to + $to), $to_stride);
            }
            """,
            channels=channels,
            square=square,
            place="k" if channels % square == 0 else f"k + {square} <= {channels} ? k : {channels - square}",
            move=name,
            start=start,
            from_stride=from_stride,
            to=to,
            to_stride=to_stride,
        )

    return c(
        """
        int32_t done = 0;
        for (; done + $square * hapir__parts <= $width; done += $square * hapir__parts) {
            const int32_t i = done;
            $wide
        }
        for (; done < $width; done += $square) {
            const int32_t i = done + $square <= $width ? done : $width - $square;
            $narrow
        }
        """,
        square=square,
        width=width,
        wide=over_channels(move),
        narrow=over_channels(one),
    )


def _elements(step: Relayout, width: int) -> str:
    """Element by element, where there is no square: the shorter side inside."""
    of_pixel, of_channel = f"i * {step.channels} + k", f"k * {step.pixels} + i"
    to, start = (of_pixel, of_channel) if step.channels_last else (of_channel, of_pixel)
    loops = [f"for (int32_t i = 0; i < {width}; ++i) {{", f"for (int32_t k = 0; k < {step.channels}; ++k) {{"]
    outer, inner = loops if step.channels <= width else loops[::-1]
    return c(
        """
        $outer
            $inner
                to[$to] = from[$start];
            }
        }
        """,
        outer=outer,
        inner=inner,
        to=to,
        start=start,
    )
