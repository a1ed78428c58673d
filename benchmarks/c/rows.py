"""The rows of the table, in order, and how each comes about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.c.contests import Contest, network_contest
from benchmarks.c.networks import FLOAT, INT8, WORKLOADS, compile_case
from benchmarks.c.peaks import Peak


@dataclass(frozen=True)
class Setting:
    """What rows are built with."""

    folder: Path
    wanted: frozenset[str]
    """The tools that take part."""
    peaks: Mapping[str, Peak]


@dataclass(frozen=True)
class Row:
    """A row and how to build it."""

    name: str
    build: Callable[[Setting], Contest]


def _network(name: str, arithmetic: str) -> Row:
    def build(setting: Setting) -> Contest:
        folder = setting.folder / f"{name}_{arithmetic}"
        case = compile_case(WORKLOADS[name], arithmetic, folder)
        return network_contest(case, folder, set(setting.wanted), setting.peaks)

    return Row(f"{name}/{arithmetic}", build)


ROWS = tuple(_network(name, arithmetic) for name in WORKLOADS for arithmetic in (FLOAT, INT8))
