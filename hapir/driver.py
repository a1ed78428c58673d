"""The driver: from a spec to everything that comes out of it, for scripts and for the commands alike.

```python
design = hapir.load("digits.hap")
scheduled = design.schedule("on_tiny")
result = scheduled.run(on="c", inputs={"image": images})
scheduled.compile("out")
```

What a `Scheduled` holds is computed when it is first asked for, and kept. Targets are reached through
`hapir.witnesses`, so nothing here knows how one is made; what only some uses need is imported there, so that
`hapir check` starts fast.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from hapir.context import HapirContext
from hapir.diagnostics import Diagnostic, files_from, placed
from hapir.dialects.dataflow import ScheduleOp
from hapir.dialects.machine import MachineOp
from hapir.dialects.nn import NetworkOp
from hapir.lowering.cut_integer_body import Cut, cut
from hapir.lowering.network_edits import used_keys
from hapir.pipeline import Stage, Step, run_steps, value_text
from hapir.pipeline_text import read_passes
from hapir.registry import make_context
from hapir.report.summary import CheckReport, summarize
from hapir.spec.build import build_module, diagnose, set_data_folder
from hapir.spec.check import NO_RECIPE, Spec, load_spec, recipe_passes
from hapir.weights import WeightStore

if TYPE_CHECKING:
    from hapir.artifacts import CompileReport
    from hapir.data import Array, Dataset
    from hapir.exporters.onnx import ExportReport
    from hapir.lowering.encoded_weights import EncodedWeight
    from hapir.lowering.kernel.host import Host
    from hapir.report.compression import CompressionReport, CompressionTable
    from hapir.report.results import RunResult
    from hapir.targets.c.options import COptions
    from hapir.targets.estimate import EstimateReport
    from hapir.tune import TuneReport

AnyOp = TypeVar("AnyOp", bound=Operation)
Witness = Literal["reference", "c", "rtl"]
ExportStyle = Literal["float", "qdq", "qonnx", "integer"]


def load(path: str | os.PathLike[str], *, allow_outside: bool = False) -> Design:
    """Read and check a spec.

    `allow_outside` lets it import and read files outside its folder. Raises HapirError with all that is wrong in it.
    """
    return Design(load_spec(Path(path), allow_outside=allow_outside))


@dataclass(frozen=True, eq=False)
class Design:
    """A checked spec: what it defines, and the way to its schedules."""

    spec: Spec

    @property
    def path(self) -> Path:
        """The spec's file."""
        return self.spec.path

    @property
    def networks(self) -> tuple[str, ...]:
        """The names of the networks, in the order written."""
        return tuple(self.spec.networks)

    @property
    def machines(self) -> tuple[str, ...]:
        """The names of the machines."""
        return tuple(self.spec.machines)

    @property
    def recipes(self) -> tuple[str, ...]:
        """The names of the recipes."""
        return tuple(self.spec.recipes)

    @property
    def schedules(self) -> tuple[str, ...]:
        """The names of the schedules."""
        return tuple(self.spec.schedules)

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What the checker found odd but not wrong."""
        return self.spec.warnings

    def schedule(self, name: str | None = None, *, recipe: str | None = None) -> Scheduled:
        """A schedule by name; the only one is the default, and a spec with one network and no schedule is one as well.

        `recipe` replaces the schedule's own; `"none"` keeps the float network. Raises HapirError: HAP0222 where a
        name is needed, HAP0209 where it is unknown.
        """
        schedules = self.spec.schedules
        if name is None and len(self.spec.default_schedules) == 1:
            name = self.spec.default_schedules[0]
        ctx = make_context()
        # building chooses the default and refuses an unknown name; its diagnostics are the language's
        module = build_module(self.spec, name, ctx)
        own = None if name is None else schedules[name].recipe
        chosen = recipe if recipe is not None else own.text if own else NO_RECIPE
        asked = None if name is None else schedules[name]
        steps = [] if chosen == NO_RECIPE else recipe_passes(self.spec, chosen, asked)
        set_data_folder(ctx, self.spec, None if chosen == NO_RECIPE else chosen)
        return Scheduled(
            self,
            name,
            None if chosen == NO_RECIPE else chosen,
            module,
            ctx,
            tuple(Step(step.pass_, step.span) for step in steps),
        )

    def report(
        self,
        inputs: Mapping[str, Array] | Dataset | os.PathLike[str],
        schedules: Sequence[str] | None = None,
        *,
        limit: int | None = None,
        recipe: str | None = None,
        done: Callable[[], None] | None = None,
    ) -> CompressionTable:
        """What each of the schedules saves and costs on labelled images; see `Scheduled.report`.

        By default those of the spec's own file, or all where it has none. Layers are counted, not compared one by one.
        `done` is called after each schedule. Raises HapirError as `schedule` and `Scheduled.report` do.
        """
        from hapir.report.compression import CompressionTable
        from hapir.report.measure import FloatResults, measure

        reports: list[CompressionReport] = []
        known: FloatResults = {}
        for name in self.spec.default_schedules if schedules is None else schedules:
            scheduled = self.schedule(name, recipe=recipe)
            with files_from(self.spec.folder):
                reports.append(measure(scheduled, scheduled.dataset(inputs, limit), layers=False, known=known))
            if done is not None:
                done()
        return CompressionTable(tuple(reports))

    def check(self) -> CheckReport:
        """Check what lies outside the text as well (weight files), and count.

        Raises HapirError with all that is wrong. The report's warnings are of schedules whose network, quantized or
        not, is too large for a memory of the machine or far too small for its array, and of memories without use.
        """
        diagnose(self.spec)
        networks: list[NetworkOp] = []
        for name in self.networks:
            module = build_module(self.spec, None, make_context(), name, weights=False)
            networks.append(_only(module, NetworkOp))
        summaries = tuple(map(summarize, networks))
        return CheckReport(
            self.path.name, summaries, self.machines, self.recipes, self.schedules, self._schedule_warnings()
        )

    def _schedule_warnings(self) -> tuple[Diagnostic, ...]:
        found: list[Diagnostic] = []
        for name, schedule in self.spec.schedules.items():
            if schedule.machine is None or schedule.recipe is None:
                continue  # without a recipe the network stays float and runs on no machine
            from hapir.lowering.schedule.capacity import capacity_warnings
            from hapir.lowering.schedule.unused_memories import unused_memory_warnings
            from hapir.lowering.schedule.utilization import utilization_warnings

            module = build_module(self.spec, name, make_context(), weights=False)
            hardware = _only(module, MachineOp), _only(module, ScheduleOp)
            network = _only(module, NetworkOp)
            found += capacity_warnings(network, *hardware)
            found += utilization_warnings(network, *hardware)
            found += unused_memory_warnings(*hardware)
        return self.spec.silencer.heard(placed(dict.fromkeys(found), self.spec.folder))


@dataclass(frozen=True)
class Compiled:
    """A schedule after its recipe and fusion: the module, its weights, and what was done."""

    module: ModuleOp
    weights: WeightStore
    stages: tuple[Stage, ...]
    snapshots: tuple[tuple[str, ModuleOp], ...]
    """The module after each stage, by the stage's name; the first is `built`."""
    warnings: tuple[Diagnostic, ...] = ()
    """What the passes found odd but not wrong, that no comment silences."""


@dataclass(frozen=True)
class Decoded:
    """A network whose parameters are plain arrays, its weights, and how those that were encoded are stored."""

    network: NetworkOp
    weights: WeightStore
    encoded: Mapping[str, EncodedWeight] = field(default_factory=dict[str, "EncodedWeight"])


@dataclass(frozen=True, eq=False)
class Scheduled:
    """A network under a recipe, on a machine where the schedule names one.

    `name` is None where the spec has no schedule, `recipe` where no recipe is applied.
    """

    design: Design
    name: str | None
    recipe: str | None
    float_module: ModuleOp = field(repr=False)
    """The module as it was built, before any pass."""
    _float_ctx: HapirContext = field(repr=False)
    _steps: Sequence[Step] = field(repr=False)
    _hosted: Compiled | None = field(default=None, repr=False)
    """What was compiled, with kernels chosen for a host."""
    host: Host | None = field(default=None, repr=False)
    """The host that kernels were chosen for."""
    tuning: TuneReport | None = field(default=None, repr=False)
    """What was measured to choose them."""

    @cached_property
    def compiled(self) -> Compiled:
        """Recipe and fusion applied. Raises HapirError, with the place of the recipe's step, where one fails."""
        if self._hosted is not None:
            return self._hosted
        module, ctx = self.float_module.clone(), self._float_ctx.clone()
        snapshots = [("built", self.float_module)]
        # no place: what goes wrong in here is not asked for by a line of the spec
        finish = (Step(step.what) for step in read_passes("finish", "hapir"))
        steps = (*self._steps, *finish)
        ctx.remember_original(module)
        with files_from(self.design.spec.folder):
            stages = run_steps(module, ctx, steps, lambda name, m: snapshots.append((name, m.clone())))
        ctx.weights.retain(used_keys(module))
        spec = self.design.spec
        warnings = spec.silencer.heard(placed(ctx.warnings, spec.folder))
        return Compiled(module, ctx.weights, stages, tuple(snapshots), warnings)

    @cached_property
    def kernels(self) -> Scheduled:
        """The same with the kernel of each layer chosen, which the C target prints.

        Chosen for the host of the schedule's machine, or for the generic one. Raises HapirError (HAP0728 to HAP0731).
        """
        return self if self._hosted is not None else self.on_host()

    def on_host(self, host: str | None = None) -> Scheduled:
        """The same with kernels chosen for a host: a machine of the spec or the library, `native` or `generic`.

        Raises HapirError (HAP0728 to HAP0731).
        """
        from hapir.hosts import add_host, machine_of_host
        from hapir.lowering.kernel.choose import find_host

        compiled, ctx = self.compiled, self._float_ctx.clone()
        module, snapshots = compiled.module.clone(), list(compiled.snapshots)
        machine = None if host is None else machine_of_host(self.design.spec, host)
        if machine is not None:
            add_host(module, machine)
        ctx.weights = compiled.weights.copy()
        text = "kernels" if host is None else f"kernels{{host={value_text(host)}}}"
        steps = [Step(step.what) for step in read_passes(text, "hapir")]
        with files_from(self.design.spec.folder):
            stages = run_steps(module, ctx, steps, lambda name, m: snapshots.append((name, m.clone())))
        hosted = replace(
            compiled,
            module=module,
            stages=(*compiled.stages, *stages),
            snapshots=tuple(snapshots),
        )
        return replace(self, _hosted=hosted, host=find_host(module, host))

    def autotuned(
        self, host: str | None = None, *, cache: bool = True, done: Callable[[], None] | None = None
    ) -> Scheduled:
        """The same with the fastest of the top candidates for each layer, measured on this computer, as `tuning` says.

        Candidates are those of `on_host`, `native` where neither `host` nor the schedule's machine says otherwise.
        `cache` reuses and keeps measurements, `done` is called after each layer. Raises HapirError as `on_host` does,
        and HAP08xx where the C cannot be built here.
        """
        from hapir.lowering.kernel.choose import products_of, requests_of
        from hapir.lowering.kernel.host import GENERIC, NATIVE
        from hapir.tune import tune

        hosted = self.on_host(host)
        if host is None and hosted.host is not None and hosted.host.name == GENERIC:
            hosted = self.on_host(NATIVE)
        assert hosted.host is not None
        module = hosted.module.clone()
        network = _only(module, NetworkOp)
        decoded = products_of(hosted.decoded.network)
        found = [(name, op, d) for (name, op), (_, d) in zip(products_of(network), decoded, strict=True)]
        with files_from(self.design.spec.folder):
            requests = requests_of(module, network)
            weights = hosted.decoded.weights
            report = tune(found, weights, hosted.host, requests, cache=cache, done=done or (lambda: None))
        snapshots = (*hosted.compiled.snapshots, ("autotune", module))
        compiled = replace(hosted.compiled, module=module, snapshots=snapshots)
        return replace(hosted, _hosted=compiled, tuning=report)

    @property
    def float_weights(self) -> WeightStore:
        """The arrays that the module as it was built names."""
        return self._float_ctx.weights

    def float_context(self) -> HapirContext:
        """A context of its own to run passes on a copy of the module as it was built."""
        return self._float_ctx.clone()

    @property
    def module(self) -> ModuleOp:
        """The module after recipe and fusion."""
        return self.compiled.module

    @property
    def weights(self) -> WeightStore:
        """The arrays that the module names."""
        return self.compiled.weights

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The passes that ran, with their times."""
        return self.compiled.stages

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What the passes found odd but not wrong; what the checker found is `Design.warnings`."""
        return self.compiled.warnings

    @property
    def unfused(self) -> tuple[NetworkOp, WeightStore]:
        """The network after its recipe, each layer an op of its own, and its weights."""
        before = [module for name, module in self.compiled.snapshots if name != "fuse"]
        return _only(before[-1], NetworkOp), self.weights

    @property
    def network(self) -> NetworkOp:
        """The network after recipe and fusion."""
        return _only(self.module, NetworkOp)

    @property
    def products(self) -> tuple[str, ...]:
        """The names of the convolutions and dense layers, which have kernels to choose from."""
        from hapir.lowering.kernel.choose import products_of

        return tuple(name for name, _ in products_of(self.network))

    @property
    def machine(self) -> MachineOp | None:
        """The machine, where the schedule names one."""
        name = None if self.schedule_op is None else self.schedule_op.machine
        ops = (op for op in self.module.body.block.ops if isinstance(op, MachineOp))
        return next((op for op in ops if name is not None and op.sym_name.data == name.string_value()), None)

    @property
    def schedule_op(self) -> ScheduleOp | None:
        """The schedule's op, where it names a machine or asks for kernels."""
        return next((op for op in self.module.body.block.ops if isinstance(op, ScheduleOp)), None)

    @cached_property
    def decoded(self) -> Decoded:
        """The network with every coded parameter decoded: what the witnesses compute with."""
        from hapir.lowering.fold_constants import fold_constants, has_constant_ops

        if not has_constant_ops(self.network):
            return Decoded(self.network, self.weights)
        module, weights = self.module.clone(), self.weights.copy()
        network = _only(module, NetworkOp)
        with files_from(self.design.spec.folder):
            encoded = fold_constants(network, weights)
        weights.retain(used_keys(module))
        return Decoded(network, weights, encoded)

    @cached_property
    def cut(self) -> Cut:
        """Prologue, body and epilogue of the decoded network."""
        with files_from(self.design.spec.folder):
            return cut(self.decoded.network)

    @property
    def integer_body(self) -> NetworkOp:
        """The body for machines that have no floats. Raises HapirError (HAP0510) where some are among its integers."""
        with files_from(self.design.spec.folder):
            return cut(self.decoded.network, floats_inside=False).body

    @property
    def is_integer(self) -> bool:
        """Whether the network has an integer body; else all of it computes on floats."""
        return self.cut.has_integers

    @property
    def shown_name(self) -> str:
        """The schedule's name, or the network's where the spec has no schedule."""
        return self.name or self.network.sym_name.data

    def run(
        self,
        on: Witness = "reference",
        inputs: Mapping[str, Array] | Dataset | os.PathLike[str] | None = None,
        *,
        limit: int | None = None,
        cache: bool = True,
        profile: bool = False,
    ) -> RunResult:
        """Run the network on arrays by input name (axis 0 is the batch) or on a file of them, the body on `on`.

        An array `label` beside the inputs gives the accuracy, `limit` takes the first images only, `cache` reuses
        what an earlier run built, `profile` measures the layers of the C. Raises HapirError: HAP048x for inputs that
        do not fit, HAP07xx where the witness cannot run this network, HAP08xx where its tools are missing.
        """
        from hapir.execution import execute

        with files_from(self.design.spec.folder):
            return execute(self, on, self.dataset(inputs, limit), cache=cache, profile=profile)

    def dataset(self, inputs: Mapping[str, Array] | Dataset | os.PathLike[str] | None, limit: int | None) -> Dataset:
        """The inputs of `run` and `report` as a data set, checked against the float network.

        Raises HapirError (HAP048x).
        """
        from hapir.data import Dataset, check_dataset, load_dataset

        network = _only(self.float_module, NetworkOp)
        match inputs:
            case Dataset():
                return inputs
            case os.PathLike():
                return load_dataset(Path(inputs), network, limit)
            case _:
                return check_dataset(inputs or {}, network, limit)

    def report(
        self, inputs: Mapping[str, Array] | Dataset | os.PathLike[str], *, limit: int | None = None
    ) -> CompressionReport:
        """What the recipe saves layer by layer, and the accuracy that it costs, on images with an array `label`.

        `inputs` and `limit` as for `run`; the reference runs the float network and the compressed one. Raises
        HapirError: HAP0584 where no accuracy can be measured, HAP048x for inputs that do not fit.
        """
        from hapir.report.measure import measure

        with files_from(self.design.spec.folder):
            return measure(self, self.dataset(inputs, limit))

    def lower(self, target: str, out_dir: str | os.PathLike[str], *, c: COptions | None = None) -> tuple[Path, ...]:
        """Write one target's files (`c` or `verilog`) into a folder and return their paths; `c` are options of the C.

        Existing files of the same names are replaced, each in one step. Raises HapirError.
        """
        from hapir.files import write_atomically, writing
        from hapir.witnesses import emit

        with files_from(self.design.spec.folder):
            files = emit(target, self, c)
        folder = Path(out_dir)
        paths: list[Path] = []
        for name in sorted(files):
            path = folder / name
            with writing(path.parent):
                path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, files[name])
            paths.append(path)
        return tuple(paths)

    def export(
        self,
        path: str | os.PathLike[str],
        style: ExportStyle | None = None,
        *,
        opset: int | None = None,
        any_batch: bool = False,
        external_data: bool = False,
    ) -> ExportReport:
        """Write the network as an ONNX file; arrays go into `<file>.data` beside it past 2 GB or with `external_data`.

        `style` None is `qdq` for an integer network and `float` for any other; `any_batch` leaves axis 0 open. Raises
        HapirError: HAP098x for what ONNX cannot say, HAP0880 without the extra `onnx`, HAP0884 and HAP0920 for the
        file.
        """
        from hapir.exporters.onnx import export_scheduled
        from hapir.witnesses import naming_extras

        with naming_extras(), files_from(self.design.spec.folder):
            return export_scheduled(self, Path(path), style, opset, any_batch, external_data)

    def estimate(self) -> EstimateReport:
        """Cycles, energy, traffic and area on the schedule's machine. Raises HapirError (HAP0791 without a machine)."""
        from hapir.witnesses import estimate

        with files_from(self.design.spec.folder):
            return estimate(self)

    def compile(
        self, out_dir: str | os.PathLike[str], targets: Iterable[str] | None = None, *, c: COptions | None = None
    ) -> CompileReport:
        """Write IR, the targets' files, the estimate, weights and a manifest into a folder, all or nothing.

        `c` are options of the C. Raises HapirError: HAP0881 where the folder holds something that hapir did not write,
        HAP0803 where there are options of the C and no C.
        """
        from hapir.artifacts import compile_to

        return compile_to(self, Path(out_dir), None if targets is None else tuple(targets), c)


def _only(module: ModuleOp, kind: type[AnyOp]) -> AnyOp:
    """The one op of a kind at the top of a module."""
    (found,) = (op for op in module.body.block.ops if isinstance(op, kind))
    return found
