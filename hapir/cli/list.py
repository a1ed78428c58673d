"""`hapir list`: the names of what hapir knows."""

from __future__ import annotations

import argparse

from hapir.cli.command import Command
from hapir.cli.console import Console

KINDS = ("passes", "layers", "units", "dataflows", "machines", "targets", "dialects", "codes")
"""The kinds of `hapir.catalogue`, repeated here because that module is slow to import; a test compares them."""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=KINDS, metavar="KIND", help=f"one of {', '.join(KINDS)}")


def _execute(args: argparse.Namespace, console: Console) -> int:
    from hapir.catalogue import entries
    from hapir.registry import discover
    from hapir.report.table import table

    kind: str = args.kind
    found = entries(kind)
    warnings = discover()[1]
    if warnings and console.format == "text":
        console.diagnostics(warnings)

    def text() -> str:
        return table(("name", "what it is"), [(e.name, e.summary) for e in found]) if found else f"no {kind}"

    data = {kind: [e.to_json() for e in found], "warnings": [w.to_json() for w in warnings]}
    console.result(text, data)
    return 0


COMMAND = Command(
    "list",
    "list what specs, passes and machines may name",
    "hapir list passes",
    _add_arguments,
    _execute,
)
