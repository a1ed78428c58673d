"""What may stand once and stands twice: the errors, which show both places."""

from __future__ import annotations

from hapir.diagnostics import Findings, Label, Span


def defined_twice(
    what: str, at: Span, first: Span, findings: Findings, *, help: str = "give one of them another name"
) -> None:
    """Report a second definition of a name; `what` is how the message calls it, with its quotes."""
    labels = [Label(first, "first defined here")]
    findings.error("HAP0207", f"{what} is defined twice", at=at, labels=labels, help=help)


def given_twice(what: str, at: Span, first: Span, findings: Findings, *, help: str = "remove one of them") -> None:
    """Report a second value for something."""
    labels = [Label(first, "first given here")]
    findings.error("HAP0221", f"`{what}` is given twice", at=at, labels=labels, help=help)
