"""`hapir check`: is the spec right, and what is in it."""

from __future__ import annotations

import argparse

from hapir.cli.command import Command, add_spec
from hapir.cli.console import Console


def _execute(args: argparse.Namespace, console: Console) -> int:
    from hapir.driver import load

    design = load(args.spec, allow_outside=args.allow_outside)
    report = design.check()
    warnings = (*design.warnings, *report.warnings)
    if warnings and console.format == "text":
        console.diagnostics(warnings)
    console.result(report.to_text, {**report.to_json(), "diagnostics": [d.to_json() for d in warnings]})
    return 0


COMMAND = Command(
    "check",
    "check a spec and its weight files, and count layers, parameters and MACs",
    "hapir check digits.hap",
    add_spec,
    _execute,
)
