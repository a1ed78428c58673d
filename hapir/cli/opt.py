"""`hapir opt`: xDSL's optimizer driver with hapir registered, for people who write passes. See `hapir.opt.driver`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from hapir.cli.command import Command
from hapir.cli.console import Console


def optimize(arguments: Sequence[str]) -> int:
    """Run the driver on its own arguments and return the exit code."""
    from hapir.opt.driver import run

    return run(arguments)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    """None: the driver reads them (see `hapir.cli.main`)."""


def _execute(args: argparse.Namespace, console: Console) -> int:
    return optimize([])


def _parser() -> argparse.ArgumentParser:
    from hapir.opt.arguments import build_parser

    return build_parser()


COMMAND = Command(
    "opt",
    "run passes on IR or on a spec and print the result (for writers of passes)",
    "hapir opt digits.hap -p 'fold_batch_norm,fuse'",
    _add_arguments,
    _execute,
    _parser,
)
