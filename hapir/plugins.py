"""Plug-ins: the universes that installed packages offer under the entry point `xdsl.universe`, merged with hapir's own.

Invariant: hapir's own entries always win, and a plug-in that is broken or claims a taken name loses its own entries
only. Entries are loaded when they are used: the getter of a merged entry gives what its field promises, or raises
HapirError (HAP0230) that names the plug-in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import is_dataclass
from importlib.metadata import EntryPoint
from importlib.resources.abc import Traversable
from typing import Any, cast

from xdsl.ir import Dialect
from xdsl.passes import ModulePass
from xdsl.universe import XDSL_UNIVERSE, Universe
from xdsl.utils.target import Target

from hapir.diagnostics import Diagnostic, fail
from hapir.library import SPECS, library_files
from hapir.universe import HapirUniverse

_SHARED = ("all_dialects", "all_passes", "all_targets")
_SPACE = {"pipelines": "all_passes"}
"""Fields that share their names with another one: `hapir opt -p` takes passes and pipelines alike."""
_OWN = (
    "layers",
    "units",
    "blocks",
    "dataflows",
    "machines",
    "networks",
    "formats",
    "multipliers",
    "encodings",
    "evaluators",
    "pipelines",
)
KINDS = {
    "all_dialects": "dialect",
    "all_passes": "pass",
    "all_targets": "target",
    "layers": "layer",
    "units": "unit",
    "blocks": "block",
    "dataflows": "dataflow",
    "machines": "machine",
    "networks": "network",
    "formats": "number format",
    "multipliers": "multiplier",
    "encodings": "encoding",
    "evaluators": "evaluator",
    "pipelines": "pipeline",
}
"""What one entry of a field is called in messages."""


def merge(own: HapirUniverse, plugins: Iterable[EntryPoint]) -> tuple[HapirUniverse, tuple[Diagnostic, ...]]:
    """hapir's universe extended by plug-ins in the order of their names; a warning for each that had to be left out."""
    problems: list[Diagnostic] = []
    merged = {field: dict(getattr(own, field)) for field in (*_SHARED, *_OWN)}
    owners = {(_SPACE.get(field, field), name): "hapir" for field, entries in merged.items() for name in entries}
    for field in _SHARED:
        owners |= {(field, name): "xDSL" for name in getattr(XDSL_UNIVERSE, field)}
    for field in SPECS:
        owners |= {(field, name): "hapir" for name in library_files(field)}
    for plugin in sorted(plugins, key=lambda p: (p.name, p.value)):
        universe = _load(plugin, problems)
        if universe is None or universe is own or universe is XDSL_UNIVERSE:
            continue
        for field in (*_SHARED, *_OWN):
            for name, getter in _entries(plugin, universe, field, problems):
                owner = owners.setdefault((_SPACE.get(field, field), name), plugin.name)
                if owner == plugin.name:
                    merged[field][name] = _guarded(plugin.name, field, name, getter)
                else:
                    problems.append(_clash(plugin.name, field, name, owner))
    return HapirUniverse(**merged), tuple(problems)


def _load(plugin: EntryPoint, problems: list[Diagnostic]) -> Universe | None:
    try:
        universe = plugin.load()
    except Exception as error:  # a plug-in may fail in any way; its failure is the user's to see and not ours to die of
        reason = f"{type(error).__name__}: {error}"
    else:
        if isinstance(universe, Universe):
            return universe
        reason = f"{plugin.value} is {_with_article(type(universe).__name__)}, not a Universe"
    problems.append(_broken(f"the plug-in `{plugin.name}` cannot be loaded: {reason}"))
    return None


def _entries(
    plugin: EntryPoint, universe: Universe, field: str, problems: list[Diagnostic]
) -> list[tuple[str, Callable[[], Any]]]:
    """The entries of one field of a plug-in, by name; none after a problem where the field is no dict of getters."""
    entries = getattr(universe, field, {})
    if isinstance(entries, Mapping):
        found = cast("Mapping[object, object]", entries)
        if all(isinstance(name, str) and callable(getter) for name, getter in found.items()):
            return sorted(cast("Mapping[str, Callable[[], Any]]", found).items())
    problems.append(_broken(f"the plug-in `{plugin.name}` has no dict of names and getters in `{field}`"))
    return []


def _broken(what: str) -> Diagnostic:
    help = "repair or uninstall it; everything else works without it"
    return Diagnostic("HAP0230", what, help=help, severity="warning")


def _guarded(plugin: str, field: str, name: str, getter: Callable[[], Any]) -> Callable[[], Any]:
    """The getter, with every failure and every wrong result as HapirError (HAP0230)."""

    def get() -> Any:
        entry: Any = None
        try:
            entry = getter()
            reason = _unfit(field, name, entry)
        except Exception as error:  # a plug-in may fail in any way
            reason = f"{type(error).__name__}: {error}"
        if reason is not None:
            fail(
                "HAP0230",
                f"the {KINDS[field]} `{name}` of the plug-in `{plugin}` cannot be loaded: {reason}",
                help="repair or uninstall the plug-in",
            )
        return entry

    return get


def _unfit(field: str, name: str, entry: object) -> str | None:
    """What keeps a loaded entry from being one of its field; None where it is one."""
    wanted = {"all_passes": ModulePass, "all_targets": Target}.get(field)
    shown = entry.__name__ if isinstance(entry, type) else _with_article(type(entry).__name__)
    if field == "all_dialects":
        fits, needs = isinstance(entry, Dialect), "a Dialect"
    elif field in SPECS:
        fits, needs = isinstance(entry, Traversable) and entry.is_file(), "a file that exists"
    elif field == "pipelines":
        from hapir.pipelines import NamedPipeline

        fits, needs = isinstance(entry, NamedPipeline), "a NamedPipeline"
    elif wanted is not None:
        fits, needs = isinstance(entry, type) and issubclass(entry, wanted), f"a {wanted.__name__} class"
    else:
        fits, needs = isinstance(entry, type) and is_dataclass(entry), "a dataclass"
    if not fits:
        return f"{shown} is not {needs}"
    if field in ("layers", "pipelines", *SPECS):
        return None
    own_name: object = getattr(cast(Any, entry), "name", None)
    return None if own_name == name else f"{shown} has the name `{own_name}`"


def _with_article(word: str) -> str:
    return f"{'an' if word[0].lower() in 'aeiou' else 'a'} {word}"


def _clash(plugin: str, field: str, name: str, owner: str) -> Diagnostic:
    return Diagnostic(
        "HAP0231",
        f"the plug-in `{plugin}` offers the {KINDS[field]} `{name}`, which {owner} has already",
        help=f"the one of {owner} is used; rename the other",
        severity="warning",
    )
