"""All that can be said of a spec while it is being written: its diagnostics, and what it means as far as it is right.

Where `load_spec` gives a sound spec or its errors, this gives both: statements with syntax errors are left out, what is
left is checked, and of what that finds only the errors are told that `load_spec` would tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hapir.diagnostics import Diagnostic, Findings, Span, placed, span_of
from hapir.dialects.nn import LayerOp, NetworkOp
from hapir.registry import discover
from hapir.spec import syntax
from hapir.spec.check import Checker, lint
from hapir.spec.imports import Importer, Source
from hapir.spec.program import Program

Place = tuple[str, int, int]
"""A file as spans name it, a line and a column."""


@dataclass(frozen=True)
class Analysis:
    """What is known of a root file and of all that it imports."""

    path: Path
    files: Mapping[str, syntax.File]
    """The syntax of each file by the name that spans carry, without statements that have syntax errors."""
    sources: Mapping[str, Source]
    texts: Mapping[str, str]
    imports: Mapping[Span, str]
    """The name of the file that each import statement stands for."""
    program: Program
    layers: Mapping[str, tuple[str, ...]]
    """The layer names of each network with the defaults of its parameters."""
    networks: Mapping[str, NetworkOp]
    """The networks with the defaults of their parameters, by name, each as far as it is right."""
    operations: Mapping[Place, Sequence[LayerOp]]
    """The layers that each call makes in them: several where a block is used several times."""
    diagnostics: tuple[Diagnostic, ...]

    @property
    def name(self) -> str:
        """The name of the root file in spans."""
        return self.path.name

    @property
    def root(self) -> syntax.File | None:
        """The syntax of the root file; None where too little of it can be read."""
        return self.files.get(self.name)


def analyse(
    path: Path,
    text: str | None = None,
    *,
    unsaved: Callable[[Path], str | None] | None = None,
    allow_outside: bool = False,
) -> Analysis:
    """Analyse a spec; `text` stands for the file's own, `unsaved` may know those of files that it imports."""
    findings = Findings()
    findings.add(discover()[1])
    importer = Importer(path.parent, findings, allow_outside=allow_outside, unsaved=unsaved, partly=True)
    importer.read(Source(path.name, path, path.parent), text=text)
    read_well = not findings.failed
    checked = findings if read_well else Findings()
    checker = Checker([file for _, file in importer.files], checked)
    layers = checker.check()
    diagnostics: Sequence[Diagnostic] = findings.sorted()
    if not findings.failed:
        diagnostics = lint(importer, findings)[0]
    networks: dict[str, NetworkOp] = {}
    for network in checker.networks:  # those with the defaults come first
        networks.setdefault(network.sym_name.data, network)
    return Analysis(
        path,
        {file.name: file for _, file in importer.files},
        {source.name: source for source, _ in importer.files},
        importer.texts,
        importer.targets,
        checker.program,
        layers,
        networks,
        _by_place(networks.values()),
        placed(diagnostics, path.parent),
    )


def _by_place(networks: Iterable[NetworkOp]) -> dict[Place, list[LayerOp]]:
    found: dict[Place, list[LayerOp]] = {}
    for network in networks:
        for op in network.walk():
            span = span_of(op.location)
            if isinstance(op, LayerOp) and span is not None:
                found.setdefault((span.file, span.line, span.column), []).append(op)
    return found
