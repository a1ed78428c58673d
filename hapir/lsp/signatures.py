"""What a call takes, while it is being written."""

from __future__ import annotations

from dataclasses import dataclass

from hapir.catalogue.markdown import prose
from hapir.lsp.catalogue import entry_of
from hapir.lsp.completion import Place, called_at, given, owner_of
from hapir.spec import syntax
from hapir.spec.evaluate import FUNCTIONS
from hapir.spec.unparse import value_text


@dataclass(frozen=True)
class Signature:
    """A call in words: the whole, its parameters with their documentation, and which of them is being written."""

    label: str
    documentation: str
    parameters: tuple[tuple[str, str], ...]
    active: int | None


def signature(place: Place) -> Signature | None:
    """The signature of the innermost call around the cursor."""
    frame = place.context.frames[-1] if place.context.frames else None
    if frame is None or frame.opening != "(":
        return None
    writing = place.context.before.partition("=")[0].strip() if "=" in place.context.before else ""
    owner = owner_of(place)
    if owner is not None:
        entry = entry_of(owner)
        if entry is None:
            return None
        if owner.kind == "function":
            return Signature(FUNCTIONS[owner.name].signature, prose(entry.summary), (), None)
        parameters = tuple(
            (o.name if o.required else f"{o.name} = {o.default}", f"{o.allowed}. {o.description}".strip())
            for o in entry.options
        )
        inputs = ["x"] if owner.kind == "layer" else []
        label = f"{owner.name}({', '.join([*inputs, *(p for p, _ in parameters)])})"
        names = [option.name for option in entry.options]
        return Signature(label, prose(entry.summary), parameters, _active(names, writing))
    called = called_at(place, frame)
    node = None if called is None else called.node
    if not isinstance(node, syntax.Network | syntax.LayerBlock | syntax.Machine | syntax.Recipe):
        return None
    named = [(p.name.text, p) for p in node.parameters if p.name is not None and p.type is None]
    shown = tuple((name if p.default is None else f"{name} = {value_text(p.default)}", "") for name, p in named)
    label = f"{node.name.text}({', '.join(text for text, _ in shown)})"
    names = [name for name, _ in named]
    positional = place.context.inside.count(",") if not given(place) else None
    active = _active(names, writing)
    if active is None and positional is not None and positional < len(names):
        active = positional
    return Signature(label, "", shown, active)


def _active(names: list[str], writing: str) -> int | None:
    return names.index(writing) if writing in names else None
