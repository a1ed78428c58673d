"""Activations packed to bit planes, as C."""

from __future__ import annotations

from hapir.lowering.kernel.bit_planes import WORD
from hapir.lowering.kernel.program import Program
from hapir.lowering.kernel.steps import PackBits
from hapir.targets.c.print_convolution import border_arguments, print_border
from hapir.targets.c.print_stages import Symbols, integer
from hapir.targets.c.simd.primitive import primitives
from hapir.targets.c.text import Printed, c, function, sink, source, times


def print_pack_bits(step: PackBits, name: str, program: Program, symbols: Symbols) -> Printed:
    """Words of 32 channels, plane by plane."""
    x = program.buffers[step.source].ctype
    channels, to = step.channels // step.groups, step.to
    whole, rest = divmod(channels, WORD)
    for primitive in ("u8x32__load", "u8x32__some", "u8x32__sub", "u8x32__plane"):
        symbols.use(primitives()[primitive])
    body: list[str] = []
    if whole:
        body.append(
            c(
                """
                for (int32_t i = 0; i < $whole; ++i, x += $word) {
                    const hapir__u8x32 u = u8x32__sub(u8x32__load(x), $low);
                    $planes
                }
                """,
                whole=whole,
                word=WORD,
                low=integer(step.low & 255),
                planes=_planes(step.positions),
            )
        )
    if rest:
        body.append(
            c(
                """
                {
                    const hapir__u8x32 u = u8x32__sub(u8x32__some(x, $rest), $low);
                    $planes
                    x += $rest;
                }
                """,
                rest=rest,
                low=integer(step.low & 255),
                planes=_planes(step.positions, (1 << rest) - 1),
            )
        )
    text = c(
        """
        $border
        for (int32_t n = 0; n < $batch; ++n) {
            for (int32_t h = 0; h < $height; ++h) {
                uint32_t *to = y + $start;
                for (int32_t w = 0; w < $width; ++w) {
                    $body
                }
            }
        }
        """,
        border=f"{print_border(symbols, 'uint32_t')}(y, {border_arguments(to, step.batch, step.height, step.width)});",
        batch=step.batch,
        height=step.height,
        start=f"n * {to.image} + {times('h', to.pitch)} + {to.start}",
        width=times(str(step.width), step.groups) if step.groups > 1 else step.width,
        body="\n".join(body),
    )
    parameters = [source(x, "x"), sink("uint32_t", "y")]
    return Printed(function(name, parameters, text, step.origin), name, (step.source, step.target))


def _planes(positions: tuple[int, ...], mask: int | None = None) -> str:
    """The words of all planes; `mask` keeps channels that exist."""
    keep = "" if mask is None else f" & 0x{mask:08X}U"
    return "\n".join(f"*to++ = u8x32__plane(u, {position}){keep};" for position in positions)
