"""Entries of the library: machines and networks in `.hap`, tables of technologies, templates."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Literal, cast

from hapir.catalogue.docstrings import one_line
from hapir.catalogue.entry import Entry, Option
from hapir.catalogue.loading import loaded
from hapir.diagnostics import LIBRARY, HapirError, Span
from hapir.library import TECHNOLOGY, library_files
from hapir.project import SPEC, templates
from hapir.registry import universe
from hapir.spec import syntax
from hapir.spec.parse import parse


def library_entries(kind: Literal["machine", "network"]) -> list[Entry]:
    """The files of the library and of plug-ins that a spec can import."""
    folder = f"{kind}s"
    named = library_files(folder)
    own = [_spec_entry(kind, name, file, f"{LIBRARY}{folder}/{file.name}") for name, file in named.items()]
    offered = universe().machines if kind == "machine" else universe().networks
    return [*own, *loaded(kind, offered, lambda name, file: _spec_entry(kind, name, file, file.name))]


def template_entries() -> list[Entry]:
    """What `hapir new` can start from."""
    root = files("hapir.templates")
    return [_template_entry(name, root / name / SPEC) for name in templates()]


def technology_entries() -> list[Entry]:
    """The tables of energies and areas that a machine can name."""
    return [_technology_entry(name, file) for name, file in library_files(TECHNOLOGY).items()]


def _spec_entry(kind: str, name: str, file: Traversable, defined: str) -> Entry:
    source = file.read_text(encoding="utf-8")
    summary, _, text = head_comment(source).partition("\n\n")
    example = f'import "{kind}s/{name}.hap"'
    return Entry(
        kind, name, one_line(summary), text.strip(), parameters_of(source, name), example=example, defined=defined
    )


def parameters_of(source: str, name: str) -> tuple[Option, ...]:
    """The parameters of the definition of a name in a spec; none where the spec is wrong, which its users are told."""
    try:
        definitions = parse(source, name).definitions
    except HapirError:
        return ()
    found = next((d for d in definitions if d.name.text == name and not isinstance(d, syntax.Schedule)), None)
    lines = source.split("\n")

    def written(span: Span) -> str:
        return lines[span.line - 1][span.column - 1 : span.end_column - 1]

    return tuple(
        Option(
            p.name.text,
            "a value" if p.type is None else f"a tensor {written(p.type.span)}",
            None if p.default is None else written(p.default.span),
        )
        for p in (found.parameters if found else ())
        if p.name is not None
    )


def _template_entry(name: str, file: Traversable) -> Entry:
    summary, _, text = head_comment(file.read_text(encoding="utf-8")).partition("\n\n")
    example = f"hapir new my_{name} --template {name}"
    return Entry("template", name, one_line(summary), text, example=example, defined=f"hapir.templates.{name}")


def _technology_entry(name: str, file: Traversable) -> Entry:
    table = tomllib.loads(file.read_text(encoding="utf-8"))
    quantities = {k: cast("dict[str, object]", v) for k, v in table.items() if isinstance(v, dict)}
    rows = [_technology_row(name, quantity) for name, quantity in quantities.items()]
    place = f"{LIBRARY}{TECHNOLOGY}/{file.name}"
    return Entry(
        "technology", name, table["description"], "\n".join(rows), example=f"technology = {name}", defined=place
    )


def _technology_row(name: str, quantity: Mapping[str, object]) -> str:
    """One quantity of a table: its unit, where it comes from, and whether that is a guess."""
    return f"- `{name}` in {quantity['unit']}{' (assumed)' if quantity.get('assumed') else ''}: {quantity['source']}"


def head_comment(source: str) -> str:
    """The comment lines that a spec starts with, before or after its version line, without their marks."""
    lines: list[str] = []
    for line in source.splitlines():
        if line.startswith("//"):
            lines.append(line.removeprefix("//").strip())
        elif lines or not (line.startswith("hap ") or not line.strip()):
            break
    return "\n".join(lines)
