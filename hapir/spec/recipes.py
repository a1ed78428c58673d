"""A `recipe` block as registered passes: each step is a call whose options are the pass's fields."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase

from xdsl.passes import ModulePass

from hapir.diagnostics import Findings, Label, Span
from hapir.registry import universe
from hapir.spec import syntax
from hapir.spec.options import read_options
from hapir.spec.resolve import resolve

SELECTOR = "layers"
"""The option of a pass that selects layers by glob."""


@dataclass(frozen=True)
class RecipeStep:
    """A pass ready to run, and the statement that asks for it."""

    pass_: ModulePass
    span: Span


def recipe_steps(recipe: syntax.Recipe, findings: Findings) -> list[RecipeStep]:
    """The steps that could be read, in order; errors go to the findings."""
    steps: list[RecipeStep] = []
    for item in recipe.items:
        if not isinstance(item, syntax.Call):
            findings.error("HAP0216", "a recipe is a list of passes", at=item.span, help="write `pass(option = value)`")
            continue
        definition = resolve(universe().all_passes, item.function, "pass", "HAP0203", findings)
        if item.arguments:
            findings.error(
                "HAP0205",
                f"the options of pass `{item.function.text}` are written with their names",
                at=item.arguments[0].span,
                help="`name = value`",
            )
        if definition is None:
            continue
        what = f"pass `{item.function.text}`"
        step = read_options(definition, item.options, at=item.span, what=what, findings=findings)
        if step is not None:
            steps.append(RecipeStep(step, item.span))
    return steps


def check_selectors(
    recipe: syntax.Recipe, layers: Collection[str], schedule: syntax.Schedule, findings: Findings
) -> None:
    """Report globs of a recipe that match no layer of the network that a schedule applies it to."""
    for item in recipe.items:
        if not isinstance(item, syntax.Call):
            continue
        for option in (o for o in item.options if o.name.text == SELECTOR):
            values = option.value.elements if isinstance(option.value, syntax.Sequence) else (option.value,)
            for value in values:
                glob = (
                    value.value
                    if isinstance(value, syntax.Text)
                    else value.text
                    if isinstance(value, syntax.Name)
                    else None
                )
                if glob is None or any(fnmatchcase(layer, glob) for layer in layers):
                    continue
                findings.error(
                    "HAP0208",
                    f'"{glob}" matches no layer of the network `{schedule.network.text}`',
                    at=value.span,
                    labels=[Label(schedule.name.span, "this schedule applies the recipe to it")],
                    help=f"its layers are {', '.join(layers)}" if layers else "it has no layers",
                )
