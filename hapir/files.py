"""Writing files so that a reader never sees half of one: everything goes to a temporary place and is renamed.

Two writers of one place do not disturb each other: each has a temporary place of its own, and the last rename wins.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path

from hapir.diagnostics import fail


def write_atomically(path: Path, data: bytes, mode: int | None = None) -> None:
    """Replace a file by `data` in one step; its rights become those that new files have, or `mode`.

    Raises HapirError (HAP0884) where the place cannot be written.
    """
    with writing(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            temporary.chmod(0o666 & ~_umask() if mode is None else mode)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_together(files: Mapping[Path, bytes]) -> None:
    """Put several files in place, all of them or none: what stood there before comes back where one cannot be written.

    Raises HapirError (HAP0884).
    """
    fresh: dict[Path, Path] = {}
    old: dict[Path, Path] = {}
    placed: list[Path] = []
    try:
        for path, data in files.items():
            with writing(path):
                fresh[path] = _temporary_beside(path)
                fresh[path].write_bytes(data)
                fresh[path].chmod(0o666 & ~_umask())
        for path, temporary in fresh.items():
            with writing(path):
                if path.exists() or path.is_symlink():
                    aside = _temporary_beside(path)
                    path.replace(aside)
                    old[path] = aside
                temporary.replace(path)
                placed.append(path)
    except BaseException:
        for path in placed:
            path.unlink(missing_ok=True)
        for path, aside in old.items():
            aside.replace(path)
        old.clear()
        raise
    finally:
        for temporary in (*fresh.values(), *old.values()):
            temporary.unlink(missing_ok=True)


def _temporary_beside(path: Path) -> Path:
    """A new empty file in the folder of another one."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    return Path(name)


def check_file(path: Path) -> None:
    """Refuse a place that cannot be written before the long work, not after it. Raises HapirError (HAP0884)."""
    if path.is_dir() or not path.parent.is_dir():
        wrong = "is a folder" if path.is_dir() else "lies in no folder"
        fail("HAP0884", f"cannot write `{path}`: it {wrong}", help="name a file in a folder that exists")


@contextlib.contextmanager
def writing(place: Path) -> Generator[None]:
    """What the system says against writing to `place` becomes HAP0884: no permission, no space, a folder in the way."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        help = "make room for it, or choose another place" if full else "choose a place that you may write to"
        fail("HAP0884", f"cannot write `{place}`: {reason.lower()}", help=help)


def _umask() -> int:
    """The process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def check_folder(folder: Path, mark: str) -> None:
    """Make sure that a folder may be (re)placed: absent, empty, or holding the file `mark` that hapir leaves.

    Raises HapirError (HAP0881) for anything else: somebody's files would be lost, or the ground under their feet.
    """
    if Path.cwd().is_relative_to(folder):
        fail("HAP0881", f"`{folder}` holds the current folder, which cannot be replaced", help="name another folder")
    # one listing decides: between two questions, another writer may move the folder away
    try:
        held = [entry.name for entry in folder.iterdir()]
        if (not held or mark in held) and not folder.is_symlink():
            return
    except FileNotFoundError:
        return
    except NotADirectoryError:
        if not folder.is_file() and not folder.is_symlink():
            fail("HAP0884", f"cannot write `{folder}`: a file stands in its path", help="name another folder")
    except OSError:  # a folder that may not be read
        pass
    fail(
        "HAP0881",
        f"`{folder}` exists and hapir did not write it",
        help=f"name another folder, or empty this one; hapir replaces only folders that hold its {mark}",
    )


@contextlib.contextmanager
def replaced_folder(folder: Path, mark: str) -> Generator[Path]:
    """A temporary folder beside `folder` that takes its place when the block ends well, and vanishes when it does not.

    `mark` names the file by which hapir knows its own folders (see `check_folder`, which is asked first and last).
    Raises HapirError (HAP0881, HAP0884).
    """
    folder = Path(os.path.normpath(Path.cwd() / folder))  # `resolve` would follow a link that is to be replaced
    check_folder(folder, mark)
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        _take_place(temporary, folder, mark)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _take_place(temporary: Path, folder: Path, mark: str) -> None:
    """Rename `temporary` to `folder`, moving what is there out of the way first.

    A folder cannot be renamed over a full one, so another writer may slip in between: then its result is moved away
    in turn. The loop ends because each round needs another writer to finish in between.
    """
    while True:
        check_folder(folder, mark)
        old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
        try:
            with contextlib.suppress(FileNotFoundError):
                folder.rename(old)
            try:
                temporary.rename(folder)
                return
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    _restore(old, folder)
                    raise
        finally:
            _discard(old, mark)


def _discard(folder: Path, mark: str) -> None:
    """Delete a folder, its mark last: whoever still lists it under its old name sees that hapir wrote it."""
    for entry in [p for p in folder.iterdir() if p.name != mark] if folder.exists() else []:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _restore(old: Path, folder: Path) -> None:
    """Put back what was moved away, where there was anything."""
    if any(old.iterdir()):
        with contextlib.suppress(OSError):  # somebody else's result stands there by now
            old.rename(folder)
