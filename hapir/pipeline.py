"""Passes over a module, one after the other: verified, timed, and with the place in the spec that asked for each.

Invariant: whatever goes wrong in a pass leaves this file as a HapirError that names the pass and its `.hap` place;
only a bug in one of hapir's own passes (an exception that is none of the expected ones) passes through.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import StringIO

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.printer import Printer
from xdsl.utils.exceptions import DiagnosticException, VerifyException

from hapir.context import HapirContext
from hapir.diagnostics import Diagnostic, HapirError, Label, Span, fail
from hapir.plugin_failures import at_work


@dataclass(frozen=True)
class Step:
    """A pass to run, and the statement of the spec that asked for it (None: hapir itself did)."""

    what: ModulePass
    at: Span | None = None


@dataclass(frozen=True)
class Stage:
    """A pass that ran: its name, the text that repeats it in `hapir opt -p`, and how long it took in seconds."""

    name: str
    pipeline: str
    seconds: float


def run_steps(
    module: ModuleOp,
    ctx: HapirContext,
    steps: Sequence[Step],
    observe: Callable[[str, ModuleOp], None] | None = None,
) -> tuple[Stage, ...]:
    """Run passes on a module in place; `observe` sees the module after each, with the pass's name.

    Raises HapirError: what a pass says, HAP0590 where it fails without words of its own, HAP0591 where it leaves
    invalid IR.
    """
    stages: list[Stage] = []
    for step in steps:
        started = time.perf_counter()
        _run(step, module, ctx)
        seconds = time.perf_counter() - started
        stages.append(Stage(step.what.name, str(step.what.pipeline_pass_spec()), seconds))
        if observe is not None:
            observe(step.what.name, module)
    return tuple(stages)


def ir_text(op: Operation) -> str:
    """An op as `hapir opt` reads it."""
    text = StringIO()
    Printer(stream=text).print_op(op)
    return f"{text.getvalue()}\n"


def _run(step: Step, module: ModuleOp, ctx: HapirContext) -> None:
    name = step.what.name
    try:
        with at_work("all_passes", name, step.at):
            step.what.apply(ctx, module)
    except HapirError as error:
        raise HapirError(_placed(d, step) for d in error.diagnostics) from error
    except DiagnosticException as error:
        fail("HAP0590", f"the pass `{name}` cannot be applied: {_first_line(error)}", at=step.at)
    try:
        module.verify()
    except VerifyException as error:
        fail(
            "HAP0591",
            f"the pass `{name}` left invalid IR: {_first_line(error)}",
            at=step.at,
            help="this is a bug in the pass; please report it",
        )


def _placed(diagnostic: Diagnostic, step: Step) -> Diagnostic:
    """The diagnostic with the step's place: as its own where it has none, else as a label."""
    if step.at is None:
        return diagnostic
    if diagnostic.span is None:
        return replace(diagnostic, span=step.at)
    if diagnostic.span == step.at or any(label.span == step.at for label in diagnostic.labels):
        return diagnostic
    return replace(diagnostic, labels=(*diagnostic.labels, Label(step.at, f"in this step, `{step.what.name}`")))


def _first_line(error: Exception) -> str:
    """What an exception of xDSL says, without the IR it appends."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
