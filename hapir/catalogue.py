"""What hapir knows, as data for `hapir list` and `hapir explain`: names, docstrings and typed options, per kind."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import Enum
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, cast

from xdsl.dialects.builtin import IntegerType

from hapir.codes import CODES
from hapir.diagnostics import did_you_mean, fail
from hapir.registry import universe
from hapir.spec.options import describe, option_types


@dataclass(frozen=True)
class Option:
    """An option of an entry: what it takes in words, and its default as it would be written (None: required)."""

    name: str
    takes: str
    default: str | None


@dataclass(frozen=True)
class Entry:
    """One thing that hapir knows: its kind, its name, one line, the whole text, and its options."""

    kind: str
    name: str
    summary: str
    text: str
    options: tuple[Option, ...] = ()

    def to_json(self) -> dict[str, object]:
        """A JSON-ready dict with the dataclass's fields."""
        return asdict(self)


def entries(kind: str) -> list[Entry]:
    """All entries of a kind of `KINDS`, by name. Raises KeyError for another kind."""
    return sorted(KINDS[kind](), key=lambda entry: entry.name)


def find(name: str) -> list[Entry]:
    """The entries of a name, of whatever kind; codes in any case. Raises HapirError (HAP0883) where there is none."""
    everything = [entry for kind in KINDS for entry in entries(kind)]
    found = [entry for entry in everything if name in (entry.name, entry.name.lower())]
    if not found:
        hint = did_you_mean(name, sorted({entry.name for entry in everything}))
        fail(
            "HAP0883",
            f"hapir knows nothing of the name `{name}`",
            help=hint or f"`hapir list KIND` shows the {', '.join(KINDS)}",
        )
    return found


def _of_class(kind: str, name: str, cls: type[Any], module_text: bool = False) -> Entry:
    """An entry for a dataclass; a pass tells its law and example in its module's docstring."""
    own = inspect.cleandoc(cls.__doc__ or "")
    module = inspect.getmodule(cls)
    text = inspect.cleandoc((module and module.__doc__) or "") if module_text else own
    return Entry(kind, name, _first_line(own), text or own, _options(cls))


def _first_line(text: str) -> str:
    return text.split("\n\n")[0].replace("\n", " ").strip()


def _options(cls: type[Any]) -> tuple[Option, ...]:
    if not dataclasses.is_dataclass(cls):
        return ()
    hints = option_types(cls)
    return tuple(Option(f.name, describe(hints[f.name]), _default(f)) for f in dataclasses.fields(cls) if f.init)


def _default(field: dataclasses.Field[Any]) -> str | None:
    if field.default is not dataclasses.MISSING:
        return _written(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return _written(field.default_factory())
    return None


def _written(value: object) -> str:
    """A default as a spec would write it."""
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case Enum():
            return str(value.value)
        case IntegerType():
            return str(value).replace("si", "i").replace("ui", "u")
        case tuple():
            parts = cast("tuple[object, ...]", value)
            formats = bool(parts) and all(isinstance(v, IntegerType) for v in parts)
            return " * ".join(map(_written, parts)) if formats else f"[{', '.join(map(_written, parts))}]"
        case _:
            return str(value)


def _passes() -> list[Entry]:
    return [_of_class("pass", name, getter(), True) for name, getter in universe().all_passes.items()]


def _targets() -> list[Entry]:
    return [_of_class("target", name, getter(), True) for name, getter in universe().all_targets.items()]


def _layers() -> list[Entry]:
    return [_of_class("layer", name, getter()) for name, getter in universe().layers.items()]


def _units() -> list[Entry]:
    return [_of_class("unit", name, getter()) for name, getter in universe().units.items()]


def _dataflows() -> list[Entry]:
    return [_of_class("dataflow", name, getter()) for name, getter in universe().dataflows.items()]


def _dialects() -> list[Entry]:
    found: list[Entry] = []
    for name, getter in universe().all_dialects.items():
        dialect = getter()
        operation = next(iter(dialect.operations), None)
        module = inspect.getmodule(operation)
        text = inspect.cleandoc((module and module.__doc__) or "")
        listed = "\n".join(f"{op.name}: {_first_line(inspect.cleandoc(op.__doc__ or ''))}" for op in dialect.operations)
        found.append(Entry("dialect", name, _first_line(text), f"{text}\n\nOperations:\n{listed}"))
    return found


def _machines() -> list[Entry]:
    folder = files("hapir.targets") / "machines"
    shipped = sorted((f for f in folder.iterdir() if f.name.endswith(".hap")), key=lambda f: f.name)
    named: dict[str, Traversable] = {f.name.removesuffix(".hap"): f for f in shipped}
    named |= {name: getter() for name, getter in universe().machines.items()}
    found: list[Entry] = []
    for name, file in named.items():
        head = _head_comment(file.read_text(encoding="utf-8"))
        text = f'{head}\n\nimport "machines/{name}.hap"'.lstrip()
        found.append(Entry("machine", name, _first_line(head), text))
    return found


def _head_comment(source: str) -> str:
    """The comment lines that a file starts with, after its version line."""
    lines: list[str] = []
    for line in source.splitlines():
        if line.startswith("//"):
            lines.append(line.removeprefix("//").strip())
        elif lines or not (line.startswith("hap ") or not line.strip()):
            break
    return "\n".join(lines)


def _codes() -> list[Entry]:
    return [
        Entry("code", number, code.title, f"{code.text}\n\nExample:\n    {code.example}")
        for number, code in CODES.items()
    ]


KINDS: dict[str, Callable[[], list[Entry]]] = {
    "passes": _passes,
    "layers": _layers,
    "units": _units,
    "dataflows": _dataflows,
    "machines": _machines,
    "targets": _targets,
    "dialects": _dialects,
    "codes": _codes,
}
"""What `hapir list` can list, and how."""
