"""Passes over a module, one after the other: verified, timed, and with the place in the spec that asked for each.

Invariant: whatever goes wrong in a pass leaves this file as a HapirError that names the pass and its `.hap` place;
only a bug in one of hapir's own passes (an exception that is none of the expected ones) passes through.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from itertools import pairwise

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.printer import Printer
from xdsl.utils.arg_spec import ArgSpec, ParameterListType, ParameterType
from xdsl.utils.exceptions import DiagnosticException

from hapir.codes import CODES
from hapir.context import HapirContext
from hapir.diagnostics import Diagnostic, HapirError, Label, Span, fail
from hapir.plugin_failures import at_work
from hapir.verification import cut_short, invalid_ops


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
    invalid IR, HAP0234 for any other failure of a plug-in's pass.
    """
    stages: list[Stage] = []
    for step in steps:
        started = time.perf_counter()
        with at_work("all_passes", step.what.name, step.at):
            run_step(step, module, ctx)
        verify_after(step, module)
        seconds = time.perf_counter() - started
        stages.append(Stage(step.what.name, pass_text(step.what), seconds))
        if observe is not None:
            observe(step.what.name, module)
    return tuple(stages)


def ir_text(op: Operation) -> str:
    """An op as `hapir opt` reads it."""
    text = StringIO()
    Printer(stream=text).print_op(op)
    return f"{text.getvalue()}\n"


def pass_text(step: ModulePass) -> str:
    """A pass as `hapir opt -p` reads it. xDSL's own text of a pass forgets to escape strings."""
    return spec_text(step.pipeline_pass_spec())


def spec_text(spec: ArgSpec) -> str:
    """A name with options, as `hapir opt -p` and `-t` read it."""

    def option(name: str, values: ParameterListType) -> str:
        return f"{name}={','.join(map(value_text, values))}" if values else name

    options = " ".join(option(name, values) for name, values in spec.parameters.items())
    return f"{spec.name}{{{options}}}" if options else spec.name


_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}


def value_text(value: ParameterType) -> str:
    """A value of an option, strings escaped; xDSL has no text for carriage returns, form feeds and vertical tabs."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{"".join(_ESCAPES.get(c, c) for c in value)}"'
        case int():
            return str(value)
        case float():
            # a number without a point would be read as a word where it has an exponent
            mantissa, e, exponent = repr(value).partition("e")
            return f"{mantissa if '.' in mantissa or not e else f'{mantissa}.0'}{e}{exponent}"


def run_step(step: Step, module: ModuleOp, ctx: HapirContext) -> None:
    """Run one pass, without verifying what it leaves; its warnings, each once, get the step's place.

    Raises HapirError: what the pass says, or HAP0590.
    """
    before = len(ctx.warnings)
    try:
        step.what.apply(ctx, module)
    except HapirError as error:
        raise HapirError(_placed(d, step) for d in error.diagnostics) from error
    except DiagnosticException as error:
        cited = _cited(error)
        help = f"the operation is `{cited}`" if cited else None
        fail("HAP0590", f"the pass `{step.what.name}` cannot be applied: {_first_line(error)}", at=step.at, help=help)
    ctx.warnings[before:] = dict.fromkeys(_placed(warning, step) for warning in ctx.warnings[before:])


def verify_after(step: Step, module: ModuleOp) -> None:
    """Verify what a pass left. Raises HapirError (HAP0591) that names the pass and each invalid operation."""
    found = invalid_ops(module)
    prefix = f"the pass `{step.what.name}` left invalid IR: "
    help = "this is a bug in the pass; please report it"
    if found:
        raise HapirError(_placed(invalid.diagnostic("HAP0591", prefix, help), step) for invalid in found)


def _placed(diagnostic: Diagnostic, step: Step) -> Diagnostic:
    """The diagnostic with the step's place: as its own where it has none or their order is wrong, else a label."""
    if step.at is None:
        return diagnostic
    if diagnostic.span is None:
        return replace(diagnostic, span=step.at)
    if diagnostic.span == step.at or any(label.span == step.at for label in diagnostic.labels):
        return diagnostic
    code = CODES.get(diagnostic.code)
    if code is not None and code.about_order:
        return replace(diagnostic, span=step.at, labels=(Label(diagnostic.span, "here"), *diagnostic.labels))
    return replace(diagnostic, labels=(*diagnostic.labels, Label(step.at, f"in this step, `{step.what.name}`")))


def _first_line(error: Exception) -> str:
    """What an exception of xDSL says, without the IR it appends."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _cited(error: Exception) -> str | None:
    """The operation that an exception of xDSL is about: a note holds the whole module, with marks under it."""
    for note in getattr(error, "__notes__", ()):
        lines = str(note).splitlines()
        for above, line in pairwise(lines):
            if line.strip().startswith("^^^"):
                return cut_short(above)
    return None
