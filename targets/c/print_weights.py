"""Constant tables as C initializers, fast: tens of megabytes take seconds.

Bytes are looked up in a table of equally wide texts, so numpy builds the rows; floats are printed with nine significant
digits, which read back as the same f32, doubles as Python's shortest text.
"""

from __future__ import annotations

import numpy as np

from hapir.lowering.kernel.program import ALIGNMENT, Table

_PER_LINE = {"int8_t": 24, "uint8_t": 24, "float": 6, "double": 4}


def print_table(table: Table, symbol: str) -> str:
    """The definition of one table."""
    body = _bytes(table) if table.ctype in ("int8_t", "uint8_t") else _numbers(table)
    size = table.values.size
    return f"_Alignas({ALIGNMENT}) const {table.ctype} {symbol}[{size}] = {{\n{body}\n}};"


def declare_table(table: Table, symbol: str) -> str:
    """The declaration of one table."""
    return f"extern const {table.ctype} {symbol}[{table.values.size}];"


def _bytes(table: Table) -> str:
    """Rows of right-aligned decimal numbers."""
    low = -128 if table.ctype == "int8_t" else 0
    texts = np.array([f"{value:4d}," for value in range(low, low + 256)], dtype="S5")
    per_line = _PER_LINE[table.ctype]
    values = table.values.astype(np.int64).reshape(-1)
    whole = values.size // per_line * per_line
    rows = texts[values[:whole] - low].reshape(-1, per_line)
    lines = np.empty((len(rows), per_line * 5 + 1), np.uint8)
    lines[:, :-1] = rows.view(np.uint8).reshape(len(rows), -1) if len(rows) else 0
    lines[:, -1] = ord("\n")
    text = lines.tobytes().decode("ascii")
    tail = texts[values[whole:] - low].tobytes().decode("ascii")
    return (text + tail).rstrip("\n").rstrip(",")


def _numbers(table: Table) -> str:
    values = table.values.reshape(-1).tolist()
    match table.ctype:
        case "float":
            texts = ("%.8ef " * len(values) % tuple(values)).split()
        case "double":
            texts = [_double(value) for value in values]
        case "uint32_t":
            texts = [f"{value}U" for value in values]
        case _:
            texts = [_integer(value) for value in values]
    per_line = _PER_LINE.get(table.ctype, 10)
    return ",\n".join(", ".join(texts[i : i + per_line]) for i in range(0, len(texts), per_line))


def _integer(value: int) -> str:
    return "INT32_MIN" if value == -(1 << 31) else str(value)


def _double(value: float) -> str:
    text = repr(value)
    return text if any(mark in text for mark in ".e") else f"{text}.0"
