"""`hapir explain`: what a diagnostic's code means; any other name is explained as `hapir help` does."""

from __future__ import annotations

import argparse

from hapir.cli.command import Command
from hapir.cli.console import Console
from hapir.cli.help import explain


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a code (HAP0301), or the name of a pass, layer, unit, ...")


def _execute(args: argparse.Namespace, console: Console) -> int:
    return explain(args.name, console)


COMMAND = Command(
    "explain",
    "explain the code of a diagnostic, or any other name",
    "hapir explain HAP0301",
    _add_arguments,
    _execute,
)
