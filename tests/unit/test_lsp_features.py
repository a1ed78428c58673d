"""The smaller features of the language server: outline, quick fixes, places in units, open files."""

from __future__ import annotations

from pathlib import Path

import pytest

from hapir.lsp.actions import fixes
from hapir.lsp.context import context_at
from hapir.lsp.outline import Node, outline
from hapir.lsp.project import Project
from hapir.lsp.text import from_client, offset, to_client
from hapir.spec.parse import parse
from tests.projects import run_main

SPEC = """\
hap 1
import "machines/ws_8x8.hap"
let n = 3
block b(x, k = 2) { y = relu(x); return y }
network net(image: f32[1, n]) -> f32[1, n] {
    let m = 4
    repeat i in range(1, 2) { z[i] = b(image) }
    return z2
}
machine big(rows = 8) extends ws_8x8 {
    clock = 400 MHz
    array pe[rows, 8] { unit mac { accumulate = i32 } }
}
recipe r { prune(sparsity = 50 %) }
schedule s of net with r on big { dataflow = weight_stationary; map z1 { at pe { rows = C } } }
"""


def drawn(nodes: list[Node] | tuple[Node, ...], level: int = 0) -> list[str]:
    """An outline as lines."""
    lines: list[str] = []
    for node in nodes:
        lines += [
            f"{'  ' * level}{node.sort} {node.name}: {node.detail}".rstrip(": "),
            *drawn(node.children, level + 1),
        ]
    return lines


def test_the_outline_holds_everything_with_a_name():
    assert drawn(outline(parse(SPEC, "x.hap"))) == [
        "file machines/ws_8x8.hap: import",
        "constant n: 3",
        "block b: block b(x, k = 2)",
        "  parameter x",
        "  parameter k: 2",
        "  layer y: relu(x)",
        "network net: network net(image: f32[1, n]) -> f32[1, n]",
        "  input image: f32[1, n]",
        "  constant m: 4",
        "  repeat repeat i: range(1, 2)",
        "    layer z[i]: b(image)",
        "machine big: machine big(rows = 8) extends ws_8x8",
        "  parameter rows: 8",
        "  setting clock: 400 MHz",
        "  part array pe",
        "    part unit mac",
        "      setting accumulate: i32",
        "recipe r: recipe r",
        "  step prune: prune(sparsity = 50 %)",
        "schedule s: schedule s of net with r on big",
        "  setting dataflow: weight_stationary",
        "  part map z1",
        "    part at pe",
        "      setting rows: C",
    ]


def test_names_lie_inside_their_entries():
    def check(nodes: list[Node] | tuple[Node, ...]) -> None:
        for node in nodes:
            assert (node.span.line, node.span.column) <= (node.name_span.line, node.name_span.column)
            assert (node.name_span.end_line, node.name_span.end_column) <= (node.span.end_line, node.span.end_column)
            check(node.children)

    check(outline(parse(SPEC, "x.hap")))


def fixed(folder: Path, text: str, title: str) -> str:
    """A text after the quick fix of this title."""
    project = Project()
    project.put(folder / "x.hap", text)
    found = [f for d in project.diagnostics(folder / "x.hap") for f in fixes(d, text)]
    (fix,) = (f for f in found if f.title == title)
    lines = text.split("\n")
    line = lines[fix.at.line - 1]
    lines[fix.at.line - 1] = line[: fix.at.column - 1] + fix.text + line[fix.at.end_column - 1 :]
    return "\n".join(lines)


NET = "hap 1\nnetwork n(x: f32[1, 2]) -> f32[1, 2] {\n    y = relu(x)\n    return relu(x)\n}\n"


@pytest.mark.parametrize(
    ("text", "title", "result"),
    [
        (NET.replace("y = relu", "y = rleu"), "write `relu`", NET),
        ("hap 1\nmachine m { clock = 200 Mhz }", "write `MHz`", "hap 1\nmachine m { clock = 200 MHz }"),
        (NET.replace("y = relu", "y = nn.Sigmoid"), "write `sigmoid`", NET.replace("y = relu", "y = sigmoid")),
        ("hap 1\nmachine m { freq = 200 MHz }", "write `clock`", "hap 1\nmachine m { clock = 200 MHz }"),
        (
            "hap 1\nrecipe r { prune(sparsitty = 50 %) }",
            "write `sparsity`",
            "hap 1\nrecipe r { prune(sparsity = 50 %) }",
        ),
        (
            "hap 1\nschedule s of n on ws_8x8 { }\n" + NET.partition("\n")[2],
            'add `import "machines/ws_8x8.hap"`',
            'hap 1\nimport "machines/ws_8x8.hap"\nschedule s of n on ws_8x8 { }\n' + NET.partition("\n")[2],
        ),
        (NET, "allow HAP0220 here", NET.replace("y = relu(x)", "y = relu(x)  // hapir: allow HAP0220")),
        (
            NET.replace("y = relu(x)", "y = relu(x)  // why"),
            "allow HAP0220 here",
            NET.replace("    y = relu(x)", "    // hapir: allow HAP0220\n    y = relu(x)  // why"),
        ),
        (
            NET.replace("y = relu(x)", "y = relu(x)  // hapir: allow HAP0250"),
            "allow HAP0220 here",
            NET.replace("y = relu(x)", "y = relu(x)  // hapir: allow HAP0250, HAP0220"),
        ),
    ],
)
def test_quick_fixes(tmp_path: Path, text: str, title: str, result: str):
    assert fixed(tmp_path, text, title) == result


def test_a_silenced_warning_is_gone(tmp_path: Path):
    project = Project()
    project.put(tmp_path / "x.hap", fixed(tmp_path, NET, "allow HAP0220 here"))
    assert project.diagnostics(tmp_path / "x.hap") == ()


@pytest.mark.parametrize(
    ("encoding", "character"), [("utf-8", 9), ("utf-16", 5), ("utf-32", 4)], ids=lambda value: str(value)
)
def test_places_in_units(encoding: str, character: int):
    lines = ["first", "aé𝄞 𝄞x"]  # 1, 2 and 4 bytes; 1, 1 and 2 units of UTF-16
    assert to_client(lines, 2, 5, encoding) == (1, {"utf-8": 8, "utf-16": 5, "utf-32": 4}[encoding])
    for column in range(1, len(lines[1]) + 2):
        there = to_client(lines, 2, column, encoding)
        assert from_client(lines, *there, encoding) == (2, column)


def test_places_outside_a_text_are_moved_into_it():
    lines = ["a", "bc"]
    assert from_client(lines, 9, 9, "utf-16") == (2, 3)
    assert from_client(lines, 0, 9, "utf-16") == (1, 2)
    assert to_client(lines, 9, 9, "utf-16") == (1, 0)
    assert to_client([""], 1, 5, "utf-16") == (0, 0)
    assert offset(lines, 2, 3) == 4


def test_a_context_knows_its_brackets():
    text = 'hap 1\nmachine m {\n  memory a { size = 1 KiB } // ) {\n  array pe[8, 8] {\n    unit mac { x = f("(", [1, 2'
    found = context_at(text, len(text))
    assert [frame.opening for frame in found.frames] == ["{", "{", "{", "(", "["]
    assert [frame.words for frame in found.bodies] == [["machine", "m"], ["array", "pe"], ["unit", "mac"]]
    assert found.frames[-2].called == "f"
    assert (found.definition, found.statement) == ("machine", "2")
    forgotten = context_at("network n(x: f32[1, {\n", len("network n(x: f32[1, {\n"))
    assert forgotten.definition == "network"
    closed = context_at("network n { a = f(1 }\nx", len("network n { a = f(1 }\nx"))
    assert closed.frames == ()


def test_open_texts_count_and_closed_ones_do_not(tmp_path: Path):
    part, main = tmp_path / "part.hap", tmp_path / "main.hap"
    part.write_text("hap 1\nmachine m { clock = 1 MHz }\n")
    main.write_text('hap 1\nimport "part.hap"\nschedule s of n on m { }\n' + NET.partition("\n")[2])
    project = Project()
    errors = [d.code for d in project.diagnostics(main) if d.severity == "error"]
    assert errors == []
    project.put(part, "hap 1\nmachine other { clock = 1 MHz }\n")
    assert [d.code for d in project.diagnostics(main) if d.severity == "error"] == ["HAP0209"]
    project.close(part)
    assert [d.code for d in project.diagnostics(main) if d.severity == "error"] == []
    part.write_text("hap 1\nmachine other { clock = 1 MHz }\n")
    project.changed_on_disk()
    assert [d.code for d in project.diagnostics(main) if d.severity == "error"] == ["HAP0209"]


def test_what_the_editor_shows_is_what_check_says(tmp_path: Path):
    spec = tmp_path / "x.hap"
    for text in (NET, NET.replace("relu(x)", "rleu(x)"), NET.replace("f32[1, 2] {", "f32[1, 3] {"), NET[:40], SPEC):
        spec.write_text(text)
        project = Project()
        shown = [(d.code, d.message) for d in project.diagnostics(spec)]
        checked = run_main("check", spec, "--format", "json").json
        assert shown == [(d["code"], d["message"]) for d in checked["diagnostics"]]


@pytest.mark.parametrize("path", [".", "..", "/", "machines", "machines/", "a/b/c.hap", ""])
def test_an_import_of_nothing_is_answered(path: str):
    project = Project()
    project.put(Path("/nowhere/x.hap"), f'hap 1\nimport "{path}"\n')
    assert {d.code for d in project.diagnostics(Path("/nowhere/x.hap"))} <= {"HAP0106", "HAP0212", "HAP0214"}
    assert project.diagnostics(Path("/nowhere/x.hap")) != ()


def test_without_the_extra_the_command_names_it(monkeypatch: pytest.MonkeyPatch):
    import sys

    monkeypatch.delitem(sys.modules, "hapir.lsp.server", raising=False)
    monkeypatch.setitem(sys.modules, "lsprotocol", None)
    outcome = run_main("lsp")
    assert (outcome.code, outcome.out) == (1, "")
    assert "error[HAP0880]: this needs `lsprotocol`, which is not installed" in outcome.err
    assert "pip install 'hapir[lsp]'" in outcome.err
