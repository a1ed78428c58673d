"""What a subcommand is: data that the main parser puts together.

Modules under `hapir.cli` import nothing heavy at their top (no numpy, no xdsl): `hapir --help` loads them all.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hapir.cli.console import Console

if TYPE_CHECKING:
    from hapir.driver import Scheduled


@dataclass(frozen=True)
class Command:
    """A subcommand: its name, one line for `hapir --help`, an example for its own help, its arguments, and its action.

    `execute` returns the exit code: 0 good, 1 the user's input is wrong. It raises HapirError for the latter as well.
    `parser` is the parser of a command that reads its arguments itself; the help of the command is made from it.
    """

    name: str
    summary: str
    example: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    execute: Callable[[argparse.Namespace, Console], int]
    parser: Callable[[], argparse.ArgumentParser] | None = None


class PrintVersions(argparse.Action):
    """`--version`, which reads the installed versions only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str):
        super().__init__(option_strings, dest, nargs=0, help="print the versions and exit")

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        from hapir.versions import versions

        print(" ".join(f"{name} {version}" for name, version in versions().items()))
        parser.exit()


def add_spec(parser: argparse.ArgumentParser) -> None:
    """The arguments of every command that reads one spec."""
    parser.add_argument("spec", metavar="X.hap", help="the spec")
    parser.add_argument(
        "--allow-outside", action="store_true", help="let the spec import and read files outside its folder"
    )


def add_choice(parser: argparse.ArgumentParser) -> None:
    """The arguments that choose a schedule and a recipe."""
    parser.add_argument("--schedule", metavar="NAME", help="which schedule; the only one of the spec is the default")
    parser.add_argument("--recipe", metavar="NAME", help="another recipe than the schedule's; `none` keeps the floats")


def add_host(parser: argparse.ArgumentParser) -> None:
    """`--host`."""
    parser.add_argument(
        "--host",
        metavar="NAME",
        help="which CPU the C is made for: `native` is this one, else a machine with a host; by default the schedule's",
    )
    parser.add_argument(
        "--autotune", action="store_true", help="measure the best candidates for each layer here, and take the fastest"
    )


def hosted(scheduled: Scheduled, args: argparse.Namespace, console: Console, *, cache: bool) -> Scheduled:
    """The schedule with kernels for what `--host` and `--autotune` say; shows what was measured."""
    if not args.autotune:
        return scheduled if args.host is None else scheduled.on_host(args.host)
    from hapir.progress import Progress

    layers = len(scheduled.products)
    with Progress(layers, "layers", enabled=console.format == "text") as progress:
        tuned = scheduled.autotuned(args.host, cache=cache, done=progress.step)
    if tuned.tuning is not None:
        console.note(tuned.tuning.to_text())
    return tuned


def tolerance(text: str) -> float:
    """An argument that bounds errors: a number that is not negative."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"`{text}` is not a number of at least 0")
    return value


def positive(text: str) -> int:
    """An argument that counts: an integer of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not a whole number of at least 1")
    return value
