"""The cache of built files: what is not kept still lasts as long as the process, whoever asks first."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import pytest

from hapir import cache


def test_threads_that_ask_at_once_share_one_passing_folder(monkeypatch: pytest.MonkeyPatch):
    cache._passing_directory.cache_clear()  # pyright: ignore[reportPrivateUsage]  # as in a process that just began
    made = cache.tempfile.TemporaryDirectory
    meeting = threading.Barrier(2)

    def slow(prefix: str) -> object:
        """Two threads that are both making a folder meet here; with one alone the wait ends by itself."""
        if prefix == "hapir-" and threading.current_thread().name.startswith("asker"):
            try:
                meeting.wait(timeout=0.3)
            except threading.BrokenBarrierError:
                return made(prefix=prefix)
        return made(prefix=prefix)

    monkeypatch.setattr(cache.tempfile, "TemporaryDirectory", slow)
    found: list[Path] = []

    def ask() -> None:
        found.append(cache._passing_folder())  # pyright: ignore[reportPrivateUsage]  # the race is inside it

    askers = [threading.Thread(target=ask, name=f"asker {n}") for n in range(2)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    gc.collect()
    assert len(set(found)) == 1
    assert found[0].is_dir()


def test_a_file_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HAPIR_CACHE", str(tmp_path))
    calls: list[int] = []

    def make(folder: Path) -> Path:
        calls.append(1)
        (folder / "x").write_text("built", encoding="utf-8")
        return folder / "x"

    paths = {cache.cached_file("kind", ["a", "b"], ".x", make) for _ in range(3)}
    assert len(calls) == len(paths) == 1
    assert cache.cached_file("kind", ["ab"], ".x", make) not in paths
    assert len(calls) == 2
