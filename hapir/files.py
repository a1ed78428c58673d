"""Writing files so that a reader never sees half of one: everything goes to a temporary place and is renamed.

Two writers of one place do not disturb each other: each has a temporary place of its own, and the last rename wins.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

from hapir.diagnostics import fail


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file by `data` in one step. Raises HapirError (HAP0884) where the place cannot be written."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        fail("HAP0884", f"cannot write `{path}`: {error.strerror}", help="choose a folder that you may write to")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _umask() -> int:
    """The process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def check_folder(folder: Path, mark: str) -> None:
    """Make sure that a folder may be (re)placed: absent, empty, or holding the file `mark` that hapir leaves.

    Raises HapirError (HAP0881) for anything else: somebody's files would be lost.
    """
    if not folder.exists() and not folder.is_symlink():
        return
    if folder.is_dir() and not folder.is_symlink() and ((folder / mark).is_file() or not any(folder.iterdir())):
        return
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
    folder = Path(os.path.abspath(folder))  # `resolve` would follow a link that is to be replaced
    check_folder(folder, mark)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        fail("HAP0884", f"cannot write `{folder}`: {error.strerror}", help="choose a folder that you may write to")
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
            except OSError:
                if not folder.exists():
                    _restore(old, folder)
                    raise
        finally:
            shutil.rmtree(old, ignore_errors=True)


def _restore(old: Path, folder: Path) -> None:
    """Put back what was moved away, where there was anything."""
    if any(old.iterdir()):
        old.rename(folder)
