"""`hapir new`: start a project from a template."""

from __future__ import annotations

import argparse
from pathlib import Path

from hapir.cli.command import Command
from hapir.cli.console import Console


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of the project: its folder, its spec and its network")
    parser.add_argument(
        "--template",
        metavar="TEMPLATE",
        default="cnn",
        help="what to start from, cnn by default; `hapir list templates` names them",
    )
    parser.add_argument("--dir", metavar="DIR", default=".", help="where to make the folder; here by default")


def _execute(args: argparse.Namespace, console: Console) -> int:
    from hapir.project import create_project

    project = create_project(args.name, args.template, Path(args.dir))
    console.result(project.to_text, project.to_json())
    return 0


COMMAND = Command(
    "new",
    "start a project from a template: a spec with data and weights that runs at once",
    "hapir new my_net --template cnn",
    _add_arguments,
    _execute,
)
