"""Reading encoded weights from a file as C: `<name>_load`, and for each table where symbols go and what they mean."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from xdsl.dialects.builtin import Float32Type

from hapir.dialects.num import (
    AffineType,
    BipolarType,
    CodebookType,
    PerChannelType,
    PlanesType,
    ScaledType,
    TernaryType,
    code_bits,
    code_range,
    codes_of,
)
from hapir.lowering.kernel.plan_loads import Axis, Load, WeightsFile, table_of
from hapir.targets.c.decoders import c_decoder
from hapir.targets.c.text import c, listed, times

_REAL = """\
/* A little-endian IEEE 754 float of the file. */
static float hapir__real(const uint8_t *from)
{
    const uint32_t bits = from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}"""

_CRC = """\
/* The CRC-32 of zip and Ethernet, four bits at a time. */
static uint32_t hapir__crc(const uint8_t *data, size_t size)
{
    static const uint32_t steps[16] = {
        $steps
    };
    uint32_t crc = 0xFFFFFFFFU;
    for (size_t i = 0; i < size; ++i) {
        crc ^= data[i];
        crc = crc >> 4 ^ steps[crc & 15];
        crc = crc >> 4 ^ steps[crc & 15];
    }
    return ~crc;
}"""

LOADED = 0x48415049
"""What a context holds once its weights are there."""


@dataclass(frozen=True)
class PrintedLoads:
    """Functions in the order that C needs, and the public one."""

    functions: tuple[str, ...]
    load: str


def has_decoder(load: Load) -> bool:
    """Whether the C target can decode a table itself."""
    return c_decoder(load.weight.encoding, load.weight.tensor) is not None


def print_loads(name: str, loads: Sequence[Load], symbols: Sequence[str], file: WeightsFile) -> PrintedLoads:
    """The text of loading all tables; `symbols` are their identifiers."""
    needed: dict[str, None] = {}
    functions: list[str] = []
    for load, symbol in zip(loads, symbols, strict=True):
        decoder = c_decoder(load.weight.encoding, load.weight.tensor)
        assert decoder is not None
        needed |= dict.fromkeys(decoder[0])
        functions += [_store(load, symbol, file), _load(load, symbol, decoder[1], file)]
    if any("hapir__real(" in text for text in functions):
        needed[_REAL] = None
    calls = [f"load__{s}((void *)(ctx->weights + {load.offset}), file)" for load, s in zip(loads, symbols, strict=True)]
    text = c(
        """
        int $name_load(struct $name_ctx *ctx, const unsigned char *file, size_t size)
        {
            if (ctx == NULL || file == NULL) {
                return 1;
            }
            ctx->loaded = 0;
            if (size != $UPPER_FILE_BYTES || hapir__crc(file, size) != $crc) {
                return 2;
            }
            if ($calls) {
                return 3;
            }
            ctx->loaded = $loaded;
            return 0;
        }
        """.replace("$name", name).replace("$UPPER", name.upper()),
        crc=f"0x{zlib.crc32(file.data):08X}U",
        loaded=f"0x{LOADED:08X}U",
        calls="\n        || ".join(calls),
    )
    return PrintedLoads((*needed, *functions, print_crc()), text)


def print_crc() -> str:
    """The function with its table: what four bits of 0 make of each remainder."""
    steps = list(range(16))
    for _ in range(4):
        steps = [step >> 1 ^ (0xEDB88320 if step & 1 else 0) for step in steps]
    rows = [", ".join(f"0x{step:08X}U" for step in steps[i : i + 8]) for i in (0, 8)]
    return _CRC.replace("$steps", ",\n        ".join(rows))


def _load(load: Load, symbol: str, call: str, file: WeightsFile) -> str:
    """Decode one table: its padding is 0, its elements are those of the file."""
    weight, tensor = load.weight, load.weight.tensor
    parts = [f"{{file + {file.starts[key]}, {file.weights[key].nbytes}}}" for key in weight.parts]
    body = c(
        """
        $parts
        const struct hapir__tensor tensor = {$count, $rows, $columns, $zero, $bits, store__$symbol, to, file};
        memset(to, 0, $bytes);
        return $call;
        """,
        parts=listed("const struct hapir__part parts[] = {", parts, "};"),
        count=tensor.count,
        rows=tensor.rows,
        columns=tensor.columns,
        zero=f"{tensor.zero or 0}U",
        bits=tensor.bits,
        symbol=symbol,
        bytes=load.table.size_bytes,
        call=call,
    )
    head = f"/* {weight.encoding.name} */\nstatic int load__{symbol}(void *to, const uint8_t *file)"
    return c("$head\n{\n    $body\n}", head=head, body=body)


def _store(load: Load, symbol: str, file: WeightsFile) -> str:
    """Put one symbol where it belongs, as what it means."""
    lines, place = _digits(load.axes, symbol)
    tables = [_places(axis, i, symbol) for i, axis in enumerate(load.axes) if axis.places]
    meaning, value = _value(load, file)
    used = "file" in value or any("file" in line for line in meaning)
    body = c(
        """
        $digits
        $meaning
        (($ctype *)to)[$place] = $value;
        $unused
        return 0;
        """,
        digits="\n".join(lines),
        meaning="\n".join(meaning),
        ctype=load.table.ctype,
        place=place,
        value=value,
        unused="\n".join(["(void)position;" if not lines else "", "" if used else "(void)file;"]).strip("\n"),
    )
    parameters = "void *to, const uint8_t *file, uint32_t position, uint32_t symbol"
    store = c("$head\n{\n    $body\n}", head=f"static int store__{symbol}({parameters})", body=body)
    return "\n\n".join([*tables, store])


def _places(axis: Axis, number: int, symbol: str) -> str:
    values = ", ".join(map(str, axis.places))
    return f"static const uint32_t places__{symbol}_{number}[{axis.size}] = {{{values}}};"


def _digits(axes: Sequence[Axis], symbol: str) -> tuple[list[str], str]:
    """The index along each axis, and the place that they lead to."""
    lines: list[str] = []
    terms: list[str] = []
    below = 1
    for number, axis in reversed(list(enumerate(axes))):
        index = f"i{number}"
        if axis.size > 1:
            divided = f"position / {below}" if below > 1 else "position"
            lines.insert(0, f"const uint32_t {index} = {divided} % {axis.size};")
            if axis.places:
                terms.insert(0, f"places__{symbol}_{number}[{index}]")
            elif axis.block < axis.size:
                outer, inner = (
                    times(f"{index} / {axis.block}", axis.outer),
                    times(f"{index} % {axis.block}", axis.inner),
                )
                terms.insert(0, f"{outer} + {inner}")
            else:
                terms.insert(0, times(index, axis.inner))
        below *= axis.size
    return lines, " + ".join(terms) or "0"


def _value(load: Load, file: WeightsFile) -> tuple[list[str], str]:
    """Statements and an expression for what a symbol means in the table."""
    weight, element = load.weight, load.weight.element
    if isinstance(element, Float32Type):
        finite = "if ((symbol & 0x7F800000U) == 0x7F800000U) {\n    return 1; /* not finite */\n}"
        return [finite, "float real;", "memcpy(&real, &symbol, sizeof(real));"], "real"
    lines, code = _code(element)
    if not weight.is_real:
        return lines, f"({load.table.ctype}){code}"
    table = table_of(weight, file)
    if isinstance(element, AffineType):
        scale = element.scale.data.hex()
        return lines, f"(float)(((double){code} - {element.zero_point.data}.0) * {scale})"
    assert table is not None
    start, shape = table
    match element:
        case ScaledType() | PerChannelType():
            sizes = weight.tensor.shape
            blocks = shape if isinstance(element, ScaledType) else _along(element.axis.data, sizes)
            index = _block_index(blocks, sizes)
            return lines, f"(float)((double){code} * (double)hapir__real(file + {start} + 4 * ({index})))"
        case CodebookType():
            row = f"i0 * {shape[-1]} + " if len(shape) == 2 and weight.tensor.shape[0] > 1 else ""
            check = f"if (symbol >= {shape[-1]}U) {{\n    return 1;\n}}"
            return [*lines, check], f"hapir__real(file + {start} + 4 * ({row}{code}))"
        case PlanesType():
            row = f"i0 * {shape[-1]} + " if len(shape) == 2 and weight.tensor.shape[0] > 1 else ""
            loop = c(
                """
                double sum = 0.0;
                for (uint32_t b = 0; b < $count; ++b) {
                    const double base = hapir__real(file + $start + 4 * (${row}b));
                    sum += symbol >> b & 1 ? base : -base;
                }
                """.replace("${row}", row),
                count=shape[-1],
                start=start,
            )
            return [*lines, loop], "(float)sum"
        case _:
            raise AssertionError(f"{element} has no reals")


def _along(axis: int, sizes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size if i == axis else 1 for i, size in enumerate(sizes))


def _block_index(blocks: tuple[int, ...], sizes: tuple[int, ...]) -> str:
    """The flat index of a weight's block in the array of scales."""
    terms: list[str] = []
    for i, (count, size) in enumerate(zip(blocks, sizes, strict=True)):
        if count > 1:
            block = f"i{i} / {size // count}" if count < size else f"i{i}"
            terms.append(f"{block} * {prod(blocks[i + 1 :])}")
    return " + ".join(terms) or "0"


def _code(element: object) -> tuple[list[str], str]:
    """Checks of a symbol, and the integer that it is."""
    codes = codes_of(element)  # pyright: ignore[reportArgumentType]  # any attribute
    low, _ = code_range(codes)  # pyright: ignore[reportArgumentType]  # no float comes here
    bits = code_bits(codes)  # pyright: ignore[reportArgumentType]  # the same
    if isinstance(codes, BipolarType):
        return [], f"((int32_t)(symbol << 1) - {-low})"
    if isinstance(codes, TernaryType):
        return ["if (symbol == 2) {\n    return 1;\n}"], "((int32_t)(symbol ^ 2U) - 2)"
    if low < 0 and bits == 32:
        return [], "(int32_t)symbol"
    if low < 0:
        return [], f"((int32_t)(symbol ^ {1 << bits - 1}U) - {1 << bits - 1})"
    return [], "symbol"
