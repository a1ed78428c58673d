"""`hapir compile`: everything that comes out of a spec, into a folder; of many specs, into a folder each."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hapir.cli.command import Command, add_choice, add_host, hosted, positive
from hapir.cli.console import Console

if TYPE_CHECKING:
    from hapir.bulk import BulkReport
    from hapir.targets.c.options import COptions


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "specs", metavar="X.hap", nargs="+", help="the spec; several give a folder each and a summary.json"
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", required=True, help="where to; replaced as a whole where hapir wrote it"
    )
    parser.add_argument("--target", metavar="c,verilog", help="which targets; all that take the network by default")
    add_choice(parser)
    add_host(parser)
    parser.add_argument("--kernels", action="store_true", help="show how each layer is computed in C, and why")
    parser.add_argument(
        "--dispatch", action="store_true", help="C for x86 that chooses its instruction set where it runs"
    )
    parser.add_argument(
        "--weights-file", action="store_true", help="C that reads the weights of layers from a file, not from itself"
    )
    parser.add_argument("--no-cache", action="store_true", help="measure anew what an earlier --autotune has measured")
    parser.add_argument("--jobs", metavar="N", type=positive, help="specs at a time; also makes one spec a bulk of one")
    parser.add_argument(
        "--allow-outside", action="store_true", help="let specs import and read files outside their folder"
    )


def _execute(args: argparse.Namespace, console: Console) -> int:
    from pathlib import Path

    from hapir.witnesses import check_targets

    targets = None if args.target is None else check_targets([t.strip() for t in args.target.split(",") if t.strip()])
    if len(args.specs) > 1 or args.jobs is not None:
        return _compile_many(args, targets, console)
    from hapir.driver import load

    scheduled = load(args.specs[0], allow_outside=args.allow_outside).schedule(args.schedule, recipe=args.recipe)
    scheduled = hosted(scheduled, args, console, cache=not args.no_cache)
    report = scheduled.compile(Path(args.output), targets, c=_c_options(args))
    tuning = {} if scheduled.tuning is None else {"tuning": scheduled.tuning.to_json()}
    if not args.kernels:
        console.result(report.to_text, {**report.to_json(), **tuning}, scheduled.warnings)
        return 0
    from hapir.report.kernels import kernel_report

    kernels = kernel_report(scheduled)
    data = {**report.to_json(), **tuning, "kernels": kernels.to_json()}
    console.result(lambda: f"{kernels.to_text()}\n\n{report.to_text()}", data, scheduled.warnings)
    return 0


def _c_options(args: argparse.Namespace) -> COptions | None:
    """What was asked for about the C; None where nothing was."""
    from hapir.targets.c.options import COptions

    return COptions(args.dispatch, args.weights_file) if args.dispatch or args.weights_file else None


def _compile_many(args: argparse.Namespace, targets: tuple[str, ...] | None, console: Console) -> int:
    from pathlib import Path

    from hapir.bulk import Choice, compile_many
    from hapir.progress import Progress

    paths = [Path(spec) for spec in args.specs]
    choice = Choice(targets, args.schedule, args.recipe, args.allow_outside, _c_options(args), args.host, args.autotune)
    with Progress(len(paths), "specs", enabled=console.format == "text") as progress:
        report = compile_many(paths, Path(args.output), choice, jobs=args.jobs or 1, done=progress.step)
    if console.format == "text":
        _show_diagnostics(report, console)
    console.result(report.to_text, report.to_json())
    return 0 if report.failed == 0 else 1


def _show_diagnostics(report: BulkReport, console: Console) -> None:
    for entry in report.entries:
        if entry.diagnostics:
            console.diagnostics(entry.diagnostics)


COMMAND = Command(
    "compile",
    "write IR, C, Verilog, estimate, weights and a manifest",
    "hapir compile digits.hap -o out --target c,verilog",
    _add_arguments,
    _execute,
)
