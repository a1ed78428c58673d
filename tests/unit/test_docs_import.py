"""The tables of the page about importing: they are made of what is registered, and of the checked-in conformance table.

`pytest tests/unit/test_docs_import.py --update-golden` writes them anew.
"""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from hapir.catalogue.markdown import table
from hapir.importers.onnx.nodes import MICROSOFT, ONNX, QONNX_DOMAINS, handlers
from hapir.importers.onnx.runtime_ops import ON_REALS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "pages" / "import.md"
CONFORMANCE = ROOT / "tests" / "conformance"
TOTAL = "all that count"


def operators() -> str:
    """The operators that can be imported, by the file that has their handlers."""
    families: dict[str, set[str]] = {}
    for (domain, op), handler in handlers().items():
        family = handler.__module__.rpartition("ops_")[2]
        if family != "control":  # its handlers tell why there is none
            name = op if domain == ONNX or domain in QONNX_DOMAINS else f"{domain}.{op}"
            families.setdefault(family, set()).add(name)
    families["quantized"] |= {f"{MICROSOFT}.{op}" for op in ON_REALS}
    rows = [(family, ", ".join(sorted(names))) for family, names in families.items()]
    return table(("family", "operators"), rows)


def conformance() -> str:
    """How many of the cases that count pass, by family."""
    families: dict[str, list[str]] = tomllib.loads((CONFORMANCE / "ops.toml").read_text(encoding="utf-8"))["operators"]
    lines = (CONFORMANCE / "ops.csv").read_text(encoding="utf-8").splitlines()
    counted = {row["subject"]: row for row in csv.DictReader(lines) if row["counts"] == "yes"}
    columns = ("cases", "reference pass", "c pass")
    sums = {
        family: [sum(int(counted[op][column]) for op in ops if op in counted) for column in columns]
        for family, ops in families.items()
    }
    total = [int(counted[TOTAL][column]) for column in columns]
    assert total == [sum(column) for column in zip(*sums.values(), strict=True)]
    percent = [f"{total[0]}", *(f"{n} ({100 * n / total[0]:.1f} %)" for n in total[1:])]
    rows = [*((family, *map(str, numbers)) for family, numbers in sums.items()), (TOTAL, *percent)]
    return table(("family", "cases", "pass on the reference", "pass as C"), rows)


def test_the_readme_has_the_same_counts(request: pytest.FixtureRequest):
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    lines = (CONFORMANCE / "ops.csv").read_text(encoding="utf-8").splitlines()
    (row,) = (row for row in csv.DictReader(lines) if row["subject"] == TOTAL)
    counts = f"{row['reference pass']} of {row['cases']} pass on the reference and {row['c pass']} as C"
    if request.config.getoption("--update-golden"):
        readme.write_text(re.sub(r"\d+ of \d+ pass on the reference and \d+ as C", counts, text), encoding="utf-8")
        return
    assert counts in text


@pytest.mark.parametrize("made", [operators, conformance], ids=lambda made: made.__name__)
def test_the_tables_are_true(made: Callable[[], str], request: pytest.FixtureRequest):
    text = PAGE.read_text(encoding="utf-8")
    mark = f"<!-- {made.__name__} -->\n"
    before, found, rest = text.partition(mark)
    assert found, f"the page has no {mark}"
    shown, end, after = rest.partition("<!-- end -->")
    assert end
    wanted = f"\n{made()}\n\n"
    if request.config.getoption("--update-golden"):
        PAGE.write_text(f"{before}{mark}{wanted}{end}{after}", encoding="utf-8")
        return
    assert shown == wanted


def test_the_passes_of_canonical_are_told_about():
    from hapir.pipelines import CANONICAL

    told = re.findall(r"^\| \[`(\w+)`\]\(reference/passes\.md", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert told == CANONICAL.passes.split(",")
