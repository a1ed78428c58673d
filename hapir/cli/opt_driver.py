"""The driver behind `hapir opt`: a subclass of xDSL's, loaded only when it runs."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import time
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import IO, cast

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass, PassPipeline
from xdsl.targets import get_all_targets
from xdsl.transforms import get_all_passes
from xdsl.utils.arg_spec import parse_pipeline
from xdsl.utils.exceptions import DiagnosticException, ParseError, VerifyException
from xdsl.xdsl_opt_main import xDSLOptMain

from hapir.cli.console import write_output
from hapir.context import HapirContext
from hapir.diagnostics import HapirError, did_you_mean, files_from
from hapir.files import write_atomically
from hapir.pipeline import ir_text
from hapir.registry import make_context, universe
from hapir.weights import WeightStore


def _moved(error: ParseError, lines: int) -> ParseError:
    """The error with its place counted from the start of the whole input, of which the chunk is a part."""
    error.span = dataclasses.replace(error.span, line_offset=lines)
    return error


def _print_ir(title: str, module: ModuleOp) -> None:
    print(f"// IR {title}\n{ir_text(module)}", end="", file=sys.stderr)


class OptError(Exception):
    """What the user of `hapir opt` asked for cannot be done; the message says why."""


class HapirOpt(xDSLOptMain):
    """xDSL's driver over a `HapirContext`; see the module's docstring for what differs."""

    version_format = "hapir opt on xdsl {xdsl_version}"

    def __init__(self, arguments: Sequence[str]):
        super().__init__("run passes on IR or on a .hap spec, and print what comes out", arguments)

    @property
    def hapir_ctx(self) -> HapirContext:
        """The context, as what `register_all_dialects` made it."""
        return cast(HapirContext, self.ctx)

    def register_all_dialects(self) -> None:
        self.ctx = make_context()

    def register_all_passes(self) -> None:
        for name, factory in {**get_all_passes(), **universe().all_passes}.items():
            self.register_pass(name, factory)

    def register_all_targets(self) -> None:
        self.available_targets.update({**get_all_targets(), **universe().all_targets})

    def register_all_frontends(self) -> None:
        super().register_all_frontends()
        self.available_frontends["hap"] = self._parse_hap

    def register_all_arguments(self, arg_parser: argparse.ArgumentParser) -> None:
        super().register_all_arguments(arg_parser)
        arg_parser.prog = "hapir opt"
        arg_parser.epilog = "example: hapir opt digits.hap -p 'fold_batch_norm,fuse' --print-ir-after-change"
        for action in arg_parser._actions:  # pyright: ignore[reportPrivateUsage]  # argparse lists them nowhere else
            # two hundred names fill the screen; `hapir list` has them with their meaning
            if action.dest == "passes":
                action.help = "passes with options, as 'a,b{n=2 s=\"x\"}'; `hapir list passes` names them"
            elif action.dest == "target":
                action.help = "what to print, mlir by default; `hapir list targets` names them"
        arg_parser.add_argument("--weights", metavar="FILE", help="the weights that .mlir input names (.safetensors)")
        arg_parser.add_argument("--save-weights", metavar="FILE", help="write the weights that the passes left")
        arg_parser.add_argument("--allow-outside", action="store_true", help="let a spec read outside its folder")
        arg_parser.add_argument("--schedule", metavar="NAME", help="which schedule of a spec; the only one by default")
        printing = arg_parser.add_argument_group("IR on stderr")
        printing.add_argument("--print-ir-after-all", action="store_true", help="after each pass")
        printing.add_argument("--print-ir-after-change", action="store_true", help="after each pass that changed it")
        printing.add_argument("--print-ir-before", metavar="PASS", action="append", default=[], help="before a pass")
        printing.add_argument("--print-ir-after", metavar="PASS", action="append", default=[], help="after a pass")
        arg_parser.add_argument(
            "--crash-reproducer", metavar="FILE", help="where IR and pipeline go if a pass crashes (a temporary file)"
        )

    def setup_pipeline(self) -> None:
        """Check the pass names with suggestions; the passes themselves are made by xDSL. Raises OptError."""
        known = set(self.available_passes)
        names = [spec.name for spec in parse_pipeline(self.args.passes)]
        names += [*self.args.print_ir_before, *self.args.print_ir_after]
        for name in names:
            if name not in known:
                hint = did_you_mean(name, known) or "`hapir list passes` names them"
                raise OptError(f"there is no pass `{name}`; {hint}")
        try:
            self.pipeline = PassPipeline.parse_spec(self.available_passes, self.args.passes)
        except (ValueError, TypeError) as error:
            raise OptError(f"in the pipeline `{self.args.passes}`: {error}") from error

    def run_cleanly(self) -> int:
        """Parse, run the passes, emit; write the output (and the weights) only when all went well."""
        if self.args.weights:
            self.hapir_ctx.weights = WeightStore.load(Path(self.args.weights))
        if self.args.split_input_file and (self.args.save_weights or self._extension() == "hap"):
            raise OptError("--split-input-file goes with IR input, and without --save-weights")
        try:
            chunks, extension = self.prepare_input()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise OptError(f"cannot read `{self.get_input_name()}`: {reason}") from error
        output = StringIO()
        for index, (chunk, offset) in enumerate(chunks):
            if index:
                output.write("// -----\n")
            with chunk, files_from(self._folder()):
                self._run_chunk(chunk, offset, extension, output)
        if self.args.save_weights:
            self._save_weights(Path(self.args.save_weights))
        if self.args.output_file is None:
            write_output(output.getvalue())
        else:
            write_atomically(Path(self.args.output_file), output.getvalue().encode())
        return 0

    def _extension(self) -> str:
        return self.args.frontend or Path(self.args.input_file or "").suffix.removeprefix(".")

    def _run_chunk(self, chunk: IO[bytes], offset: int, extension: str, output: IO[str]) -> None:
        """One module; under xDSL's two diagnostics flags its error is the expected output."""
        try:
            module = self.parse_chunk(chunk, extension, offset)
            if module is None:
                return
            self.apply_passes(module)
            output.write(self._emitted(module))
        except ParseError as error:
            if not self.args.parsing_diagnostics:
                raise _moved(error, offset) from None
            output.write(f"{_moved(error, offset)}\n")
        except DiagnosticException as error:
            if not self.args.verify_diagnostics:
                raise
            output.write(f"{error}\n")

    def _parse_hap(self, stream: IO[bytes]) -> ModuleOp:
        """A spec becomes its module; what its weights, imports and data name is read from its folder."""
        from hapir.spec import build_module, load_spec, load_spec_text

        outside = self.args.allow_outside
        if self.args.input_file is None:
            text = stream.read().decode()
            spec = load_spec_text(text, "stdin.hap", self._folder(), allow_outside=outside)
        else:
            spec = load_spec(Path(self.args.input_file), allow_outside=outside)
        return build_module(spec, self.args.schedule, self.hapir_ctx)

    def _folder(self) -> Path:
        """The folder of the input, from which diagnostics read source lines."""
        return Path(self.args.input_file).parent if self.args.input_file else Path()

    def apply_passes(self, prog: ModuleOp) -> None:
        """Run the pipeline pass by pass: verify, time and print around each, and keep what reproduces a crash."""
        self._verify(prog, None)
        self.hapir_ctx.remember_original(prog)
        for index, step in enumerate(self.pipeline.passes):
            if step.name in self.args.print_ir_before:
                _print_ir(f"before {step.name}", prog)
            before = prog.clone()
            weights = self.hapir_ctx.weights.copy()
            started = time.perf_counter()
            try:
                step.apply(self.ctx, prog)
            except (HapirError, DiagnosticException):
                raise
            except Exception as error:
                place = self._reproducer(before, weights, self.pipeline.passes[index:])
                error.add_note(f"reproducer: {place}")
                raise
            if self.args.time_passes:
                print(f"{time.perf_counter() - started:10.4f} s  {step.name}", file=sys.stderr)
            self._verify(prog, step)
            if (
                self.args.print_ir_after_all
                or self.args.print_between_passes
                or step.name in self.args.print_ir_after
                or (self.args.print_ir_after_change and not prog.is_structurally_equivalent(before))
            ):
                _print_ir(f"after {step.name}", prog)

    def _verify(self, module: ModuleOp, after: ModulePass | None) -> None:
        """Verify, and name the guilty pass. xDSL's error carries the whole module as a note: it is left behind."""
        if self.args.disable_verify:
            return
        try:
            module.verify()
        except VerifyException as error:
            blame = "the input is not valid IR" if after is None else f"`{after.name}` left invalid IR"
            raise VerifyException(f"{blame}: {str(error).strip()}") from error

    def _reproducer(self, module: ModuleOp, weights: WeightStore, passes: Sequence[ModulePass]) -> Path:
        """Write the IR before the crash with the command that repeats it, and the weights beside; returns the place."""
        if self.args.crash_reproducer:
            path = Path(self.args.crash_reproducer)
        else:
            path = Path(tempfile.mkdtemp(prefix="hapir-crash-")) / "reproducer.mlir"
        pipeline = ",".join(str(p.pipeline_pass_spec()) for p in passes)
        command = f"hapir opt {path.name} -p '{pipeline}'"
        if weights:
            beside = path.with_suffix(".safetensors")
            weights.save(beside)
            command += f" --weights {beside.name}"
        path.write_text(f"// {command}\n{ir_text(module)}", encoding="utf-8")
        print(f"a pass crashed; IR and command to repeat it are in {path}", file=sys.stderr)
        return path

    def _emitted(self, module: ModuleOp) -> str:
        try:
            return self.output_resulting_program(module)
        except (HapirError, DiagnosticException):
            raise
        except Exception as error:  # xDSL's targets say in any way that they cannot print an op
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise OptError(f"the target `{self.args.target}` cannot print this module: {reason}") from error

    def _save_weights(self, path: Path) -> None:
        from safetensors.numpy import save

        weights = self.hapir_ctx.weights
        write_atomically(path, save({key: np.ascontiguousarray(weights[key]) for key in sorted(weights)}))
