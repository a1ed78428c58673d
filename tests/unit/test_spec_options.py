"""Typed options: values of the language as fields of dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, cast

import pytest
from xdsl.dialects.builtin import IntegerType

from hapir.diagnostics import Findings, Span
from hapir.dialects.num import SI8, SI32, UI8, Rounding
from hapir.spec import syntax
from hapir.spec.evaluate import Scope, evaluate
from hapir.spec.options import Measure, describe, measured_in, read_options
from hapir.spec.parse import parse


@dataclass(frozen=True)
class Everything:
    """One field of each kind."""

    count: int = 1
    ratio: float = 0.0
    flag: bool = False
    word: str = ""
    choice: Literal["weight", "channel", 4] = "weight"
    rounding: Rounding = Rounding.floor
    format: IntegerType = SI8
    formats: tuple[IntegerType, IntegerType] = (UI8, SI8)
    names: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    pair: int | tuple[int, int] = 1
    padding: int | tuple[int, int] | tuple[int, int, int, int] = 0
    maybe: float | None = 1.0
    clock: Measure | None = field(default=None, metadata=measured_in("frequency", "time"))
    budget_pj: float = field(default=0.0, metadata=measured_in("energy"))


@dataclass(frozen=True)
class Strict:
    """A required option with a range of its own."""

    share: float

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must be in 0..1, got {self.share}")


def read(cls: type[Any], text: str) -> tuple[Any, list[tuple[str, str]]]:
    """An instance from the text of its options, and the codes and messages of what is wrong."""
    recipe = parse(f"hap 1\nrecipe r {{ f({text}) }}", "t.hap").definitions[0]
    assert isinstance(recipe, syntax.Recipe)
    findings = Findings()
    call = evaluate(cast(syntax.Value, recipe.items[0]), Scope(), findings)
    assert isinstance(call, syntax.Call)
    instance = read_options(cls, call.options, at=call.span, what="`f`", findings=findings)
    return instance, [(d.code, d.message) for d in findings.sorted()]


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("count = 3", "count", 3),
        ("count = -3", "count", -3),
        ("ratio = 0.5", "ratio", 0.5),
        ("ratio = 50 %", "ratio", 0.5),
        ("ratio = 1 point", "ratio", 0.01),
        ("ratio = 25 dB", "ratio", 25.0),
        ("ratio = 2", "ratio", 2.0),
        ("flag = true", "flag", True),
        ("flag = false", "flag", False),
        ("word = magnitude", "word", "magnitude"),
        ('word = "c*"', "word", "c*"),
        ("choice = channel", "choice", "channel"),
        ('choice = "channel"', "choice", "channel"),
        ("choice = 4", "choice", 4),
        ("rounding = half_up", "rounding", Rounding.half_up),
        ("format = i32", "format", SI32),
        ("formats = i8 * u8", "formats", (SI8, UI8)),
        ('names = ["c*", f1]', "names", ("c*", "f1")),
        ('names = "c*"', "names", ("c*",)),
        ("names = []", "names", ()),
        ("numbers = range(4, 12, step = 4)", "numbers", (4, 8, 12)),
        ("numbers = range(1, 3)", "numbers", (1, 2, 3)),
        ("numbers = range(1, 4, step = 2)", "numbers", (1, 3)),
        ("pair = 2", "pair", 2),
        ("pair = [2, 3]", "pair", (2, 3)),
        ("padding = [1, 2]", "padding", (1, 2)),
        ("padding = [1, 2, 3, 4]", "padding", (1, 2, 3, 4)),
        ("maybe = none", "maybe", None),
        ("maybe = 3", "maybe", 3.0),
        ("clock = 2 MHz", "clock", Measure(Fraction(2_000_000), "frequency")),
        ("budget_pj = 2 nJ", "budget_pj", 2000.0),
        ("budget_pj = 2", "budget_pj", 2.0),
    ],
)
def test_value_that_fits(text: str, name: str, expected: object):
    instance, found = read(Everything, text)
    assert found == []
    value = getattr(instance, name)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("count = 1.5", "HAP0304", "`count` takes an integer, not 1.5"),
        ("count = true", "HAP0304", "`count` takes an integer, not `true`"),
        ("count = 4 KiB", "HAP0302", "`count` takes an integer without a unit, not 4 KiB (a size)"),
        ("ratio = 4 KiB", "HAP0302", "`ratio` is a ratio, not 4 KiB (a size)"),
        ("ratio = [1]", "HAP0304", "`ratio` takes a number, not a list of 1"),
        ("flag = 1", "HAP0304", "`flag` takes true or false, not 1"),
        ("word = 1", "HAP0304", "`word` takes a name or a string, not 1"),
        ("choice = filter", "HAP0304", "`choice` takes one of weight, channel, 4, not `filter`"),
        ("rounding = up", "HAP0304", "`rounding` takes one of half_even, half_up, half_away, floor, not `up`"),
        ("format = i0", "HAP0304", "`format` takes an integer format like u8 or i32, not `i0`"),
        ("format = i65", "HAP0304", "`format` takes an integer format like u8 or i32, not `i65`"),
        ("formats = u8", "HAP0304", "`formats` takes a product of integer formats like u8 * i8, not `u8`"),
        ("formats = [u8, i8]", "HAP0304", "`formats` takes a product of integer formats like u8 * i8, not a list of 2"),
        (
            "formats = u8 * i8 * i8",
            "HAP0304",
            "`formats` takes a product of integer formats like u8 * i8, not a product",
        ),
        ("numbers = [1, a]", "HAP0304", "`numbers` takes an integer, not `a`"),
        ("numbers = [K: 1]", "HAP0304", "`numbers` takes values, not pairs like K: ..."),
        ("numbers = range(3, 1)", "HAP0305", "the range 3..1 is empty"),
        ("numbers = range(0, 999999999)", "HAP0305", "the range 0..999999999 has more than 1000000 values"),
        ("numbers = range(1, 4, step = 0)", "HAP0305", "the range 1..4 steps by 0"),
        ("numbers = range(1)", "HAP0205", "a range is written `range(first, last, step = n)` with integers"),
        ("pair = [1, 2, 3]", "HAP0304", "`pair` takes an integer or a list of 2 integers, not a list of 3"),
        ("pair = u2 * u2", "HAP0304", "`pair` takes an integer or a list of 2 integers, not a product"),
        ("clock = 4 KiB", "HAP0302", "`clock` is a frequency, not 4 KiB (a size)"),
        ("clock = 4", "HAP0304", "`clock` takes a quantity like 200 MHz, not 4"),
        ("budget_pj = 50 %", "HAP0302", "`budget_pj` is an energy, not 50 % (a ratio)"),
        ("cuont = 4", "HAP0204", "`f` has no option `cuont`"),
        ("count = 4, count = 4", "HAP0221", "`count` is given twice"),
    ],
)
def test_value_that_does_not(text: str, code: str, words: str):
    instance, found = read(Everything, text)
    assert instance is None
    assert found == [(code, words)]


def test_required_and_ranged():
    assert read(Strict, "") == (None, [("HAP0206", "`f` needs `share`")])
    assert read(Strict, "share = 150 %") == (None, [("HAP0305", "`f`: share must be in 0..1, got 1.5")])
    assert read(Strict, "share = 50 %")[0] == Strict(0.5)


def test_all_errors_of_a_call():
    assert [code for code, _ in read(Everything, "count = a, flag = 1, none = 3")[1]] == [
        "HAP0304",
        "HAP0304",
        "HAP0204",
    ]


def test_a_type_that_the_language_cannot_write_is_our_mistake():
    with pytest.raises(TypeError, match="cannot write"):
        read(dataclass(frozen=True)(type("Odd", (), {"__annotations__": {"x": dict}, "x": None})), "x = 1")


def test_place_of_a_finding():
    recipe = parse("hap 1\nrecipe r { f(count = a) }", "t.hap").definitions[0]
    assert isinstance(recipe, syntax.Recipe)
    call = recipe.items[0]
    assert isinstance(call, syntax.Call)
    findings = Findings()
    read_options(Everything, call.options, at=call.span, what="`f`", findings=findings)
    assert findings.sorted()[0].span == Span("t.hap", 2, 22, 2, 23)


def test_describe():
    assert describe(int | tuple[int, int] | None) == "an integer or a list of 2 integers"
    assert describe(tuple[str, ...]) == "a list, each a name or a string"
    assert describe(str | tuple[str, ...]) == 'a name, a string like "c*", or a list of these'
