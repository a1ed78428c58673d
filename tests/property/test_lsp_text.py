"""The language server answers any text at any place, and says of a sound spec what the checker says."""

from __future__ import annotations

import contextlib
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hapir.lsp.actions import fixes
from hapir.lsp.completion import complete
from hapir.lsp.hover import hover
from hapir.lsp.names import NameIndex
from hapir.lsp.navigation import Refused, definition
from hapir.lsp.outline import outline
from hapir.lsp.project import Project
from hapir.lsp.signatures import signature
from hapir.lsp.symbols import Symbol
from hapir.spec import syntax
from hapir.spec.unparse import file_text
from tests.property.syntax_strategies import FILES

ROOT = Path(__file__).parents[2]
SPEC = (ROOT / "spec_examples" / "digits.hap").read_text(encoding="utf-8")
BLOCKS = """\
hap 1
let w = 2 * 4
block b(x, k = 2) { a = relu(x); return add(a, x) }
network n(image: f32[1, 2, 4, 4], s = 3) -> f32[1, 2, 4, 4] {
    y[1] = b(image, k = w)
    repeat i in range(2, s) { y[i] = b(y[i - 1]); z = relu(y[i]) }
    return add(y3, add(z2, y[2].a))
}
machine m(r = 4) { clock = 1 MHz; array pe[r, 4] { unit mac { accumulate = i32 } }; memory d { size = 1 KiB } }
machine o extends m(r = 8) { memory d { size = 2 KiB } }
recipe q(p = 50 %) { prune(layers = "y1.a", sparsity = p) }
schedule t of n(s = 4) with q(p = 30 %) on o { map y1.a { at d { for = [K: 2] } } }
"""
SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def answers(text: str, line: int, column: int, before: str | None = None) -> None:
    """Ask for everything; nothing but a refusal to rename may be raised, and answers lie in the text."""
    project, path = Project(), Path("/nowhere/t.hap")
    if before is not None:
        project.put(path, before)
        project.view(path)
    project.put(path, text)
    lines = text.removeprefix("\ufeff").split("\n")
    for diagnostic in project.diagnostics(path):
        list(fixes(diagnostic, text))
        if diagnostic.span is not None:
            assert 1 <= diagnostic.span.line <= len(lines)
    view = project.readable_view(path)
    said = hover(*view, line, column)
    assert said is None or said.text
    definition(view, line, column)
    project.references(path, line, column)
    place = project.place(path, line, column)
    labels = [item.label for item in complete(place)]
    assert len(labels) == len(set(labels))
    signature(place)
    root = view[0].root
    if root is not None:
        outline(root)
    with contextlib.suppress(Refused):
        project.rename(path, line, column, "renamed")


@given(st.text(max_size=200), st.integers(1, 5), st.integers(1, 80))
@SETTINGS
def test_any_text_is_answered(text: str, line: int, column: int):
    answers(text, line, column)


@given(st.data())
@SETTINGS
def test_a_damaged_spec_is_answered(data: st.DataObject):
    spec = data.draw(st.sampled_from([SPEC, BLOCKS]))
    start = data.draw(st.integers(0, len(spec)))
    length = data.draw(st.integers(0, 12))
    word = data.draw(st.sampled_from(["", "(", "{", '"', "y[", "= ", "b(", "//", ".", "é𝄞", "conv2d(", "\n", ","]))
    text = spec[:start] + word + spec[start + length :]
    before = text[: start + len(word)]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    answers(text, line, column, data.draw(st.sampled_from([None, spec])))


@given(FILES, st.data())
@SETTINGS
def test_any_syntax_is_answered(file: syntax.File, data: st.DataObject):
    text = file_text(file)
    line = data.draw(st.integers(1, text.count("\n") + 1))
    column = data.draw(st.integers(1, len(text.split("\n")[line - 1]) + 1))
    answers(text, line, column)


@given(st.sampled_from([SPEC, BLOCKS]), st.data())
@SETTINGS
def test_every_symbol_is_found_from_all_its_places(spec: str, data: st.DataObject):
    project, path = Project(), Path("/nowhere/t.hap")
    project.put(path, spec)
    analysis, names = project.view(path)
    own = [o for o in names.occurrences[analysis.name] if isinstance(o.target, Symbol) and o.target.kind != "file"]
    occurrence = data.draw(st.sampled_from(own))
    found = project.references(path, occurrence.span.line, occurrence.span.column)
    assert (occurrence.span.line, occurrence.span.column) in {(at.line, at.column) for at in found}
    for at in found:
        text = spec.split("\n")[at.line - 1][at.column - 1 : at.end_column - 1]
        assert text.startswith(occurrence.target.name)


def test_occurrences_of_a_sound_spec_are_what_is_written():
    project, path = Project(), Path("/nowhere/t.hap")
    project.put(path, BLOCKS)
    analysis, _ = project.view(path)
    assert [d for d in analysis.diagnostics if d.severity == "error"] == []
    lines = BLOCKS.split("\n")
    for occurrence in NameIndex(analysis).occurrences[analysis.name]:
        span, target = occurrence.span, occurrence.target
        name = target.name if isinstance(target, Symbol) else target.option or target.name
        assert lines[span.line - 1][span.column - 1 : span.end_column - 1].startswith(name)
