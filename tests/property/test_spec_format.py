"""Laws of `hapir fmt`: the meaning stays, the comments stay, a second run changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hapir.diagnostics import HapirError
from hapir.spec import syntax
from hapir.spec.format import WIDTH, format_text
from hapir.spec.parse import parse
from hapir.spec.unparse import file_text, value_text
from tests.property.syntax_strategies import AT, FILES, VALUES, comments, laid_out, without_spans

ROOT = Path(__file__).parents[2]
SPECS = sorted(
    path
    for folder in ("spec_examples", "targets", "tests")
    for path in (ROOT / folder).rglob("*.hap")
    if path.is_file()
)
SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def assert_laws(text: str) -> None:
    """What formatting keeps."""
    formatted = format_text(text, "t.hap")
    assert without_spans(parse(formatted, "t.hap")) == without_spans(parse(text, "t.hap"))
    assert comments(formatted) == comments(text)
    assert format_text(formatted, "t.hap") == formatted
    assert formatted.endswith("\n")
    assert not formatted.endswith("\n\n")
    assert "\n\n\n" not in formatted
    assert all(line == line.rstrip() for line in formatted.split("\n"))


@given(FILES)
@SETTINGS
def test_syntax_printed_and_parsed_is_the_same(file: syntax.File):
    text = file_text(file)
    assert without_spans(parse(text, "t.hap")) == without_spans(file)
    assert_laws(text)


@given(VALUES)
@SETTINGS
def test_a_value_printed_and_parsed_is_the_same(value: syntax.Value):
    (let,) = parse(f"hap 1\nlet x = {value_text(value)}\n", "t.hap").constants
    assert without_spans(let.value) == without_spans(value)


@given(FILES, st.data())
@SETTINGS
def test_any_layout_is_formatted(file: syntax.File, data: st.DataObject):
    text = data.draw(laid_out(file_text(file)))
    assert without_spans(parse(text, "t.hap")) == without_spans(file)
    assert_laws(text)


@given(st.lists(VALUES, min_size=1, max_size=5), st.data())
@SETTINGS
def test_line_breaks_leave_no_trace_where_one_line_is_enough(values: list[syntax.Value], data: st.DataObject):
    written = [value_text(value) for value in values]
    separators = [data.draw(st.sampled_from([", ", "\n", ";\n\n", ",\n  "])) for _ in written[1:]]
    broken = written[0] + "".join(map("".join, zip(separators, written[1:], strict=True)))
    one_line, several = (f"hap 1\nlet x = f({arguments})\n" for arguments in (", ".join(written), broken))
    formatted = format_text(one_line, "t.hap")
    if formatted.count("\n") == 2:
        assert format_text(several, "t.hap") == formatted


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_laws_hold_for_every_spec_of_the_project(path: Path):
    text = path.read_text(encoding="utf-8")
    try:
        parse(text, "t.hap")
    except HapirError:
        with pytest.raises(HapirError):
            format_text(text, "t.hap")
        return
    assert_laws(text)
    assert all(len(line) <= WIDTH for line in format_text(text, "t.hap").split("\n") if "//" not in line)


@given(st.text(max_size=200))
@SETTINGS
def test_any_text_is_formatted_or_refused(text: str):
    codes: set[str] = set()
    try:
        assert_laws("hap 1\n" + text)
    except HapirError as error:
        codes = {d.code for d in error.diagnostics}
    assert all(code.startswith("HAP01") for code in codes)


def test_what_no_text_can_say_is_refused():
    for value in (syntax.Text("a\nb", AT), syntax.Number(float("inf"), AT), syntax.Name("a b", AT)):
        with pytest.raises(ValueError):  # noqa: PT011  # three kinds of text, one contract
            value_text(value)
