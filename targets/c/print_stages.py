"""Stages as C: what happens to one element between a sum and its store, and the helpers that this needs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hapir.dialects.assembly import float_text
from hapir.dialects.num import Rounding
from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.c_types import CType
from hapir.lowering.kernel.stages import (
    Apply,
    Clamp,
    Dequantize,
    Function,
    Join,
    Quantize,
    Requantize,
    Rescale,
    ScaleShift,
    Stage,
    Threshold,
    ToBf16,
    Widen,
)
from hapir.targets.c.simd.bf16 import ROUND
from hapir.targets.c.simd.primitive import Primitive, joined, primitives
from hapir.targets.c.text import listed, offset, source, times

_ROUND_REAL = {
    Rounding.half_even: "    const double r = rint(v);",
    Rounding.floor: "    const double r = floor(v);",
    # the fraction is exact, while v + 0.5 may round
    Rounding.half_up: (
        "    const double below = floor(v);\n    const double r = below + (v - below >= 0.5 ? 1.0 : 0.0);"
    ),
    Rounding.half_away: (
        "    const double below = floor(v);\n    const double fraction = v - below;\n"
        "    const double r = below + ((fraction > 0.5 || (fraction == 0.5 && v > 0.0)) ? 1.0 : 0.0);"
    ),
}

# On a remainder of 0 .. 2^shift - 1. `half` is 2^(shift - 1), and 1 for shift 0, where the remainder is 0.
_ROUND_UP = {
    Rounding.half_up: "remainder >= half",
    Rounding.half_even: "remainder + (below & 1) > half",
    Rounding.half_away: "remainder + (product > 0) > half",
}


@dataclass
class Symbols:
    """Identifiers of tables by object, and the helper functions asked for so far (name to text, in order)."""

    tables: Mapping[int, str]
    helpers: dict[str, str] = field(default_factory=dict[str, str])
    primitives: dict[str, Primitive] = field(default_factory=dict[str, Primitive])
    """Pieces of SIMD that are used, by name."""
    loaded: frozenset[int] = frozenset()
    """Tables, by object, that lie in the context: functions take them as parameters of the same identifier."""

    def use(self, primitive: Primitive) -> str:
        """Ask for a primitive; returns its name."""
        known = self.primitives.get(primitive.name)
        self.primitives[primitive.name] = primitive if known is None else joined(known, primitive)
        return primitive.name

    def named(self, name: str) -> str:
        """Ask for a primitive of the tables by its name."""
        return self.use(primitives()[name])

    def of(self, table: Table) -> str:
        """The identifier of a table."""
        return self.tables[id(table)]

    def taken(self, *tables: Table) -> tuple[Table, ...]:
        """Those of a step's tables that its functions take as parameters."""
        return tuple(table for table in tables if id(table) in self.loaded)

    def parameters(self, *tables: Table) -> list[str]:
        """The declarations of those parameters."""
        return [source(table.ctype, self.of(table)) for table in self.taken(*tables)]

    def parameter(self, value: Table | int | float, channel: str) -> str:
        """A constant, or a table's entry for a channel."""
        if isinstance(value, Table):
            return f"{self.of(value)}[{channel}]"
        return float_text(value) if isinstance(value, float) else integer(value)


def integer(value: int) -> str:
    """An integer literal of any value of up to 32 bits, negative ones in parentheses."""
    if value == -(1 << 31):
        return "INT32_MIN"
    if value > (1 << 31) - 1:
        return f"{value}U"
    return f"({value})" if value < 0 else str(value)


def bound(value: int) -> str:
    """A bound that is compared in 64 bits."""
    return f"INT64_C({value})" if abs(value) >= 1 << 31 else integer(value)


def float32(value: float) -> str:
    """A float literal; the value is rounded to f32 first, as the text of a double might round to another."""
    if np.isinf(np.float32(value)):
        return "INFINITY" if value > 0 else "(-INFINITY)"
    text = f"{float_text(float(np.float32(value)))}f"
    return f"({text})" if value < 0 else text


def print_stages(value: str, ctype: CType, stages: Sequence[Stage], channel: str, symbols: Symbols) -> str:
    """The expression that sends `value` (of `ctype`) through the stages; its type is that of the last stage."""
    for stage in stages:
        match stage:
            case Requantize():
                value = _requantize(value, stage, channel, symbols)
            case Rescale():
                product = "(float)acc * scale" if stage.single else "(double)acc * scale"
                value = _real_to_codes("rescale", "int32_t acc", product, value, stage, channel, symbols)
            case Clamp():
                value = _clamp(value, stage, ctype, symbols)
            case Threshold():
                value = _threshold(value, stage, channel, symbols)
            case Widen():
                wide = "int64_t" if stage.wide else "int32_t"
                value = f"(int32_t)((({wide})({value}) - {integer(stage.zero_point)}) * {integer(stage.multiplier)})"
            case Quantize():
                quotient = "x / scale" if stage.single else "(double)x / scale"
                value = _real_to_codes("quantize", "float x", quotient, value, stage, channel, symbols)
            case Dequantize():
                scale = symbols.parameter(stage.scale, channel)
                value = f"(float)(((double)({value}) - {integer(stage.zero_point)}) * {scale})"
            case Apply():
                value = _apply(value, stage, symbols)
            case ScaleShift():
                value = f"({value}) * {symbols.parameter(stage.scale, channel)} + " + symbols.parameter(
                    stage.shift, channel
                )
            case ToBf16():
                value = _to_bf16(value, symbols)
            case Join():
                raise AssertionError("another map is read by vectors only")
        ctype = stage.ctype
    return value


def _requantize(value: str, stage: Requantize, channel: str, symbols: Symbols) -> str:
    exact = stage.rounding != Rounding.half_up or not stage.narrow
    name = f"requantize__{stage.rounding}" + ("_wide" if stage.rounding == Rounding.half_up and exact else "")
    parameters = ["int32_t v", "uint32_t multiplier", "uint32_t shift", "int64_t zero_point", "int64_t low"]
    lines = [
        listed(f"static inline int64_t {name}(", [*parameters, "int64_t high"], ")"),
        "{",
        "    const int64_t product = (int64_t)v * (int64_t)multiplier;",
    ]
    if stage.rounding == Rounding.floor:
        lines.append("    const int64_t q = (product >> shift) + zero_point;")
    elif not exact:
        # product is below 2^62, so half of 2^62 can be added to it
        lines.append("    const int64_t q = ((product + ((INT64_C(1) << shift) >> 1)) >> shift) + zero_point;")
    else:
        lines += [
            "    const int64_t below = product >> shift;",
            "    const int64_t remainder = product & ((INT64_C(1) << shift) - 1);",
            "    const int64_t half = ((INT64_C(1) << shift) + 1) >> 1;",
            f"    const int64_t q = below + (int64_t)({_ROUND_UP[stage.rounding]}) + zero_point;",
        ]
    lines += ["    return q < low ? low : q > high ? high : q;", "}"]
    symbols.helpers.setdefault(name, "\n".join(lines))
    multiplier, shift = (symbols.parameter(p, channel) for p in (stage.multiplier, stage.shift))
    bounds = ", ".join(bound(v) for v in (stage.zero_point, stage.low, stage.high))
    return f"({stage.ctype}){name}({value}, {multiplier}, {shift}, {bounds})"


def _threshold(value: str, stage: Threshold, channel: str, symbols: Symbols) -> str:
    ctype = stage.thresholds.ctype
    name = f"threshold__{ctype.removesuffix('_t')}"
    symbols.helpers.setdefault(
        name,
        "\n".join(
            (
                listed(
                    f"static inline int32_t {name}(",
                    ["int32_t v", f"const {ctype} *thresholds", "int32_t channels", "int32_t count", "int32_t flip"],
                    ")",
                ),
                "{",
                "    int32_t reached = 0;",
                "    for (int32_t i = 0; i < count; ++i) {",
                "        reached += v >= thresholds[i * channels];",
                "    }",
                "    return flip ? count - reached : reached;",
                "}",
            )
        ),
    )
    row, channels = symbols.of(stage.thresholds), stage.thresholds.values.size // stage.count
    if not stage.shared:
        row = offset(row, channel)
    count = f"{name}({value}, {row}, {channels}, {stage.count}, {symbols.parameter(stage.flips, channel)})"
    return f"({stage.ctype})({stage.low} + {times(count, stage.step)})"


def _clamp(value: str, stage: Clamp, ctype: CType, symbols: Symbols) -> str:
    suffix = "float" if ctype == "float" else ctype.removesuffix("_t")
    for what, limit, sign in (("at_least", stage.low, "<"), ("at_most", stage.high, ">")):
        if limit is None:
            continue
        name = f"{what}__{suffix}"
        body = f"    return v {sign} limit ? limit : v;"
        symbols.helpers.setdefault(name, f"static inline {ctype} {name}({ctype} v, {ctype} limit)\n{{\n{body}\n}}")
        text = float32(limit) if ctype == "float" else integer(int(limit))
        value = f"{name}({value}, {text})"
    return value


def _to_bf16(value: str, symbols: Symbols) -> str:
    name = "to_bf16__float"
    body = f"    uint32_t bits;\n    memcpy(&bits, &v, sizeof(bits));\n    {ROUND}\n    return (uint16_t)(bits >> 16);"
    symbols.helpers.setdefault(name, f"static inline uint16_t {name}(float v)\n{{\n{body}\n}}")
    return f"{name}({value})"


_SIGMOID = "    const float e = expf(v < 0.0f ? v : -v);\n    return {}(v < 0.0f ? e : 1.0f) / (1.0f + e);"
_SIXTH = float_text(float(np.float32(1 / 6)))
_BETWEEN_0_AND_1 = "y < 0.0f ? 0.0f : y > 1.0f ? 1.0f : y"

_APPLY: dict[Function, tuple[tuple[str, ...], str]] = {
    "gelu": ((), f"    return (float)((double)v / 2.0 * (1.0 + erf((double)v / {float_text(math.sqrt(2))})));"),
    "hard_sigmoid": (
        ("slope", "offset"),
        f"    const float y = v * slope + offset;\n    return {_BETWEEN_0_AND_1};",
    ),
    "hard_swish": (
        (),
        f"    const float y = v * {_SIXTH}f + 0.5f;\n    return v * ({_BETWEEN_0_AND_1});",
    ),
    "leaky_relu": (("slope",), "    return v < 0.0f ? v * slope : v;"),
    "sigmoid": ((), _SIGMOID.format("")),
    "sign": ((), "    return v >= 0.0f ? 1.0f : -1.0f;"),
    "silu": ((), _SIGMOID.format("v * ")),
    "tanh": ((), "    return tanhf(v);"),
}
"""Per function the names of its constants and its body."""


def _apply(value: str, stage: Apply, symbols: Symbols) -> str:
    return f"{helper_of(stage.function, symbols)}({', '.join((value, *map(float32, stage.constants)))})"


def helper_of(function: Function, symbols: Symbols) -> str:
    """The name of the C function that computes a function of one float; its text joins the helpers."""
    name = f"{function}__float"
    constants, body = _APPLY[function]
    parameters = ", ".join(f"float {parameter}" for parameter in ("v", *constants))
    symbols.helpers.setdefault(name, f"static inline float {name}({parameters})\n{{\n{body}\n}}")
    return name


def _real_to_codes(
    what: str, operand: str, real: str, value: str, stage: Quantize | Rescale, channel: str, symbols: Symbols
) -> str:
    """A call of the helper that makes a real of `operand`, rounds and clamps it."""
    name = f"{what}__{stage.rounding}" + ("_single" if stage.single else "")
    number = "float" if stage.single else "double"
    symbols.helpers.setdefault(
        name,
        "\n".join(
            (
                listed(
                    f"static inline int64_t {name}(",
                    [operand, f"{number} scale", "double zero_point", "double low", "double high"],
                    ")",
                ),
                "{",
                f"    const double v = (double)({real});" if stage.single else f"    const double v = {real};",
                _ROUND_REAL[stage.rounding],
                "    const double q = r + zero_point;",
                "    return (int64_t)(!(q > low) ? low : q > high ? high : q); /* a NaN becomes low */",
                "}",
            )
        ),
    )
    bounds = ", ".join(f"{v}.0" for v in (stage.zero_point, stage.low, stage.high))
    scale = float32(stage.scale) if stage.single and isinstance(stage.scale, float) else symbols.parameter(
        stage.scale, channel
    )  # fmt: skip
    return f"({stage.ctype}){name}({value}, {scale}, {bounds})"
