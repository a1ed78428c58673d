"""`hapir list`: the names of what hapir knows."""

from __future__ import annotations

import argparse

from hapir.cli.command import Command
from hapir.cli.console import Console

KINDS = (
    "topics",
    "passes",
    "pipelines",
    "layers",
    "blocks",
    "units",
    "multipliers",
    "dataflows",
    "kernels",
    "formats",
    "encodings",
    "evaluators",
    "machines",
    "networks",
    "technologies",
    "quantities",
    "functions",
    "targets",
    "dialects",
    "ops",
    "templates",
    "commands",
    "codes",
)
"""The kinds of `hapir.catalogue`, repeated here because that module is slow to import; a test compares them."""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "kind",
        choices=KINDS,
        metavar="KIND",
        nargs="?",
        help=f"one of {', '.join(KINDS)}; without it, the kinds are listed",
    )
    parser.add_argument("glob", metavar="GLOB", nargs="?", default="*", help="only names that match, like 'q*'")


def _execute(args: argparse.Namespace, console: Console) -> int:
    if args.kind is None:
        return _kinds(console)
    from hapir.catalogue import entries
    from hapir.registry import discover
    from hapir.report.table import table

    kind: str = args.kind
    found = entries(kind, args.glob)
    warnings = discover()[1]
    if warnings and console.format == "text":
        console.diagnostics(warnings)

    def text() -> str:
        if not found:
            return f"no {kind}" if args.glob == "*" else f"no {kind} match `{args.glob}`"
        return table(("name", "what it is"), [(e.name, e.summary) for e in found])

    data = {kind: [e.to_json() for e in found], "warnings": [w.to_json() for w in warnings]}
    console.result(text, data)
    return 0


def _kinds(console: Console) -> int:
    from hapir.catalogue import KINDS as known
    from hapir.report.table import table

    rows = [(name, kind.what) for name, kind in known.items()]
    console.result(
        lambda: f"{table(('kind', 'what it is'), rows)}\n\n`hapir list KIND` names them, `hapir help NAME` tells more.",
        {"kinds": [{"name": name, "what": what} for name, what in rows]},
    )
    return 0


COMMAND = Command(
    "list",
    "list what specs, passes and machines may name",
    "hapir list passes 'q*'",
    _add_arguments,
    _execute,
)
