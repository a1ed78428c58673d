"""Built files are found again, never seen half done, and the oldest go first."""

from __future__ import annotations

import gc
import os
import threading
import time
from pathlib import Path

import pytest

from hapir import cache
from hapir.cache import cached_file, key_of
from hapir.diagnostics import HapirError


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own."""
    monkeypatch.setenv("HAPIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HAPIR_NO_CACHE", raising=False)
    return tmp_path / "cache"


class Maker:
    """Builds files and counts how often."""

    def __init__(self, size: int = 4):
        self.size = size
        self.calls = 0

    def __call__(self, folder: Path) -> Path:
        self.calls += 1
        (folder / "made").write_bytes(bytes(self.size))
        return folder / "made"


def test_the_second_time_nothing_is_built(place: Path) -> None:
    maker = Maker()
    first = cached_file("kind", ["a", "b"], ".so", maker)
    assert first == cached_file("kind", ["a", "b"], ".so", maker)
    assert first.is_relative_to(place)
    assert maker.calls == 1
    cached_file("kind", ["ab"], ".so", maker)
    assert maker.calls == 2


def test_keys_tell_sequences_apart() -> None:
    assert len({key_of(parts) for parts in (["ab"], ["a", "b"], ["b", "a"], [""], [], ["a", "b", ""])}) == 6


def test_a_failed_build_leaves_nothing(place: Path) -> None:
    def broken(folder: Path) -> Path:
        (folder / "half").write_bytes(b"half")
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        cached_file("kind", ["a"], ".so", broken)
    assert not list(place.rglob("*.so"))
    assert cached_file("kind", ["a"], ".so", Maker()).read_bytes() == bytes(4)


def test_without_a_cache_files_lie_elsewhere(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not cached_file("kind", ["a"], ".so", Maker(), keep=False).is_relative_to(place)
    monkeypatch.setenv("HAPIR_NO_CACHE", "1")
    assert not cached_file("kind", ["b"], ".so", Maker()).is_relative_to(place)
    assert not place.exists()


def test_the_file_used_longest_ago_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LIMIT_BYTES", 100)
    paths = [cached_file("kind", [str(n)], ".so", Maker(40)) for n in range(2)]
    old = time.time() - 1000
    os.utime(paths[0], (old, old))
    os.utime(paths[1], (old - 1, old - 1))
    third = cached_file("kind", ["2"], ".so", Maker(40))
    assert [path.exists() for path in (*paths, third)] == [True, False, True]


def test_two_at_once_build_once() -> None:
    maker = Maker()

    def slow(folder: Path) -> Path:
        started.set()
        release.wait(10)
        return maker(folder)

    started, release = threading.Event(), threading.Event()
    threads = [threading.Thread(target=cached_file, args=("kind", ["a"], ".so", slow)) for _ in range(2)]
    threads[0].start()
    assert started.wait(10)
    threads[1].start()
    release.set()
    for thread in threads:
        thread.join(10)
    assert maker.calls == 1


def test_an_unusable_place_is_a_diagnostic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HAPIR_CACHE", str(tmp_path / "file"))
    with pytest.raises(HapirError, match="HAP0844"):
        cached_file("kind", ["a"], ".so", Maker())


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
