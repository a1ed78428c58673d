"""`hapir list` and `hapir explain`: everything in the registry shows, with its options."""

from __future__ import annotations

import pytest

from hapir import catalogue
from hapir.cli.list import KINDS
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
    assert options["channels"] == {"name": "channels", "takes": "an integer", "default": None}
    assert options["bias"]["default"] == "true"
    text = run_main("explain", "conv2d").out
    assert "channels  an integer" in text
    assert "needed" in text


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
