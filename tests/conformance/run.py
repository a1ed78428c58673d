"""Run onnx's backend cases on hapir and print what passes, by operator.

    python -m tests.conformance.run                         # the cases that count, on the reference
    python -m tests.conformance.run --device c --op Conv    # cases of an operator (repeat for more), on generated C
    python -m tests.conformance.run -k reshape_neg -v       # cases whose name holds a text, with the figures
    python -m tests.conformance.run --all --list            # all cases, and each that does not pass
    python -m tests.conformance.run --update                # all cases on both devices, into the checked-in tables

`-v` prints what came out and what was expected, `--trace` the traceback of the first exception, `--bound` which inputs
were bound to constants. `--op` and `-k` imply the cases that do not count, too (marked `-`).
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Sequence

from tests.conformance.cases import Case, cases
from tests.conformance.outcomes import DEVICES, FAIL, PASS, UNSUPPORTED, Outcome, run_cases
from tests.conformance.scope import excluded, subject
from tests.conformance.table import share, updated, write_table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, and give the exit code: 0 where every case that was run passes."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="tests.conformance.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("reference", "c"), default="reference")
    parser.add_argument("--op", action="append", default=[], help="an operator, like Conv")
    parser.add_argument("-k", metavar="TEXT", help="a part of the case's name")
    parser.add_argument("--all", action="store_true", help="cases that do not count as well")
    parser.add_argument("--list", action="store_true", help="name each case that does not pass")
    parser.add_argument("--bound", action="store_true", help="name the inputs that were bound to constants")
    parser.add_argument("-v", action="store_true", help="with what came out and what was expected")
    parser.add_argument("--trace", action="store_true", help="the traceback of the first exception")
    parser.add_argument("--update", action="store_true", help="all cases on both devices, into the checked-in tables")
    args = parser.parse_args(arguments)
    if args.update:
        return _update()
    found = [case for case in cases() if _chosen(case, args)]
    if not found:
        print("no case fits", file=sys.stderr)
        return 2
    started = time.perf_counter()
    outcomes = dict(run_cases(found, args.device))
    if args.trace:
        _trace(outcomes)
    _print(outcomes, args.list or args.v or bool(args.op or args.k), args.v, args.bound)
    print(f"{time.perf_counter() - started:.1f} s")
    return 0 if all(outcome.status == PASS for outcome in outcomes.values()) else 1


def _update() -> int:
    found = {device: dict(run_cases(cases(), device)) for device in DEVICES}
    table = updated({}, found)
    write_table(table)
    for device in DEVICES:
        print(f"{device}: {100 * share(table, device):.2f} % of the cases that count pass")
    return 0


def _chosen(case: Case, args: argparse.Namespace) -> bool:
    named = bool(args.op or args.k)
    if args.op and not (set(args.op) & set(case.ops) and subject(case) in args.op):
        return False
    if args.k and args.k not in case.key:
        return False
    return named or args.all or excluded(case) is None


def _trace(outcomes: dict[Case, Outcome]) -> None:
    for case, outcome in outcomes.items():
        if outcome.error is not None:
            print(case.key)
            print("".join(traceback.format_exception(outcome.error)))
            return


def _print(outcomes: dict[Case, Outcome], named: bool, verbose: bool, bound: bool) -> None:
    by_op: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for case, outcome in outcomes.items():
        by_op[subject(case)][outcome.status] += 1
    if named:
        for case, outcome in outcomes.items():
            mark = " " if excluded(case) is None else "-"
            if outcome.status != PASS or bound:
                constants = f"  [bound: {', '.join(outcome.constants)}]" if bound and outcome.constants else ""
                print(f"{mark} {case.key}: {outcome.text}{constants}")
                if verbose and outcome.detail not in ("", outcome.reason):
                    print(f"      {outcome.detail}")
        print()
    width = max(map(len, by_op))
    print(f"{'':{width}} {'pass':>6} {'unsup':>6} {'fail':>6}")
    for op, counts in sorted(by_op.items()):
        print(f"{op:{width}} {counts[PASS]:6} {counts[UNSUPPORTED]:6} {counts[FAIL]:6}")
    total = Counter[str]()
    for counts in by_op.values():
        total.update(counts)
    share = 100 * total[PASS] / max(1, total.total())
    print(f"{'all':{width}} {total[PASS]:6} {total[UNSUPPORTED]:6} {total[FAIL]:6}   {share:.1f} % of {total.total()}")


if __name__ == "__main__":
    sys.exit(main())
