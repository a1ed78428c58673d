"""The checked-in tables: `cases.csv`, what each case gives on each device, and `ops.csv`, the counts per operator.

`python -m tests.conformance.run --update` and `pytest tests/conformance --update-table` write both anew, the second
only the cases that it runs.
"""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from hapir.files import write_atomically
from tests.conformance.cases import Case
from tests.conformance.outcomes import DEVICES, FAIL, PASS, UNSUPPORTED, Outcome
from tests.conformance.scope import excluded, operators, subject

FOLDER = Path(__file__).parent
CASES, OPS = FOLDER / "cases.csv", FOLDER / "ops.csv"
COUNTS = "yes"
VERSION = "# onnx "


@dataclass(frozen=True)
class Row:
    """A case in the table: whether it counts (or why not), the outcome on each device, and which inputs are bound."""

    case: str
    subject: str
    counts: str
    outcomes: Mapping[str, str]
    bound: str

    def status(self, device: str) -> str:
        """`pass`, `unsupported` or `fail` on a device."""
        return self.outcomes[device].partition(":")[0]


Table = dict[str, Row]


def read_table() -> Table:
    """The rows by case; none where there is no file."""
    if not CASES.exists():
        return {}
    lines = [line for line in CASES.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    found = csv.DictReader(lines)
    rows = (Row(r["case"], r["subject"], r["counts"], {d: r[d] for d in DEVICES}, r["bound"]) for r in found)
    return {row.case: row for row in rows}


def table_version() -> str:
    """The version of onnx that the table is of; empty where there is no table."""
    lines = CASES.read_text(encoding="utf-8").splitlines() if CASES.exists() else []
    return lines[0].removeprefix(VERSION) if lines else ""


def updated(table: Table, found: Mapping[str, Mapping[Case, Outcome]]) -> Table:
    """The table with the outcomes of some cases by device."""
    rows = dict(table)
    for device, outcomes in found.items():
        for case, outcome in outcomes.items():
            row = rows.get(case.key) or Row(case.key, "", "", dict.fromkeys(DEVICES, "not run"), "")
            rows[case.key] = replace(
                row,
                subject=subject(case),
                counts=excluded(case) or COUNTS,
                outcomes={**row.outcomes, device: outcome.text},
                bound=" ".join(outcome.constants) or row.bound,
            )
    return rows


def write_table(table: Table) -> None:
    """Write both files."""
    rows = [table[key] for key in sorted(table)]
    head = ("case", "subject", "counts", *DEVICES, "bound")
    lines = ((r.case, r.subject, r.counts, *(r.outcomes[d] for d in DEVICES), r.bound) for r in rows)
    write_atomically(CASES, f"{VERSION}{onnx.__version__}\n{_csv(head, lines)}".encode())
    write_atomically(OPS, counts_text(rows).encode())


def counts_text(rows: Iterable[Row]) -> str:
    """Of each operator, first those that count: cases, and how many of them pass, are unsupported, fail, per device."""
    counted: defaultdict[tuple[bool, str], list[Row]] = defaultdict(list)
    for row in rows:
        counted[row.counts != COUNTS, row.subject].append(row)
    for op in operators():
        counted.setdefault((False, op), [])
    lines: list[tuple[str | int, ...]] = []
    for (outside, name), group in sorted(counted.items()):
        lines.append((name, "no" if outside else "yes", len(group), *_statuses(group)))
    inside = [row for (outside, _), group in counted.items() if not outside for row in group]
    lines.append(("all that count", "yes", len(inside), *_statuses(inside)))
    head = ("subject", "counts", "cases", *(f"{d} {s}" for d in DEVICES for s in (PASS, UNSUPPORTED, FAIL)))
    return _csv(head, lines)


def _statuses(rows: Iterable[Row]) -> list[int]:
    rows = list(rows)
    found = {device: Counter(row.status(device) for row in rows) for device in DEVICES}
    return [found[device][status] for device in DEVICES for status in (PASS, UNSUPPORTED, FAIL)]


def share(table: Table, device: str) -> float:
    """The part of the cases that count that passes on a device, from 0 to 1."""
    rows = [row for row in table.values() if row.counts == COUNTS]
    return sum(row.status(device) == PASS for row in rows) / len(rows)


def _csv(head: Iterable[str], lines: Iterable[Iterable[str | int]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(lines)
    return text.getvalue()
