"""What a compilation carries beside the module: the weights, and where the spec's relative paths start."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from hapir.diagnostics import Diagnostic, fail, span_of
from hapir.weights import WeightStore


@dataclass
class HapirContext(Context):
    """An xDSL context with a weight store and the project folder that relative data paths start from.

    Passes read data inside `project` only; None allows every place.
    `original` is the module as the recipe found it, with `original_weights`: what `keep_accuracy` compares with.
    `warnings` is what passes found odd but not wrong; those without a place are of the step that found them.
    """

    weights: WeightStore = field(default_factory=WeightStore)
    folder: Path = field(default_factory=Path)
    project: Path | None = None
    original: ModuleOp | None = None
    original_weights: WeightStore = field(default_factory=WeightStore)
    warnings: list[Diagnostic] = field(default_factory=list[Diagnostic])

    def data_file(self, path: str) -> Path:
        """The place of a data file that a pass's option names. Raises HapirError (HAP0214) where it lies outside."""
        target = self.folder / path
        if self.project is not None and not target.resolve().is_relative_to(self.project.resolve()):
            fail(
                "HAP0214",
                f'"{path}" lies outside the project folder',
                help="move the file into the folder of the spec, or pass --allow-outside",
            )
        return target

    def warn(self, code: str, message: str, *, at: Operation | None = None, help: str | None = None) -> None:
        """Note a warning of a pass, at an operation's `.hap` line or, without one, at the recipe's step."""
        span = None if at is None else span_of(at.location)
        self.warnings.append(Diagnostic(code, message, span, (), help, "warning"))

    def remember_original(self, module: ModuleOp) -> None:
        """Keep a copy of the module and of its weights as they are now, before a recipe."""
        self.original, self.original_weights = module.clone(), self.weights.copy()

    def clone(self) -> HapirContext:
        """A context with the same dialects, a store of its own, and no warnings."""
        base = super().clone()
        return HapirContext(
            base.allow_unregistered,
            base._loaded_dialects,
            base._loaded_ops,
            base._loaded_attrs,
            base._loaded_types,
            base._registered_dialects,
            self.weights.copy(),
            self.folder,
            self.project,
            self.original,
            self.original_weights,
        )


def hapir_context(ctx: Context) -> HapirContext:
    """The context as hapir's own. Raises HapirError (HAP0501) where a foreign driver runs a pass that needs weights."""
    if isinstance(ctx, HapirContext):
        return ctx
    fail(
        "HAP0501",
        "this pass needs the network's weights, which this driver does not carry",
        help="run it through `hapir opt`",
    )
