"""From a checked spec to IR: the network, machine and schedule that one schedule names, and the network's weights.

Every op carries the place of its statement; names in the IR are those of the spec. The weights go to the context's
store under the keys of the file, each with the shape that the network gives it, f32 and finite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import ModuleOp, TensorType, f32
from xdsl.ir import Operation

from hapir.context import HapirContext
from hapir.diagnostics import LIBRARY, Findings, HapirError, Label, Span, fail, files_from
from hapir.dialects import nn
from hapir.dialects.machine import MachineOp
from hapir.dialects.nn_shapes import text
from hapir.dialects.num import PerChannelType, dtype_of, element_type, shape_of, table_key
from hapir.random_weights import RandomWeights
from hapir.spec import syntax
from hapir.spec.check import Spec, named
from hapir.spec.expand import expand_machine, expand_schedule
from hapir.spec.imports import confined
from hapir.spec.machines import MachineBuilder
from hapir.spec.networks import NetworkBuilder
from hapir.spec.schedules import ScheduleBuilder, given_weights
from hapir.spec.weight_help import missing_key, not_finite, wrong_dtype, wrong_shape
from hapir.weights import WeightStore, load_arrays


def build_module(
    spec: Spec, schedule: str | None, ctx: HapirContext, network: str | None = None, *, weights: bool = True
) -> ModuleOp:
    """The module of a schedule: `nn.network`, `machine.machine` and `dataflow.schedule`, and the weights in `ctx`.

    Without a schedule, that of the spec is taken where it has one only; with a `network` and no schedule, or in a spec
    without schedules, the module holds the network alone. `weights = False` leaves the store as it is.
    The parameters are those that the schedule gives, or those of the network itself.
    Raises HapirError: HAP0209 and HAP0222 for the choice, HAP04xx for the weights, all of them at once.
    """
    with files_from(spec.folder):
        if schedule is None and network is None:
            schedule, network = _default(spec)
        chosen = None if schedule is None else named(spec.schedules, schedule, "schedule")
        definition = named(spec.networks, chosen.network.text if chosen else network or "", "network")
        findings = Findings()
        program = spec.program
        builder = _network_builder(spec, definition, chosen, findings)
        ops: list[Operation] = [builder.build()]
        plain = None if chosen is None else expand_schedule(program, chosen, findings)
        machine = None
        if chosen is not None and chosen.machine is not None:
            named(spec.machines, chosen.machine.text, "machine")
            expanded = expand_machine(program, chosen.machine, program.scope(chosen.name.span), findings)
            machine = None if expanded is None else MachineBuilder(expanded, findings).build()
        if plain is not None and (machine is not None or plain.machine is None):
            planned = ScheduleBuilder(plain, tuple(builder.layers), machine, findings).build()
            ops += [op for op in (machine, planned) if op is not None]
        source = None if plain is None else given_weights(plain, findings)
        findings.raise_errors()
        if weights:
            source = source or own_weights(definition, findings)
            _load_weights(spec, source, ops[0], builder.layers, ctx.weights, findings)
            findings.raise_errors()
    set_data_folder(ctx, spec, chosen.recipe.text if chosen and chosen.recipe else None)
    module = ModuleOp(ops)
    module.location = ops[0].location
    return module


def build_machine(spec: Spec, name: str) -> MachineOp:
    """A machine of a spec with the defaults of its parameters. Raises HapirError with all that is wrong in it."""
    definition = named(spec.machines, name, "machine")
    findings = Findings()
    instance = syntax.Instance(definition.name, (), (), definition.name.span)
    with files_from(spec.folder):
        expanded = expand_machine(spec.program, instance, spec.program.scope(definition.name.span), findings)
        machine = None if expanded is None else MachineBuilder(expanded, findings).build()
        findings.raise_errors()
    assert machine is not None
    return machine


def set_data_folder(ctx: HapirContext, spec: Spec, recipe: str | None) -> None:
    """Tell a context where the data paths of a recipe start: at the folder of the file that writes them."""
    at = spec.recipes[recipe].span if recipe is not None else None
    ctx.folder = spec.sources[at.file] if at else spec.folder
    ctx.project = None if spec.allow_outside else _project(spec, at)


def _project(spec: Spec, at: Span | None) -> Path:
    """The folder that paths written at a place may not leave: the spec's, or in library files the library's."""
    return spec.sources[at.file] if at and at.file.startswith(LIBRARY) else spec.folder


def diagnose(spec: Spec) -> None:
    """Check what `load_spec` leaves out: the weights of every network, with its defaults and as each schedule has it.

    Raises HapirError with all that is wrong.
    """
    findings = Findings()
    with files_from(spec.folder):
        for network, schedule in _with_weights(spec):
            own = Findings()
            given = None if schedule is None else given_weights(schedule, own)
            source = given or own_weights(network, own)
            if isinstance(source, syntax.Text):
                builder = _network_builder(spec, network, schedule, Findings())
                try:
                    _load_weights(spec, source, builder.build(), builder.layers, WeightStore(), own)
                except HapirError as error:  # a file that cannot be read; the other networks may have more to tell
                    findings.add(error.diagnostics)
            findings.add(own.sorted())
        findings.raise_errors()


def _with_weights(spec: Spec) -> Iterator[tuple[syntax.Network, syntax.Schedule | None]]:
    """The networks with the schedules that give them weights or other parameters than their defaults; and each network
    alone, unless all schedules of it give it weights, so that its own are never read.
    """
    alone, replaced = set[str](), set[str]()
    for schedule in spec.schedules.values():
        plain, name = expand_schedule(spec.program, schedule, Findings()), schedule.network.text
        given = None if plain is None else given_weights(plain, Findings())
        (replaced if given else alone).add(name)
        if plain is not None and (given or schedule.network.arguments or schedule.network.options):
            yield spec.networks[name], plain
    for name, network in spec.networks.items():
        if name in alone or name not in replaced:
            yield network, None


def _network_builder(
    spec: Spec, network: syntax.Network, schedule: syntax.Schedule | None, findings: Findings
) -> NetworkBuilder:
    """A network as a schedule has it, or with its defaults."""
    instance = schedule.network if schedule else None
    caller = spec.program.scope(schedule.name.span) if schedule else None
    return NetworkBuilder(network, findings, program=spec.program, instance=instance, caller=caller)


def _default(spec: Spec) -> tuple[str | None, str | None]:
    """The only schedule of the root file, or the only network where there is no schedule."""
    if len(spec.default_schedules) == 1:
        return spec.default_schedules[0], None
    if spec.schedules:
        fail("HAP0222", "the spec has several schedules",
             help=f"choose one of {', '.join(spec.schedules)}: `--schedule {next(iter(spec.schedules))}`")  # fmt: skip
    if len(spec.networks) == 1:
        return None, next(iter(spec.networks))
    known = f"choose one of {', '.join(spec.networks)}" if spec.networks else "add `network name(...) -> ... { ... }`"
    fail("HAP0222", f"the spec has {len(spec.networks) or 'no'} networks and no schedule", help=known)


def own_weights(network: syntax.Network, findings: Findings) -> syntax.Text | None:
    """The file that a network itself names."""
    statements = [s for s in network.statements if isinstance(s, syntax.Weights)]
    for again in statements[1:]:
        findings.error("HAP0207", "the weights are given twice", at=again.span, help="remove one")
    return statements[0].path if statements else None


def _load_weights(
    spec: Spec,
    source: syntax.Text | RandomWeights | None,
    op: Operation,
    layers: Mapping[str, Span],
    store: WeightStore,
    findings: Findings,
) -> None:
    """Put the parameters of a network into a store; the findings tell which are missing or wrong (HAP04xx).

    Without a source nothing is done: such a network can be estimated, and what needs its weights says so.
    Raises HapirError where the file cannot be read.
    """
    if source is None:
        return
    parameters = [p for weight in op.walk() if isinstance(weight, nn.WeightOp) for p in stored_parameters(weight)]
    if isinstance(source, RandomWeights):
        for weight in parameters:
            array = source.array(weight.key.data, shape_of(weight.result), element_type(weight.result))
            store.put(weight.key.data, array)
        return
    folder = spec.sources[source.span.file]
    path = confined(folder, source, _project(spec, source.span), allow_outside=spec.allow_outside)
    arrays = load_arrays(path, source.span)
    named = [Label(source.span, "the file is named here")]
    unused = sorted(set(arrays) - {weight.key.data for weight in parameters})
    for weight in parameters:
        key = weight.key.data
        stem = key.rpartition(".")[0]
        at = layers[stem if stem in layers else stem.removesuffix(".weight")]
        array: npt.NDArray[Any] | None = arrays.get(key)
        shape = shape_of(weight.result)
        if array is None:
            help = missing_key(key, shape, arrays, unused)
            findings.error("HAP0402", f"`{path.name}` has no array `{key}`", at=at, labels=named, help=help)
        elif array.shape != shape:
            message = f"`{key}` has shape {text(array.shape)} in `{path.name}`, the network needs {text(shape)}"
            findings.error("HAP0403", message, at=at, labels=named, help=wrong_shape(weight, array.shape))
        elif array.dtype != (wanted := dtype_of(element_type(weight.result))):
            message = f"`{key}` is {array.dtype} in `{path.name}`, the network needs {wanted}"
            findings.error("HAP0406", message, at=at, labels=named, help=wrong_dtype(array.dtype, wanted))
        elif array.dtype.kind == "f" and not np.isfinite(array).all():
            bad = np.count_nonzero(~np.isfinite(array))
            message = f"`{key}` holds {bad} values that are NaN or infinite"
            findings.error("HAP0404", message, at=at, labels=named, help=not_finite(array))
        else:
            store.put(key, array)


def stored_parameters(weight: nn.WeightOp) -> Iterator[nn.WeightOp]:
    """A parameter, and the scales that its type reads as a parameter of their own: one per index of the axis."""
    yield weight
    element = element_type(weight.result)
    key = table_key(element)
    if isinstance(element, PerChannelType) and key is not None:
        yield nn.WeightOp(key, TensorType(f32, (shape_of(weight.result)[element.axis.data],)))
