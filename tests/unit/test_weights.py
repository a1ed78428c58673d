"""Files of arrays: whatever lies under their name, it is read or refused with HAP0401."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from hapir.diagnostics import HapirError
from hapir.weights import load_arrays


def _refusal(path: Path) -> str:
    with pytest.raises(HapirError) as error:
        load_arrays(path)
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == "HAP0401"
    assert diagnostic.help is not None
    return diagnostic.message


def test_text_under_the_name_of_an_archive_is_not_called_a_pickle(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_text("hap 1")
    assert _refusal(tmp_path / "a.npz") == "the file `a.npz` cannot be read: it is not an .npz archive"
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    assert "it is not an .npz archive" in _refusal(tmp_path / "one.npz")


def test_members_that_are_no_arrays_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("image", "hello")
    assert "`image` in it is not an array" in _refusal(tmp_path / "a.npz")


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", image=np.array([None, 1], dtype=object))
    assert "allow_pickle=False" in _refusal(tmp_path / "a.npz")


def test_half_a_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", image=np.zeros(100))
    data = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(data[: len(data) // 2])
    (tmp_path / "half.safetensors").write_bytes(data[: len(data) // 2])
    (tmp_path / "folder.npz").mkdir()
    assert "cannot be read" in _refusal(tmp_path / "half.npz")
    assert "cannot be read" in _refusal(tmp_path / "half.safetensors")
    assert "is a folder" in _refusal(tmp_path / "folder.npz")
    assert "does not exist" in _refusal(tmp_path / "none.npz")
