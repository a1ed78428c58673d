"""`hapir opt` from its arguments to its exit code.

Invariants: stdout carries the result and nothing else; it, the output file and the weights are written only where all
went well; whatever a user can mend is a diagnostic with a place; a crash of a pass leaves a reproducer.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import sys
import tempfile
import traceback
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute
from xdsl.targets import get_all_targets
from xdsl.transforms import get_all_passes
from xdsl.utils.exceptions import DiagnosticException, ShrinkException
from xdsl.xdsl_opt_main import xDSLOptMain

from hapir.cli.console import Console, write_output
from hapir.context import HapirContext
from hapir.diagnostics import Diagnostic, HapirError, did_you_mean, fail, files_from, placed
from hapir.files import write_atomically
from hapir.lowering.network_edits import used_keys
from hapir.opt.arguments import KINDS, build_parser
from hapir.opt.expectations import expectations_of, unmet
from hapir.opt.instruments import Clock, IrPrinter
from hapir.opt.located_parser import parse_ir
from hapir.opt.reproducer import FLAGS, Reproducer, State, read_reproducer, write_reproducer
from hapir.opt.source import Chunk, Source, chunks_of, read_source
from hapir.pipeline import Step, run_step, verify_after
from hapir.pipeline_text import check_target, read_passes, with_text
from hapir.registry import discover, make_context, universe
from hapir.verification import cut_short, invalid_ops
from hapir.weights import WeightStore

CRASHED = 70
"""The exit code where a pass crashed."""


def run(arguments: Sequence[str]) -> int:
    """Run a command line of `hapir opt` and return its exit code. Raises SystemExit for wrong usage."""
    args = build_parser().parse_args(arguments)
    console = Console(args.format, args.color)
    opt = HapirOpt(args, arguments)
    try:
        with _verification(not args.disable_verify):
            diagnostics = opt.run_all()
    except PassCrash as crash:
        if os.environ.get("HAPIR_DEBUG") and crash.__cause__ is not None:
            traceback.print_exception(crash.__cause__)
        console.diagnostics([crash.diagnostic])
        return CRASHED
    except HapirError as error:
        diagnostics = error.diagnostics
    except ShrinkException:
        print("Success, can shrink")
        return 0
    finally:
        if args.time_passes and opt.clock.seconds:
            print(opt.clock.report(), file=sys.stderr)
    failed = any(d.severity == "error" for d in diagnostics)
    if diagnostics and (failed or console.format == "text"):
        console.diagnostics(diagnostics)
    if args.shrink:
        print("Failure, can't shrink")
    return 1 if failed or args.shrink else 0


class PassCrash(Exception):
    """A pass raised what it should not; the diagnostic says so, the cause is what it raised."""

    def __init__(self, diagnostic: Diagnostic):
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


@contextlib.contextmanager
def _verification(wanted: bool) -> Generator[None]:
    """Without verification attributes are not verified either, the way xDSL's driver does it, for this run only."""
    verify = Attribute.__post_init__
    if not wanted:
        Attribute.__post_init__ = lambda self: None
    try:
        yield
    finally:
        Attribute.__post_init__ = verify


@dataclass
class _Result:
    """What came out of a chunk: the text of the target where all went well, and what there is to say."""

    text: str | None = None
    diagnostics: list[Diagnostic] = field(default_factory=list[Diagnostic])


class HapirOpt(xDSLOptMain):
    """xDSL's driver over a `HapirContext`: its passes, targets and options, with hapir's way of running them."""

    def __init__(self, args: argparse.Namespace, command: Sequence[str]):
        # not xDSL's own: it reads the arguments, and refuses names without help
        self.args = args
        self.command = shlex.join(["hapir", "opt", *command])
        self.ctx = make_context()
        self.clock = Clock()
        self.available_frontends = {}
        self.available_passes = {**get_all_passes(), **universe().all_passes}
        self.available_targets = {**get_all_targets(), **universe().all_targets}
        self.steps: tuple[Step, ...] = ()
        self._reproduced = False

    @property
    def hapir_ctx(self) -> HapirContext:
        """The context, as what it was made."""
        return cast(HapirContext, self.ctx)

    def run_all(self) -> tuple[Diagnostic, ...]:
        """Read, run and write; returns the diagnostics, and writes nothing where there is an error among them.

        Raises HapirError for what is wrong with the command line or the file as a whole, PassCrash, ShrinkException.
        """
        args = self.args
        source = read_source(args.input_file, args.frontend, KINDS)
        with contextlib.ExitStack() as stack, files_from(source.folder, source.texts):
            reproducer = self._reproducer(source, stack)
            self.steps = read_passes(args.passes or "", "-p", self.available_passes)
            check_target(args.target, "-t", self.available_targets)
            warnings = self._check_options(reproducer)
            if args.weights:
                self.hapir_ctx.weights = WeightStore.load(Path(args.weights))
            results, problems = self._run_chunks(source)
        found = [*warnings, *problems, *(d for result in results for d in result.diagnostics)]
        if not any(d.severity == "error" for d in found):
            self._write([result.text for result in results if result.text is not None])
        return tuple(found)

    def _reproducer(self, source: Source, stack: contextlib.ExitStack) -> Reproducer | None:
        """Take pipeline, flags and data from an input that is a reproducer."""
        args = self.args
        reproducer = read_reproducer(source) if source.kind == "mlir" else None
        if reproducer is None:
            if args.run_reproducer:
                fail("HAP0861", f"`{source.name}` is not a reproducer", help="`--crash-reproducer=FILE` writes one")
            return None
        args.passes = reproducer.passes if args.passes is None else args.passes
        for flag in reproducer.flags:
            name = flag.removeprefix("--")
            negated = name == "no-verify-each"
            setattr(args, "verify_each" if negated else name.replace("-", "_"), not negated)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hapir-reproduced-")))
        self.ctx.allow_unregistered = args.allow_unregistered_dialect
        reproducer.prepare(self.hapir_ctx, folder, lambda text: parse_ir(self.ctx, text, "original.mlir"))
        return reproducer

    def _check_options(self, reproducer: Reproducer | None) -> list[Diagnostic]:
        """Refuse options that do not fit each other or the pipeline. Raises HapirError; returns warnings."""
        args = self.args
        self.ctx.allow_unregistered = args.allow_unregistered_dialect
        if args.split_input_file and args.save_weights:
            help = "save the weights of one module at a time"
            fail("HAP0854", "--save-weights does not go with --split-input-file", help=help)
        if reproducer and not args.run_reproducer:
            for step in self.steps:
                if hasattr(step.what, "executable"):
                    what = f"this reproducer's pass `{step.what.name}` runs another program"
                    fail("HAP0861", what, at=step.at, help="pass --run-reproducer if you trust the file")
        running = {step.what.name for step in self.steps}
        warnings: list[Diagnostic] = []
        for option, names in (("before", args.print_ir_before), ("after", args.print_ir_after)):
            for name in names:
                if name not in self.available_passes:
                    hint = did_you_mean(name, self.available_passes) or "`hapir list passes` names them"
                    fail("HAP0203", f"there is no pass `{name}` to print the IR {option} it", help=hint)
                if name not in running:
                    message = f"the IR is to be printed {option} `{name}`, which the pipeline does not run"
                    help = f"it runs {', '.join(step.what.name for step in self.steps) or 'no pass'}"
                    warnings.append(Diagnostic("HAP0863", message, help=help, severity="warning"))
        return warnings

    def _run_chunks(self, source: Source) -> tuple[list[_Result], list[Diagnostic]]:
        """Run each chunk on its own, and check its diagnostics where that is asked for."""
        args = self.args
        base = self.hapir_ctx
        chunks = chunks_of(source, args.split_input_file)
        results: list[_Result] = []
        problems: list[Diagnostic] = []
        for number, chunk in enumerate(chunks, 1):
            wishes, unreadable = expectations_of(chunk, source.name) if args.verify_diagnostics else ([], [])
            if args.split_input_file and chunk.blank and not wishes and not unreadable:
                continue
            # no chunk sees what the passes did to the weights of another
            self.ctx = base.clone()
            where = f", chunk {number} of {len(chunks)}" if len(chunks) > 1 else ""
            result = self._run_chunk(chunk, source, where)
            if args.verify_diagnostics:
                differing = [*unreadable, *unmet(wishes, result.diagnostics, source.name)]
                problems += source.placed(differing)
                result.diagnostics = []
            results.append(result)
        return results, problems

    def _run_chunk(self, chunk: Chunk, source: Source, where: str) -> _Result:
        result = _Result()
        pipeline = {"-p": self.args.passes or "", "-t": self.args.target}
        try:
            with files_from(source.folder, {**source.texts, **pipeline}):
                with self.clock.measure("parse"):
                    module, warnings = self._parse(chunk, source)
                result.diagnostics += source.placed(warnings)
                with self.clock.measure("verify"):
                    self._verify_input(module)
                self._run_passes(module, where)
                result.diagnostics += placed(self.hapir_ctx.warnings, source.folder, {**source.texts, **pipeline})
                with self.clock.measure("print"):
                    result.text = self._emitted(module)
                if self.args.save_weights:
                    self.hapir_ctx.weights.retain(used_keys(module))
        except HapirError as error:
            result.diagnostics = [*result.diagnostics, *error.diagnostics]
        return result

    def _parse(self, chunk: Chunk, source: Source) -> tuple[ModuleOp, tuple[Diagnostic, ...]]:
        """The module that a chunk says, and what is odd about it. Raises HapirError."""
        if source.kind == "mlir":
            implicit = not self.args.no_implicit_module
            return parse_ir(self.ctx, chunk.text, source.name, implicit_module=implicit), ()
        from hapir.spec import build_module, load_spec, load_spec_text

        outside = self.args.allow_outside
        if source.path is None or self.args.split_input_file:
            spec = load_spec_text(chunk.text, source.name, source.folder, allow_outside=outside)
        else:
            spec = load_spec(source.path, allow_outside=outside)
        module = build_module(spec, self.args.schedule, self.hapir_ctx)
        # a broken plug-in is no fault of the input
        return module, tuple(w for w in spec.warnings if w not in discover()[1])

    def _verify_input(self, module: ModuleOp) -> None:
        if not self.args.disable_verify and (found := invalid_ops(module)):
            raise HapirError(invalid.diagnostic("HAP0853") for invalid in found)

    def _run_passes(self, module: ModuleOp, where: str) -> None:
        """The pipeline, pass by pass, watched. Raises HapirError, PassCrash and, under --shrink, ShrinkException."""
        args, ctx = self.args, self.hapir_ctx
        if ctx.original is None:
            ctx.remember_original(module)
        printer = IrPrinter(args, [step.what for step in self.steps], where)
        verify_each = args.verify_each and not args.disable_verify
        for index, step in enumerate(self.steps):
            printer.before(index, module)
            state = State(module.clone(), ctx.weights.copy())
            reproduce = partial(self._write_reproducer, state, self.steps[index:])
            try:
                with self.clock.measure(f"pass {index + 1}: {step.what.name}"):
                    run_step(step, module, ctx)
                if verify_each:
                    with self.clock.measure("verify"):
                        verify_after(step, module)
            except HapirError as error:
                printer.failed(index, module)
                if args.crash_reproducer:
                    place = reproduce(f"{step.what.name}: {error.diagnostics[0].message}")
                    self._say(f"note: `hapir opt {shlex.quote(str(place))}` repeats the failure")
                raise
            except Exception as error:
                if isinstance(error, ShrinkException) and args.shrink:
                    raise
                printer.failed(index, module)
                raise self._crash(step, error, reproduce) from error
            printer.after(index, module, state.module)
        if self.steps and not verify_each and not args.disable_verify and (found := invalid_ops(module)):
            help = "run it without --no-verify-each to learn which pass did it"
            raise HapirError(one.diagnostic("HAP0591", "the pipeline left invalid IR: ", help) for one in found)

    def _crash(self, step: Step, error: Exception, reproduce: Callable[[str], Path]) -> PassCrash:
        """A crash as a diagnostic, with the reproducer where one could be written."""
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        try:
            help = f"`hapir opt {shlex.quote(str(reproduce(f'{step.what.name}: {reason}')))}` repeats it"
        except Exception as second:  # the crash is what matters; a place that cannot be written must not hide it
            help = f"no reproducer could be written: {second}"
        message = f"the pass `{step.what.name}` crashed: {reason}"
        help = f"{help}; HAPIR_DEBUG=1 shows where it happened"
        (found,) = with_text([Diagnostic("HAP0860", message, step.at, help=help)], "-p", self.args.passes or "")
        return PassCrash(found)

    def _write_reproducer(self, state: State, steps: Sequence[Step], failed: str) -> Path:
        """Write the reproducer of the first failure of this run, and return its place."""
        args = self.args
        if args.crash_reproducer:
            path = Path(args.crash_reproducer)
        else:
            path = Path(tempfile.mkdtemp(prefix="hapir-crash-")) / "reproducer.mlir"
        if self._reproduced:
            return path
        chosen = {
            "--allow-unregistered-dialect": args.allow_unregistered_dialect,
            "--disable-verify": args.disable_verify,
            "--no-verify-each": not args.verify_each,
        }
        flags = [flag for flag in FLAGS if chosen.get(flag)]
        passes = [step.what for step in steps]
        write_reproducer(path, state, passes, self.hapir_ctx, flags=flags, failed=failed, command=self.command)
        self._reproduced = True
        return path

    def _say(self, text: str) -> None:
        if self.args.format == "text":
            print(text, file=sys.stderr)

    def _emitted(self, module: ModuleOp) -> str:
        """The text of the target. Raises HapirError: its own, or HAP0855."""
        try:
            return self.output_resulting_program(module)
        except HapirError:
            raise
        except Exception as error:  # xDSL's targets say in any way that they cannot print an op
            words = cut_short(str(error)) or type(error).__name__
            if not isinstance(error, DiagnosticException | NotImplementedError | ValueError):
                words = f"{type(error).__name__}: {words}"
            what = f"the target `{self.args.target}` cannot print this module: {words}"
            raise HapirError(Diagnostic("HAP0855", what, help="lower it to what the target knows")) from error

    def _write(self, texts: Sequence[str]) -> None:
        args = self.args
        output = "// -----\n".join(texts)
        if args.save_weights:
            write_atomically(Path(args.save_weights), self.hapir_ctx.weights.to_bytes())
        if args.output_file is None:
            write_output(output)
        else:
            write_atomically(Path(args.output_file), output.encode())
