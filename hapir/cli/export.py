"""`hapir export`: a network as an ONNX file that other tools read."""

from __future__ import annotations

import argparse
from pathlib import Path

from hapir.cli.command import Command, add_choice, add_spec, positive
from hapir.cli.console import Console


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_spec(parser)
    add_choice(parser)
    parser.add_argument("-o", "--output", metavar="FILE.onnx", required=True, help="the file to write")
    parser.add_argument(
        "--style",
        choices=("float", "qdq", "qonnx", "integer"),
        help="how integers are said: `qdq` (the default for them) by QuantizeLinear around float ops, `qonnx` by Quant "
        "nodes, `integer` by integer ops, bit for bit; `float` is for networks without them",
    )
    parser.add_argument("--opset", metavar="N", type=positive, help="the version of ONNX's operators, 17 by default")
    parser.add_argument("--any-batch", action="store_true", help="leave the size of the batch open")
    parser.add_argument(
        "--external-data",
        action="store_true",
        help="put the arrays into FILE.onnx.data; past 2 GB they go there anyway",
    )


def _execute(args: argparse.Namespace, console: Console) -> int:
    from hapir.driver import load
    from hapir.exporters.onnx import check_output

    path = Path(args.output)
    check_output(path)
    scheduled = load(args.spec, allow_outside=args.allow_outside).schedule(args.schedule, recipe=args.recipe)
    report = scheduled.export(
        path, args.style, opset=args.opset, any_batch=args.any_batch, external_data=args.external_data
    )
    console.result(report.to_text, report.to_json(), scheduled.warnings)
    return 0


COMMAND = Command(
    "export",
    "write a network as an ONNX file",
    "hapir export digits.hap -o digits.onnx --style qdq",
    _add_arguments,
    _execute,
)
