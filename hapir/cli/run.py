"""`hapir run`: run a network on data, on the reference, as C or as Verilog, and compare with the reference."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hapir.cli.command import Command, add_choice, add_host, add_spec, hosted, positive, tolerance
from hapir.cli.console import Console

if TYPE_CHECKING:
    from hapir.driver import Scheduled


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_spec(parser)
    add_choice(parser)
    add_host(parser)
    parser.add_argument(
        "--on",
        choices=("reference", "c", "rtl"),
        default="reference",
        help="who computes the body: numpy, the generated C, or the generated Verilog in simulation",
    )
    parser.add_argument(
        "--input",
        metavar="FILE.npz",
        required=True,
        help="arrays named like the network's inputs, axis 0 the images; `label` gives the expected classes",
    )
    parser.add_argument("--limit", metavar="N", type=positive, help="only the first N images")
    parser.add_argument("--no-cache", action="store_true", help="build anew what an earlier run has built")
    parser.add_argument(
        "--profile", action="store_true", help="with --on c: time of each layer, and its share of what is possible here"
    )
    parser.add_argument("--output", metavar="FILE.npz", help="write the network's results")
    parser.add_argument(
        "--compare",
        metavar="MODEL.onnx",
        help="instead: each layer beside the tensors of an ONNX model, run by onnxruntime, and the first that differs",
    )
    parser.add_argument(
        "--within", metavar="ERROR", type=tolerance, default=1e-4, help="with --compare: relative to the largest value"
    )


def _execute(args: argparse.Namespace, console: Console) -> int:
    from hapir.driver import load
    from hapir.files import check_file

    if args.output is not None:
        check_file(Path(args.output))
    scheduled = load(args.spec, allow_outside=args.allow_outside).schedule(args.schedule, recipe=args.recipe)
    if args.compare is not None:
        return _compare(args, scheduled, console)
    if args.on == "c":
        scheduled = hosted(scheduled, args, console, cache=not args.no_cache)
    result = scheduled.run(args.on, Path(args.input), limit=args.limit, cache=not args.no_cache, profile=args.profile)
    if args.output is not None:
        _write(Path(args.output), result.outputs)
    console.result(result.to_text, result.to_json(), scheduled.warnings)
    return 0


def _compare(args: argparse.Namespace, scheduled: Scheduled, console: Console) -> int:
    from hapir.diagnostics import fail
    from hapir.witnesses import naming_extras

    if args.on != "reference":
        help = "leave out `--on`; `hapir run --on c` compares C with the reference"
        fail("HAP0933", "`--compare` looks into the layers, which the reference alone shows", help=help)
    data = scheduled.dataset(Path(args.input), args.limit)
    with naming_extras():
        from hapir.importers.onnx.compare import compare

        network, weights = scheduled.unfused
        report = compare(network, weights, data.inputs, Path(args.compare), args.within)
    console.result(report.to_text, report.to_json(), scheduled.warnings)
    return 0


def _write(path: Path, arrays: object) -> None:
    """The arrays as `.npz`, in one step. The time stamps inside are fixed, so equal results are equal files."""
    import io
    from collections.abc import Mapping
    from typing import Any, cast

    import numpy as np

    from hapir.files import write_atomically

    buffer = io.BytesIO()
    np.savez(buffer, **cast(Mapping[str, Any], arrays))
    write_atomically(path, buffer.getvalue())


COMMAND = Command(
    "run",
    "run a network on data and compare with the reference",
    "hapir run digits.hap --on c --input digits_test.npz --limit 100",
    _add_arguments,
    _execute,
)
