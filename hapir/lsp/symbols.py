"""What names stand for: symbols that specs define, words that hapir knows, and the scopes that symbols are seen in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from hapir.diagnostics import Span
from hapir.spec import syntax
from hapir.spec.evaluate import Scope
from hapir.spec.frames import indexed

Kind: TypeAlias = Literal[
    "network", "block", "machine", "recipe", "schedule", "constant", "parameter", "input", "tensor", "index", "part",
    "result", "file",
]  # fmt: skip
Node: TypeAlias = (
    syntax.Definition | syntax.Let | syntax.Parameter | syntax.Assign | syntax.Repeat | syntax.Block | syntax.Import
)


@dataclass(frozen=True)
class Symbol:
    """Something that a spec defines: where its name stands, and the syntax that defines it.

    `inner` is the block that a tensor is an instance of. A `part` is a memory, an array or another named block of a
    machine, a `file` what an import brings in (its name is that of the file in spans).
    """

    kind: Kind
    name: str
    span: Span
    node: Node = field(compare=False, repr=False)
    inner: syntax.LayerBlock | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Known:
    """A word that hapir knows: the kind of its entry in the catalogue, its name, and which of its options is meant."""

    kind: str
    name: str
    option: str | None = None


@dataclass(frozen=True)
class Occurrence:
    """A place where a name stands for something.

    `indices` are those that the written name holds: of `block2`, which stands for `block[2]`, they are `[2]`.
    """

    span: Span
    target: Symbol | Known
    defines: bool = False
    indices: tuple[int, ...] = ()


@dataclass(frozen=True)
class Expression:
    """A piece of arithmetic, and the constants that it sees."""

    value: syntax.Value
    constants: Scope


@dataclass
class Names:
    """The symbols that can be seen at a place: its own, and those of the names around it.

    A block sees the constants and blocks around it, but not the tensors (`tensors` is False).
    """

    constants: Scope
    outer: Names | None = None
    tensors: bool = True
    own: dict[str, Symbol] = field(default_factory=dict[str, Symbol])

    def find(self, name: str) -> Symbol | None:
        """The symbol of this very name."""
        names: Names | None = self
        hidden = False
        while names is not None:
            found = names.own.get(name)
            if found is not None and not (hidden and found.kind in ("tensor", "input", "index")):
                return found
            hidden = hidden or not names.tensors
            names = names.outer
        return None

    def find_indexed(self, name: str) -> tuple[Symbol, tuple[int, ...]] | None:
        """The symbol of a name, or of the name before its indices: `block2` is `block[2]`."""
        found = self.find(name)
        if found is not None:
            return found, ()
        for match in re.finditer(r"(?<=[A-Za-z0-9_])(?=_?[0-9]+(?:_[0-9]+)*$)", name):
            base, numbers = name[: match.start()], re.findall(r"[0-9]+", name[match.start() :])
            symbol = self.find(base)
            indices = [int(number) for number in numbers]
            if symbol is not None and symbol.kind == "tensor" and indexed(base, indices) == name:
                return symbol, tuple(indices)
        return None

    def all(self) -> Iterator[Symbol]:
        """All symbols that can be seen, the innermost first."""
        names: Names | None = self
        hidden = False
        while names is not None:
            for symbol in names.own.values():
                if not (hidden and symbol.kind in ("tensor", "input", "index")):
                    yield symbol
            hidden = hidden or not names.tensors
            names = names.outer
