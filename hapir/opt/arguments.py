"""The options of `hapir opt`: xDSL's own under their names, and those that hapir adds."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from hapir.cli.command import PrintVersions

Add = Callable[..., argparse.Action]
"""`add_argument` of a parser or of a group of it."""
KINDS = ("mlir", "hap")
"""The kinds of input."""
DESCRIPTION = """\
Run passes on IR or on a .hap spec, and print what comes out.

The module goes through the passes of -p in order and is verified after each; the result goes to stdout, everything
else to stderr. Nothing is written where something fails."""

EXAMPLES = """\
example: hapir opt digits.hap -p 'fold_batch_norm,fuse' --print-ir-after-change

more examples:
  hapir opt digits.hap -p 'int8{calibration="digits_calib.npz"}' --time-passes -o digits.mlir
  hapir opt digits.hap -p float_c -t c
  hapir opt invalid.mlir --split-input-file --verify-diagnostics
  hapir opt crash.mlir                       (a reproducer)

`hapir list passes`, `hapir list pipelines` and `hapir list targets` show what -p and -t take, `hapir help NAME` the
options of each.
Exit code: 0 good, 1 the input or the pipeline is wrong, 2 wrong usage, 70 a pass crashed."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of `hapir opt`."""
    parser = argparse.ArgumentParser(
        prog="hapir opt",
        usage="hapir opt [FILE] [-p PIPELINE] [-t TARGET] [-o FILE] [options]",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # an abbreviation would mean something else once an option is added
        allow_abbrev=False,
    )
    parser.add_argument("input_file", nargs="?", metavar="FILE", help="IR (.mlir) or a spec (.hap); stdin by default")
    parser.add_argument("-v", "--version", action=PrintVersions)
    _add_work(parser.add_argument)
    _add_specs(parser.add_argument_group("specs and weights").add_argument)
    _add_checks(parser.add_argument_group("checks").add_argument)
    _add_watching(parser.add_argument_group("watching passes (on stderr)").add_argument)
    _add_crashes(parser.add_argument_group("crashes").add_argument)
    _add_printing(parser.add_argument_group("how IR is printed").add_argument)
    return parser


def _add_work(add: Add) -> None:
    add("-p", "--passes", metavar="PIPELINE", help="passes and named pipelines, as 'a,b{n=2 s=\"x\"}'")
    add("-t", "--target", metavar="TARGET", default="mlir", help="what to print, as 'c' or 'c{weights=true}' (mlir)")
    add("-o", "--output-file", metavar="FILE", help="where to; stdout by default")
    add("-f", "--frontend", choices=KINDS, help="the kind of input; by default its ending says it, and stdin is mlir")
    add("--format", choices=("text", "json"), default="text", help="diagnostics for people or for scripts")
    add("--color", choices=("auto", "always", "never"), default="auto", help="colour diagnostics")


def _add_specs(add: Add) -> None:
    add("--schedule", metavar="NAME", help="which schedule of a spec; the only one by default")
    add("--allow-outside", action="store_true", help="let a spec read files outside of its folder")
    add("--weights", metavar="FILE", help="the weights that IR names (.safetensors or .npz)")
    add("--save-weights", metavar="FILE", help="write the weights that the result names (.safetensors)")


def _add_checks(add: Add) -> None:
    add(
        "--verify-each",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="verify after each pass (the default), or only what goes in and what comes out",
    )
    add("--disable-verify", action="store_true", help="verify nothing at all")
    add("--split-input-file", action="store_true", help="take the parts between lines `// -----` one by one")
    add(
        "--verify-diagnostics",
        action="store_true",
        help="check that the input gives the diagnostics that its comments `// expected-error@+1 {{text}}` expect",
    )
    add("--allow-unregistered-dialect", action="store_true", help="read operations that nobody registered")
    add("--no-implicit-module", action="store_true", help="do not put a builtin.module around the input")


def _add_watching(add: Add) -> None:
    add("--print-ir-before-all", action="store_true", help="print the IR before each pass")
    add("--print-ir-after-all", action="store_true", help="print the IR after each pass")
    add("--print-ir-after-change", action="store_true", help="print the whole IR after each pass that changed it")
    add("--print-ir-after-failure", action="store_true", help="print the IR that a failing pass left")
    add("--print-ir-before", metavar="PASS", type=_names, action="extend", default=[], help="before this pass")
    add("--print-ir-after", metavar="PASS", type=_names, action="extend", default=[], help="after this pass")
    add("--print-between-passes", dest="print_ir_after_all", action="store_true", help=argparse.SUPPRESS)
    add("--time-passes", action="store_true", help="print a table of the time of each pass, parsing and printing")


def _add_crashes(add: Add) -> None:
    add(
        "--crash-reproducer",
        metavar="FILE",
        help="where what repeats a crash goes (a temporary folder); also written where a pass only fails",
    )
    add("--run-reproducer", action="store_true", help="the input must be a reproducer, and may run other programs")
    add("--shrink", action="store_true", help="succeed where a pass raises xDSL's ShrinkException (for shrinkray)")


def _add_printing(add: Add) -> None:
    add("--print-op-generic", action="store_true", help="in the generic syntax")
    add("--print-no-properties", action="store_true", help="properties as attributes, as older MLIR does")
    add("--print-debuginfo", action="store_true", help="with the place of each operation")
    add("--syntax-highlight", action="store_true", help="in colour")


def _names(text: str) -> list[str]:
    """Pass names, separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]
