"""What editors get: the packages of `docs/editors` are well formed and know the language as it is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hapir.spec.expected import KEYWORDS
from hapir.spec.grammar import NUMBER, quantity_pattern
from hapir.spec.units import UNITS

ROOT = Path(__file__).parents[2]
EDITORS = ROOT / "docs" / "editors"
VSCODE = EDITORS / "vscode"
GRAMMAR: dict[str, Any] = json.loads((VSCODE / "syntaxes" / "hap.tmLanguage.json").read_text(encoding="utf-8"))
RULES: dict[str, dict[str, Any]] = GRAMMAR["repository"]
VIM = (EDITORS / "vim" / "syntax" / "hap.vim").read_text(encoding="utf-8")


def patterns(node: Any) -> Iterator[str]:
    """All regular expressions of a TextMate grammar."""
    if isinstance(node, dict):
        for key, value in node.items():  # pyright: ignore[reportUnknownVariableType]  # JSON
            if key in ("match", "begin", "end"):
                yield value
            else:
                yield from patterns(value)
    elif isinstance(node, list):
        for value in node:  # pyright: ignore[reportUnknownVariableType]  # JSON
            yield from patterns(value)


def test_every_file_of_the_extension_is_there():
    package = json.loads((VSCODE / "package.json").read_text(encoding="utf-8"))
    (language,) = package["contributes"]["languages"]
    (grammar,) = package["contributes"]["grammars"]
    assert language["extensions"] == [".hap"]
    assert grammar["language"] == language["id"] == "hap"
    assert grammar["scopeName"] == GRAMMAR["scopeName"]
    for path in (package["main"], language["configuration"], grammar["path"], "README.md"):
        assert (VSCODE / path).is_file()
    assert set(package["dependencies"]) == {"vscode-languageclient"}
    client = (VSCODE / "extension.js").read_text(encoding="utf-8")
    for setting in package["contributes"]["configuration"]["properties"]:
        assert f'get("{setting.removeprefix("hapir.")}")' in client
    assert (VSCODE / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_language_configuration_is_json_and_knows_comments():
    configuration = json.loads((VSCODE / "language-configuration.json").read_text(encoding="utf-8"))
    assert configuration["comments"]["lineComment"] == "//"
    increase = re.compile(configuration["indentationRules"]["increaseIndentPattern"])
    decrease = re.compile(configuration["indentationRules"]["decreaseIndentPattern"])
    assert increase.search("network n(")
    assert increase.search("machine m {  // why")
    assert not increase.search("// machine m {")
    assert decrease.search("    }")
    assert not decrease.search("    x = 1 }")


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_client_is_javascript():
    done = subprocess.run(["node", "--check", "extension.js"], cwd=VSCODE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_pattern_of_the_grammar_compiles_and_is_used():
    assert len([re.compile(pattern) for pattern in patterns(GRAMMAR)]) > 12
    assert {p["include"].removeprefix("#") for p in GRAMMAR["patterns"]} == set(RULES)


def test_the_units_of_the_grammar_are_those_of_the_language():
    match = re.compile(RULES["quantity"]["match"])
    for unit in UNITS:
        found = match.match(f"12.5 {unit}")
        assert found is not None
        assert (found[1], found[2]) == ("12.5", unit)
    for wrong in ("3 Mhz", "3 KiB/x", "3 cyclex", "3"):
        assert match.match(wrong) is None
    assert RULES["quantity"]["match"].endswith(quantity_pattern().split("[ \\t]*", 1)[1].partition("%")[2])
    assert NUMBER in RULES["number"]["match"]


def test_the_keywords_of_the_grammar_are_those_of_the_language():
    written = re.search(r"\(\?:([a-z|]+)\)", RULES["keyword"]["match"])
    assert written is not None
    assert sorted(written[1].split("|")) == sorted(KEYWORDS)
    match = re.compile(RULES["keyword"]["match"])
    assert all(match.search(f"{word} x") for word in KEYWORDS)
    # they may name layers
    assert not match.search("block[2] = relu(x)")
    assert not match.search("let = relu(x)")
    assert not match.search("x.in")


def test_definitions_and_calls_are_found():
    definition = re.compile(RULES["definition"]["match"])
    for head in ("network n(x: f32[1])", "machine m {", "recipe r(s = 1) {", "schedule s of n", "block b(x) {"):
        found = definition.search(head)
        assert found is not None
        assert found[1] == head.split()[0]
    assert definition.search("block = relu(x)") is None
    part = re.compile(RULES["part"]["match"])
    for written in ("memory dram {", "array pe[8, 8] {", 'map "c*" {', "unit mac {"):
        found = part.search(written)
        assert found is not None
        assert found[1] == written.split()[0]
    call = re.compile(RULES["call"]["match"])
    assert call.findall("f1 = dense(flatten(p1), units = 10)") == ["dense", "flatten"]
    setting = re.compile(RULES["setting"]["match"])
    assert setting.findall("f1 = dense(flatten(p1), units = 10)") == ["f1", "units"]


def test_vim_knows_the_same_words():
    keywords = re.search(r"syntax keyword hapKeyword (.*)", VIM)
    assert keywords is not None
    assert sorted(keywords[1].split()) == sorted(KEYWORDS)
    quantity = re.search(r"hapQuantity /.*\\%\|\((.*)\)\(\[A-Za-z0-9_\]", VIM)
    assert quantity is not None
    assert {unit.replace("\\/", "/") for unit in quantity[1].split("|")} == set(UNITS) - {"%"}
    groups = re.findall(r"^syntax (?:keyword|match|region) (\w+)", VIM, re.MULTILINE)
    assert set(groups) == set(re.findall(r"^highlight default link (\w+)", VIM, re.MULTILINE))


def test_the_page_names_every_folder():
    page = (EDITORS / "README.md").read_text(encoding="utf-8")
    folders = {p.name for p in EDITORS.iterdir() if p.is_dir()}
    assert folders == {"vscode", "vim"}
    assert all(f"]({folder})" in page for folder in folders)
