"""`hapir list`, `hapir help` and `hapir explain`: everything in the registry shows, with its options."""

from __future__ import annotations

import re

import pytest

from hapir import catalogue
from hapir.cli.list import KINDS
from hapir.cli.main import COMMANDS
from hapir.codes import CODES
from hapir.registry import universe
from tests.projects import run_main


def test_the_kinds_of_the_command_are_those_of_the_catalogue() -> None:
    assert tuple(catalogue.KINDS) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_every_entry_has_a_name_and_a_line(kind: str) -> None:
    outcome = run_main("list", kind, "--format", "json")
    assert outcome.code == 0
    entries = outcome.json[kind]
    assert [e["name"] for e in entries] == sorted({e["name"] for e in entries})
    assert all(e["summary"] and "\n" not in e["summary"] for e in entries)


def test_the_registry_is_listed_whole() -> None:
    assert {e.name for e in catalogue.entries("passes")} == set(universe().all_passes)
    assert {e.name for e in catalogue.entries("layers")} == set(universe().layers)
    assert {e.name for e in catalogue.entries("codes")} == set(CODES)


def test_explain_shows_options_with_types_and_defaults() -> None:
    outcome = run_main("explain", "conv2d", "--format", "json")
    (entry,) = outcome.json["entries"]
    options = {o["name"]: o for o in entry["options"]}
    assert options["channels"]["takes"] == "an integer"
    assert options["channels"]["required"]
    assert options["bias"]["default"] == "true"
    text = run_main("explain", "conv2d").out
    assert re.search("channels +an integer +required", text)


def test_defaults_are_written_as_a_spec_writes_them() -> None:
    (mac,) = catalogue.find("mac")
    assert {o.name: o.default for o in mac.options} == {
        "multiply": "u8 * i8",
        "accumulate": "i32",
        "multiplier": "exact",
    }


@pytest.mark.parametrize("code", ["HAP0202", "hap0202"])
def test_explain_a_code_in_any_case(code: str) -> None:
    outcome = run_main("explain", code)
    assert outcome.code == 0
    assert CODES["HAP0202"].title in outcome.out


def test_an_unknown_name_is_a_diagnostic_with_a_suggestion() -> None:
    outcome = run_main("explain", "quantise")
    assert outcome.code == 1
    assert "HAP0883" in outcome.err
    assert "did you mean `quantize`?" in outcome.err


@pytest.mark.parametrize(("word", "topics"), [("extends", {"machine"}), ("let", {"expressions", "machine", "network"})])
def test_words_of_the_grammar_lead_to_their_topics(word: str, topics: set[str]) -> None:
    assert {(entry.kind, entry.name) for entry in catalogue.find(word)} == {("topic", topic) for topic in topics}


def test_a_word_of_the_grammar_may_be_a_command_too() -> None:
    assert [(entry.kind, entry.name) for entry in catalogue.find("import")] == [
        ("topic", "files"),
        ("command", "import"),
    ]


def test_without_a_kind_the_kinds_are_listed() -> None:
    outcome = run_main("list", "--format", "json")
    assert [kind["name"] for kind in outcome.json["kinds"]] == list(KINDS)
    assert all(f"{kind} " in run_main("list").out for kind in KINDS)


def test_a_glob_chooses_names() -> None:
    names = [e["name"] for e in run_main("list", "passes", "*n*", "--format", "json").json["passes"]]
    assert names == [n for n in sorted(universe().all_passes) if "n" in n]
    assert run_main("list", "passes", "q?").out == "no passes match `q?`\n"


def test_everything_about_a_pass_is_in_the_json() -> None:
    (entry,) = run_main("list", "passes", "prune", "--format", "json").json["passes"]
    assert entry["law"] == "lossy"
    assert entry["example"].startswith("prune(")
    assert entry["defined"] == "hapir.lowering.compress.prune.PrunePass"
    sparsity = next(o for o in entry["options"] if o["name"] == "sparsity")
    assert sparsity == {
        "name": "sparsity",
        "takes": "a number",
        "default": "none",
        "description": "the share to prune; not of grain n_of_m, and not beside a threshold.",
        "bounds": "at least 0 and below 1",
        "required": False,
    }


def test_ops_show_what_they_take_and_give() -> None:
    (entry,) = run_main("help", "nn.conv2d", "--format", "json").json["entries"]
    parts = {o["name"]: o for o in entry["options"]}
    assert parts["x"]["takes"] == "operand"
    assert not parts["bias"]["required"]
    assert parts["window"]["takes"] == "property, nn.window"
    assert entry["related"] == ["conv2d"]


def test_help_tells_about_commands_kinds_and_codes() -> None:
    assert "--input" in run_main("help", "run").out
    assert "quantize" in run_main("help", "passes").out
    assert CODES["HAP0301"].title in run_main("help", "HAP0301").out
    assert run_main("help", "HAP0301").out == run_main("explain", "HAP0301").out


def test_help_alone_names_every_command_and_kind() -> None:
    outcome = run_main("help")
    assert outcome.code == 0
    for name in (*COMMANDS, *KINDS):
        assert f"\n{name} " in outcome.out


def test_a_name_of_several_kinds_shows_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(universe().units, "prune", universe().units["mac"])
    assert [e["kind"] for e in run_main("help", "prune", "--format", "json").json["entries"]] == ["pass", "unit"]


def test_units_of_quantities_say_what_they_are_worth() -> None:
    (entry,) = catalogue.find("KiB")
    assert entry.summary == "size; 1 KiB is 8192 b"
    (entry,) = catalogue.find("%")
    assert entry.summary == "ratio; 1 % is 1/100"
