"""`hapir lsp`: the language server, which an editor starts and talks to over stdin and stdout."""

from __future__ import annotations

import argparse

from hapir.cli.command import Command
from hapir.cli.console import Console


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--features", action="store_true", help="list the requests that the server answers, and exit")
    # what editors add by themselves; the server speaks over no other channel
    parser.add_argument("--stdio", action="store_true", help="speak over stdin and stdout, which is the only way")


def _execute(args: argparse.Namespace, console: Console) -> int:
    from hapir.witnesses import naming_extras

    with naming_extras():
        from hapir.lsp.server import features, serve
    if args.features:
        found = features()
        console.result("\n".join(found), {"features": found})
        return 0
    serve()
    return 0


COMMAND = Command(
    "lsp",
    "serve an editor: diagnostics, hover, completion, definitions, rename, formatting",
    "hapir lsp --features",
    _add_arguments,
    _execute,
)
