"""`hapir estimate`: what a schedule costs on its machine."""

from __future__ import annotations

import argparse

from hapir.cli.command import Command, add_choice, add_spec
from hapir.cli.console import Console


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_spec(parser)
    add_choice(parser)


def _execute(args: argparse.Namespace, console: Console) -> int:
    from hapir.driver import load

    scheduled = load(args.spec, allow_outside=args.allow_outside).schedule(args.schedule, recipe=args.recipe)
    report = scheduled.estimate()
    console.result(report.to_text, report.to_json(), scheduled.warnings)
    return 0


COMMAND = Command(
    "estimate",
    "estimate cycles, energy, traffic and area on the schedule's machine, without simulating",
    "hapir estimate digits.hap",
    _add_arguments,
    _execute,
)
