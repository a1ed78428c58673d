"""What was built once and can be used again: files under a hash of everything that they were made from.

The place is `HAPIR_CACHE`, else `hapir` in the user's cache folder. A file is built in a folder of its own and renamed
into place, so nobody sees half of one; of two processes that want the same file, the second waits for the first. Past a
kind's limit, the files used longest ago go. With HAPIR_NO_CACHE set (or `keep=False`) the place is a folder of this
process that goes when it ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import tempfile
import threading
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

from hapir.diagnostics import fail
from hapir.files import write_atomically

try:
    import fcntl
except ImportError:  # a platform without file locks: two processes may build the same file, and the last rename wins
    fcntl = None

LIMIT_BYTES = 512 << 20
"""Of one kind of file."""


def cache_folder() -> Path:
    """Where files are kept between runs."""
    if own := os.environ.get("HAPIR_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "hapir"


_making_passing_folder = threading.Lock()


def _passing_folder() -> Path:
    """A folder that lasts as long as this process (its finalizer removes it)."""
    # without the lock two threads would make one each, and the one that is let go would vanish under its user
    with _making_passing_folder:
        return Path(_passing_directory().name)


@functools.cache
def _passing_directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="hapir-")


def key_of(parts: Iterable[str]) -> str:
    """A hash of texts in order; no two sequences share one."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode()
        state.update(f"{len(data)}:".encode())
        state.update(data)
    return state.hexdigest()[:40]


def cached_file(
    kind: str, parts: Iterable[str], suffix: str, make: Callable[[Path], Path], *, keep: bool = True
) -> Path:
    """The file made from `parts`; where it is not there yet, `make(folder)` builds it and returns its path.

    `kind` names a folder of the cache. Raises HapirError (HAP0844) where the cache cannot be written, and whatever
    `make` raises; a file that failed to build leaves nothing behind.
    """
    folder = _folder(kind, keep)
    path = folder / f"{key_of(parts)}{suffix}"
    with usable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_suffix(".lock")):
            if not path.is_file():
                with tempfile.TemporaryDirectory(prefix="hapir-") as build:
                    write_atomically(path, make(Path(build)).read_bytes())
                _trim(folder, LIMIT_BYTES, path)
            os.utime(path)  # the age that `_trim` goes by
    return path


def kept_file(kind: str, parts: Iterable[str], suffix: str) -> Path:
    """The place of a file that its user fills bit by bit, in a folder that exists; the file may be there already.

    `kind` and limits as for `cached_file`. Raises HapirError (HAP0844) where the cache cannot be written.
    """
    folder = _folder(kind, True)
    path = folder / f"{key_of(parts)}{suffix}"
    with usable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        path.touch()
        _trim(folder, LIMIT_BYTES, path)
    return path


def _folder(kind: str, keep: bool) -> Path:
    """Where files of a kind lie: between runs, or only as long as this process."""
    return (cache_folder() if keep and not os.environ.get("HAPIR_NO_CACHE") else _passing_folder()) / kind


@contextlib.contextmanager
def usable(folder: Path) -> Generator[None]:
    """What the operating system refuses becomes HAP0844."""
    try:
        yield
    except OSError as error:
        what = f"cannot use the cache `{folder}`: {error.strerror}"
        fail("HAP0844", what, help="set HAPIR_CACHE to a folder of yours")


def cached_library(kind: str, parts: Iterable[str], make: Callable[[Path], Path], *, keep: bool = True) -> ctypes.CDLL:
    """Load the shared object made from `parts`; as `cached_file` otherwise."""
    known = tuple(parts)
    try:
        return ctypes.CDLL(str(cached_file(kind, known, ".so", make, keep=keep)))
    except OSError:  # another process trimmed it away before it was loaded: what is not kept is this process's own
        return ctypes.CDLL(str(cached_file(kind, known, ".so", make, keep=False)))


@contextlib.contextmanager
def _locked(path: Path) -> Generator[None]:
    """Only one process at a time is inside; the operating system frees the lock of one that dies."""
    if fcntl is None:
        yield
        return
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _trim(folder: Path, limit: int, keep: Path) -> None:
    """Remove the files used longest ago until the rest fits."""
    ages: list[tuple[float, int, Path]] = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process trims too
            status = path.stat()
            ages.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in ages)
    for _, size, path in sorted(ages):
        if total <= limit:
            break
        if path != keep and path.suffix != ".lock":
            path.unlink(missing_ok=True)
            total -= size
