"""`hapir import`: a model of another tool as a spec with weights, or a report on what of it can be imported; or weights
of another tool into a spec that is there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hapir.cli.command import Command, positive
from hapir.cli.console import Console


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL.onnx", help="the model, an ONNX file; with --into, a file of weights")
    parser.add_argument(
        "-o",
        "--output",
        metavar="X.hap",
        help="the spec to write, its weights beside it; by default named like the model, in the current folder",
    )
    parser.add_argument("--batch", metavar="N", type=positive, help="the batch, where the model leaves it open; else 1")
    parser.add_argument(
        "--dim",
        metavar="NAME=N",
        type=_dimension,
        action="append",
        default=[],
        help="the size of another dimension that the model leaves open; may be given several times",
    )
    parser.add_argument("--name", metavar="NETWORK", type=_network, help="the network's name; by default the file's")
    parser.add_argument(
        "--as-written", action="store_true", help="keep the layers as the model has them, not in their one form"
    )
    parser.add_argument("--no-blocks", action="store_true", help="write each layer, not blocks and repeats")
    parser.add_argument("--report", action="store_true", help="write nothing: show what of the model can be imported")
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    weights = parser.add_argument_group("weights alone")
    weights.add_argument(
        "--into",
        metavar="X.hap",
        help="take a .safetensors or .npz file as the weights of this spec; -o is then the file to write",
    )
    weights.add_argument("--network", metavar="NAME", help="which network of the spec; the only one is the default")
    weights.add_argument(
        "--map",
        metavar="RULE",
        action="append",
        default=[],
        help="how names become those of the network, `layer1.*.conv = l1.*.c`, or a TOML file of such rules",
    )
    weights.add_argument(
        "--layout", choices=("torch", "keras"), help="whose order of axes the arrays have; torch's by default"
    )
    weights.add_argument(
        "--allow-outside", action="store_true", help="let the spec import and read files outside its folder"
    )


def _dimension(text: str) -> tuple[str, int]:
    name, equals, size = text.rpartition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"`{text}` is not NAME=N")
    return name, positive(size)


def _network(text: str) -> str:
    if not text.isidentifier() or not text.isascii():
        raise argparse.ArgumentTypeError(f"`{text}` is not a name: a letter, then letters, digits and `_`")
    return text


OF_MODELS = ("batch", "dim", "name", "report")
"""Options that say nothing with `--into`."""
OF_WEIGHTS = ("network", "map", "layout", "allow_outside")
"""Those that say nothing without it."""


def _refuse_others(args: argparse.Namespace) -> None:
    """Raise HapirError (HAP0921) for options that would be ignored."""
    for name in OF_WEIGHTS if args.into is None else OF_MODELS:
        if getattr(args, name):
            from hapir.diagnostics import fail

            option = f"--{name.replace('_', '-')}"
            if args.into is None:
                fail(
                    "HAP0921", f"`{option}` is for weights alone", help="name the spec that takes them: `--into X.hap`"
                )
            fail("HAP0921", f"`{option}` is for models", help="with `--into`, a file of weights is imported")


def _execute(args: argparse.Namespace, console: Console) -> int:
    _refuse_others(args)
    if args.into is not None:
        return _take_weights(args, console)
    from hapir.witnesses import naming_extras

    with naming_extras():
        from hapir.importers.onnx.read import check_output, network_name, read
        from hapir.importers.onnx.report import coverage

    model, dims = Path(args.model), dict(args.dim)
    if args.report:
        report = coverage(model, batch=args.batch, dims=dims)
        console.result(report.to_text, report.to_json(), report.warnings)
        return 0
    output = Path(f"{network_name(model)}.hap" if args.output is None else args.output)
    check_output(output, replace=args.force)
    imported = read(model, batch=args.batch, dims=dims, name=args.name, canonical=not args.as_written)
    saved = imported.save(output, replace=args.force, blocks=not args.no_blocks)
    console.result(saved.to_text, saved.to_json(), imported.warnings)
    return 0


def _take_weights(args: argparse.Namespace, console: Console) -> int:
    from hapir.importers.weights_map import import_weights

    done = import_weights(
        Path(args.model),
        Path(args.into),
        None if args.output is None else Path(args.output),
        network=args.network,
        rules=[rule for rule in args.map if "=" in rule],
        maps=[Path(rule) for rule in args.map if "=" not in rule],
        layout=args.layout or "torch",
        replace=args.force,
        allow_outside=args.allow_outside,
    )
    console.result(done.to_text, done.to_json(), done.mapped.warnings)
    return 0


COMMAND = Command(
    "import",
    "make a spec and weights of an ONNX model",
    "hapir import model.onnx -o model.hap --batch 1",
    _add_arguments,
    _execute,
)
