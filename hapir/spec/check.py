"""From a file to a checked `Spec`: imports followed, names resolved, options typed, shapes fitted; all errors at once.

A `Spec` that exists is sound but for what lies outside the text: the contents of weight and data files (`build.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from hapir.diagnostics import Diagnostic, Findings, Label, Span, did_you_mean, fail, files_from, placed
from hapir.dialects.machine import MachineOp
from hapir.registry import discover
from hapir.spec import syntax
from hapir.spec.imports import Importer, Source
from hapir.spec.machines import MachineBuilder
from hapir.spec.networks import NetworkBuilder
from hapir.spec.recipes import RecipeStep, check_selectors, recipe_steps
from hapir.spec.schedules import ScheduleBuilder

NO_RECIPE = "none"
"""The recipe name that keeps the float network."""
D = TypeVar("D", syntax.Network, syntax.Machine, syntax.Recipe, syntax.Schedule)


@dataclass(frozen=True)
class Spec:
    """A checked spec: the definitions of the root file and of all that it imports, by name, in the order written."""

    path: Path
    networks: Mapping[str, syntax.Network]
    machines: Mapping[str, syntax.Machine]
    recipes: Mapping[str, syntax.Recipe]
    schedules: Mapping[str, syntax.Schedule]
    layers: Mapping[str, tuple[str, ...]]
    """The layer names of each network, in the order of computation."""
    warnings: tuple[Diagnostic, ...]
    allow_outside: bool
    sources: Mapping[str, Path] = field(repr=False)
    """The folder of each file, by the file name that spans carry."""

    @property
    def folder(self) -> Path:
        """The project folder: that of the root file."""
        return self.path.parent

    @property
    def default_schedules(self) -> tuple[str, ...]:
        """The names to choose a default from: the root file's own schedules, or the imported ones where it has none."""
        own = tuple(n for n, s in self.schedules.items() if s.name.span.file == self.path.name)
        return own or tuple(self.schedules)


def load_spec(path: Path, *, allow_outside: bool = False) -> Spec:
    """Read and check a spec file.

    Raises HapirError with every error and warning found, sorted by place. `allow_outside` lets imports and data files
    lie outside the spec's folder.
    """
    return _load(path, None, allow_outside)


def load_spec_text(text: str, name: str, folder: Path, *, allow_outside: bool = False) -> Spec:
    """Check a spec that is no file (yet); it is treated as `folder / name`. Raises HapirError as `load_spec` does."""
    return _load(folder / name, text, allow_outside)


def recipe_passes(spec: Spec, name: str) -> list[RecipeStep]:
    """The passes of a recipe, in order. Raises HapirError (HAP0209) where the spec has no such recipe."""
    recipe = named(spec.recipes, name, "recipe")
    findings = Findings()
    steps = recipe_steps(recipe, findings)
    with files_from(spec.folder):
        findings.raise_errors()
    return steps


def named(definitions: Mapping[str, D], name: str, kind: str) -> D:
    """The definition of this name. Raises HapirError (HAP0209) where there is none."""
    if name not in definitions:
        known = f"the spec has {', '.join(definitions)}" if definitions else f"the spec has no {kind}"
        fail("HAP0209", f"there is no {kind} `{name}`", help=did_you_mean(name, definitions) or known)
    return definitions[name]


def _load(path: Path, text: str | None, allow_outside: bool) -> Spec:
    with files_from(path.parent):
        findings = Findings()
        findings.add(discover()[1])
        importer = Importer(path.parent, findings, allow_outside=allow_outside)
        importer.read(Source(path.name, path, path.parent), text=text)
        # half a program would only give errors that are none
        findings.raise_errors()
        checker = _Checker(findings)
        for _, file in importer.files:
            checker.declare(file)
        layers = checker.check()
        findings.raise_errors()
    return Spec(
        path,
        checker.networks,
        checker.machines,
        checker.recipes,
        checker.schedules,
        layers,
        placed(findings.sorted(), path.parent),
        allow_outside,
        {source.name: source.folder for source, _ in importer.files},
    )


class _Checker:
    """Collects the definitions of all files and checks each against the others."""

    def __init__(self, findings: Findings):
        self._findings = findings
        self._places: dict[str, Span] = {}
        self.networks: dict[str, syntax.Network] = {}
        self.machines: dict[str, syntax.Machine] = {}
        self.recipes: dict[str, syntax.Recipe] = {}
        self.schedules: dict[str, syntax.Schedule] = {}

    def declare(self, file: syntax.File) -> None:
        """Take over a file's definitions; a name that is taken is an error with both places."""
        for definition in file.definitions:
            name = definition.name
            if name.text in self._places:
                labels = [Label(self._places[name.text], "first defined here")]
                self._findings.error("HAP0207", f"`{name.text}` is defined twice", at=name.span, labels=labels)
                continue
            self._places[name.text] = name.span
            match definition:
                case syntax.Network():
                    self.networks[name.text] = definition
                case syntax.Machine():
                    self.machines[name.text] = definition
                case syntax.Recipe() if name.text == NO_RECIPE:
                    what = f"a recipe cannot be called `{NO_RECIPE}`"
                    help = f"give it another name; `--recipe {NO_RECIPE}` keeps the float network"
                    self._findings.error("HAP0223", what, at=name.span, help=help)
                case syntax.Recipe():
                    self.recipes[name.text] = definition
                case syntax.Schedule():
                    self.schedules[name.text] = definition

    def check(self) -> dict[str, tuple[str, ...]]:
        """Check everything; the layer names of each network."""
        layers = {name: self._check_network(network) for name, network in self.networks.items()}
        machines = {name: self._check_machine(machine) for name, machine in self.machines.items()}
        for recipe in self.recipes.values():
            recipe_steps(recipe, self._findings)
        for schedule in self.schedules.values():
            self._check_schedule(schedule, layers, machines)
        return layers

    def _check_network(self, network: syntax.Network) -> tuple[str, ...]:
        own = Findings()
        builder = NetworkBuilder(network, own)
        builder.build()
        self._findings.add(own.sorted())
        return tuple(builder.layers)

    def _check_machine(self, machine: syntax.Machine) -> MachineOp | None:
        own = Findings()
        op = MachineBuilder(machine, own).build()
        self._findings.add(own.sorted())
        return op

    def _check_schedule(
        self, schedule: syntax.Schedule, layers: Mapping[str, tuple[str, ...]], machines: Mapping[str, MachineOp | None]
    ) -> None:
        self._check_name(schedule.network, self.networks, "network")
        if schedule.recipe is not None:
            self._check_name(schedule.recipe, self.recipes, "recipe")
        if schedule.machine is not None:
            self._check_name(schedule.machine, self.machines, "machine")
        network_layers = layers.get(schedule.network.text)
        machine = machines.get(schedule.machine.text) if schedule.machine else None
        ScheduleBuilder(schedule, network_layers, machine, self._findings).build()
        recipe = self.recipes.get(schedule.recipe.text) if schedule.recipe else None
        if recipe is not None and network_layers is not None:
            check_selectors(recipe, network_layers, schedule, self._findings)

    def _check_name(self, name: syntax.Name, known: Mapping[str, object], kind: str) -> None:
        if name.text in known:
            return
        help = did_you_mean(name.text, known)
        if help is None and kind == "machine":
            help = f'define it, or import it: `import "machines/{name.text}.hap"`'
        if help is None and known:
            help = f"known: {', '.join(known)}"
        self._findings.error("HAP0209", f"there is no {kind} `{name.text}`", at=name.span, help=help)
