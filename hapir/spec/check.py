"""From a file to a checked `Spec`: imports followed, names resolved, options typed, shapes fitted; all errors at once.

A `Spec` that exists is sound but for what lies outside the text: the contents of weight and data files (`build.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hapir.diagnostics import Diagnostic, Findings, Label, Span, did_you_mean, files_from, placed
from hapir.dialects.machine import MachineOp
from hapir.dialects.nn import NetworkOp
from hapir.registry import discover
from hapir.spec import syntax
from hapir.spec.expand import PlainStep, expand_machine, expand_recipe, expand_schedule
from hapir.spec.imports import Importer, Source
from hapir.spec.lint import LINTS, lint_files, lint_imports, lint_recipe
from hapir.spec.machines import MachineBuilder
from hapir.spec.networks import NetworkBuilder
from hapir.spec.program import NO_RECIPE, Program, declare, named
from hapir.spec.recipes import RecipeStep, check_selectors, recipe_steps
from hapir.spec.schedules import ScheduleBuilder
from hapir.spec.silence import Silencer, silencer

__all__ = ["NO_RECIPE", "Spec", "load_spec", "load_spec_text", "named", "recipe_passes"]


_SCHEDULE = "write `schedule NAME of NETWORK with RECIPE on MACHINE { }`"


@dataclass(frozen=True)
class Spec:
    """A checked spec: the definitions of the root file and of all that it imports, by name, in the order written."""

    path: Path
    program: Program
    layers: Mapping[str, tuple[str, ...]]
    """The layer names of each network with the defaults of its parameters, in the order of computation."""
    warnings: tuple[Diagnostic, ...]
    silencer: Silencer = field(repr=False)
    allow_outside: bool
    sources: Mapping[str, Path] = field(repr=False)
    """The folder of each file, by the file name that spans carry."""

    @property
    def networks(self) -> Mapping[str, syntax.Network]:
        """The networks by name."""
        return self.program.networks

    @property
    def machines(self) -> Mapping[str, syntax.Machine]:
        """The machines by name."""
        return self.program.machines

    @property
    def recipes(self) -> Mapping[str, syntax.Recipe]:
        """The recipes by name."""
        return self.program.recipes

    @property
    def schedules(self) -> Mapping[str, syntax.Schedule]:
        """The schedules by name."""
        return self.program.schedules

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


def recipe_passes(spec: Spec, name: str, schedule: syntax.Schedule | None = None) -> list[RecipeStep]:
    """The passes of a recipe, in order; a schedule that names it gives its parameters their values.

    Raises HapirError (HAP0209) where the spec has no such recipe.
    """
    recipe = named(spec.recipes, name, "recipe")
    instance = schedule.recipe if schedule is not None else None
    if instance is None or instance.text != name:
        instance = syntax.Instance(recipe.name, (), (), recipe.name.span)
    findings = Findings()
    caller = spec.program.scope(instance.span)
    steps = recipe_steps(expand_recipe(spec.program, instance, caller, findings), findings)
    with files_from(spec.folder):
        findings.raise_errors()
    return steps


def _load(path: Path, text: str | None, allow_outside: bool) -> Spec:
    with files_from(path.parent):
        findings = Findings()
        findings.add(discover()[1])
        importer = Importer(path.parent, findings, allow_outside=allow_outside)
        importer.read(Source(path.name, path, path.parent), text=text)
        # half a program would only give errors that are none
        findings.raise_errors()
        checker = Checker([file for _, file in importer.files], findings)
        layers = checker.check()
        findings.raise_errors()
        heard, silence = lint(importer, findings)
    return Spec(
        path,
        checker.program,
        layers,
        placed(heard, path.parent),
        silence,
        allow_outside,
        {source.name: source.folder for source, _ in importer.files},
    )


def lint(importer: Importer, findings: Findings) -> tuple[list[Diagnostic], Silencer]:
    """The warnings about files that are checked and sound, those that comments silence left out; and the comments."""
    files = [file for _, file in importer.files]
    lint_files(files, findings)
    lint_imports(files, importer.targets, findings)
    silence = silencer(importer.texts)
    return [*silence.heard(findings.sorted()), *silence.useless(LINTS)], silence


class Checker:
    """Checks the definitions of all files against each other; errors go to the findings."""

    def __init__(self, files: Sequence[syntax.File], findings: Findings):
        self._findings = findings
        self._program = declare(files, findings)
        self.networks: list[NetworkOp] = []
        """The networks that were built, each as far as it is right; one per set of values for its parameters."""
        self._layers: dict[syntax.Instance, tuple[str, ...]] = {}
        self._weighted: dict[syntax.Instance, tuple[str, ...]] = {}
        self._machines: dict[syntax.Instance, MachineOp | None] = {}
        self._steps: dict[syntax.Instance, list[PlainStep]] = {}

    @property
    def program(self) -> Program:
        """The definitions by kind and name."""
        return self._program

    def check(self) -> dict[str, tuple[str, ...]]:
        """Check everything, each definition with its defaults; the layer names of each network."""
        program = self._program
        layers = {name: self._network(_defaults(n.name)) for name, n in program.networks.items()}
        for definition in (*program.machines.values(), *program.recipes.values(), *program.schedules.values()):
            if self._findings.enough:
                break
            match definition:
                case syntax.Machine():
                    self._machine(_defaults(definition.name))
                case syntax.Recipe():
                    self._recipe(_defaults(definition.name))
                case syntax.Schedule():
                    self._schedule(definition)
        return layers

    def _network(self, instance: syntax.Instance) -> tuple[str, ...]:
        key = _key(instance)
        if key not in self._layers:
            own = Findings()
            network = self._program.networks[instance.text]
            caller = self._program.scope(instance.span)
            builder = NetworkBuilder(network, own, program=self._program, instance=instance, caller=caller)
            self.networks.append(builder.build())
            self._findings.add(own.sorted())
            self._layers[key] = tuple(builder.layers)
            self._weighted[key] = tuple(builder.weighted)
        return self._layers[key]

    def _machine(self, instance: syntax.Instance) -> MachineOp | None:
        key = _key(instance)
        if key not in self._machines:
            own = Findings()
            plain = expand_machine(self._program, instance, self._program.scope(instance.span), own)
            self._machines[key] = None if plain is None else MachineBuilder(plain, own).build()
            self._findings.add(own.sorted())
        return self._machines[key]

    def _recipe(self, instance: syntax.Instance) -> list[PlainStep]:
        key = _key(instance)
        if key not in self._steps:
            plain = expand_recipe(self._program, instance, self._program.scope(instance.span), self._findings)
            recipe_steps(plain, self._findings)
            self._steps[key] = plain
        return self._steps[key]

    def _schedule(self, schedule: syntax.Schedule) -> None:
        program = self._program
        layers = machine = recipe = None
        if self._known(schedule.network, program.networks, "network"):
            layers = self._network(schedule.network)
        if schedule.recipe is not None and self._known(schedule.recipe, program.recipes, "recipe"):
            recipe = self._recipe(schedule.recipe)
        if schedule.machine is not None and self._known(schedule.machine, program.machines, "machine"):
            machine = self._machine(schedule.machine)
        plain = expand_schedule(program, schedule, self._findings)
        if plain is not None:
            ScheduleBuilder(plain, layers, machine, self._findings).build()
        if recipe is not None and layers is not None:
            check_selectors(recipe, layers, schedule, self._findings)
            lint_recipe(recipe, self._weighted[_key(schedule.network)], schedule, self._findings)

    def _known(self, instance: syntax.Instance, known: Mapping[str, object], kind: str) -> bool:
        name = instance.name
        if name.text in known:
            return True
        other = self._program.find(name.text)
        if other is not None:
            what, at = other
            labels = [Label(at, "defined here")]
            message = f"`{name.text}` is a {what}, not a {kind}"
            self._findings.error("HAP0209", message, at=name.span, labels=labels, help=_SCHEDULE)
            return False
        help = did_you_mean(name.text, known)
        if help is None and kind in ("machine", "network"):
            help = f'define it, or import it: `import "{kind}s/{name.text}.hap"`'
        elif help is None and known:
            help = f"known: {', '.join(known)}"
        self._findings.error("HAP0209", f"there is no {kind} `{name.text}`", at=name.span, help=help)
        return False


def _defaults(name: syntax.Name) -> syntax.Instance:
    """A definition with the defaults of its parameters."""
    return syntax.Instance(name, (), (), name.span)


def _key(instance: syntax.Instance) -> syntax.Instance:
    """The instance itself; one without arguments is the same wherever it is written."""
    if instance.arguments or instance.options:
        return instance
    nowhere = Span("", 0, 0, 0, 0)
    return syntax.Instance(syntax.Name(instance.text, nowhere), (), (), nowhere)
