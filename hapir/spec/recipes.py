"""A `recipe` block as registered passes: each step is a call whose options are the pass's fields."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from xdsl.passes import ModulePass

from hapir.diagnostics import Findings, Label, Span, some
from hapir.registry import universe
from hapir.selectors import matches
from hapir.spec import syntax
from hapir.spec.expand import PlainStep
from hapir.spec.options import read_options
from hapir.spec.resolve import resolve

SELECTOR = "layers"
"""The option of a pass that selects layers by glob."""


@dataclass(frozen=True)
class RecipeStep:
    """A pass ready to run, and the statement that asks for it."""

    pass_: ModulePass
    span: Span


def recipe_steps(plain: Sequence[PlainStep], findings: Findings) -> list[RecipeStep]:
    """The steps that could be read, in order; errors go to the findings, with the calls of recipes that lead there."""
    steps: list[RecipeStep] = []
    for step in plain:
        own = Findings()
        read = _step(step.call, own)
        labels = tuple(Label(caller, "called here") for caller in reversed(step.callers))
        findings.add(replace(d, labels=(*d.labels, *labels)) for d in own.sorted())
        if read is not None:
            steps.append(read)
    return steps


def _step(call: syntax.Call, findings: Findings) -> RecipeStep | None:
    definition = resolve(universe().all_passes, call.function, "pass", "HAP0203", findings)
    if call.arguments:
        findings.error(
            "HAP0205",
            f"the options of pass `{call.function.text}` are written with their names",
            at=call.arguments[0].span,
            help="`name = value`",
        )
    if definition is None:
        return None
    what = f"pass `{call.function.text}`"
    step = read_options(definition, call.options, at=call.span, what=what, findings=findings)
    return None if step is None else RecipeStep(step, call.span)


def check_selectors(
    plain: Sequence[PlainStep], layers: Collection[str], schedule: syntax.Schedule, findings: Findings
) -> None:
    """Report globs of a recipe that match no layer of the network that a schedule applies it to."""
    for step in plain:
        for option in (o for o in step.call.options if o.name.text == SELECTOR):
            values = option.value.elements if isinstance(option.value, syntax.Sequence) else (option.value,)
            if not values:
                what = f"the pass `{step.call.function.text}` is given no layers"
                findings.error("HAP0208", what, at=option.value.span, help='name some, or all: `layers = "*"`')
            for value in values:
                glob = (
                    value.value
                    if isinstance(value, syntax.Text)
                    else value.text
                    if isinstance(value, syntax.Name)
                    else None
                )
                if glob is None or any(matches(layer, glob) for layer in layers):
                    continue
                findings.error(
                    "HAP0208",
                    f'"{glob}" matches no layer of the network `{schedule.network.text}`',
                    at=value.span,
                    labels=[Label(schedule.name.span, "this schedule applies the recipe to it")],
                    help=f"its layers are {some(layers)}" if layers else "it has no layers",
                )
