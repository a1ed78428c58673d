"""Products of a small matrix of integers with a vector as C statements: what Winograd's transforms run along one axis.

What two rows or two columns share up to signs is computed once; floats multiply by factors, integers shift. The same
text comes as functions of whole vectors and as operators on one lane, for paths without vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from hapir.weights import Array


@dataclass(frozen=True)
class Arithmetic:
    """How a text computes: the C type of its values, and the prefix of its functions (none: operators)."""

    value: str
    prefix: str
    floats: bool

    def add(self, x: str, y: str, sign: int = 1) -> str:
        """x + y, or x - y."""
        if not self.prefix:
            return f"({x} {'+' if sign > 0 else '-'} {y})"
        return f"{self.prefix}__{'add' if sign > 0 else 'sub'}({x}, {y})"

    def times(self, x: str, factor: int) -> str:
        """x times a power of two, or any positive factor of floats."""
        if factor == 1:
            return x
        if not self.prefix:
            return f"{x} * {self.number(factor)}"
        if self.floats:
            return f"{self.prefix}__mul({x}, {self.prefix}__set({self.number(factor)}))"
        return f"{self.prefix}__shl{factor.bit_length() - 1}({x})"

    def multiply_add(self, total: str, x: str, factor: int) -> str:
        """total + x * factor; floats only."""
        if not self.prefix:
            return f"({total} + {x} * {self.number(factor)})"
        return f"{self.prefix}__fma({total}, {x}, {self.prefix}__set({self.number(factor)}))"

    def number(self, factor: int) -> str:
        """A constant."""
        return f"{float(factor)}f" if self.floats else f"{factor}U" if self.value == "uint32_t" else str(factor)


Terms = Sequence[tuple[int, str]]
"""Names times integers."""


def sum_text(terms: Terms, how: Arithmetic) -> str:
    """An expression for a sum with a positive term: the common factor last, a positive term first."""
    common = gcd(*(factor for factor, _ in terms))
    if how.floats or common & (common - 1) == 0:
        terms = [(factor // common, name) for factor, name in terms]
    else:
        common = 1
    ordered = sorted(terms, key=lambda term: (term[0] < 0, abs(term[0])))
    if how.floats:
        text = how.times(ordered[0][1], ordered[0][0])
        for factor, name in ordered[1:]:
            unit = abs(factor) == 1
            text = how.add(text, name, factor) if unit else how.multiply_add(text, name, factor)
    else:
        (_, name, power), *others = [(factor, name, power) for factor, name in ordered for power in _powers(factor)]
        text = how.times(name, power)
        for factor, name, power in others:
            text = how.add(text, how.times(name, power), factor)
    return how.times(text, common)


def _powers(factor: int) -> list[int]:
    """The powers of two that a magnitude is the sum of."""
    return [1 << bit for bit in range(abs(factor).bit_length()) if abs(factor) >> bit & 1]


def transform_lines(matrix: Array, how: Arithmetic) -> list[str]:
    """Statements for `y` = matrix x, its elements `step` apart, over the names x0, x1, ..."""
    rows, names = [[int(x) for x in row] for row in matrix], [f"x{i}" for i in range(matrix.shape[1])]
    lines: list[str] = []

    def named(text: str) -> str:
        if "(" not in text and " " not in text:
            return text
        lines.append(f"const {how.value} t{len(lines)} = {text};")
        return f"t{len(lines) - 1}"

    for i in range(len(names)):
        for j in range(i + 1, len(names)):
            if _mirrored([row[i] for row in rows], [row[j] for row in rows]):
                names[i], names[j] = [named(how.add(names[i], names[j], sign)) for sign in (1, -1)]
                for row in rows:
                    row[i], row[j] = (row[i], 0) if row[i] == row[j] else (0, row[i])
    done: set[int] = set()
    for i, row in enumerate(rows):
        pair = next((j for j in range(i + 1, len(rows)) if _mirrored(row, rows[j])), None)
        if pair is not None:
            parts: list[str] = []
            for same in (True, False):
                terms = zip(row, rows[pair], names, strict=True)
                parts.append(named(sum_text([(x, name) for x, y, name in terms if x and (x == y) == same], how)))
            lines += [f"{_element(k)} = {how.add(parts[0], parts[1], sign)};" for k, sign in ((i, 1), (pair, -1))]
            done.add(pair)
        elif i not in done:
            lines.append(f"{_element(i)} = {sum_text([(x, n) for x, n in zip(row, names, strict=True) if x], how)};")
    return lines


def _element(index: int) -> str:
    return "y[0]" if index == 0 else "y[step]" if index == 1 else f"y[{index} * step]"


def _mirrored(first: list[int], second: list[int]) -> bool:
    """Whether two lists differ in signs only, in some and not in all places."""
    signs = {x == y for x, y in zip(first, second, strict=True) if x or y}
    return [abs(x) for x in first] == [abs(x) for x in second] and signs == {True, False}
