"""The technology tables as the language needs them: which there are, and what a machine may replace in them."""

from __future__ import annotations

import tomllib
from functools import cache

from hapir.diagnostics import Findings, Span, did_you_mean
from hapir.library import TECHNOLOGY, library_files
from hapir.spec import syntax
from hapir.spec.options import Measure, Mismatch, convert
from hapir.spec.twice import given_twice
from hapir.spec.units import Dimension

_DIMENSIONS: dict[str, Dimension] = {"pJ": "energy", "um2": "area"}
"""What a table's unit measures; hapir's own unit of that dimension is the same."""


@cache
def technology_entries(name: str) -> dict[str, Dimension]:
    """The entries of a table and what they measure. `name` must be one of the library's."""
    text = library_files(TECHNOLOGY)[name].read_text(encoding="utf-8")
    return {key: _DIMENSIONS[entry["unit"]] for key, entry in tomllib.loads(text).items() if isinstance(entry, dict)}


def check_technology(name: syntax.Name, findings: Findings) -> bool:
    """Whether there is a table of this name; a finding (HAP0219) where there is none."""
    known = library_files(TECHNOLOGY)
    if name.text in known:
        return True
    help = did_you_mean(name.text, known) or f"known: {', '.join(known)}"
    findings.error("HAP0219", f"there is no technology table `{name.text}`", at=name.span, help=help)
    return False


def read_overrides(call: syntax.Call, findings: Findings) -> dict[str, float]:
    """The entries that `technology = NAME(entry = value, ...)` replaces, in hapir's own units; errors are findings."""
    if not check_technology(call.function, findings):
        return {}
    entries, places = technology_entries(call.function.text), dict[str, Span]()
    what = f"the technology `{call.function.text}`"
    for argument in call.arguments:
        findings.error("HAP0205", f"the entries of {what} are replaced by name", at=argument.span,
                       help=f"for example `{call.function.text}({next(iter(entries))} = 1 pJ)`")  # fmt: skip
    found: dict[str, float] = {}
    for option in call.options:
        entry = option.name.text
        if entry not in entries:
            help = did_you_mean(entry, entries) or f"its entries are {', '.join(entries)}"
            findings.error("HAP0204", f"{what} has no entry `{entry}`", at=option.name.span, help=help)
        elif entry in places:
            given_twice(entry, option.name.span, places[entry], findings)
        else:
            places[entry] = option.name.span
            try:
                measure = convert(option.value, Measure, entry, (entries[entry],))
            except Mismatch as mismatch:
                findings.error(mismatch.code, mismatch.message, at=mismatch.at, help=mismatch.help)
                continue
            if measure.value < 0:
                findings.error(
                    "HAP0305",
                    f"`{entry}` must not be negative",
                    at=option.value.span,
                    help="write 0, or a positive value",
                )
            else:
                found[entry] = float(measure.value)
    return found
