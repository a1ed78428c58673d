"""Laws of the language's text: no text is fatal, separators are alike, and what the parser says is in the text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hapir.diagnostics import HapirError
from hapir.spec import load_spec_text, syntax
from hapir.spec.parse import parse
from hapir.spec.units import UNITS
from tests.property.spec_fuzz import WORDS, Sample, check_diagnostics, corpus
from tests.property.syntax_strategies import without_spans

settings.register_profile("spec", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SPEC_SETTINGS = settings.get_profile("spec")


def outcome(text: str) -> HapirError | None:
    """What checking a text comes to; anything else than a good end or a HapirError fails the test."""
    try:
        load_spec_text(text, "t.hap", Path("nowhere"))
    except HapirError as error:
        return error
    return None


def assert_well_formed(error: HapirError, text: str) -> None:
    """Diagnostics can be shown, written as JSON, and lie inside the text."""
    check_diagnostics(error.diagnostics, Sample(text, "drawn", Path("nowhere")))
    for diagnostic in error.diagnostics:
        assert diagnostic.span is not None or diagnostic.code in ("HAP0104", "HAP0106")


@given(st.text(max_size=200))
@settings(SPEC_SETTINGS)
def test_any_text_is_answered(text: str):
    error = outcome(text)
    if error is not None:
        assert_well_formed(error, text)


@given(st.lists(st.sampled_from(WORDS), max_size=60))
@settings(SPEC_SETTINGS)
def test_any_words_are_answered(words: list[str]):
    text = "hap 1\n" + " ".join(words)
    error = outcome(text)
    if error is not None:
        assert_well_formed(error, text)


@given(st.data())
@settings(SPEC_SETTINGS)
def test_a_damaged_spec_is_answered(data: st.DataObject):
    """A word put into a spec of the repository, or in place of a piece of it."""
    spec = data.draw(st.sampled_from(corpus())).read_text(encoding="utf-8")
    start = data.draw(st.integers(0, len(spec)))
    length = data.draw(st.integers(0, 12))
    word = data.draw(st.sampled_from(["", *WORDS]))
    text = spec[:start] + word + spec[start + length :]
    error = outcome(text)
    if error is not None:
        assert_well_formed(error, text)
        syntax_errors = [d for d in error.diagnostics if d.code.startswith("HAP01")]
        assert len(syntax_errors) <= 10


# --- the same syntax, however it is laid out -----------------------------------------------------------------------

NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True)
ATOMS = st.one_of(
    st.integers(-(10**9), 10**9).map(str),
    st.floats(-1e9, 1e9, allow_nan=False).map(lambda f: f"{f:.6f}"),
    st.tuples(st.integers(0, 10**6), st.sampled_from(sorted(UNITS))).map(lambda p: f"{p[0]} {p[1]}"),
    NAMES,
    st.text('abc*./ {}()\\"', max_size=6).map(lambda t: '"' + t.replace("\\", "\\\\").replace('"', '\\"') + '"'),
)
# a value is text, or a bracket with parts between which separators stand
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(st.just("["), st.lists(inner, max_size=4), st.just("]")),
        st.tuples(NAMES.map(lambda n: f"{n}("), st.lists(inner, max_size=3), st.just(")")),
        st.tuples(NAMES.map(lambda n: f"{n}["), st.lists(inner, max_size=3), st.just("]")),
    ),
    max_leaves=8,
)
SEPARATORS = st.sampled_from(
    [",", ", ", ";", "\n", " ,\n", "\n\n  ", ";// a comment, with = { marks\n", " // c\n", "\n , ", "\r\n"]
)


@st.composite
def laid_out(draw: st.DrawFn, value: Any) -> str:
    """A value as text with separators of any kind."""
    if isinstance(value, str):
        return value
    opening, parts, closing = value
    written = [draw(laid_out(part)) for part in parts]
    text = opening + draw(st.sampled_from(["", " ", "\n"]))
    for index, part in enumerate(written):
        text += (draw(SEPARATORS) if index else "") + part
    if written:
        text += draw(st.sampled_from(["", ",", "\n", " ;\n"]))
    return text + closing


@given(st.data())
@settings(SPEC_SETTINGS)
def test_separators_are_alike(data: st.DataObject):
    values = data.draw(st.lists(VALUES, min_size=1, max_size=4))
    files: list[syntax.File] = []
    for _ in range(2):
        text = "hap 1\nmachine m {"
        for index, value in enumerate(values):
            text += (data.draw(SEPARATORS) if index else "") + f"x{index} = " + data.draw(laid_out(value))
        files.append(parse(text + "}", "t.hap"))
    assert without_spans(files[0]) == without_spans(files[1])
    (machine,) = files[0].definitions
    assert isinstance(machine, syntax.Machine)
    assert len(machine.items) == len(values)


@given(VALUES, st.data())
@example("0.1", None)
@settings(SPEC_SETTINGS)
def test_a_span_holds_what_it_names(value: Any, data: st.DataObject | None):
    """The text of a value's span, parsed alone, is the value."""
    text = data.draw(laid_out(value)) if data else value
    lines = f"hap 1\nmachine m {{ x = {text}\n}}".split("\n")
    (machine,) = parse("\n".join(lines), "t.hap").definitions
    assert isinstance(machine, syntax.Machine)
    (item,) = machine.items
    assert isinstance(item, syntax.Assign)
    span = item.value.span
    inside = lines[span.line - 1 : span.end_line]
    inside[-1] = inside[-1][: span.end_column - 1]
    inside[0] = inside[0][span.column - 1 :]
    assert "\n".join(inside) == text
