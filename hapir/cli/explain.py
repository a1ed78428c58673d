"""`hapir explain`: what a code, a pass, a layer or any other name means."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hapir.cli.command import Command
from hapir.cli.console import Console

if TYPE_CHECKING:
    from hapir.catalogue import Entry


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a code (HAP0301), or the name of a pass, layer, unit, ...")


def _execute(args: argparse.Namespace, console: Console) -> int:
    from hapir.catalogue import find

    found = find(args.name)
    data = {"entries": [entry.to_json() for entry in found]}
    console.result(lambda: "\n\n".join(_text(entry) for entry in found), data)
    return 0


def _text(entry: Entry) -> str:
    lines = [
        f"{entry.kind} {entry.name}",
        "",
        entry.text if entry.kind != "code" else f"{entry.summary}\n\n{entry.text}",
    ]
    if entry.options:
        from hapir.report.table import table

        rows = [(o.name, o.takes, "needed" if o.default is None else o.default) for o in entry.options]
        lines += ["", table(("option", "takes", "default"), rows)]
    return "\n".join(lines)


COMMAND = Command(
    "explain",
    "explain a diagnostic's code, a pass, a layer, a unit, ...",
    "hapir explain HAP0301",
    _add_arguments,
    _execute,
)
