"""`hapir opt`: xDSL's optimizer driver with hapir registered, for people who write passes.

What it adds to xDSL's driver: `.hap` input, weights beside the IR, IR printing around passes on stderr, clean errors
with a suggestion, output written only when everything went well, and a reproducer file when a pass breaks.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from hapir.cli.command import Command
from hapir.cli.console import Console


def optimize(arguments: Sequence[str]) -> int:
    """Run the driver on its own arguments and return the exit code. Raises HapirError for a wrong spec."""
    from xdsl.utils.exceptions import (
        ArgSpecParseError,
        DiagnosticException,
        ParseError,
        UnregisteredConstructException,
    )

    from hapir.cli.opt_driver import HapirOpt, OptError

    try:
        return HapirOpt(arguments).run_cleanly()
    except UnicodeDecodeError:
        print("error: the input is not UTF-8 text", file=sys.stderr)
        return 1
    except (ParseError, DiagnosticException, ArgSpecParseError, UnregisteredConstructException, OptError) as error:
        print(f"error: {str(error).strip()}", file=sys.stderr)
        return 1


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    """None: xDSL's driver reads them (see `hapir.cli.main`)."""


def _execute(args: argparse.Namespace, console: Console) -> int:
    return optimize([])


COMMAND = Command(
    "opt",
    "run passes on IR or on a spec and print the result (for writers of passes)",
    "hapir opt digits.hap -p 'fold_batch_norm,fuse'",
    _add_arguments,
    _execute,
)
