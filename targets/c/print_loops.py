"""Loops over elements as C."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hapir.dialects.num import integer_range, signed, unsigned
from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.c_types import CType, size_of
from hapir.lowering.kernel.loops import Apply, Element, Expression, Joining, LoopAxis, Loops, Number
from hapir.lowering.kernel.program import Program
from hapir.targets.c.functions import FUNCTIONS, Text, kind_of, unsigned_of
from hapir.targets.c.print_stages import Symbols, float32
from hapir.targets.c.text import Printed, c, function, sink, source, times

_NAMES = ("a", "b", "d")
_CONSTANTS = ("p", "q")


def print_loops(step: Loops, name: str, program: Program, symbols: Symbols) -> Printed:
    """The loops of a step, the reduced ones inside."""
    buffers = step.own_reads
    names = {buffer: f"x{i}" for i, buffer in enumerate(buffers)}
    outer = [f"i{k}" for k in range(len(step.axes))]
    inner = [f"j{k}" for k in range(len(step.reduced))]
    loops = list(zip(outer, step.axes, strict=True))
    reduced = list(zip(inner, step.reduced, strict=True))
    elements: list[str] = []
    for operand, buffer in enumerate(step.sources):
        place = _place([(i, axis.reads[operand]) for i, axis in (*loops, *reduced)], step.starts[operand], symbols)
        elements.append(f"{names[buffer]}[{place}]")
    to = _place([(i, axis.write) for i, axis in loops], 0, symbols)
    target = program.buffers[step.target]
    value = expression(step.body, elements, "", symbols)
    body = f"y[{to}] = {value};" if step.reduction is None else _reduced(step, value, reduced, to, elements, symbols)
    for i, axis in reversed(loops):
        body = _loop(i, axis, body)
    parameters = [source(program.buffers[b].ctype, names[b]) for b in buffers]
    parameters.append(sink(target.ctype, "y"))
    return Printed(function(name, parameters, body, step.origin), name, (*buffers, step.target))


def _loop(i: str, axis: LoopAxis, body: str) -> str:
    return c(f"for (int32_t {i} = 0; {i} < $size; ++{i}) {{\n    $body\n}}", size=axis.size, body=body)


def _place(terms: Sequence[tuple[str, int | Table]], start: int, symbols: Symbols) -> str:
    """The place of an element: what each loop adds, and where they start."""
    found = [f"{symbols.of(by)}[{i}]" if isinstance(by, Table) else times(i, by) for i, by in terms if by != 0]
    return " + ".join([*found, *([str(start)] if start or not found else [])])


# --- reductions -------------------------------------------------------------------------------------------------------

_JOINS: dict[Joining, str] = {
    "sum": "sum += $value;",
    "product": "sum *= $value;",
    "max": "const $type v = $value;\nsum = $first || v > sum ? v : sum;",
    "min": "const $type v = $value;\nsum = $first || v < sum ? v : sum;",
    "first_max": "const $type v = $value;\nif ($first || v > best) {\n    best = v;\n    sum = $turn;\n}",
    "first_min": "const $type v = $value;\nif ($first || v < best) {\n    best = v;\n    sum = $turn;\n}",
    "last_max": "const $type v = $value;\nif ($first || v >= best) {\n    best = v;\n    sum = $turn;\n}",
    "last_min": "const $type v = $value;\nif ($first || v <= best) {\n    best = v;\n    sum = $turn;\n}",
}


def _reduced(
    step: Loops,
    value: str,
    reduced: Sequence[tuple[str, LoopAxis]],
    to: str,
    elements: Sequence[str],
    symbols: Symbols,
) -> str:
    """A variable, the inner loops that join into it, and the store."""
    assert step.reduction is not None
    joining, ctype = step.reduction.joining, step.reduction.ctype
    indexed = joining.startswith(("first", "last"))
    turn = "0"
    for i, axis in reduced:
        turn = i if turn == "0" else f"({turn}) * {axis.size} + {i}"
    first = " && ".join(f"{i} == 0" for i, _ in reduced) or "1"
    of = step.body.ctype if indexed else ctype
    one = "1.0f" if ctype == "float" else "1"
    text = c(_JOINS[joining], value=value, type=of, first=f"({first})", turn=f"({ctype})({turn})")
    for i, axis in reversed(reduced):
        text = _loop(i, axis, text)
    start = [f"{ctype} sum = {one if joining == 'product' else '0'};"]
    if indexed:
        start.append(f"{of} best = 0;")
    finish = "sum" if step.finish is None else expression(step.finish, elements, "sum", symbols)
    return "\n".join([*start, text, f"y[{to}] = {finish};"])


# --- expressions ------------------------------------------------------------------------------------------------------


def expression(value: Expression, elements: Sequence[str], joined: str, symbols: Symbols) -> str:
    """An expression over the elements of the operands and the joined value."""
    match value:
        case Element():
            return elements[value.operand]
        case Number():
            return literal(value.value, value.ctype)
        case Apply():
            arguments = [expression(a, elements, joined, symbols) for a in value.arguments]
            return _applied(value, arguments, symbols)
        case _:
            return joined


def literal(value: float | int, ctype: CType) -> str:
    """A constant of a type."""
    if ctype == "float":
        return float32(float(value))
    if "64" in ctype:
        if value == -(1 << 63):
            return "INT64_MIN"
        return f"UINT64_C({value})" if ctype.startswith("u") else f"INT64_C({value})"
    if value == -(1 << 31):
        return "INT32_MIN"
    return f"{value}U" if ctype == "uint32_t" else f"({value})" if value < 0 else str(value)


def _applied(value: Apply, arguments: Sequence[str], symbols: Symbols) -> str:
    of: CType = value.arguments[0].ctype
    if value.function == "cast":
        return _cast(arguments[0], of, value, symbols)
    if value.function == "pow":
        return _power(arguments, of, value.arguments[1].ctype, symbols)
    kind = kind_of(value.arguments[1].ctype if value.function == "where" else of)
    text = FUNCTIONS[value.function][kind]
    if text.helper:
        name = _helper(value.function, text, of, value.ctype, len(arguments), len(value.constants), symbols)
        return f"{name}({', '.join([*arguments, *map(float32, value.constants)])})"
    names = dict(zip(_NAMES, arguments, strict=False)) | {"t": value.ctype, "u": unsigned_of(value.ctype)}
    return _filled(text.expression, names)


def _filled(text: str, names: dict[str, str]) -> str:
    return re.sub(r"\$(\w)", lambda m: names[m[1]], text)


def _helper(function: str, text: Text, of: CType, to: CType, arity: int, constants: int, symbols: Symbols) -> str:
    """An inline function of the operands and constants; returns its name."""
    name = f"hapir__{function}_{of.removesuffix('_t')}"
    parameters = [f"{of} {n}" for n in _NAMES[:arity]] + [f"float {n}" for n in _CONSTANTS[:constants]]
    body = _filled(text.helper, {"t": to, "u": unsigned_of(to)})
    symbols.helpers[name] = inline(to, name, parameters, body)
    return name


def inline(ctype: str, name: str, parameters: Sequence[str], body: str) -> str:
    """A small function."""
    return c("static inline $head\n{\n    $body\n}", head=f"{ctype} {name}({', '.join(parameters)})", body=body)


def _cast(x: str, of: CType, value: Apply, symbols: Symbols) -> str:
    """Reals are cut off towards 0 and kept in range, integers keep their low bits."""
    to = value.ctype
    if to == "float":
        return f"(float)({x})"
    whole = unsigned if to.startswith("u") else signed
    width = value.width or 8 * size_of(to)
    low, high = integer_range(whole(width))
    if kind_of(of) == "real":
        name = f"hapir__cast_{'u' if low == 0 else 'i'}{width}"
        body = c(
            """
            if (a != a) {
                return 0;
            }
            return (double)a >= $past ? $high : (double)a <= $low ? $least : ($t)a;
            """,
            past=f"{float(high)!r}",
            high=literal(high, to),
            low=f"{float(low)!r}",
            least=literal(low, to),
            t=to,
        )
        symbols.helpers[name] = inline(to, name, ["float a"], body)
        return f"{name}({x})"
    if value.width is None:
        return f"({to})({x})"
    if low == 0:
        return f"({to})((uint64_t)({x}) & UINT64_C({high}))"
    name = f"hapir__low_bits_{width}"
    spare = 64 - width
    body = f"return ({to})((int64_t)((uint64_t)a << {spare}) >> {spare});"
    symbols.helpers[name] = inline(to, name, ["int64_t a"], body)
    return f"{name}((int64_t)({x}))"


def _power(arguments: Sequence[str], of: CType, exponent: CType, symbols: Symbols) -> str:
    """Of reals by libm in double; of integers by repeated squaring modulo 2^width."""
    if of == "float":
        return f"(float)pow((double)({arguments[0]}), (double)({arguments[1]}))"
    if exponent == "float":
        name = f"hapir__pow_{of.removesuffix('_t')}_float"
        low, high = integer_range((unsigned if of.startswith("u") else signed)(8 * size_of(of)))
        body = c(
            """
            const double r = pow((double)a, (double)b);
            return r != r ? 0 : r >= $past ? $high : r <= $low ? $least : ($t)r;
            """,
            past=repr(float(high)),
            high=literal(high, of),
            low=repr(float(low)),
            least=literal(low, of),
            t=of,
        )
    else:
        name = f"hapir__pow_{of.removesuffix('_t')}_{exponent.removesuffix('_t')}"
        negative = (
            ""
            if exponent.startswith("u")
            else c(
                """
            if (b < 0) {
                return a == 1 ? 1 : $minus;
            }
            """,
                minus="0" if of.startswith("u") else "a == -1 ? (b % 2 == 0 ? 1 : -1) : 0",
            )
        )
        body = c(
            """
            $negative
            $u base = ($u)a, power = 1U;
            for (uint64_t n = (uint64_t)b; n != 0; n >>= 1) {
                power *= n % 2 == 1 ? base : 1U;
                base *= base;
            }
            return ($t)power;
            """,
            negative=negative,
            u=unsigned_of(of),
            t=of,
        )
    symbols.helpers[name] = inline(of, name, [f"{of} a", f"{exponent} b"], body)
    return f"{name}({', '.join(arguments)})"
