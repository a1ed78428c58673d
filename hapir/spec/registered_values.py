"""Registered values of the syntax: `i8`, `fixed(2, 6)`, `truncated(bits = 2)` as the text that options hold."""

from __future__ import annotations

from hapir.diagnostics import Findings, HapirError
from hapir.registered import FORMAT, Registered, bind, integer_spelling, spell, value_of
from hapir.registry import universe
from hapir.spec import syntax
from hapir.spec.options import Mismatch, read_options
from hapir.spec.resolve import resolve
from hapir.spec.values import show


def registered_text(value: syntax.Value, registered: Registered, name: str) -> str:
    """The canonical text of a value of the registry, checked. Raises Mismatch, HapirError with all that is wrong."""
    if isinstance(value, syntax.Text):  # the form that `hapir opt -p` takes works in a spec as well
        try:
            return spell(value_of(value.value, registered))
        except HapirError as error:
            first = error.diagnostics[0]
            raise Mismatch(first.code, first.message, value.span, first.help) from error
    if not isinstance(value, syntax.Name | syntax.Call):
        what = f"`{name}` takes {registered.one} like {registered.example}, not {show(value)}"
        raise Mismatch("HAP0304", what, value.span)
    called = value.function if isinstance(value, syntax.Call) else value
    if registered is FORMAT and isinstance(value, syntax.Name) and integer_spelling(value.text) is not None:
        return registered_text(syntax.Text(value.text, value.span), registered, name)
    findings = Findings()
    made = instance(value, called, registered, findings)
    if made is None:
        raise HapirError(findings.sorted())
    return spell(made)


def instance(value: syntax.Name | syntax.Call, called: syntax.Name, registered: Registered, findings: Findings):
    """The registered value that a name or a call makes, or None after a finding."""
    entries = getattr(universe(), registered.field)
    definition = resolve(entries, called, registered.kind, registered.code, findings)
    if definition is None:
        return None
    options = list(value.options) if isinstance(value, syntax.Call) else []
    arguments = value.arguments if isinstance(value, syntax.Call) else ()
    try:
        names = bind(definition, len(arguments))
    except ValueError as error:
        findings.error("HAP0205", str(error), at=value.span, help=f"`hapir help {called.text}` shows what it takes")
        return None
    given = [syntax.Option(syntax.Name(n, a.span), a, a.span) for n, a in zip(names, arguments, strict=True)]
    what = f"{registered.kind} `{called.text}`"
    return read_options(definition, [*given, *options], at=value.span, what=what, findings=findings)
