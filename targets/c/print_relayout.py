"""N C H W to N H W C and back, as C: squares of 16 pixels and 16 channels in registers, the rest element by element.

Law: exact; every element is copied once.
"""

from __future__ import annotations

from dataclasses import dataclass

from hapir.lowering.kernel.c_types import DTYPES
from hapir.lowering.kernel.program import LANES, Program, Relayout
from hapir.targets.c.print_convolution import bordered
from hapir.targets.c.print_stages import Symbols
from hapir.targets.c.simd import primitives
from hapir.targets.c.text import Printed, c, function, offset, sink, source, times

STRIP = 64
"""Pixels that all channels are moved of before the next: a line of the cache of bytes is written at once."""
FEW_CHANNELS = 4
"""So many planes are interleaved in one loop, which compilers vectorize."""


def print_relayout(step: Relayout, name: str, program: Program, symbols: Symbols) -> Printed:
    """Row by row where the result lies in a frame, else all pixels of an image as one row."""
    channels, to = step.channels, step.to
    width = step.width if to else step.pixels
    rows, size = step.pixels // width, channels * step.pixels
    pitch, image, start = (to.pitch, to.image, to.start) if to else (channels * width, size, 0)
    ctypes = program.buffers[step.source].ctype, program.buffers[step.target].ctype
    if step.channels_last and channels <= FEW_CHANNELS:
        body = _interleaved(step, width)
    else:
        wide = DTYPES[ctypes[0]].itemsize if ctypes[0] == ctypes[1] else 0
        body = _Transposed(step, width, wide, symbols).text()
    y = offset("y", str(start), times("n", image) if step.batch > 1 else "", times("h", pitch) if rows > 1 else "")
    x = offset("x", times("n", size) if step.batch > 1 else "", times("h", width) if rows > 1 else "")
    body = f"const {ctypes[0]} *restrict from = {x};\n{ctypes[1]} *restrict to = {y};\n{body}"
    for index, length in (("h", rows), ("n", step.batch)):
        if length > 1:
            loop = "for (int32_t $i = 0; $i < $length; ++$i) {\n    $body\n}".replace("$i", index)
            body = c(loop, length=length, body=body)
    body = bordered(symbols, ctypes[1], to, (step.batch, rows, width), body)
    parameters = [source(ctypes[0], "x"), sink(ctypes[1], "y")]
    return Printed(function(name, parameters, body, step.origin), name, (step.source, step.target))


def _interleaved(step: Relayout, width: int) -> str:
    copies = [
        f"to[{offset(times('i', step.channels), str(k))}] = from[{offset('i', str(k * step.pixels))}];"
        for k in range(step.channels)
    ]
    return c("for (int32_t i = 0; i < $width; ++i) {\n    $copies\n}", width=width, copies="\n".join(copies))


@dataclass(frozen=True)
class _Transposed:
    """The pixels i of one row times the channels k; `wide` is the size of an element, 0 where it changes."""

    step: Relayout
    width: int
    wide: int
    symbols: Symbols

    def text(self) -> str:
        """Strips of pixels, in them 16 channels after the other."""
        channels = self.step.channels
        squares = self.wide in (1, 4) and min(channels, self.width) >= LANES
        whole = channels // LANES * LANES if squares else 0
        parts: list[str] = []
        if whole:
            parts.append(self._squares(whole))
        if whole < channels:
            parts.append(self._elements("i0", str(whole), str(channels)))
        return c(
            """
            for (int32_t i0 = 0; i0 < $width; i0 += $strip) {
                const int32_t i1 = i0 + $strip < $width ? i0 + $strip : $width;
                $parts
            }
            """,
            width=self.width,
            strip=STRIP,
            parts="\n".join(parts),
        )

    def _squares(self, whole: int) -> str:
        rest = self._elements("i", "k", f"k + {LANES}") if self.width % LANES else ""
        return c(
            """
            for (int32_t k = 0; k < $whole; k += $lanes) {
                int32_t i = i0;
                for (; i + $lanes <= i1; i += $lanes) {
                    $square
                }
                $rest
            }
            """,
            whole=whole,
            lanes=LANES,
            square=self._square(),
            rest=rest,
        )

    def _square(self) -> str:
        """16 rows of the source become 16 of the target."""
        channels, pixels = self.step.channels, self.step.pixels
        pitch, stride = (pixels, channels) if self.step.channels_last else (channels, pixels)
        start, to = self._places("i", "k")
        if self.wide == 1:
            transpose = self.symbols.use(primitives()["bytes__transpose"])
            return f"{transpose}((const uint8_t *)&from[{start}], {pitch}, (uint8_t *)&to[{to}], {stride});"
        return c(
            """
            const uint8_t *lines[$lanes];
            for (int32_t j = 0; j < $lanes; ++j) {
                lines[j] = (const uint8_t *)&from[$start + j * $pitch];
            }
            $transpose(lines, 0, (uint8_t *)&to[$to], $stride, 0U);
            """,
            lanes=LANES,
            start=start,
            pitch=pitch,
            transpose=self.symbols.use(primitives()["words__transpose"]),
            to=to,
            stride=4 * stride,
        )

    def _elements(self, first: str, low: str, high: str) -> str:
        start, to = self._places("p", "q")
        return c(
            """
            for (int32_t p = $first; p < i1; ++p) {
                for (int32_t q = $low; q < $high; ++q) {
                    to[$to] = from[$start];
                }
            }
            """,
            first=first,
            low=low,
            high=high,
            to=to,
            start=start,
        )

    def _places(self, i: str, k: str) -> tuple[str, str]:
        """Where an element is read and written."""
        last = f"{i} * {self.step.channels} + {k}"
        first = f"{k} * {self.step.pixels} + {i}"
        return (first, last) if self.step.channels_last else (last, first)
