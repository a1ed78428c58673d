"""Definitions, references and rename across files, and what rename refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from hapir.lsp.navigation import Location, Refused, definition, edited, renamable
from hapir.lsp.project import Project
from tests.lsp_client import cursor

PARTS = """\
hap 1
let stride = 1

block pair(x, channels = 4) {
    a = conv2d(x, channels = channels, kernel = 1, stride = stride)
    return relu(a)
}

machine base(rows = 4) {
    technology = cmos45
    clock = 200 MHz
    memory dram { bandwidth = 8 B/cycle, latency = 20 cycle }
    array pe[rows, 4] { unit mac { multiply = u8 * i8 } }
    network_on_chip wires { topology = bus, source = dram, destination = pe }
}

recipe thin(amount = 50 %) { prune(layers = "first.a", sparsity = amount) }
"""
MAIN = """\
hap 1
import "parts.hap"

let width = 8
let channels = 2 * width

network net(image: f32[1, 2, 6, 6]) -> f32[1, 16, 6, 6] {
    first = pair(image, channels = channels)
    repeat i in range(1, 3) {
        k = conv2d(first, channels = width * i, kernel = 1)
        t[i] = relu(k)
    }
    c3 = concat(t1, t[2])
    d = add(first, first.a)
    e = conv2d(concat(c3, d, k3, k[1]), channels = 16, kernel = 1)
    return e
}

machine big extends base(rows = 8) {
    memory dram { bandwidth = 16 B/cycle }
    memory extra { size = 1 KiB }
}

schedule s of net with thin(amount = 30 %) on big {
    map "first.a" { at dram { for = [K: 2] } }
    map c3        { at extra { for = [K: 2] } }
}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "parts.hap").write_text(PARTS, encoding="utf-8")
    (tmp_path / "main.hap").write_text(MAIN, encoding="utf-8")
    made = Project()
    made.folders = [tmp_path]
    return made


def where(tmp_path: Path, marked: str) -> tuple[Path, int, int]:
    """The place of the cursor in the first file that holds the words around it."""
    plain = marked.replace("|", "")
    name, text = ("main.hap", MAIN) if plain in MAIN else ("parts.hap", PARTS)
    _, line, column = cursor(text.replace(plain, marked, 1))
    return tmp_path / name, line, column


def shown(at: Location) -> str:
    """A location as the line it is on with the name in brackets."""
    text = PARTS if at.path.name == "parts.hap" else MAIN
    line = text.split("\n")[at.line - 1]
    return f"{line[: at.column - 1]}<{line[at.column - 1 : at.end_column - 1]}>{line[at.end_column - 1 :]}".strip()


@pytest.mark.parametrize(
    ("marked", "target"),
    [
        ("image, channels = |channels", "let <channels> = 2 * width"),
        ("image, |channels", "block pair(x, <channels> = 4) {"),
        ("|pair(image", "block <pair>(x, channels = 4) {"),
        ("pair(|image", "network net(<image>: f32[1, 2, 6, 6]) -> f32[1, 16, 6, 6] {"),
        ("width * |i", "repeat <i> in range(1, 3) {"),
        ("relu(|k)", "<k> = conv2d(first, channels = width * i, kernel = 1)"),
        ("concat(|t1", "<t>[i] = relu(k)"),
        ("|t[2]", "<t>[i] = relu(k)"),
        ("|k3", "<k> = conv2d(first, channels = width * i, kernel = 1)"),
        ("first.|a)", "<a> = conv2d(x, channels = channels, kernel = 1, stride = stride)"),
        ("|first.a)", "<first> = pair(image, channels = channels)"),
        ("extends |base", "machine <base>(rows = 4) {"),
        ("base(|rows = 8", "machine base(<rows> = 4) {"),
        ("memory |dram { bandwidth = 16", "memory <dram> { bandwidth = 8 B/cycle, latency = 20 cycle }"),
        ("at |dram", "memory <dram> { bandwidth = 8 B/cycle, latency = 20 cycle }"),
        ("at |extra", "memory <extra> { size = 1 KiB }"),
        ("destination = |pe", "array <pe>[rows, 4] { unit mac { multiply = u8 * i8 } }"),
        ("with |thin", "recipe <thin>(amount = 50 %) { prune(layers = \"first.a\", sparsity = amount) }"),
        ("sparsity = |amount", "recipe thin(<amount> = 50 %) { prune(layers = \"first.a\", sparsity = amount) }"),
        ("of |net", "network <net>(image: f32[1, 2, 6, 6]) -> f32[1, 16, 6, 6] {"),
        ("map |c3", "<c3> = concat(t1, t[2])"),
        ("map \"first.|a", "<a> = conv2d(x, channels = channels, kernel = 1, stride = stride)"),
        ("layers = \"|first.a", None),
        ("stride = |stride", "let <stride> = 1"),
        ("|conv2d(x", None),
        ("|technology", None),
    ],
)  # fmt: skip
def test_definition(tmp_path: Path, project: Project, marked: str, target: str | None):
    path, line, column = where(tmp_path, marked)
    found = definition(project.view(path), line, column)
    assert (None if found is None else shown(found)) == target


def test_an_import_leads_to_its_file(tmp_path: Path, project: Project):
    path, line, column = where(tmp_path, "|parts.hap")
    found = definition(project.view(path), line, column)
    assert found == Location(tmp_path / "parts.hap", 1, 1, 1, 1)


def test_references_lie_in_all_files(tmp_path: Path, project: Project):
    expected = [
        "machine big extends base(<rows> = 8) {",
        "machine base(<rows> = 4) {",
        "array pe[<rows>, 4] { unit mac { multiply = u8 * i8 } }",
    ]
    for marked in ("base(|rows = 4", "base(|rows = 8", "pe[|rows"):
        found = project.references(*where(tmp_path, marked))
        assert [shown(at) for at in found] == expected
    only = project.references(*where(tmp_path, "pe[|rows"), declaration=False)
    assert [shown(at) for at in only] == [expected[0], expected[2]]
    assert project.references(*where(tmp_path, "|conv2d(x")) == []


def renamed(tmp_path: Path, project: Project, marked: str, new: str) -> tuple[str, str]:
    """Both files after a rename."""
    edits = project.rename(*where(tmp_path, marked), new)
    after = {tmp_path / "main.hap": MAIN, tmp_path / "parts.hap": PARTS}
    after.update(edited(dict(after), edits))
    return after[tmp_path / "main.hap"], after[tmp_path / "parts.hap"]


@pytest.mark.parametrize(
    ("marked", "new", "main", "parts"),
    [
        ("|pair(x", "twin", [("pair(image", "twin(image")], [("block pair(", "block twin(")]),
        (
            "block pair(x, |channels",
            "planes",
            [("image, channels =", "image, planes =")],
            [("x, channels = 4", "x, planes = 4"), ("channels = channels", "channels = planes")],
        ),
        ("let |width", "w", [("let width", "let w"), ("* width", "* w"), ("width * i", "w * i")], []),
        (
            "|k = conv2d",
            "c1",  # after a digit comes a `_`: `k3` becomes `c1_3`
            [("k = conv2d", "c1 = conv2d"), ("relu(k)", "relu(c1)"), ("k3, k[1]", "c1_3, c1[1]")],
            [],
        ),
        ("|t[i]", "u", [("t[i]", "u[i]"), ("t1, t[2]", "u1, u[2]")], []),
        (
            "|first = pair",
            "one",
            [("first = pair", "one = pair"), ("conv2d(first,", "conv2d(one,"), ("(first, first.a)", "(one, one.a)"),
             ('"first.a"', '"one.a"')],
            [('"first.a"', '"one.a"')],
        ),
        ("memory |dram { bandwidth = 8", "outside", [("memory dram", "memory outside"), ("at dram", "at outside")],
         [("memory dram", "memory outside"), ("source = dram", "source = outside")]),
        ("recipe |thin", "slim", [("with thin", "with slim")], [("recipe thin", "recipe slim")]),
        ("map |c3", "all", [("c3 = concat", "all = concat"), ("concat(c3", "concat(all"), ("map c3", "map all")], []),
    ],
)  # fmt: skip
def test_rename(
    tmp_path: Path,
    project: Project,
    marked: str,
    new: str,
    main: list[tuple[str, str]],
    parts: list[tuple[str, str]],
):
    expected: list[str] = []
    for text, changes in ((MAIN, main), (PARTS, parts)):
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        expected.append(text)
    assert list(renamed(tmp_path, project, marked, new)) == expected


def test_the_files_mean_the_same_after_a_rename(tmp_path: Path, project: Project):
    before = project.view(tmp_path / "main.hap")[0]
    for marked, new in (("|first = pair", "uno"), ("block |pair", "twin"), ("|dram { bandwidth = 8", "outside")):
        main, parts = renamed(tmp_path, project, marked, new)
        other = Project()
        other.put(tmp_path / "main.hap", main)
        other.put(tmp_path / "parts.hap", parts)
        after = other.view(tmp_path / "main.hap")[0]
        assert [d.code for d in after.diagnostics] == [d.code for d in before.diagnostics]
        assert [str(n.function_type) for n in after.networks.values()] == [
            str(n.function_type) for n in before.networks.values()
        ]


@pytest.mark.parametrize(
    ("marked", "new", "reason"),
    [
        ("|conv2d(x", "conv3d", "`conv2d` is a word of hapir"),
        ("|technology", "tech", "`technology` is a word of hapir"),
        ("|parts.hap", "other", "rename the file itself"),
        ("hap |1", "x", "here is no name"),
        ("let |width", "9", "`9` is not a name"),
        ("let |width", "a.b", "`a.b` is not a name"),
        ("let |width", "return", "`return` is a word of the language"),
        ("let |width", "channels", "`channels` is defined twice"),
        ("|d = add", "e", "`e` is defined twice"),
        ("block |pair", "conv2d", "a block cannot be called `conv2d`"),
    ],
)
def test_what_rename_refuses(tmp_path: Path, project: Project, marked: str, new: str, reason: str):
    with pytest.raises(Refused) as refused:
        project.rename(*where(tmp_path, marked), new)
    assert reason in str(refused.value)


def test_layers_with_stored_weights_keep_their_names(tmp_path: Path, project: Project):
    main = MAIN.replace("    first = pair", '    weights from "w.safetensors"\n    first = pair')
    project.put(tmp_path / "main.hap", main)
    for word, lost in (("first = pair", "first.a.weight"), ("k = conv2d", "k1.weight"), ("e = conv2d", "e.weight")):
        _, line, column = cursor(main.replace(word, f"|{word}", 1))
        with pytest.raises(Refused, match=f"holds `{lost}`"):
            project.rename(tmp_path / "main.hap", line, column, "other")
    _, line, column = cursor(main.replace("d = add", "|d = add", 1))
    assert project.rename(tmp_path / "main.hap", line, column, "other") != []


def test_names_of_the_library_stay(tmp_path: Path, project: Project):
    text = 'hap 1\nimport "machines/ws_8x8.hap"\nmachine big extends ws_8x8 { clock = 400 MHz }\n'
    project.put(tmp_path / "x.hap", text)
    column = text.split("\n")[2].index("ws_8x8") + 1
    with pytest.raises(Refused, match="belongs to hapir's library"):
        renamable(project.view(tmp_path / "x.hap"), 3, column)
    found = definition(project.view(tmp_path / "x.hap"), 3, column)
    assert found is not None
    assert found.path.name == "ws_8x8.hap"
    assert found.path.is_file()
