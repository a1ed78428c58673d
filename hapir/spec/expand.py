"""Machines, recipes and schedules made plain: parameters bound, constants put in, bases and called recipes taken over.

What comes out holds no `let`, no arithmetic and no parameter, so the builders need not know of them. After an error in
a machine or schedule nothing comes out: half a machine would only give errors that are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hapir.diagnostics import Findings, Label, Span, did_you_mean
from hapir.registry import universe
from hapir.spec import syntax
from hapir.spec.evaluate import Scope, bind_constants, evaluate, evaluate_step
from hapir.spec.program import Program


@dataclass(frozen=True)
class PlainStep:
    """A call of a pass with plain options, and the calls of recipes that lead to it, the outermost first."""

    call: syntax.Call
    callers: tuple[Span, ...]


def expand_machine(
    program: Program, instance: syntax.Instance, caller: Scope, findings: Findings
) -> syntax.Machine | None:
    """The machine of an instance, its bases merged into it; None after an error."""
    own = Findings()
    items = _machine_items(program, instance, caller, own, ())
    findings.add(own.sorted())
    if items is None or own.failed:
        return None
    return replace(program.machines[instance.text], items=items, parameters=(), base=None)


def _machine_items(
    program: Program, instance: syntax.Instance, caller: Scope, findings: Findings, heirs: tuple[syntax.Machine, ...]
) -> tuple[syntax.Item, ...] | None:
    machine = program.machines.get(instance.text)
    if machine is None:
        if heirs:  # that of a schedule is the checker's to report
            help = did_you_mean(instance.text, program.machines) or "define it, or import the file that does"
            findings.error("HAP0209", f"there is no machine `{instance.text}`", at=instance.name.span, help=help)
        return None
    if machine in heirs:
        _circle("machines extend", [m.name for m in heirs], machine.name, instance.span, findings)
        return None
    scope = program.scope(machine.name.span)
    what = f"machine `{machine.name.text}`"
    if not bind_constants(
        instance, machine.parameters, caller, scope, what=what, at=machine.name.span, findings=findings
    ):
        return None
    inherited: tuple[syntax.Item, ...] | None = ()
    if machine.base is not None:
        inherited = _machine_items(program, machine.base, scope, findings, (*heirs, machine))
    own = plain_items(machine.items, scope, findings)
    return None if inherited is None else _merged(inherited, own, findings)


def _merged(
    inherited: Sequence[syntax.Item], own: Sequence[syntax.Item], findings: Findings
) -> tuple[syntax.Item, ...]:
    """Inherited items with those of the same name replaced (settings) or merged (blocks), then the new ones."""
    if not inherited:
        return tuple(own)  # what is given twice in one body is the builder's to report
    _each_once(own, findings)  # but here the second one would hide the first
    replacing = {_key(item): item for item in own}
    merged: list[syntax.Item] = []
    for item in inherited:
        mine = replacing.get(_key(item))
        if isinstance(mine, syntax.Block) and isinstance(item, syntax.Block):
            items = _merged(item.items, mine.items, findings)
            merged.append(replace(mine, items=items, dimensions=mine.dimensions or item.dimensions))
        else:
            merged.append(mine or item)
    known = {_key(item) for item in inherited}
    return (*merged, *(item for item in own if _key(item) not in known))


def _each_once(items: Sequence[syntax.Item], findings: Findings) -> None:
    first: dict[object, Span] = {}
    for item in items:
        if not isinstance(item, syntax.Assign | syntax.Block):
            continue
        name = item.name
        if _key(item) in first:
            setting = isinstance(item, syntax.Assign)
            findings.error(
                "HAP0221" if setting else "HAP0207",
                f"`{name.text}` is {'given' if setting else 'defined'} twice",
                at=name.span,
                labels=[Label(first[_key(item)], f"first {'given' if setting else 'defined'} here")],
                help="remove one of them" if setting else "put all its settings into one",
            )
        first.setdefault(_key(item), name.span)


def _key(item: syntax.Item) -> object:
    match item:
        case syntax.Assign():
            return item.name.text
        case syntax.Block():
            return item.kind.text, item.name.text
        case _:
            return item


def expand_recipe(program: Program, instance: syntax.Instance, caller: Scope, findings: Findings) -> list[PlainStep]:
    """The passes that a recipe and those that it calls ask for, in order; without those that hold an error."""
    return _steps(program, instance, caller, findings, (), ())


def _steps(
    program: Program,
    instance: syntax.Instance,
    caller: Scope,
    findings: Findings,
    active: tuple[syntax.Recipe, ...],
    callers: tuple[Span, ...],
) -> list[PlainStep]:
    recipe = program.recipes.get(instance.text)
    if recipe is None:
        return []  # the checker's to report
    if recipe in active:
        _circle("recipes call", [r.name for r in active], recipe.name, instance.span, findings)
        return []
    scope = program.scope(recipe.name.span)
    what = f"recipe `{recipe.name.text}`"
    bind_constants(instance, recipe.parameters, caller, scope, what=what, at=recipe.name.span, findings=findings)
    steps: list[PlainStep] = []
    for item in recipe.items:
        if isinstance(item, syntax.Let):
            scope.let(item, findings)
            continue
        if not isinstance(item, syntax.Call):
            help = f"write `{item.text}()`" if isinstance(item, syntax.Name) else "write `pass(option = value)`"
            findings.error("HAP0216", "a recipe is a list of passes", at=item.span, help=help)
            continue
        if item.function.text in program.recipes and item.function.text not in universe().all_passes:
            called = syntax.Instance(item.function, item.arguments, item.options, item.span)
            steps += _steps(program, called, scope, findings, (*active, recipe), (*callers, item.span))
            continue
        plain = evaluate_step(item, scope, findings)
        if plain is not None:
            steps.append(PlainStep(plain, callers))
    return steps


def _circle(what: str, active: Sequence[syntax.Name], again: syntax.Name, at: Span, findings: Findings) -> None:
    """Report definitions that need each other: at the last link, with all their places."""
    circle = active[active.index(again) :]
    chain = " -> ".join(name.text for name in (*circle, again))
    labels = [Label(name.span, "defined here") for name in circle]
    findings.error("HAP0225", f"these {what} each other: {chain}", at=at, labels=labels, help="let one stand alone")


def expand_schedule(program: Program, schedule: syntax.Schedule, findings: Findings) -> syntax.Schedule | None:
    """A schedule with plain items; None after an error."""
    own = Findings()
    items = plain_items(schedule.items, program.scope(schedule.name.span), own)
    findings.add(own.sorted())
    return None if own.failed else replace(schedule, items=items)


def plain_items(items: Sequence[syntax.Item], scope: Scope, findings: Findings) -> tuple[syntax.Item, ...]:
    """Items of a body with constants put in; the constants that the body defines leave it."""
    plain: list[syntax.Item] = []
    for item in items:
        match item:
            case syntax.Let():
                scope.let(item, findings)
            case syntax.Assign():
                value = evaluate(item.value, scope, findings)
                plain.append(item if value is None else replace(item, value=value))
            case syntax.Block():
                sizes = evaluate(syntax.Sequence(item.dimensions, item.name.span), scope, findings)
                dimensions = sizes.elements if isinstance(sizes, syntax.Sequence) else item.dimensions
                inner = plain_items(item.items, Scope(outer=scope), findings)
                plain.append(replace(item, dimensions=dimensions, items=inner))
            case _:
                plain.append(evaluate(item, scope, findings) or item)
    return tuple(plain)
