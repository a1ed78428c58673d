"""`hapir fmt` as a command: what it writes, says and refuses."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.projects import run_main

UGLY = "hap 1\nlet a=50%\n"
NEAT = "hap 1\nlet a = 50 %\n"
BROKEN = "hap 1\nlet a =\n"


def put(folder: Path, **texts: str) -> None:
    """Files `<name>.hap`."""
    for name, text in texts.items():
        (folder / f"{name}.hap").write_bytes(text.encode("utf-8"))


def test_files_are_rewritten_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, ugly=UGLY, neat=NEAT)
    monkeypatch.chdir(tmp_path)
    outcome = run_main("fmt", "ugly.hap", "neat.hap")
    assert (outcome.code, outcome.out, outcome.err) == (0, "formatted ugly.hap\n", "")
    assert Path("ugly.hap").read_text() == NEAT
    again = run_main("fmt", ".")
    assert (again.code, again.out, again.err) == (0, "2 files, formatted already\n", "")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["neat.hap", "ugly.hap"]


@pytest.mark.parametrize(
    ("option", "shown"),
    [
        ("--check", "would change ugly.hap\n"),
        ("--diff", "--- ugly.hap\n+++ ugly.hap\n@@ -1,2 +1,2 @@\n hap 1\n-let a=50%\n+let a = 50 %\n"),
    ],
)
def test_check_and_diff_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, shown: str
) -> None:
    put(tmp_path, ugly=UGLY, neat=NEAT)
    monkeypatch.chdir(tmp_path)
    outcome = run_main("fmt", option, "ugly.hap", "neat.hap")
    assert (outcome.code, outcome.out, outcome.err) == (1, shown, "")
    assert Path("ugly.hap").read_text() == UGLY
    assert run_main("fmt", option, "neat.hap").code == 0


def test_both_at_once_are_wrong_usage(tmp_path: Path) -> None:
    assert run_main("fmt", "--check", "--diff", tmp_path).code == 2


def test_a_broken_file_stays_and_the_others_are_formatted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, broken=BROKEN, ugly=UGLY)
    monkeypatch.chdir(tmp_path)
    outcome = run_main("fmt", "broken.hap", "ugly.hap")
    assert (outcome.code, outcome.out) == (1, "formatted ugly.hap\n")
    assert "error[HAP0101]" in outcome.err
    assert "let a =\n" in outcome.err  # the line is shown
    assert Path("broken.hap").read_text() == BROKEN


def test_json_is_one_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, broken=BROKEN, ugly=UGLY, neat=NEAT)
    monkeypatch.chdir(tmp_path)
    outcome = run_main("fmt", "--check", ".", "--format", "json")
    assert (outcome.code, outcome.err) == (1, "")
    assert outcome.json["files"] == 3
    assert outcome.json["changed"] == ["ugly.hap"]
    assert [d["code"] for d in outcome.json["diagnostics"]] == ["HAP0101"]


def test_a_folder_is_searched_but_for_hidden_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("a/b", ".hidden"):
        (tmp_path / folder).mkdir(parents=True)
        put(tmp_path / folder, x=UGLY)
    (tmp_path / "a" / "note.txt").write_text("hap 1")
    monkeypatch.chdir(tmp_path)
    assert run_main("fmt", ".", "a", "a/b/x.hap").out == f"formatted {Path('a/b/x.hap')}\n"
    (tmp_path / "empty").mkdir()
    outcome = run_main("fmt", "empty", "missing.hap")
    assert outcome.code == 1
    assert "the folder `empty` holds no .hap file" in outcome.err
    assert "`missing.hap` cannot be read" in outcome.err


def test_line_ends_and_byte_order_marks_are_normalised(tmp_path: Path) -> None:
    path = tmp_path / "x.hap"
    for data in (NEAT.replace("\n", "\r\n").encode(), b"\xef\xbb\xbf" + NEAT.encode(), NEAT.rstrip().encode()):
        path.write_bytes(data)
        assert run_main("fmt", "--check", path).code == 1
        assert run_main("fmt", path).code == 0
        assert path.read_bytes() == NEAT.encode()


def test_rights_and_links_stay(tmp_path: Path) -> None:
    put(tmp_path, real=UGLY)
    real, link = tmp_path / "real.hap", tmp_path / "link.hap"
    real.chmod(0o640)
    link.symlink_to(real)
    assert run_main("fmt", link).code == 0
    assert link.is_symlink()
    assert real.read_text() == NEAT
    assert real.stat().st_mode & 0o777 == 0o640


class _Stdin:
    """A standard input that holds these bytes."""

    def __init__(self, data: bytes):
        self.buffer = io.BytesIO(data)


@pytest.mark.parametrize(
    ("data", "argv", "code", "out"),
    [
        (UGLY.encode(), (), 0, NEAT),
        (NEAT.encode(), (), 0, NEAT),
        (UGLY.encode(), ("--check",), 1, "would change <stdin>\n"),
        (NEAT.encode(), ("--check",), 0, ""),
        (BROKEN.encode(), (), 1, ""),
        (b"hap 1\n\xff", (), 1, ""),
    ],
)
def test_stdin_to_stdout(
    monkeypatch: pytest.MonkeyPatch, data: bytes, argv: tuple[str, ...], code: int, out: str
) -> None:
    monkeypatch.setattr("sys.stdin", _Stdin(data))
    outcome = run_main("fmt", "-", *argv)
    assert (outcome.code, outcome.out) == (code, out)
    assert bool(outcome.err) == (not out and code == 1)


def test_a_mistake_in_stdin_shows_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", _Stdin(BROKEN.encode()))
    outcome = run_main("fmt", "-")
    assert outcome.code == 1
    assert "\n2 | let a =\n" in outcome.err
