"""THE list: every dialect, pass, target, layer, unit, dataflow and machine that hapir knows, as lazy getters.

Adding one = one new file + one line here + tests. Plug-ins contribute through the `xdsl.universe` entry point with a
`HapirUniverse` of their own.
"""

from __future__ import annotations

from collections.abc import Callable

from xdsl.ir import Dialect
from xdsl.passes import ModulePass
from xdsl.universe import Universe
from xdsl.utils.target import Target


class HapirUniverse(Universe):
    """An xDSL universe that also lists what only hapir has."""

    def __init__(
        self,
        *,
        all_dialects: dict[str, Callable[[], Dialect]] | None = None,
        all_passes: dict[str, Callable[[], type[ModulePass]]] | None = None,
        all_targets: dict[str, Callable[[], type[Target]]] | None = None,
    ):
        super().__init__(all_dialects=all_dialects, all_passes=all_passes, all_targets=all_targets)


def _nn() -> Dialect:
    from hapir.dialects.nn import Nn

    return Nn


def _num() -> Dialect:
    from hapir.dialects.num import Num

    return Num


def _machine() -> Dialect:
    from hapir.dialects.machine import Machine

    return Machine


def _dataflow() -> Dialect:
    from hapir.dialects.dataflow import Dataflow

    return Dataflow


HAPIR = HapirUniverse(
    all_dialects={"nn": _nn, "num": _num, "machine": _machine, "dataflow": _dataflow},
)
