"""The grammar, the syntax it gives, and how it fails."""

from __future__ import annotations

import logging
import tracemalloc
from pathlib import Path
from typing import Any

import lark
import pytest

from hapir.diagnostics import Diagnostic, HapirError, Span
from hapir.spec import load_spec, parse, syntax
from hapir.spec.grammar import build, grammar, grammar_text
from hapir.spec.parse import MAXIMUM_DEPTH
from hapir.spec.recovery import MAXIMUM_ERRORS


def parsed(text: str) -> syntax.File:
    return parse.parse(text, "t.hap")


def errors(text: str) -> tuple[Diagnostic, ...]:
    with pytest.raises(HapirError) as raised:
        parsed(text)
    return raised.value.diagnostics


def recipe(*steps: str) -> str:
    return "hap 1\nrecipe r {\n" + "\n".join(steps) + "\n}\n"


def value(text: str) -> syntax.Value:
    """The value that a piece of text stands for."""
    definition = parsed(f"hap 1\nmachine m {{ x = {text} }}").definitions[0]
    assert isinstance(definition, syntax.Machine)
    item = definition.items[0]
    assert isinstance(item, syntax.Assign)
    return item.value


def test_grammar_has_no_conflict(caplog: pytest.LogCaptureFixture):
    """lark resolves shift/reduce conflicts in silence unless its logger listens at debug level."""
    caplog.set_level(logging.DEBUG, logger=lark.logger.name)
    lark.Lark('start: start "+" start | "x"', parser="lalr", debug=True)
    assert "Shift/Reduce conflict" in caplog.text
    caplog.clear()
    build(grammar_text(), debug=True)
    assert caplog.text == ""


def test_spans_are_exact():
    network = parsed("hap 1\nnetwork n(x: f32[1, 4]) -> f32[1, 4] {\n  r = relu(x)\n  return r\n}\n").definitions[0]
    assert isinstance(network, syntax.Network)
    assert network.name == syntax.Name("n", Span("t.hap", 2, 9, 2, 10))
    (declared,) = (parameter.type for parameter in network.inputs)
    assert declared is not None
    assert declared.span == Span("t.hap", 2, 14, 2, 23)
    statement = network.statements[0]
    assert isinstance(statement, syntax.Assign)
    assert statement.value.span == Span("t.hap", 3, 7, 3, 14)
    assert network.span == Span("t.hap", 2, 1, 5, 2)


@pytest.mark.parametrize(
    ("text", "number", "unit"),
    [
        ("200 MHz", 200, "MHz"),
        ("200MHz", 200, "MHz"),
        ("64 KiB", 64, "KiB"),
        ("8 B/cycle", 8, "B/cycle"),
        ("1.3 pJ", 1.3, "pJ"),
        ("1e3 b", 1000.0, "b"),
        ("90 %", 90, "%"),
        ("90%", 90, "%"),
        ("-25 dB", -25, "dB"),
        ("1 point", 1, "point"),
        ("3 s", 3, "s"),
        ("3 um2", 3, "um2"),
    ],
)
def test_quantity_is_one_token(text: str, number: float, unit: str):
    quantity = value(text)
    assert isinstance(quantity, syntax.Quantity)
    assert (quantity.value, quantity.unit) == (number, unit)


def test_number_and_unit_stay_on_one_line():
    machine = parsed("hap 1\nmachine m { x = 3\nb = 4 }").definitions[0]
    assert isinstance(machine, syntax.Machine)
    assert [type(i.value) for i in machine.items if isinstance(i, syntax.Assign)] == [syntax.Number, syntax.Number]


def test_values():
    span = value("3").span
    assert value("3") == syntax.Number(3, span)
    assert isinstance(value("range(4, 32, step = 4)"), syntax.Call)
    assert isinstance(value("u8 * i8"), syntax.Binary)
    assert isinstance(value("f32[1, 8]"), syntax.Tensor)
    pairs = value("[K: 2, C: 1]")
    assert isinstance(pairs, syntax.Sequence)
    assert [type(e) for e in pairs.elements] == [syntax.Pair, syntax.Pair]
    text = value(r'"a \"b\" \\ c"')
    assert isinstance(text, syntax.Text)
    assert text.value == r"a \"b\" \ c".replace(r"\"", '"')


@pytest.mark.parametrize(
    "word", ["step", "memory", "map", "at", "weights", "network", "hap", "of", "on", "from", "f1.a"]
)
def test_few_words_are_reserved(word: str):
    file = parsed(
        f"hap 1\nnetwork {word}({word}: f32[1, 4]) -> f32[1, 4] {{\n {word} = relu({word}, {word} = {word})\n"
        f" return {word}\n}}\nmachine {word} {{ {word} = 1; {word} {word} {{ }} }}\nrecipe {word} {{ {word}() }}\n"
        f"schedule {word} of {word} with {word} on {word} {{ {word} {word} {{ }} }}"
    )
    assert [d.name.text for d in file.definitions] == [word] * 4


@pytest.mark.parametrize(
    "text",
    [
        "hap 1\nrecipe r { a(x = 1, y = [2, 3]); b() }",
        "hap 1;recipe r{a(x=1;y=[2;3]),b()}",
        "\n\nhap 1 // one\n\n\nrecipe r {\n\n a(\n x = 1\n y = [\n2 // two\n3,\n]\n  )\n  // more\n  b(),\n}\n\n// end",
        "\ufeffhap 1\r\nrecipe r {\r\n\ta(x = 1, y = [2, 3])\r\n\tb()\r\n}\r\n",
    ],
)
def test_separators_are_alike(text: str):
    definition = parsed(text).definitions[0]
    assert isinstance(definition, syntax.Recipe)
    first, second = definition.items
    assert isinstance(first, syntax.Call)
    assert isinstance(second, syntax.Call)
    assert [o.name.text for o in first.options] == ["x", "y"]


def test_several_errors_in_one_run():
    found = errors(recipe("a(x = )", "b(y = 1)", "c(= 1)", "d() e()", "f(1 2)"))
    assert [(d.span.line, d.code) for d in found if d.span] == [
        (3, "HAP0101"),
        (5, "HAP0101"),
        (6, "HAP0101"),
        (7, "HAP0101"),
    ]


def test_errors_are_capped():
    assert len(errors(recipe(*["a(= 1)"] * 50))) == MAXIMUM_ERRORS


def test_error_is_blamed_on_the_end_of_the_line():
    (found,) = errors("hap 1\nmachine m {\n  clock =\n}\n")
    assert found.message == "expected a value, found the end of the line"
    assert found.span == Span("t.hap", 3, 10, 3, 11)


def test_open_bracket_is_shown():
    found = errors("hap 1\nrecipe r {\n  a(x = 1\n}\n")
    assert (found[0].message, found[0].help) == ("this `(` is never closed", "close it with `)`")
    assert found[0].span == Span("t.hap", 3, 4, 3, 5)
    assert [(label.message, label.span.line) for label in found[0].labels] == [("it is still open here", 4)]


def test_misspelt_unit():
    (found,) = errors("hap 1\nmachine m { clock = 200 Mhz }")
    assert (found.code, found.help) == ("HAP0107", "write `MHz`")


def test_two_separators_are_an_error():
    assert [d.code for d in errors(recipe("a(x = 1,, y = 2)"))] == ["HAP0101"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "HAP0103"),
        ("\n\n// nothing\n", "HAP0103"),
        ("machine m { }", "HAP0103"),
        ("hap 1.0", "HAP0103"),
        ("hap 1\nhap 1", "HAP0103"),
        ("\0", "HAP0102"),
        ("hap 1\n\0\0", "HAP0102"),
        ("hap 1\nrecipe r { a(x = \u00e9) }", "HAP0102"),
        ("hap 1\nmachine m { x = " + "9" * 100_000 + " }", "HAP0105"),
        ("hap 1\nmachine m { x = 1e999 }", "HAP0105"),
        ("hap 1\nmachine m { x = 1e999 KiB }", "HAP0105"),
        ("hap 1\nmachine m { x = " + "[" * 100_000, "HAP0104"),
        ("hap 1\nrecipe r { " + "a(" * 100_000, "HAP0104"),
        ("hap 1\nmachine m { " + "a b {" * 100_000, "HAP0104"),
        ("hap 1\nmachine m " + "}" * 10_000, "HAP0101"),
        ("hap 1\n" + "machine " * 10_000, "HAP0101"),
        ('hap 1\nimport "a', "HAP0108"),
        ("hap 1\nmachine m { x = 1 * }", "HAP0101"),
    ],
)
def test_hostile_text_gives_a_diagnostic(text: str, code: str):
    assert errors(text)[0].code == code


def test_deepest_nesting_that_is_read():
    depth = MAXIMUM_DEPTH - 1
    assert isinstance(value("[" * depth + "]" * depth), syntax.Sequence)
    assert errors("hap 1\nmachine m { x = " + "[" * (depth + 1) + "]" * (depth + 1) + " }")[0].code == "HAP0104"


def test_brackets_in_strings_and_comments_do_not_nest():
    assert value('"' + "(" * 1000 + '" // ' + "[" * 1000 + "\n") == syntax.Text(
        "(" * 1000, value('"' + "(" * 1000 + '"').span
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"hap 1\nrecipe \xff { }", "not UTF-8 text: byte 0xff in line 2"),
        (b"\xff\xfeh\x00a\x00p\x00", "not UTF-8 text: byte 0xff in line 1"),
    ],
)
def test_other_encodings(tmp_path: Path, data: bytes, words: str):
    path = tmp_path / "x.hap"
    path.write_bytes(data)
    with pytest.raises(HapirError, match=words) as raised:
        load_spec(path)
    assert raised.value.diagnostics[0].code == "HAP0106"


def test_missing_file_and_folder(tmp_path: Path):
    for path in (tmp_path / "none.hap", tmp_path):
        with pytest.raises(HapirError) as raised:
            load_spec(path)
        assert [d.code for d in raised.value.diagnostics] == ["HAP0106"]


def test_memory_follows_the_text():
    """A long list is read in space proportional to its length."""
    tracemalloc.start()
    value("[" + "1, " * 3000 + "1]")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30_000_000


@pytest.mark.parametrize("damage", ["none", "garbage", "no cache"])
def test_the_kept_tables_are_those_of_the_grammar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str):
    monkeypatch.delenv("HAPIR_NO_CACHE", raising=False)
    monkeypatch.setenv("HAPIR_CACHE", str(tmp_path / "cache"))
    text = "hap 1\nmachine m { clock = 200 MHz }"

    def tree(parser: Any) -> object:
        return parser.parse(text)

    made = tree(build(grammar_text()))
    assert tree(grammar.__wrapped__()) == made
    (kept,) = (tmp_path / "cache" / "grammar").glob("*.tables")
    if damage == "garbage":
        kept.write_bytes(b"cos\nsystem\n")
    elif damage == "no cache":
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("HAPIR_CACHE", str(tmp_path / "file"))
    assert tree(grammar.__wrapped__()) == made
