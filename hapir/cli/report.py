"""`hapir report`: what a recipe saves, and the accuracy that it costs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hapir.cli.command import Command, add_choice, add_spec, positive
from hapir.cli.console import Console

if TYPE_CHECKING:
    from hapir.driver import Design


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_spec(parser)
    add_choice(parser)
    parser.add_argument(
        "--all",
        action="store_true",
        help="a line for each schedule of the file, or of those it imports where it has none, instead of each layer of "
        "one; with --schedule for those that a glob names, imported ones too",
    )
    parser.add_argument(
        "--input",
        metavar="FILE.npz",
        required=True,
        help="labelled images: arrays named like the network's inputs, axis 0 the images, and `label`",
    )
    parser.add_argument("--limit", metavar="N", type=positive, help="only the first N images")


def _execute(args: argparse.Namespace, console: Console) -> int:
    from pathlib import Path

    from hapir.driver import load

    design, data = load(args.spec, allow_outside=args.allow_outside), Path(args.input)
    if args.all:
        from hapir.progress import Progress

        names = _schedules(args, design)
        with Progress(len(names), "schedules", enabled=console.format == "text") as progress:
            table = design.report(data, names, limit=args.limit, recipe=args.recipe, done=progress.step)
        console.result(table.to_text, table.to_json(), dict.fromkeys(w for r in table.reports for w in r.warnings))
    else:
        scheduled = design.schedule(args.schedule, recipe=args.recipe)
        report = scheduled.report(data, limit=args.limit)
        console.result(report.to_text, report.to_json(), report.warnings)
    return 0


def _schedules(args: argparse.Namespace, design: Design) -> tuple[str, ...]:
    """The file's own schedules, or all that a glob names with `--schedule`. Raises HapirError (HAP0209)."""
    from fnmatch import fnmatchcase

    from hapir.diagnostics import did_you_mean, fail

    known = design.schedules
    if args.schedule is None:
        if not known:
            fail("HAP0209", "the spec has no schedule", help="write one, or leave out `--all`")
        return design.spec.default_schedules
    names = tuple(name for name in known if fnmatchcase(name, args.schedule))
    if not names:
        help = did_you_mean(args.schedule, known) or f"it has {', '.join(known)}"
        fail("HAP0209", f"no schedule is called `{args.schedule}`", help=help)
    return names


COMMAND = Command(
    "report",
    "what a recipe saves layer by layer, and the accuracy that it costs",
    "hapir report digits.hap --input digits_test.npz",
    _add_arguments,
    _execute,
)
