"""The command `hapir`: one parser, one file per subcommand, and one place where errors become exit codes.

Exit codes: 0 good, 1 the user's spec or data is wrong, 2 wrong usage, 70 a bug in hapir, 130 interrupted, 141 the
reader of our output went away, 143 terminated.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from keyword import iskeyword
from types import FrameType
from typing import cast

from hapir.cli.command import Command, PrintVersions
from hapir.cli.console import Console, OutputError, drop_output

COMMANDS = (
    "new",
    "import",
    "compile",
    "run",
    "export",
    "check",
    "fmt",
    "estimate",
    "report",
    "opt",
    "list",
    "help",
    "explain",
    "completion",
    "lsp",
)
"""Subcommands in the order of `hapir --help`; each is a module of `hapir.cli` with a `COMMAND` (see `load_command`)."""

DESCRIPTION = """\
Compile a .hap spec (network, machine, recipe, schedule) to IR, C, Verilog and an estimate that agree.

`hapir COMMAND --help` tells what a command takes."""


def load_command(name: str) -> Command:
    """A subcommand; the module of one that is a word of Python ends in `_`."""
    return cast(Command, import_module(f"hapir.cli.{name}{'_' if iskeyword(name) else ''}").COMMAND)


def _parser(commands: Sequence[Command]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hapir", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action=PrintVersions)
    parser.set_defaults(format="text", color="auto")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in commands:
        sub = subparsers.add_parser(
            command.name,
            help=command.summary,
            description=f"{command.summary[0].upper()}{command.summary[1:]}.",
            epilog=f"example: {command.example}",
        )
        sub.set_defaults(command=command)
        command.add_arguments(sub)
        sub.add_argument("--format", choices=("text", "json"), default="text", help="for people or for scripts")
        sub.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="colour diagnostics")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (default: the process's own) and return its exit code; nothing is raised but SystemExit."""
    if argv is None:
        # ending by an exception lets what is half done be cleared away
        signal.signal(signal.SIGTERM, _terminated)
        # imports make many objects and hardly any garbage: look for it less often
        gc.set_threshold(100_000)
    arguments = list(sys.argv[1:] if argv is None else argv)
    console = Console()
    try:
        # `opt` keeps xDSL's own options, so it parses its arguments itself
        if arguments[:1] == ["opt"]:
            from hapir.cli.opt import optimize

            code = optimize(arguments[1:])
        else:
            args = _parser([load_command(name) for name in COMMANDS]).parse_args(arguments)
            console = Console(args.format, args.color)
            code = cast(Command, args.command).execute(args, console)
        return code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        drop_output()
        return 141
    except Exception as error:
        return _failed(error, console)


def _terminated(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _failed(error: Exception, console: Console) -> int:
    """Diagnostics for what the user can mend, one line for what only we can."""
    from hapir.diagnostics import Diagnostic, HapirError

    if isinstance(error, OutputError):
        what = f"cannot write the output: {str(error).lower()}"
        lost = Diagnostic("HAP0884", what, help="make room for it, or send it elsewhere")
        return _failed(HapirError(lost), Console("text", console.colour))
    if isinstance(error, HapirError):
        if os.environ.get("HAPIR_DEBUG") and any(d.code == "HAP0234" for d in error.diagnostics):
            traceback.print_exception(error)
        try:
            console.diagnostics(error.diagnostics)
        except OutputError as unwritable:
            return _failed(unwritable, console)
        except BrokenPipeError:
            drop_output()
        return 1
    if os.environ.get("HAPIR_DEBUG"):
        traceback.print_exception(error)
    print(f"internal error: {type(error).__name__}: {_first_line(error)}; this is a bug in hapir", file=sys.stderr)
    print("set HAPIR_DEBUG=1 to see where it happened, and please report it with that text", file=sys.stderr)
    return 70


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else "no message"
