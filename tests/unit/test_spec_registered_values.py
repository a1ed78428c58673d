"""Formats, multipliers and dataflows as values of the spec: positional and named, with places for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from hapir.diagnostics import Diagnostic, HapirError
from hapir.lowering.compress.round_weights import RoundWeightsPass
from hapir.lowering.compress.use_multiplier import UseMultiplierPass
from hapir.spec import load_spec_text
from hapir.spec.check import recipe_passes
from hapir.spec.options import describe, option_types

SPEC = """\
hap 1
network n(image: f32[1, 4]) -> f32[1, 2] {{ return dense(image, units = 2) }}
machine m {{
    technology = cmos45, clock = 1 MHz
    array pe[2, 2] {{ unit mac {{ multiply = u8 * i8, multiplier = {multiplier} }} }}
}}
recipe r {{
    {step}
}}
schedule s of n with r on m {{ dataflow = {dataflow} }}
"""


def spec(step: str = "", multiplier: str = "exact", dataflow: str = "weight_stationary") -> str:
    """A spec with one recipe step, a multiplier and a dataflow."""
    return SPEC.format(step=step, multiplier=multiplier, dataflow=dataflow)


def problem(text: str) -> Diagnostic:
    """The only error of a spec."""
    with pytest.raises(HapirError) as raised:
        load_spec_text(text, "t.hap", Path("nowhere"))
    (found,) = (d for d in raised.value.diagnostics if d.severity == "error")
    return found


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("i8", "i8"),
        ("u4", "u4"),
        ("integer(4, signed = false)", "u4"),
        ("f32", "f32"),
        ("fixed(2, 6)", "fixed(integer = 2, fraction = 6)"),
        ("fixed(2, fraction = 6)", "fixed(integer = 2, fraction = 6)"),
        ("fixed(0, 8, false)", "fixed(integer = 0, fraction = 8, signed = false)"),
        ("minifloat(mantissa = 3, exponent = 4)", "minifloat(exponent = 4, mantissa = 3)"),
        ('"fixed(2,6)"', "fixed(integer = 2, fraction = 6)"),
    ],
)
def test_formats(written: str, text: str):
    loaded = load_spec_text(spec(f"round_weights(format = {written})"), "t.hap", Path("nowhere"))
    (step,) = recipe_passes(loaded, "r")
    assert step.pass_ == RoundWeightsPass(text)


@pytest.mark.parametrize("written", ["truncated(2)", "truncated(bits = 2)", '"truncated(2)"'])
def test_multipliers(written: str):
    loaded = load_spec_text(spec(f"use_multiplier(multiplier = {written})", written), "t.hap", Path("nowhere"))
    (step,) = recipe_passes(loaded, "r")
    assert step.pass_ == UseMultiplierPass("truncated(bits = 2)")


@pytest.mark.parametrize(
    ("value", "code", "at", "words"),
    [
        ("fixd(2, 6)", "HAP0232", "fixd", "did you mean `fixed`"),
        ("fixed(2)", "HAP0206", "fixed(2)", "needs `fraction`"),
        ("fixed(2, 6, true, 1)", "HAP0205", "fixed(2, 6, true, 1)", "4 values are given"),
        ("fixed(2, integer = 3, fraction = 4)", "HAP0221", "integer", "given twice"),
        ("fixed(2, six = 6)", "HAP0206", "fixed(2, six = 6)", "needs `fraction`"),
        ("fixed(2, 6 MHz)", "HAP0302", "6 MHz", "without a unit"),
        ("fixed(2, 6.5)", "HAP0304", "6.5", "takes an integer"),
        ("fixed(20, 20)", "HAP0305", "fixed(20, 20)", "it must be 1 to 32"),
        ("i99", "HAP0305", "i99", "1 to 32"),
        ("12", "HAP0304", "12", "takes a number format like"),
        ("[i8, i4]", "HAP0304", "[i8, i4]", "not a list"),
        ('"fixed("', "HAP0304", '"fixed("', "does not name a number format"),
    ],
)
def test_what_is_wrong_with_a_format(value: str, code: str, at: str, words: str):
    text = spec(f"round_weights(format = {value})")
    with pytest.raises(HapirError) as raised:
        load_spec_text(text, "t.hap", Path("nowhere"))
    found = next(d for d in raised.value.diagnostics if d.code == code)
    assert words in f"{found.message} {found.help}"
    assert found.span is not None
    line = text.splitlines()[found.span.line - 1]
    assert line[found.span.column - 1 : found.span.end_column - 1] == at


def test_what_is_wrong_with_a_multiplier():
    assert problem(spec(multiplier="trunkated(2)")).code == "HAP0233"
    found = problem(spec(multiplier="truncated(9)"))
    assert (found.code, found.message) == (
        "HAP0305",
        "multiplier `truncated`: `bits` of truncated is 9, it must be 1 to 7",
    )


def test_what_is_wrong_with_a_dataflow():
    assert problem(spec(dataflow="weight_stationery")).code == "HAP0217"
    assert problem(spec(dataflow="weight_stationary(fast = true)")).code == "HAP0204"


def test_words_for_the_options():
    assert describe(option_types(RoundWeightsPass)["format"]) == "a number format like `i8` or `fixed(2, 6)`"
    assert "`truncated(bits = 2)`" in describe(option_types(UseMultiplierPass)["multiplier"])
