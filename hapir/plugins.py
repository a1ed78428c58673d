"""Plug-ins: the universes that installed packages offer under the entry point `xdsl.universe`, merged with hapir's own.

Invariant: hapir's own entries always win, and a plug-in that is broken or claims a taken name loses its own entries
only.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint
from typing import Any

from xdsl.universe import XDSL_UNIVERSE, Universe

from hapir.diagnostics import Diagnostic
from hapir.universe import HapirUniverse

_SHARED = ("all_dialects", "all_passes", "all_targets")
_OWN = ("layers", "units", "blocks", "dataflows", "machines")


def merge(own: HapirUniverse, plugins: Iterable[EntryPoint]) -> tuple[HapirUniverse, tuple[Diagnostic, ...]]:
    """hapir's universe extended by plug-ins in the order of their names; a warning for each that had to be left out."""
    problems: list[Diagnostic] = []
    merged = {field: dict(getattr(own, field)) for field in (*_SHARED, *_OWN)}
    owners = {(field, name): "hapir" for field, entries in merged.items() for name in entries}
    for field in _SHARED:
        owners |= {(field, name): "xDSL" for name in getattr(XDSL_UNIVERSE, field)}
    for plugin in sorted(plugins, key=lambda p: (p.name, p.value)):
        universe = _load(plugin, problems)
        if universe is None or universe is own or universe is XDSL_UNIVERSE:
            continue
        for field in (*_SHARED, *_OWN):
            entries: dict[str, Any] = getattr(universe, field, {})
            for name, getter in sorted(entries.items()):
                owner = owners.setdefault((field, name), plugin.name)
                if owner == plugin.name:
                    merged[field][name] = getter
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
        reason = f"{plugin.value} is a {type(universe).__name__}, not a Universe"
    problems.append(
        Diagnostic(
            "HAP0230",
            f"the plug-in `{plugin.name}` cannot be loaded: {reason}",
            help="repair or uninstall it; everything else works without it",
            severity="warning",
        )
    )
    return None


def _clash(plugin: str, field: str, name: str, owner: str) -> Diagnostic:
    kind = field.removeprefix("all_").removesuffix("es" if field == "all_passes" else "s")
    return Diagnostic(
        "HAP0231",
        f"the plug-in `{plugin}` offers the {kind} `{name}`, which {owner} has already",
        help=f"the one of {owner} is used; rename the other",
        severity="warning",
    )
