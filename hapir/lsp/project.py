"""The files that an editor has open, and what they mean together with those on disk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from threading import RLock

from hapir.diagnostics import Diagnostic, HapirError
from hapir.lsp.completion import Place
from hapir.lsp.context import context_at
from hapir.lsp.names import NameIndex
from hapir.lsp.navigation import Edit, Location, Refused, View, check_weights, edited, locate, renamable, uses
from hapir.lsp.navigation import rename as rename_uses
from hapir.lsp.symbols import Symbol
from hapir.lsp.text import offset
from hapir.spec.analysis import analyse
from hapir.spec.imports import read_source

MAXIMUM_FILES = 2000
"""Files of a project that are searched for uses of a name."""
_HIDDEN = re.compile(r"^[._]|^node_modules$")


class Project:
    """Open files by path, and analyses that are made anew after every change. Safe to use from several threads."""

    def __init__(self, *, allow_outside: bool = False):
        self.allow_outside = allow_outside
        self.folders: list[Path] = []
        """The folders that the editor works in."""
        self._open: dict[Path, str] = {}
        self._views: dict[Path, View] = {}
        self._readable: dict[Path, View] = {}
        """The last view of each file whose text could be read."""
        self._lock = RLock()

    def put(self, path: Path, text: str) -> None:
        """Open a file, or give it another text."""
        with self._lock:
            self._open[path] = text
            self._views.clear()

    def close(self, path: Path) -> None:
        """Forget the text of a file that the editor closed: that on disk counts again."""
        with self._lock:
            self._open.pop(path, None)
            self._readable.pop(path, None)
            self._views.clear()

    def changed_on_disk(self) -> None:
        """Forget what was read from disk."""
        with self._lock:
            self._views.clear()

    def text(self, path: Path) -> str:
        """The text of a file, open or not; empty where it cannot be read."""
        unsaved = self._open.get(path)
        if unsaved is not None:
            return unsaved
        try:
            return read_source(path, None)
        except HapirError:
            return ""

    def view(self, path: Path) -> View:
        """The analysis of a file with all that it imports, and its names."""
        with self._lock:
            if path not in self._views:
                resolved = {p.resolve(): text for p, text in self._open.items()}
                analysis = analyse(
                    path,
                    self._open.get(path),
                    unsaved=lambda p: resolved.get(p.resolve()),
                    allow_outside=self.allow_outside,
                )
                self._views[path] = analysis, NameIndex(analysis)
                if analysis.root is not None:
                    self._readable[path] = self._views[path]
            return self._views[path]

    def readable_view(self, path: Path) -> View:
        """The view of a file, or the last one that could be read where its text is too broken now."""
        view = self.view(path)
        return view if view[0].root is not None else self._readable.get(path, view)

    def diagnostics(self, path: Path) -> tuple[Diagnostic, ...]:
        """What is wrong with a file and what it imports."""
        return self.view(path)[0].diagnostics

    def place(self, path: Path, line: int, column: int) -> Place:
        """A cursor in a file with all that is known around it."""
        text = self.text(path)
        analysis, names = self.readable_view(path)
        context = context_at(text, offset(text.split("\n"), line, column))
        return Place(context, analysis, names, line, column, tuple(self._files_below(path.parent)))

    # --- across files -------------------------------------------------------------------------------------------------

    def references(self, path: Path, line: int, column: int, *, declaration: bool = True) -> list[Location]:
        """All places where the name at a place stands for the same thing."""
        view = self.view(path)
        found = view[1].at(view[0].name, line, column)
        if found is None or not isinstance(found.target, Symbol):
            return []
        target = locate(view[0], found.target.span)
        if target is None:
            return []
        views = self._views_with(path, found.target.name)
        return [at for at, _ in uses(views, target, defining=declaration)]

    def rename(self, path: Path, line: int, column: int, new: str) -> list[Edit]:
        """The edits that rename what stands at a place, in all files of the project.

        Raises Refused where that is not possible, or where the new name would make an error.
        """
        view = self.view(path)
        found = renamable(view, line, column)
        assert isinstance(found.target, Symbol)
        target = locate(view[0], found.target.span)
        if target is None or new == found.target.name:
            return []
        views = self._views_with(path, found.target.name)
        check_weights(views, found.target)
        edits = rename_uses(uses(views, target), new)
        self._check(views, edits, new)
        return edits

    def _check(self, views: list[View], edits: list[Edit], new: str) -> None:
        """Refuse edits after which a file has errors that it had not before: most often the new name is taken."""
        texts = {edit.at.path: self.text(edit.at.path) for edit in edits}
        after = {path.resolve(): text for path, text in edited(texts, edits)}
        others = {p.resolve(): text for p, text in self._open.items()}
        unsaved = {**others, **after}
        for analysis, _ in views:
            path = analysis.path
            known = {d.code for d in analysis.diagnostics if d.severity == "error"}
            changed = analyse(
                path,
                unsaved.get(path.resolve()),
                unsaved=lambda p: unsaved.get(p.resolve()),
                allow_outside=self.allow_outside,
            )
            fresh = [d for d in changed.diagnostics if d.severity == "error" and d.code not in known]
            if fresh:
                raise Refused(f"with the name `{new}` there would be an error in {path.name}: {fresh[0].message}")

    def _views_with(self, path: Path, word: str) -> list[View]:
        """The views of the files of the project that hold a word, and of a file itself."""
        files = [path, *self._open, *self.project_files(path)]
        known = dict.fromkeys(p for p in files if p == path or word in self.text(p))
        unique = {p.resolve(): p for p in reversed(known)}
        return [self.view(p) for p in reversed(unique.values())]

    def project_files(self, path: Path) -> Iterator[Path]:
        """The specs of the folder that holds a file: that of the editor, or its own."""
        around = [f for f in self.folders if path.is_relative_to(f)] or [path.parent]
        for number, name in enumerate(self._files_below(around[0])):
            if number >= MAXIMUM_FILES:
                return
            if name.endswith(".hap"):
                yield around[0] / name

    def _files_below(self, folder: Path, depth: int = 4) -> Iterator[str]:
        """Relative paths of the files that specs name; hidden folders and what lies deep are left out."""
        try:
            entries = sorted(folder.iterdir())
        except OSError:  # a folder that is gone or may not be read holds nothing to propose
            return
        for entry in entries:
            if _HIDDEN.match(entry.name):
                continue
            if entry.is_dir() and not entry.is_symlink() and depth > 0:
                for below in self._files_below(entry, depth - 1):
                    yield f"{entry.name}/{below}"
            elif entry.suffix in (".hap", ".npz", ".safetensors"):
                yield entry.name
