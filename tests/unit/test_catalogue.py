"""The catalogue: how docstrings become data, and that every entry says what a reader needs."""

from __future__ import annotations

import argparse
import dataclasses
import re
from dataclasses import dataclass, field
from importlib import import_module

import pytest

from hapir.bounds import bounded, check_bounds
from hapir.catalogue import Entry, entries, everything, find, related
from hapir.catalogue.classes import class_entry
from hapir.catalogue.docstrings import parse_docstring
from hapir.catalogue.grammar import TERMINALS, rules, terminals
from hapir.catalogue.library import parameters_of
from hapir.catalogue.text import option_lines
from hapir.catalogue.topics import TOPICS
from hapir.catalogue.words import command_entry
from hapir.cli.command import Command

DESCRIBED = (
    *(
        "passes",
        "layers",
        "blocks",
        "units",
        "dataflows",
        "kernels",
        "formats",
        "multipliers",
        "encodings",
        "evaluators",
        "targets",
    ),
    "commands",
)


@dataclass(frozen=True)
class Shared:
    """A base.

    `depth`: from the base.
    `width`: hidden by the class.
    """

    depth: int


@dataclass(frozen=True)
class Sample(Shared):
    """Does one thing,
    on two lines.

    `width`: how wide
        it is.
    `rate`: how fast.

    A second paragraph.

    Example: `sample(depth = 1,
        width = 2)` is small.
    """

    width: int = field(default=2, metadata=bounded(at_least=1, at_most=8))
    rate: float | None = field(default=None, metadata=bounded(above=0, below=1))

    def __post_init__(self) -> None:
        check_bounds(self, "sample")


def test_a_docstring_falls_into_its_parts() -> None:
    entry = class_entry("sample", "sample", Sample)
    assert entry.summary == "Does one thing, on two lines."
    assert entry.text == "A second paragraph."
    assert entry.example == "sample(depth = 1, width = 2)"
    assert entry.law is None
    depth, width, rate = entry.options
    assert (depth.description, width.description, rate.description) == (
        "from the base.",
        "how wide it is.",
        "how fast.",
    )
    assert (depth.required, width.default, rate.default) == (True, "2", "none")
    assert (width.bounds, rate.bounds) == ("1 to 8", "above 0 and below 1")


@pytest.mark.parametrize("example", ["```\na\n  b\n\nc\n```\n", "    a\n      b\n\n    c\n"])
def test_a_block_of_an_example_is_kept_as_it_stands(example: str) -> None:
    parsed = parse_docstring(f"One.\n\nTwo.\n\nExample:\n{example}")
    assert (parsed.summary, parsed.text, parsed.example) == ("One.", "Two.", "a\n  b\n\nc")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 9}, "`width` of sample is 9, it must be 1 to 8"),
        ({"rate": 0.0}, "`rate` of sample is 0, it must be above 0 and below 1"),
        ({"rate": 1.0}, "`rate` of sample is 1, it must be above 0 and below 1"),
    ],
)
def test_bounds_are_checked_where_they_are_declared(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Sample(1), **options)
    assert Sample(1, 8, 0.5).width == 8


def test_every_entry_has_a_summary() -> None:
    assert [f"{e.kind} {e.name}" for e in everything() if not e.summary] == []


@pytest.mark.parametrize("kind", ["passes", "layers", "units", "dataflows", "targets", "ops"])
def test_what_is_defined_in_python_says_where(kind: str) -> None:
    for entry in entries(kind):
        module, _, name = (entry.defined or "").rpartition(".")
        assert hasattr(import_module(module), name)


@pytest.mark.parametrize("kind", DESCRIBED)
def test_every_option_is_described(kind: str) -> None:
    missing = [f"{e.name}.{o.name}" for e in entries(kind) for o in e.options if not o.description]
    assert missing == [], "describe an option by a line `name`: ... of the docstring"


@pytest.mark.parametrize(("columns", "most"), [(70, 70), (100, 100), (300, 120)])
def test_help_on_options_fits_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: int, most: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = [option_lines(entry.options) for entry in entries("passes") if entry.options]
    widest = max(len(line) for text in shown for line in text.splitlines())
    assert most - 5 <= widest <= most


def test_no_docstring_describes_an_option_that_is_none() -> None:
    from hapir.registry import universe

    classes = [get() for kind in ("all_passes", "layers", "units") for get in getattr(universe(), kind).values()]
    known = {cls: {f.name for f in dataclasses.fields(cls)} for cls in classes}
    wrong = {c.__name__: set(parse_docstring(c.__doc__ or "").options) - fields for c, fields in known.items()}
    assert {name: names for name, names in wrong.items() if names} == {}


def test_every_pass_has_a_law() -> None:
    assert {e.name: e.law for e in entries("passes") if e.law not in ("exact", "bounded", "lossy")} == {}


def test_related_entries_are_those_that_the_words_name() -> None:
    known = everything()
    (conv,) = find("conv2d", known)
    assert [e.name for e in related(conv, known)] == ["bipolar", "ternary", "nn.conv2d"]
    entry = Entry("pass", "x", "Before `quantize` and `prune(...)`; HAP0301.", "`x` itself")
    assert [e.name for e in related(entry, known)] == ["prune", "quantize", "quantize", "HAP0301"]  # a pass and a layer


def test_every_rule_of_the_grammar_belongs_to_one_topic() -> None:
    explained = [rule for topic in TOPICS.values() for rule in topic.rules]
    assert sorted(explained) == sorted(rules())
    assert set(terminals()) == set(TERMINALS)


def test_rules_are_shown_without_the_separators() -> None:
    known = {name: rule.body for name, rule in rules().items()}
    assert known["file"] == "top ..."
    assert known["network_body"] == '"{" statement ... "}"'
    assert known["list"] == '"[" list_items "]"'
    assert known["weights_from"] == '"weights" "from" STRING'
    assert not [name for name, body in known.items() if "_SEP" in body or " _" in body]
    # each name in a rule is a rule or a terminal
    words = {w for body in known.values() for w in re.findall(r"[A-Za-z_]+", re.sub(r'"[^"]*"', "", body))}
    assert words <= {*known, *TERMINALS}


def test_parameters_of_a_library_file_are_options() -> None:
    source = "hap 1\nmachine m { clock = 1 Hz }\nnetwork n(x: f32[1, k], k = 2 * 8, b = 3) -> f32[1, k] { return x }\n"
    shown = [(o.name, o.takes, o.default) for o in parameters_of(source, "n")]
    assert shown == [("x", "a tensor f32[1, k]", None), ("k", "a value", "2 * 8"), ("b", "a value", "3")]
    assert parameters_of(source, "m") == parameters_of("not a spec", "m") == ()


def test_a_command_that_reads_its_arguments_itself_lends_its_parser() -> None:
    def parser() -> argparse.ArgumentParser:
        made = argparse.ArgumentParser()
        made.add_argument("--each", action=argparse.BooleanOptionalAction, default=True, help="of them")
        made.add_argument("--names", action="extend", default=[], metavar="NAME", help="some")
        made.add_argument("--old", help=argparse.SUPPRESS)
        return made

    command = Command("x", "do x", "hapir x", lambda parser: None, lambda args, console: 0, parser)
    shown = [(o.name, o.takes, o.default, o.description) for o in command_entry(command).options]
    assert shown == [("--each", "a switch", "on", "of them"), ("--names", "NAME", "none", "some")]
