"""Constant tables as C definitions that are written and compiled fast, megabytes of them too.

Small tables are numbers that people can read. Large ones are string literals of their bytes, which compilers take ten
times faster than numbers: bytes as such, wider elements through a union with them, so that the unit's reader and its
writer agree on one type. Such wide bytes are little-endian; the unit says so where the machine is not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hapir.lowering.kernel.buffers import ALIGNMENT, Table
from hapir.targets.c.text import c

LARGE_BYTES = 4096
"""From here on a table is a string: so many bytes are no longer read by people."""
_PER_LINE = {"int8_t": 24, "uint8_t": 24, "float": 6, "double": 4}
_STRING_LINE = 24
"""Bytes of a string on a line."""
_SMALLEST_FIRST = """\
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the large tables are for machines that store the smallest byte first"
#endif
"""
_LONG_STRINGS = """\
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wunknown-warning-option"
#elif defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wpragmas"
#endif
#if defined(__GNUC__) /* long strings that leave no room for a final zero are meant */
#pragma GCC diagnostic ignored "-Woverlength-strings"
#pragma GCC diagnostic ignored "-Wunterminated-string-initialization"
#endif
"""


def is_string(table: Table) -> bool:
    """Whether a table is printed as its bytes."""
    return table.size_bytes >= LARGE_BYTES


def linked_name(table: Table, symbol: str) -> str:
    """What the linker calls a table that C calls `symbol`."""
    return f"{symbol}__data" if _in_union(table) else symbol


def before_tables(tables: Sequence[Table]) -> str:
    """What the unit that defines these tables begins with."""
    parts = [
        _LONG_STRINGS if any(map(is_string, tables)) else "",
        _SMALLEST_FIRST if any(map(_in_union, tables)) else "",
    ]
    return "".join(f"{part}\n" for part in parts if part)


def print_table(table: Table, symbol: str) -> str:
    """The definition of one table."""
    if not is_string(table):
        body = _bytes(table) if table.ctype in ("int8_t", "uint8_t") else _numbers(table)
        return f"_Alignas({ALIGNMENT}) const {_type(table, symbol)} = {{\n{body}\n}};"
    literal = _string(table)
    value = f"{{\n{literal}\n}}" if _in_union(table) else f"\n{literal}"
    return f"_Alignas({ALIGNMENT}) const {_type(table, symbol)} = {value};"


def declare_table(table: Table, symbol: str) -> str:
    """The declaration of one table; `symbol` is an array then, whatever holds it."""
    declaration = f"extern const {_type(table, symbol)};"
    linked = linked_name(table, symbol)
    return declaration if linked == symbol else f"{declaration}\n#define {symbol} {linked}.values"


def _in_union(table: Table) -> bool:
    return is_string(table) and table.values.itemsize > 1


def _type(table: Table, symbol: str) -> str:
    """The declarator of a table, without `const`."""
    if not _in_union(table):
        return f"{table.ctype} {symbol}[{table.values.size}]"
    return c(
        """
        union $linked {
            char bytes[$size];
            $ctype values[$count];
        } $linked
        """,
        linked=linked_name(table, symbol),
        size=table.size_bytes,
        ctype=table.ctype,
        count=table.values.size,
    )


def _string(table: Table) -> str:
    """A literal per line, each byte as three octal digits."""
    texts = np.array([f"\\{value:03o}" for value in range(256)], dtype="S4")
    values = np.frombuffer(np.ascontiguousarray(table.values).astype(table.values.dtype.newbyteorder("<")), np.uint8)
    return _lines(texts[values], _STRING_LINE, b'"', b'"\n').rstrip("\n")


def _bytes(table: Table) -> str:
    """Rows of right-aligned decimal numbers."""
    low = -128 if table.ctype == "int8_t" else 0
    texts = np.array([f"{value:4d}," for value in range(low, low + 256)], dtype="S5")
    values = table.values.astype(np.int64).reshape(-1)
    return _lines(texts[values - low], _PER_LINE[table.ctype], b"", b"\n").rstrip("\n").rstrip(",")


def _lines(texts: npt.NDArray[np.bytes_], per_line: int, head: bytes, tail: bytes) -> str:
    """Equally wide texts, so many to a line, each line between `head` and `tail`; numpy copies them."""
    width = texts.dtype.itemsize * per_line
    whole = texts.size // per_line * per_line
    rows = np.ascontiguousarray(texts[:whole]).view(np.uint8).reshape(-1, width)
    first, last = (np.tile(np.frombuffer(end, np.uint8), (len(rows), 1)) for end in (head, tail))
    lines = np.hstack([first, rows, last]).tobytes()
    rest = texts[whole:].tobytes()
    return (lines + (head + rest + tail if rest else b"")).decode("ascii")


def _numbers(table: Table) -> str:
    values = table.values.reshape(-1).tolist()
    match table.ctype:
        case "float":
            texts = ("%.8ef " * len(values) % tuple(values)).split()
        case "double":
            texts = [_double(value) for value in values]
        case "uint32_t":
            texts = [f"{value}U" for value in values]
        case "uint64_t":
            texts = [f"UINT64_C({value})" for value in values]
        case "int64_t":
            texts = ["INT64_MIN" if value == -(1 << 63) else f"INT64_C({value})" for value in values]
        case _:
            texts = [_integer(value) for value in values]
    per_line = _PER_LINE.get(table.ctype, 10)
    return ",\n".join(", ".join(texts[i : i + per_line]) for i in range(0, len(texts), per_line))


def _integer(value: int) -> str:
    return "INT32_MIN" if value == -(1 << 31) else str(value)


def _double(value: float) -> str:
    text = repr(value)
    return text if any(mark in text for mark in ".e") else f"{text}.0"
