"""The codes of diagnostics: each that the sources give is explained."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import hapir
from hapir.catalogue import Entry, everything, find
from hapir.codes import CODES
from hapir.diagnostics import HapirError
from hapir.spec import load_spec_text

PACKAGE = Path(hapir.__file__).parent
FOLDERS = [PACKAGE, *(PACKAGE / name for name in ("dialects", "lowering", "targets"))]
SOURCES = sorted(
    {path.resolve() for folder in FOLDERS for path in folder.rglob("*.py")} - set((PACKAGE / "codes").iterdir())
)


def given_codes() -> dict[str, list[str]]:
    """Each code that stands in a string of the sources, and the files that give it."""
    found: dict[str, list[str]] = {}
    for path in SOURCES:
        for code in re.findall(r"\"(HAP\d{4})\"", path.read_text(encoding="utf-8")):
            found.setdefault(code, []).append(path.name)
    return found


def test_every_given_code_is_explained():
    given = given_codes()
    assert len(given) > 40
    assert {code: files for code, files in given.items() if code not in CODES} == {}


def test_every_explained_code_is_given():
    assert sorted(set(CODES) - set(given_codes())) == []


@pytest.fixture(scope="module")
def catalogue() -> list[Entry]:
    """All entries, which take a while to read."""
    return everything()


@pytest.mark.parametrize("code", sorted(CODES))
def test_explanations_are_whole(code: str, catalogue: list[Entry]):
    known = CODES[code]
    assert re.fullmatch(r"HAP0[1-9]\d\d", code)
    assert known.title == known.title.strip().rstrip(".")
    assert known.text.endswith((".", ":"))
    assert known.example
    (entry,) = find(code.lower(), catalogue)
    assert entry.name == code
    assert entry.summary == known.title
    assert entry.example == known.example


def test_unknown_code():
    with pytest.raises(HapirError, match="HAP9999"):
        find("HAP9999")


@pytest.mark.parametrize("code", ["HAP0101", "HAP0102", "HAP0103", "HAP0107", "HAP0108", "HAP0201", "HAP0302"])
def test_examples_give_their_code(code: str):
    """A statement is tried in a network, a setting in a machine, and anything else as the file that it is."""
    example = CODES[code].example
    network = f"hap 1\nnetwork n(image: f32[1, 1, 8, 8]) -> f32[1] {{\n{example}\nreturn image\n}}"
    machine = f"hap 1\nmachine m {{\n{example}\n}}"
    found: set[str] = set()
    for text in (network, machine, example, f"hap 1\n{example}"):
        with pytest.raises(HapirError) as raised:
            load_spec_text(text, "t.hap", Path("nowhere"))
        found |= {d.code for d in raised.value.diagnostics}
    assert code in found


def test_every_message_of_the_language_shows_a_way_out():
    """Where the text of a spec is wrong, `hapir explain` alone is no answer: each call that reports says what to do."""
    silent: list[str] = []
    calls = 0
    for path in sorted((PACKAGE / "spec").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or len(node.args) < 2:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("error", "warning", "fail"):
                calls += 1
                if "help" not in {keyword.arg for keyword in node.keywords}:
                    silent.append(f"{path.name}:{node.lineno}")
    assert calls > 80
    assert silent == []
