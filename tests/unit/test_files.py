"""Atomic files and folders: whatever goes wrong, the old state or the new one is there, and nothing else."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from hapir.diagnostics import HapirError
from hapir.files import replaced_folder, write_atomically, write_together, writing

MARK = "manifest.json"


def _code(error: pytest.ExceptionInfo[HapirError]) -> str:
    return error.value.diagnostics[0].code


def _fill(place: Path, text: str) -> None:
    (place / MARK).write_text(text)
    (place / "sub").mkdir()
    (place / "sub" / "data").write_text(text * 100)


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_file_in_a_missing_folder_is_a_diagnostic(tmp_path: Path) -> None:
    with pytest.raises(HapirError) as error:
        write_atomically(tmp_path / "no" / "a", b"")
    assert _code(error) == "HAP0884"


def test_a_folder_is_made_and_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    for text in ("old", "new"):
        with replaced_folder(folder, MARK) as place:
            _fill(place, text)
    assert (folder / MARK).read_text() == "new"
    assert [p.name for p in folder.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_block_leaves_the_old_folder(tmp_path: Path, error: type[BaseException]) -> None:
    folder = tmp_path / "out"
    with replaced_folder(folder, MARK) as place:
        _fill(place, "old")

    def interrupted() -> None:
        with replaced_folder(folder, MARK) as place:
            _fill(place, "new")
            raise error

    with pytest.raises(error):
        interrupted()
    assert (folder / MARK).read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_strangers_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(HapirError) as error, replaced_folder(folder, MARK):
        pytest.fail("the block must not run")
    assert _code(error) == "HAP0881"
    assert (folder / "thesis.tex").read_text() == "years of work"


def test_files_and_links_are_refused_and_empty_folders_taken(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    for name in ("file", "link"):
        with pytest.raises(HapirError) as error, replaced_folder(tmp_path / name, MARK):
            pytest.fail("the block must not run")
        assert _code(error) == "HAP0881"
    with replaced_folder(tmp_path / "empty", MARK) as place:
        _fill(place, "new")
    assert (tmp_path / "empty" / MARK).read_text() == "new"


def test_the_current_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (".", ".."):
        with pytest.raises(HapirError) as error, replaced_folder(Path(name), MARK):
            pytest.fail("the block must not run")
        assert _code(error) == "HAP0881"


def test_writers_at_once_leave_one_whole_folder(tmp_path: Path) -> None:
    folder, rounds, errors = tmp_path / "out", 30, list[BaseException]()

    def write(text: str) -> None:
        try:
            for _ in range(rounds):
                with replaced_folder(folder, MARK) as place:
                    _fill(place, text)
        except BaseException as error:
            errors.append(error)

    writers = [threading.Thread(target=write, args=(text,)) for text in ("a", "b", "c")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert not errors
    text = (folder / MARK).read_text()
    assert (folder / "sub" / "data").read_text() == text * 100
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("blocked", ["folder", "file/below"])
def test_what_stands_in_the_way_of_a_file_is_a_diagnostic(tmp_path: Path, blocked: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(HapirError) as error:
        write_atomically(tmp_path / blocked, b"new")
    assert _code(error) == "HAP0884"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_a_folder_below_a_file_is_a_diagnostic(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HapirError) as error, replaced_folder(tmp_path / "file" / "out", MARK):
        pytest.fail("the block must not run")
    assert _code(error) == "HAP0884"
    assert "a file stands in its path" in error.value.diagnostics[0].message


@pytest.mark.parametrize(("number", "way_out"), [(errno.ENOSPC, "make room"), (errno.EACCES, "you may write to")])
def test_the_way_out_fits_the_reason(number: int, way_out: str) -> None:
    with pytest.raises(HapirError) as error, writing(Path("out")):
        raise OSError(number, os.strerror(number))
    assert way_out in (error.value.diagnostics[0].help or "")


def test_files_are_put_in_place_together(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"old")
    write_together({first: b"1", second: b"2"})
    assert (first.read_bytes(), second.read_bytes()) == (b"1", b"2")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]
    assert first.stat().st_mode == second.stat().st_mode


@pytest.mark.parametrize("order", [("a", "wrong"), ("wrong", "a"), ("a", "new", "wrong")])
def test_where_one_file_cannot_be_written_none_is(tmp_path: Path, order: tuple[str, ...]) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "wrong" / "full").mkdir(parents=True)

    with pytest.raises(HapirError) as error:
        write_together({tmp_path / name / "no" / "x" if name == "wrong" else tmp_path / name: b"new" for name in order})
    assert _code(error) == "HAP0884"
    assert (tmp_path / "a").read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "wrong"]


def test_files_come_back_where_a_later_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [tmp_path / "a", tmp_path / "b", tmp_path / "c"]
    for path in places[:2]:
        path.write_bytes(b"old")
    replace = Path.replace

    def failing(self: Path, target: Path) -> Path:
        if target == places[2]:
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(HapirError) as error:
        write_together(dict.fromkeys(places, b"new"))
    assert _code(error) == "HAP0884"
    assert [path.read_bytes() for path in places[:2]] == [b"old", b"old"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]
