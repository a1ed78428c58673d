"""Imports, names and the recipe's passes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from hapir.diagnostics import Findings, HapirError, render
from hapir.library import TECHNOLOGY, library_files
from hapir.spec import Spec, load_spec, load_spec_text, recipe_passes
from hapir.spec.frames import Frame

NETWORK = "hap 1\nnetwork n(x: f32[1, 4]) -> f32[1, 4] {\n  return relu(x)\n}\n"
MACHINE = "hap 1\nmachine m { technology = cmos45, clock = 1 MHz }\n"


def write(folder: Path, **files: str) -> Path:
    """Files of a project; `a__b` is `a/b.hap`. Gives the path of `main`."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".hap")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "main.hap"


def codes(path: Path) -> list[str]:
    with pytest.raises(HapirError) as raised:
        load_spec(path)
    return [d.code for d in raised.value.diagnostics]


def check(text: str) -> Spec:
    return load_spec_text(text, "t.hap", Path("nowhere"))


def test_imports_bring_definitions(tmp_path: Path):
    path = write(
        tmp_path,
        main='hap 1\nimport "parts/n.hap"\nimport "m.hap"\nschedule s of n on m { }\n',
        parts__n=NETWORK.replace("hap 1", 'hap 1\nimport "m2.hap"'),
        parts__m2='hap 1\nimport "../m.hap"\n',
        m=MACHINE,
    )
    spec = load_spec(path)
    assert (list(spec.networks), list(spec.machines), list(spec.schedules)) == (["n"], ["m"], ["s"])
    assert spec.networks["n"].span.file == "parts/n.hap"
    assert spec.layers == {"n": ("output.relu",)}
    assert spec.sources["parts/n.hap"] == tmp_path / "parts"


def test_one_file_imported_twice_is_read_once(tmp_path: Path):
    path = write(tmp_path, main='hap 1\nimport "n.hap"\nimport "./n.hap"\nimport "sub/../n.hap"\n', n=NETWORK)
    (tmp_path / "sub").mkdir()
    assert list(load_spec(path).networks) == ["n"]


def test_circles(tmp_path: Path):
    assert codes(write(tmp_path, main='hap 1\nimport "main.hap"\n')) == ["HAP0213"]
    path = write(tmp_path, main='hap 1\nimport "a.hap"\n', a='hap 1\nimport "b.hap"\n', b='hap 1\nimport "main.hap"\n')
    with pytest.raises(HapirError, match=r"main\.hap -> a\.hap -> b\.hap -> main\.hap") as raised:
        load_spec(path)
    assert [label.span.file for label in raised.value.diagnostics[0].labels] == ["main.hap", "a.hap"]


def test_imports_stay_inside(tmp_path: Path):
    write(tmp_path, secret=NETWORK)
    inside = tmp_path / "project"
    (tmp_path / "linked").mkdir()
    for target in ("../secret.hap", str(tmp_path / "secret.hap"), "../none.hap", "x/../../secret.hap"):
        path = write(inside, main=f'hap 1\nimport "{target}"\n')
        assert codes(path) == ["HAP0214"]
    (inside / "link.hap").symlink_to(tmp_path / "secret.hap")
    assert codes(write(inside, main='hap 1\nimport "link.hap"\n')) == ["HAP0214"]
    spec = load_spec(write(inside, main='hap 1\nimport "../secret.hap"\n'), allow_outside=True)
    assert spec.networks["n"].span.file == "../secret.hap"


@pytest.mark.parametrize("target", ["", "none.hap", "machines/none.hap", "machines/../c/x.hap", "a\\\\b.hap", "."])
def test_imports_that_lead_nowhere(tmp_path: Path, target: str):
    assert codes(write(tmp_path, main=f'hap 1\nimport "{target}"\n'))[0] in ("HAP0212", "HAP0106")


def test_errors_of_all_files_at_once(tmp_path: Path):
    path = write(tmp_path, main='hap 1\nimport "a.hap"\nimport "b.hap"\n', a="hap 1\nmachine = 3\n", b="hap 2\n")
    assert codes(path) == ["HAP0101", "HAP0103"]


def test_a_very_long_line_is_shown_around_the_mistake():
    text = "hap 1\nnetwork n(x: f32[1, 2]) -> f32[1, 2] { " + "a = rleu(x); " * 1000 + "return x }"
    with pytest.raises(HapirError) as error:
        load_spec_text(text, "t.hap", Path("nowhere"))
    for found in error.value.diagnostics[:50:7]:
        assert found.span is not None
        shown = render([replace(found, labels=(), sources={"t.hap": text})]).split("\n")
        assert shown[1] == f" --> t.hap:2:{found.span.column}"
        assert all(len(line) < 420 for line in shown)
        start, end = shown[3].index("^"), shown[3].rindex("^") + 1
        assert shown[2][start:end] == text.split("\n")[1][found.span.column - 1 : found.span.end_column - 1]


def test_a_mark_that_is_longer_than_what_is_shown_is_cut():
    text = "hap 1\nlet a = " + "-" * 5000 + "1"
    with pytest.raises(HapirError) as error:
        load_spec_text(text, "t.hap", Path("nowhere"))
    shown = render([replace(error.value.diagnostics[0], sources={"t.hap": text})]).split("\n")
    assert [len(line) for line in shown[2:4]] == [4 + 3 + 400 + 3, 4 + 3 + 400]
    assert shown[2].startswith("2 | ...")
    assert shown[2].endswith("...")


def test_file_names_do_not_depend_on_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write(tmp_path / "p", main='hap 1\nimport "parts/n.hap"\n', parts__n=NETWORK.replace("relu", "rleu"))
    with pytest.raises(HapirError) as far:
        load_spec(path)
    monkeypatch.chdir(path.parent)
    with pytest.raises(HapirError) as near:
        load_spec(Path("main.hap"))
    assert far.value.diagnostics == near.value.diagnostics
    assert "return rleu(x)" in render(far.value.diagnostics)
    assert "return rleu(x)" in render(near.value.diagnostics)
    monkeypatch.chdir(tmp_path)
    assert "p/parts/n.hap:3:10" in render(far.value.diagnostics)


def test_library_is_found_after_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A machine that a plug-in registers is imported like one of hapir's own; a file of the project comes first."""
    from hapir.spec import imports
    from hapir.universe import HapirUniverse

    write(tmp_path, plugin=MACHINE)
    universe = HapirUniverse(machines={"wide": lambda: tmp_path / "plugin.hap"})
    monkeypatch.setattr(imports, "universe", lambda: universe)
    spec = load_spec(write(tmp_path / "p", main='hap 1\nimport "machines/wide.hap"\n'))
    assert spec.machines["m"].span.file == "library:machines/wide.hap"
    write(tmp_path / "p", machines__wide=MACHINE)
    assert load_spec(tmp_path / "p/main.hap").machines["m"].span.file == "machines/wide.hap"


def test_recipe_steps_are_passes(tmp_path: Path):
    spec = load_spec(write(tmp_path, main="hap 1\nrecipe r {\n  fold_batch_norm()\n  prune(sparsity = 50 %)\n}\n"))
    first, second = recipe_passes(spec, "r")
    assert (first.pass_.name, first.span.line) == ("fold_batch_norm", 3)
    assert (second.pass_.name, second.span.line) == ("prune", 4)
    assert getattr(second.pass_, "sparsity") == 0.5  # noqa: B009  # the pass is known by its registered name only
    with pytest.raises(HapirError, match="there is no recipe `q`"):
        recipe_passes(spec, "q")


def test_names_are_unique_across_kinds():
    with pytest.raises(HapirError) as raised:
        check(NETWORK + "recipe n { }\n")
    assert [d.code for d in raised.value.diagnostics] == ["HAP0207"]


def test_nested_layers_have_names_of_their_own():
    spec = check(
        "hap 1\nnetwork n(x: f32[1, 1, 4, 4]) -> (a: f32[1, 3], b: f32[1, 16]) {\n"
        "  f.relu = relu(x)\n  f = dense(flatten(relu(relu(f.relu))), units = 3)\n  return softmax(f), flatten(x)\n}\n"
    )
    assert spec.layers["n"] == ("f.relu", "f", "f.flatten", "f.relu_2", "f.relu_3", "a.softmax", "b.flatten")


def test_warnings_are_kept():
    spec = check("hap 1\nnetwork n(x: f32[1, 4], y: f32[1, 4]) -> f32[1, 4] {\n  r = relu(x)\n  return relu(x)\n}\n")
    assert [(d.code, d.severity, d.message) for d in spec.warnings] == [
        ("HAP0220", "warning", "`y` is never used"),
        ("HAP0220", "warning", "`r` is never used"),
    ]
    assert {d.folder for d in spec.warnings} == {Path("nowhere")}


def test_technologies_of_the_library():
    assert "cmos45" in library_files(TECHNOLOGY)


@pytest.mark.parametrize(
    "line",
    ["y{i} = relu(z{i})", "let a{i} = b{i} + 1", "y = relu(x)", "machine a{i} extends b{i} {{ }}", "y{i} = 3 + z{i}"],
)
def test_a_checker_stops_when_there_is_enough_to_read(line: str):
    """Each error is compared with names that are known; without an end that would take the square of the lines."""
    lines = "\n".join(line.format(i=i) for i in range(3 * Findings.ENOUGH))
    if not line.startswith("machine"):
        lines = f"network n(x: f32[1, 4]) -> f32[1, 4] {{\n{lines}\nreturn x\n}}"
    with pytest.raises(HapirError) as raised:
        load_spec_text(f"hap 1\n{lines}\n", "t.hap", Path("nowhere"))
    assert len(raised.value.diagnostics) == Findings.ENOUGH


def test_a_good_network_is_built_without_lists_of_its_names(monkeypatch: pytest.MonkeyPatch):
    """Names are gathered for suggestions alone: once per layer would take the square of their number."""

    def names(_frame: Frame) -> NoReturn:
        raise AssertionError("the names are listed")

    monkeypatch.setattr(Frame, "names", names)
    lines = "\n".join(f"y{i} = relu(add(x, x))" for i in range(3))
    repeat = "repeat i in range(1, 3) { z = b(x, n = i) }"
    block = "block b(x, n) { return relu(clip(x, low = 0, high = n)) }"
    spec = f"hap 1\n{block}\nnetwork n(x: f32[1, 4]) -> f32[1, 4] {{\n{lines}\n{repeat}\nreturn relu(z[3])\n}}"
    assert len(load_spec_text(spec, "t.hap", Path("nowhere")).layers["n"]) == 13
