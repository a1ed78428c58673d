"""`hapir help`: what a name means, whatever it names: a pass, a layer, a command, a code, a kind of these."""

from __future__ import annotations

import argparse

from hapir.cli.command import Command
from hapir.cli.console import Console


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="a pass, layer, unit, machine, code, command, ..., or a kind of these"
    )


def _execute(args: argparse.Namespace, console: Console) -> int:
    if args.name is None:
        return _overview(console)
    return explain(args.name, console)


def explain(name: str, console: Console) -> int:
    """Show every entry of a name. Raises HapirError (HAP0883) where there is none."""
    from hapir.catalogue import KINDS, entries, everything, find, related
    from hapir.catalogue.text import kind_text, to_text

    if name in KINDS:
        members = entries(name)
        data = {"kind": name, "what": KINDS[name].what, "entries": [entry.to_json() for entry in members]}
        console.result(lambda: kind_text(name, KINDS[name].what, members), data)
        return 0
    known = everything()
    found = [(entry, [other.name for other in related(entry, known)]) for entry in find(name, known)]
    data = {"entries": [{**entry.to_json(), "related": names} for entry, names in found]}
    console.result(lambda: "\n\n\n".join(to_text(entry, names) for entry, names in found), data)
    return 0


def _overview(console: Console) -> int:
    from hapir.catalogue import KINDS, entries
    from hapir.report.table import table

    commands = [(entry.name, entry.summary) for entry in entries("commands")]
    kinds = [(name, kind.what) for name, kind in KINDS.items()]
    console.result(
        lambda: "\n\n".join(
            (
                "A .hap spec (network, machine, recipe, schedule) becomes IR, C, Verilog and an estimate that agree.",
                table(("command", "what it does"), commands),
                table(("kind of names", "what it is"), kinds),
                "`hapir help NAME` tells about any command, kind or name, `hapir help HAP0301` about an error.",
            )
        ),
        {
            "commands": [{"name": name, "summary": summary} for name, summary in commands],
            "kinds": [{"name": name, "what": what} for name, what in kinds],
        },
    )
    return 0


COMMAND = Command(
    "help",
    "tell about a command, a pass, a layer, a unit, a code, or any other name",
    "hapir help quantize",
    _add_arguments,
    _execute,
)
