"""Names of the spec looked up in the registry, with a did-you-mean for those that are not there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from hapir.diagnostics import Findings, HapirError
from hapir.spec import foreign, syntax
from hapir.spec.foreign import suggest

T = TypeVar("T")
_FOREIGN = {"pass": foreign.PASSES, "dataflow": foreign.DATAFLOWS}


def resolve(
    entries: Mapping[str, Callable[[], T]], name: syntax.Name, kind: str, code: str, findings: Findings
) -> T | None:
    """The entry of this name; None after a finding where it is unknown or its plug-in fails to load.

    `kind` is a word of messages, and chooses the table of foreign names.
    """
    getter = entries.get(name.text)
    if getter is None:
        help = suggest(name.text, entries, _FOREIGN.get(kind)) or f"known: {', '.join(sorted(entries))}"
        findings.error(code, f"there is no {kind} `{name.text}`", at=name.span, help=help)
        return None
    try:
        return getter()
    except HapirError as error:  # a plug-in's entry that fails to load (see `hapir.plugins`)
        findings.add(replace(d, span=name.span) for d in error.diagnostics)
        return None
