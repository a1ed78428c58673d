"""The circuit of a multiplier model, and the proof that it computes what the model means: all operands, one by one.

A combinational circuit of two operands of at most 8 bits has at most 2^16 cases, so it is evaluated on all of them, in
numpy, before it goes into an array. A plug-in's circuit that differs from its numpy meaning is a diagnostic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from xdsl.dialects import comb, hw
from xdsl.dialects.builtin import IntegerType
from xdsl.ir import Operation

from hapir.dialects import rtl
from hapir.dialects.num import integer_range, is_signed
from hapir.lowering.rtl.builder import Module
from hapir.multipliers.model import Multiplier, product_table
from hapir.plugin_failures import at_work

Int = npt.NDArray[np.int64]
WIDEST = 62
"""Bits of a net that an int64 holds with room for a carry."""


class CircuitError(ValueError):
    """A model has no circuit, one that cannot be evaluated, or one that differs from its meaning."""


@lru_cache(maxsize=32)
def check_circuit(model: Multiplier, activation: IntegerType, weight: IntegerType) -> None:
    """Raise CircuitError unless the model has a circuit that gives its product for all operands."""
    found, expected = circuit_products(model, activation, weight), product_table(model, activation, weight)
    wrong = np.argwhere(found != expected)
    if len(wrong):
        row, column = (int(i) for i in wrong[0])
        a, w = integer_range(activation)[0] + row, integer_range(weight)[0] + column
        raise CircuitError(
            f"its circuit gives {found[row, column]} for {a} * {w}, its meaning is {expected[row, column]} "
            f"({len(wrong)} of {found.size} products differ)"
        )


def circuit_products(model: Multiplier, activation: IntegerType, weight: IntegerType) -> Int:
    """The circuit's products, in the order of `product_table`. Raises CircuitError."""
    m = Module("probe", {"a": activation.width.data, "w": weight.width.data})
    try:
        with at_work("multipliers", model.name):
            product = model.circuit(m, m["a"], m["w"], activation_signed=is_signed(activation))
    except ValueError as error:  # the builder refuses, for example, operands of different widths
        raise CircuitError(f"its circuit cannot be built: {error}") from error
    if product is None:
        raise CircuitError("it has no circuit")
    (a_low, a_high), (w_low, w_high) = integer_range(activation), integer_range(weight)
    a, w = np.meshgrid(np.arange(a_low, a_high + 1), np.arange(w_low, w_high + 1), indexing="ij")
    values = {port.value: np.zeros_like(a) for port in m.inputs.values()}
    for port, operand in (("a", a), ("w", w)):
        values[m[port].value] = operand & mask(m[port].width)
    for op in m.block.ops:
        values[op.results[0]] = _evaluate(op, [values[operand] for operand in op.operands])
    return signed(values[product.value], product.width)


def mask(width: int) -> int:
    """All ones."""
    return (1 << width) - 1


def signed(values: Int, width: int) -> Int:
    """Bit vectors read as two's complement."""
    return values - ((values >> (width - 1)) << width)


def _evaluate(op: Operation, operands: Sequence[Int]) -> Int:
    """One op on bit vectors that lie, unsigned, in int64. Raises CircuitError for an op that is not combinational."""
    meaning = _MEANINGS.get(type(op))
    if meaning is None:
        raise CircuitError(f"its circuit holds `{op.name}`, which is not combinational or not known here")
    width = rtl.width_of(op.results[0])
    if width > WIDEST:
        raise CircuitError(f"its circuit has a net of {width} bits, at most {WIDEST} can be checked")
    return meaning(op, operands) & mask(width)


def _concat(op: Operation, parts: Sequence[Int]) -> Int:
    total = np.zeros_like(parts[0])
    for value, part in zip(op.operands, parts, strict=True):
        total = (total << rtl.width_of(value)) | part
    return total


def _replicate(op: Operation, parts: Sequence[Int]) -> Int:
    width = rtl.width_of(op.operands[0])
    ones = sum(1 << i for i in range(0, rtl.width_of(op.results[0]), width))
    return parts[0] * ones


def _shift(op: Operation, parts: Sequence[Int]) -> Int:
    width = rtl.width_of(op.operands[0])
    amount = np.minimum(parts[1], width)
    if isinstance(op, comb.ShlOp):
        return np.where(amount < width, parts[0] << np.minimum(amount, WIDEST - width), 0)
    return (signed(parts[0], width) if isinstance(op, comb.ShrSOp) else parts[0]) >> amount


def _compare(op: Operation, parts: Sequence[Int]) -> Int:
    assert isinstance(op, comb.ICmpOp)
    predicate = comb.ICMP_COMPARISON_OPERATIONS[op.predicate.value.data]
    left, right = parts
    if predicate[0] == "s":
        left, right = (signed(part, rtl.width_of(op.operands[0])) for part in parts)
    relation = predicate if predicate in ("eq", "ne") else predicate[1:]
    names: dict[str, Callable[[Int, Int], npt.NDArray[np.bool_]]] = {
        "eq": np.equal,
        "ne": np.not_equal,
        "lt": np.less,
        "le": np.less_equal,
        "gt": np.greater,
        "ge": np.greater_equal,
    }
    return names[relation](left, right).astype(np.int64)


def _multiply(op: Operation, parts: Sequence[Int]) -> Int:
    assert isinstance(op, rtl.MulOp)
    signs = (op.lhs_signed is not None, op.rhs_signed is not None)
    factors = [
        signed(part, rtl.width_of(value)) if sign else part
        for part, value, sign in zip(parts, op.operands, signs, strict=True)
    ]
    return factors[0] * factors[1]


def _rom(op: Operation, parts: Sequence[Int]) -> Int:
    assert isinstance(op, rtl.RomOp)
    words = np.zeros(1 << rtl.width_of(op.operands[0]), np.int64)
    words[: len(op.table)] = op.table
    return words[parts[0]]


def _extract(op: Operation, parts: Sequence[Int]) -> Int:
    assert isinstance(op, comb.ExtractOp)
    return parts[0] >> op.low_bit.value.data


def _constant(op: Operation, parts: Sequence[Int]) -> Int:
    assert isinstance(op, hw.ConstantOp)
    return np.array(op.value.value.data, np.int64)


def _sum(op: Operation, parts: Sequence[Int]) -> Int:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _bitwise(combine: Callable[[Int, Int], Int]) -> Callable[[Operation, Sequence[Int]], Int]:
    def meaning(op: Operation, parts: Sequence[Int]) -> Int:
        total = parts[0]
        for part in parts[1:]:
            total = combine(total, part)
        return total

    return meaning


_MEANINGS: dict[type[Operation], Callable[[Operation, Sequence[Int]], Int]] = {
    hw.ConstantOp: _constant,
    comb.AddOp: _sum,
    comb.SubOp: lambda op, parts: parts[0] - parts[1],
    comb.AndOp: _bitwise(np.bitwise_and),
    comb.OrOp: _bitwise(np.bitwise_or),
    comb.XorOp: _bitwise(np.bitwise_xor),
    comb.ShlOp: _shift,
    comb.ShrUOp: _shift,
    comb.ShrSOp: _shift,
    comb.ICmpOp: _compare,
    comb.MuxOp: lambda op, parts: np.where(parts[0] == 1, parts[1], parts[2]),
    comb.ExtractOp: _extract,
    comb.ConcatOp: _concat,
    comb.ReplicateOp: _replicate,
    rtl.MulOp: _multiply,
    rtl.RomOp: _rom,
}
