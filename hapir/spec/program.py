"""The definitions of a spec and of all that it imports, and the constants that each of its files sees.

Constants (`let`) belong to their file; networks, blocks, machines, recipes and schedules are seen by every importer.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from hapir.diagnostics import Findings, Span, did_you_mean, fail
from hapir.registry import universe
from hapir.spec import syntax
from hapir.spec.evaluate import FUNCTIONS, SIZE, Scope, file_scope
from hapir.spec.twice import defined_twice

NO_RECIPE = "none"
"""The recipe name that keeps the float network."""
D = TypeVar("D", syntax.Network, syntax.LayerBlock, syntax.Machine, syntax.Recipe, syntax.Schedule)


@dataclass
class Program:
    """Definitions by kind and name, in the order written, and the constants of each file by the file's name."""

    networks: dict[str, syntax.Network] = field(default_factory=dict[str, syntax.Network])
    blocks: dict[str, syntax.LayerBlock] = field(default_factory=dict[str, syntax.LayerBlock])
    machines: dict[str, syntax.Machine] = field(default_factory=dict[str, syntax.Machine])
    recipes: dict[str, syntax.Recipe] = field(default_factory=dict[str, syntax.Recipe])
    schedules: dict[str, syntax.Schedule] = field(default_factory=dict[str, syntax.Schedule])
    scopes: dict[str, Scope] = field(default_factory=dict[str, Scope])

    def scope(self, at: Span) -> Scope:
        """A fresh scope inside that of the file of a place."""
        return Scope(outer=self.scopes.get(at.file))

    def find(self, name: str) -> tuple[str, Span] | None:
        """The kind and place of the definition of a name, whatever it is."""
        kinds: dict[str, Mapping[str, syntax.Definition]] = {
            "network": self.networks,
            "block": self.blocks,
            "machine": self.machines,
            "recipe": self.recipes,
            "schedule": self.schedules,
        }
        return next(((kind, d[name].name.span) for kind, d in kinds.items() if name in d), None)


_KINDS: dict[type[syntax.Definition], str] = {
    syntax.Network: "network",
    syntax.LayerBlock: "block",
    syntax.Machine: "machine",
    syntax.Recipe: "recipe",
    syntax.Schedule: "schedule",
}


def _another_name(name: str, first: str, second: str, taken: Container[str]) -> str:
    """The way out of a name that is taken, `first` and `second` being what has it and what wants it."""
    if first == second:
        return "give one of them another name"
    free = f"{name}_{second}"
    while free in taken:
        free += "_2"
    return f"a {first} and a {second} cannot have one name: call this one `{free}`"


def declare(files: Iterable[syntax.File], findings: Findings) -> Program:
    """Collect the definitions of files; a name that is taken or reserved is an error with both places."""
    program = Program()
    places: dict[str, Span] = {}
    files = tuple(files)
    kinds = {d.name.text: _KINDS[type(d)] for file in reversed(files) for d in reversed(file.definitions)}
    for file in files:
        program.scopes[file.name] = file_scope(file.constants, findings)
        for definition in file.definitions:
            name = definition.name
            if name.text in places:
                help = _another_name(name.text, kinds[name.text], _KINDS[type(definition)], kinds)
                defined_twice(f"`{name.text}`", name.span, places[name.text], findings, help=help)
                continue
            places[name.text] = name.span
            _check_parameters(definition, findings)
            match definition:
                case syntax.Network():
                    program.networks[name.text] = definition
                case syntax.LayerBlock():
                    check_block_name(name, findings)
                    program.blocks[name.text] = definition
                case syntax.Machine():
                    program.machines[name.text] = definition
                case syntax.Recipe() if name.text == NO_RECIPE:
                    what = f"a recipe cannot be called `{NO_RECIPE}`"
                    help = f"give it another name; `--recipe {NO_RECIPE}` keeps the float network"
                    findings.error("HAP0223", what, at=name.span, help=help)
                case syntax.Recipe():
                    program.recipes[name.text] = definition
                case syntax.Schedule():
                    program.schedules[name.text] = definition
    return program


def check_block_name(name: syntax.Name, findings: Findings) -> None:
    """A block may not hide a layer or a function of expressions."""
    taken = "layer" if name.text in universe().layers else "function"
    if taken == "layer" or name.text in FUNCTIONS or name.text == SIZE:
        message = f"a block cannot be called `{name.text}`: there is a {taken} of that name"
        findings.error("HAP0223", message, at=name.span, help="give it another name")


def _check_parameters(definition: syntax.Definition, findings: Findings) -> None:
    """Who may have which parameters: inputs with a type are a network's, parameters without a default a block's."""
    if isinstance(definition, syntax.Schedule):
        return
    is_network, is_block = isinstance(definition, syntax.Network), isinstance(definition, syntax.LayerBlock)
    seen: dict[str, Span] = {}
    for parameter in definition.parameters:
        assert parameter.name is not None
        name = parameter.name
        if name.text in seen:
            defined_twice(f"the parameter `{name.text}`", name.span, seen[name.text], findings)
        seen[name.text] = name.span
        if parameter.type is not None and not is_network:
            help = "write the name alone; its type follows from the call" if is_block else "write `name = default`"
            findings.error("HAP0226", "only a network declares the types of its inputs", at=parameter.span, help=help)
        elif parameter.type is None and parameter.default is None and not is_block:
            help = f"write `{name.text}: f32[...]` for an input, or `{name.text} = value`" if is_network else None
            message = f"the parameter `{name.text}` needs a default"
            findings.error("HAP0226", message, at=parameter.span, help=help or f"write `{name.text} = value`")


def named(definitions: Mapping[str, D], name: str, kind: str) -> D:
    """The definition of this name. Raises HapirError (HAP0209) where there is none."""
    if name not in definitions:
        known = f"the spec has {', '.join(definitions)}" if definitions else f"the spec has no {kind}"
        fail("HAP0209", f"there is no {kind} `{name}`", help=did_you_mean(name, definitions) or known)
    return definitions[name]
