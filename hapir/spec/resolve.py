"""Names of the spec looked up in the registry, with a did-you-mean for those that are not there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from hapir.diagnostics import Findings, HapirError, did_you_mean
from hapir.spec import syntax

T = TypeVar("T")


def resolve(
    entries: Mapping[str, Callable[[], T]], name: syntax.Name, kind: str, code: str, findings: Findings
) -> T | None:
    """The entry of this name; None after a finding where it is unknown or its plug-in fails to load."""
    getter = entries.get(name.text)
    if getter is None:
        help = did_you_mean(name.text, entries) or f"known: {', '.join(sorted(entries))}"
        findings.error(code, f"there is no {kind} `{name.text}`", at=name.span, help=help)
        return None
    try:
        return getter()
    except HapirError as error:  # a plug-in's entry that fails to load (see `hapir.plugins`)
        findings.add(replace(d, span=name.span) for d in error.diagnostics)
        return None
