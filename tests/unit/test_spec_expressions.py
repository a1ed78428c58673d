"""Expressions: constants, arithmetic on numbers and quantities, functions, and what has no value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapir.diagnostics import Diagnostic, Findings, HapirError
from hapir.spec import load_spec_text, syntax
from hapir.spec.check import recipe_passes
from hapir.spec.evaluate import FUNCTIONS, Scope, evaluate
from hapir.spec.parse import parse


def evaluated(expression: str, **constants: str) -> tuple[syntax.Value | None, tuple[Diagnostic, ...]]:
    """The value of an expression where some names are constants, and what is wrong with it."""
    lets = "\n".join(f"let {name} = {value}" for name, value in constants.items())
    file = parse(f"hap 1\n{lets}\nlet result = {expression}", "t.hap")
    findings, scope = Findings(), Scope()
    for constant in file.constants[:-1]:
        scope.let(constant, findings)
    value = evaluate(file.constants[-1].value, scope, findings)
    return value, findings.sorted()


def shown(value: syntax.Value | None) -> object:
    """A value without its place."""
    match value:
        case syntax.Number():
            return value.value
        case syntax.Quantity():
            return f"{value.value} {value.unit}"
        case syntax.Name():
            return value.text
        case syntax.Text():
            return f'"{value.value}"'
        case syntax.Sequence():
            return [
                shown(v) if not isinstance(v, syntax.Pair) else (v.key.text, shown(v.value)) for v in value.elements
            ]
        case syntax.Product():
            return tuple(shown(f) for f in value.factors)
        case syntax.Call():
            return (
                value.function.text,
                [shown(a) for a in value.arguments],
                {o.name.text: shown(o.value) for o in value.options},
            )
        case _:
            return value


VALUES: list[tuple[str, Any]] = [
    ("16 * 3", 48),
    ("1 + 2 * 3 - 4", 3),
    ("(1 + 2) * 3", 9),
    ("(\n1 + 2\n) * 3", 9),
    ("10 - 4 - 3", 3),
    ("8 / 2 / 2", 2),
    ("7 / 2", 3.5),
    ("0.1 + 0.2", 0.3),
    ("1.5 * 2", 3),
    ("-n", -4),
    ("2 - -3", 5),
    ("--3", 3),
    ("n-1", 3),
    ("n * n + half", 16.5),
    ("2 * 64 KiB", "128 KiB"),
    ("64 KiB / 2", "32 KiB"),
    ("64 KiB + 1024 B", "65 KiB"),
    ("64 KiB / 16 B", 4096),
    ("64 KiB * 50 %", "32 KiB"),
    ("50 % * 64 KiB", "32 KiB"),
    ("50 % * 8", "400 %"),
    ("50 % + 10 %", "60 %"),
    ("1 / 4 + 10 %", 0.35),
    ("100 % - half", 0.5),
    ("-25 dB", "-25 dB"),
    ("1 s - 200 ms", "0.8 s"),
    ("min(3, n, 9)", 3),
    ("max(1 KiB, 2000 B)", "1.953125 KiB"),
    ("floor(7 / 2)", 3),
    ("ceil(7 / 2)", 4),
    ("round(2.5)", 2),
    ("abs(-3 dB)", "3 dB"),
    ("mod(-7, 3)", 2),
    ("sqrt(2.25)", 1.5),
    ("log2(n * 2)", 3),
    ("weight_stationary", "weight_stationary"),
    ("word", "magnitude"),
    ('"c*"', '"c*"'),
    ("text", '"c1"'),
    ("u8 * i8 * i8", ("u8", "i8", "i8")),
    ("[n, K: n, [2 * n]]", [4, ("K", 4), [8]]),
    ("range(1, n, step = n / 2)", ("range", [1, 4], {"step": 2})),
    ("search(objective = edp, budget = n * 10)", ("search", [], {"objective": "edp", "budget": 40})),
]


@pytest.mark.parametrize(("text", "expected"), VALUES)
def test_values(text: str, expected: Any):
    value, found = evaluated(text, n="4", half="1 / 2", word="magnitude", text='"c1"')
    assert found == ()
    assert shown(value) == expected
    assert type(shown(value)) is type(expected)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("m + 1", "HAP0224", "there is no constant `m`"),
        ("3 KiB + 4 MHz", "HAP0307", "3 KiB and 4 MHz cannot be added"),
        ("3 - 4 MHz", "HAP0307", "3 and 4 MHz cannot be subtracted"),
        ("3 KiB * 4 KiB", "HAP0307", "3 KiB and 4 KiB cannot be multiplied"),
        ("3 / 4 MHz", "HAP0307", "3 and 4 MHz cannot be divided"),
        ('"a" * 2', "HAP0307", '"a" cannot be computed with'),
        ("[1] + 1", "HAP0307", "a list of 1 cannot be computed with"),
        ("1 / 0", "HAP0308", "division by zero"),
        ("1 KiB / (n - n)", "HAP0308", "division by zero"),
        ("mod(1, 0)", "HAP0308", "`mod` has no value here: division by zero"),
        ("sqrt(-1)", "HAP0308", "`sqrt` has no value here: a negative number has no square root"),
        ("log2(0)", "HAP0308", "`log2` has no value here: only numbers above 0 have a logarithm"),
        ("1e300 * 1e300", "HAP0308", "the result is too large for a 64-bit float"),
        ("min()", "HAP0205", "`min` is called as `min(a, b, ...)`"),
        ("floor(1, 2)", "HAP0205", "`floor` is called as `floor(a)`"),
        ("floor(a = 1)", "HAP0205", "`floor` is called as `floor(a)`"),
        ("floor(1 KiB)", "HAP0307", "`floor` takes numbers without a unit, not 1 KiB"),
        ("max(1 KiB, 3)", "HAP0307", "`max` takes numbers, or quantities of one dimension, not 3"),
    ],
)
def test_no_value(text: str, code: str, message: str):
    value, found = evaluated(text, n="4")
    assert value is None
    assert [(d.code, d.message) for d in found] == [(code, message)]


def test_a_misspelt_constant_is_suggested():
    _, (found,) = evaluated("chanels * 2", channels="4")
    assert found.help == "did you mean `channels`?"


def test_an_error_in_a_constant_is_told_once():
    with pytest.raises(HapirError) as raised:
        load_spec_text("hap 1\nlet a = 1 / 0\nlet b = a * 2\nlet c = b + a", "t.hap", Path("nowhere"))
    assert [d.code for d in raised.value.diagnostics] == ["HAP0308"]


def test_a_constant_is_a_second_place_of_errors_about_it():
    text = "hap 1\nlet k = 0\nnetwork n(x: f32[1, 4]) -> f32[1, 4] { return dense(x, units = k) }"
    with pytest.raises(HapirError) as raised:
        load_spec_text(text, "t.hap", Path("nowhere"))
    (found,) = raised.value.diagnostics
    assert found.message == "`dense`: units must be at least 1, got 0"
    assert [(label.span.line, label.message) for label in found.labels] == [(2, "`k` is 0")]


def test_words_win_over_constants_where_words_are_meant():
    """A constant may have the name of a dimension, a tensor or a choice."""
    spec = load_spec_text(
        "hap 1\nlet K = 16\nlet weight = 3\nlet channel = K\n"
        "network n(x: f32[1, 1, 8, 8]) -> f32[1, K, 8, 8] {\n  return conv2d(x, channels = channel, kernel = weight, "
        "padding = 1)\n}\n"
        "machine m { technology = cmos45; clock = 1 MHz; memory w { size = K * 1 KiB; holds = weight }\n"
        "  array pe[K, weight] { unit mac { } } }\n"
        'recipe r { quantize(calibration = "c.npz", granularity = channel) }\n'
        "schedule s of n with r on m { map output.conv2d { at pe { rows = [C, R], columns = K } } }",
        "t.hap",
        Path("nowhere"),
    )
    assert spec.warnings == ()


def test_a_step_is_a_pass_even_where_a_function_has_its_name():
    spec = load_spec_text(
        "hap 1\nnetwork n(x: f32[1, 4]) -> f32[1, 4] { return dense(x, units = log2(16)) }\n"
        "recipe r(b = 3) { let c = log2(b + 5); log2(bits = log2(8) + c) }",
        "t.hap",
        Path("nowhere"),
    )
    (step,) = recipe_passes(spec, "r")
    assert str(step.pass_.pipeline_pass_spec()) == "log2{bits=6}"


@pytest.mark.parametrize("step", ["floor()", "log2(3)", "sqrt(2)"])
def test_a_function_is_no_step(step: str):
    with pytest.raises(HapirError, match=r"HAP0203|HAP0205"):
        load_spec_text(f"hap 1\nrecipe r {{ {step} }}", "t.hap", Path("nowhere"))


@pytest.mark.parametrize("name", ["true", "false", "none"])
def test_reserved_constants(name: str):
    with pytest.raises(HapirError, match="HAP0223"):
        load_spec_text(f"hap 1\nlet {name} = 3", "t.hap", Path("nowhere"))


def test_constants_belong_to_their_file(tmp_path: Path):
    (tmp_path / "b.hap").write_text("hap 1\nlet n = 3\nblock b(x, size = n) { return dense(x, units = size) }")
    text = 'hap 1\nimport "b.hap"\nlet n = 5\nnetwork q(x: f32[1, n]) -> f32[1, 3] { return b(x) }\nlet m = n + n'
    spec = load_spec_text(text, "a.hap", tmp_path)
    assert spec.layers["q"] == ("output.b.dense",)
    with pytest.raises(HapirError, match="HAP0224"):
        load_spec_text('hap 1\nimport "b.hap"\nlet m = n + 1', "a.hap", tmp_path)


def test_functions_say_how_they_are_called():
    for name, function in FUNCTIONS.items():
        assert function.signature.startswith(f"{name}(")
        assert function.text


@st.composite
def arithmetic(draw: st.DrawFn, depth: int = 3) -> tuple[str, float]:
    """An expression of integers with the value that Python gives it; divisions are exact by construction."""
    if depth == 0 or draw(st.booleans()):
        number = draw(st.integers(0, 50))
        return str(number), number
    (left, a), (right, b) = draw(arithmetic(depth - 1)), draw(arithmetic(depth - 1))
    operator = draw(st.sampled_from("+-*"))
    value = {"+": a + b, "-": a - b, "*": a * b}[operator]
    return f"({left}) {operator} ({right})", value


@given(arithmetic())
def test_arithmetic_is_that_of_integers(pair: tuple[str, float]):
    text, expected = pair
    value, found = evaluated(text)
    assert found == ()
    assert shown(value) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 / 3 * 12", 4),
        ("third * 12", 4),
        ("third + third + third", 1),
        ("2 MHz / 3 * 3", "2 MHz"),
        ("1 - third", 2 / 3),
    ],
)
def test_what_is_no_float_stays_exact(expression: str, expected: object):
    value, found = evaluated(expression, third="1 / 3")
    assert found == ()
    assert shown(value) == expected
    assert not isinstance(expected, int) or isinstance(shown(value), int)


def test_a_chain_of_products_of_fractions_ends():
    constants = {"a0": "1 / 3"} | {f"a{n}": f"a{n - 1} * a{n - 1} + 1 / 7" for n in range(1, 60)}
    value, found = evaluated("a59", **constants)
    assert found == ()
    assert isinstance(value, syntax.Number)
    assert 0 < value.value < 1


@given(st.lists(st.sampled_from("+-*"), min_size=1, max_size=6), st.data())
def test_precedence_is_that_of_python(operators: list[str], data: st.DataObject):
    numbers = data.draw(st.lists(st.integers(0, 9), min_size=len(operators) + 1, max_size=len(operators) + 1))
    text = str(numbers[0]) + "".join(f" {o} {n}" for o, n in zip(operators, numbers[1:], strict=True))
    assert shown(evaluated(text)[0]) == eval(text)
