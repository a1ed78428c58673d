"""Imports: from one file to all the files that it needs.

An import is looked for beside the importing file, then in hapir's library (`machines/`, `networks/`) and among the
machines and networks of plug-ins. Unless the caller allows more, files stay inside the project folder, which is that of
the root file, and library files inside the library. A file is read once however often it is imported; cycles are
errors.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath

from hapir.diagnostics import LIBRARY, Findings, HapirError, Label, Span, did_you_mean, fail, some
from hapir.library import SPECS, library_files
from hapir.registry import universe
from hapir.spec import syntax
from hapir.spec.parse import parse, parse_partly

_MAXIMUM_BYTES = 8_000_000


@dataclass(frozen=True)
class Source:
    """A file to read: the name that spans carry, and where its relative paths start."""

    name: str
    location: Traversable
    folder: Path


def read_source(location: Traversable, at: Span | None) -> str:
    """The text of a file. Raises HapirError (HAP0106) where it is missing, too large or not UTF-8."""
    return decoded(read_bytes(location, at), location.name or str(location), at)


def read_bytes(location: Traversable, at: Span | None = None) -> bytes:
    """What a file holds. Raises HapirError (HAP0106) where it is missing or too large."""
    shown = location.name or str(location)
    try:
        with location.open("rb") as stream:
            data = stream.read(_MAXIMUM_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        fail("HAP0106", f"the file `{shown}` cannot be read: {reason.lower()}", at=at, help=_other_specs(location))
    if len(data) > _MAXIMUM_BYTES:
        help = "a spec names its weights and data, it does not hold them"
        fail("HAP0106", f"the file `{shown}` is larger than {_MAXIMUM_BYTES} bytes", at=at, help=help)
    return data


def decoded(data: bytes, shown: str, at: Span | None = None) -> str:
    """The text of a file's bytes. Raises HapirError (HAP0106) where they are not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        fail(
            "HAP0106",
            f"the file `{shown}` is not UTF-8 text: byte 0x{data[error.start]:02x} in line {line}",
            at=at,
            help="save it as UTF-8",
        )


def _other_specs(location: Traversable) -> str:
    """A help line for a spec that cannot be read: the one that was meant, or those that lie there."""
    folder = location.parent if isinstance(location, Path) else None
    if folder is None or not folder.is_dir():
        return "name a .hap file"
    near = sorted(entry.name for entry in folder.glob("*.hap") if entry != location and entry.is_file())
    return did_you_mean(location.name, near) or (f"the folder holds {some(near, 8)}" if near else "name a .hap file")


class Importer:
    """Reads a root file and everything it imports, in the order of the imports, each file before its importer.

    `unsaved` may know another text of a file than the stored one. With `partly`, files with syntax errors are kept as
    far as they can be read.
    """

    def __init__(
        self,
        folder: Path,
        findings: Findings,
        *,
        allow_outside: bool,
        unsaved: Callable[[Path], str | None] | None = None,
        partly: bool = False,
    ):
        self._folder = folder
        self._unsaved = unsaved
        self._partly = partly
        self._findings = findings
        self._allow_outside = allow_outside
        self._stack: list[tuple[str, Span | None]] = []
        self._read: set[str] = set()
        self.files: list[tuple[Source, syntax.File]] = []
        self.texts: dict[str, str] = {}
        """The text of each file that was read, by the name that spans carry."""
        self.targets: dict[Span, str] = {}
        """The name of the file that each import statement stands for."""

    def read(self, source: Source, at: Span | None = None, text: str | None = None) -> None:
        """Parse a file and its imports; errors go to the findings."""
        if source.name in self._read:
            return
        self._read.add(source.name)
        try:
            self.texts[source.name] = self._text(source, at) if text is None else text
            file = self._parse(self.texts[source.name], source.name)
        except HapirError as error:
            self._findings.add(error.diagnostics)
            return
        if file is None:
            return
        self._stack.append((source.name, at))
        for statement in file.imports:
            self._follow(source, statement)
        self._stack.pop()
        self.files.append((source, file))

    def _text(self, source: Source, at: Span | None) -> str:
        unsaved = self._unsaved(source.location) if self._unsaved and isinstance(source.location, Path) else None
        return read_source(source.location, at) if unsaved is None else unsaved

    def _parse(self, text: str, name: str) -> syntax.File | None:
        return parse_partly(text, name, self._findings) if self._partly else parse(text, name)

    def _follow(self, importer: Source, statement: syntax.Import) -> None:
        try:
            source = self._find(importer, statement.path)
        except HapirError as error:
            # a plug-in that cannot give its file knows no place
            self._findings.add(d if d.span else replace(d, span=statement.path.span) for d in error.diagnostics)
            return
        self.targets[statement.span] = source.name
        names = [name for name, _ in self._stack]
        if source.name in names:
            chain = [*names[names.index(source.name) :], source.name]
            labels = [Label(at, "imported here") for _, at in self._stack[names.index(source.name) + 1 :] if at]
            self._findings.error(
                "HAP0213",
                f"these files import each other: {' -> '.join(chain)}",
                at=statement.path.span,
                labels=labels,
                help="move what both need into a third file",
            )
            return
        self.read(source, statement.path.span)

    def _find(self, importer: Source, path: syntax.Text) -> Source:
        relative = PurePosixPath(path.value)
        if not path.value or "\0" in path.value or "\\" in path.value:
            fail(
                "HAP0212",
                "an import names a file by a relative path with `/`",
                at=path.span,
                help='write `import "machines/ws_8x8.hap"`',
            )
        if importer.name.startswith(LIBRARY):
            base = PurePosixPath(importer.name.removeprefix(LIBRARY)).parent
            beside = self._library(PurePosixPath(os.path.normpath(base / relative)))
            found = beside or self._library(relative)
        else:
            local = confined(importer.folder, path, self._folder, allow_outside=self._allow_outside)
            if local.exists():
                return self.local(local)
            found = self._library(relative)
        if found is None:
            fail(
                "HAP0212",
                f'there is no file "{path.value}"',
                at=path.span,
                help=did_you_mean(path.value, library_names())
                or "looked beside this file and in hapir's library; `hapir list machines` shows its machines",
            )
        return found

    def local(self, path: Path) -> Source:
        """The source for a file on disk."""
        name = Path(os.path.relpath(path.resolve(), self._folder.resolve())).as_posix()
        return Source(name, path, path.parent)

    def _library(self, path: PurePosixPath) -> Source | None:
        if len(path.parts) != 2 or path.parts[0] not in SPECS or path.suffix != ".hap":
            return None
        location = library_files(path.parts[0]).get(path.stem)
        if location is None:
            getter = _offered(path.parts[0]).get(path.stem)
            if getter is None:
                return None
            location = getter()
        return Source(f"{LIBRARY}{path}", location, Path(str(location)).parent)


def library_names() -> list[str]:
    """What can be imported from the library: `machines/eyeriss.hap`, ..."""
    return sorted(f"{kind}/{name}.hap" for kind in SPECS for name in {*library_files(kind), *_offered(kind)})


def _offered(kind: str) -> Mapping[str, Callable[[], Traversable]]:
    """What plug-ins add to a folder of the library."""
    return universe().machines if kind == "machines" else universe().networks


def confined(folder: Path, path: syntax.Text, project: Path, *, allow_outside: bool) -> Path:
    """A relative path of the spec as a path on disk.

    Raises HapirError (HAP0214) where it, links followed, leaves the project folder and `allow_outside` is not set.
    """
    if "\0" in path.value:
        fail("HAP0212", "a path holds no NUL character", at=path.span, help="write the name of a file")
    target = folder / path.value
    if not allow_outside and not target.resolve().is_relative_to(project.resolve()):
        fail(
            "HAP0214",
            f'"{path.value}" lies outside the project folder',
            at=path.span,
            help="move the file into the folder of the spec, or pass --allow-outside",
        )
    return target
