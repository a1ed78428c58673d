"""Where names of a network live while it is built: one frame per network and per instance of a block.

A frame knows tensors by their local names (`c1`), the instances made in it (`stage1`, whose tensors are read as
`stage1.c1`), and its constants. In a `repeat`, a plain name stands for the one of the iteration: `c` defines `c[i]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from xdsl.ir import SSAValue

from hapir.diagnostics import Span
from hapir.spec import syntax
from hapir.spec.evaluate import Scope


@dataclass(frozen=True)
class NamedTensor:
    """A named tensor: its SSA value (None after an error), and where it is made.

    The name of a layer that gives several tensors stands for none of them; `pieces` are their local names.
    """

    value: SSAValue | None
    span: Span
    pieces: tuple[str, ...] = ()


@dataclass(frozen=True)
class KnownBlock:
    """A block as it is seen at a place: its definition, and the constants and blocks around that definition."""

    definition: syntax.LayerBlock
    scope: Scope
    blocks: Mapping[str, KnownBlock]


@dataclass
class Iteration:
    """One turn of a `repeat`: the value of its variable, and the full local name of each plain name defined in it."""

    index: int
    scope: Scope
    names: dict[str, str] = field(default_factory=dict[str, str])


@dataclass
class Frame:
    """The names of a network, or of one instance of a block; see the module's docstring."""

    prefix: str
    """What the layers made here are called before their local name: `stage1.` or nothing."""
    scope: Scope
    blocks: dict[str, KnownBlock]
    values: dict[str, NamedTensor] = field(default_factory=dict[str, NamedTensor])
    instances: dict[str, Frame] = field(default_factory=dict[str, "Frame"])
    iterations: list[Iteration] = field(default_factory=list[Iteration])
    broken: bool = False
    """Whether an error kept names from being defined, so that a name that is not found tells nothing."""

    @property
    def constants(self) -> Scope:
        """The innermost scope."""
        return self.iterations[-1].scope if self.iterations else self.scope

    def local(self, name: str) -> str:
        """The full local name that a plain name gets when it is assigned here."""
        return indexed(name, [i.index for i in self.iterations]) if self.iterations else name

    def find(self, name: str) -> NamedTensor | None:
        """The tensor of a name as it is written here; dots lead into instances."""
        for iteration in reversed(self.iterations):
            if name in iteration.names:
                return self.values.get(iteration.names[name])
        found = self.values.get(name)
        return found if found is not None or "." not in name else self._inside(name)

    def _inside(self, name: str) -> NamedTensor | None:
        """The tensor that a dotted name leads to; the name of the instance may have dots itself."""
        for dot in (place for place, character in enumerate(name) if character == "."):
            instance = name[:dot]
            for iteration in reversed(self.iterations):
                instance = iteration.names.get(instance, instance)
            inner = self.instances.get(instance)
            found = None if inner is None else inner.find(name[dot + 1 :])
            if found is not None:
                return found
        return None

    def names(self) -> Iterator[str]:
        """What may be written here for a tensor, for suggestions."""
        for iteration in self.iterations:
            yield from iteration.names
        yield from (name for name, tensor in self.values.items() if not tensor.pieces)

    def names_near(self, name: str) -> Iterator[str]:
        """What may be written here for a tensor: those of the instance where a dotted name leads into one."""
        instance, _, rest = name.partition(".")
        for iteration in reversed(self.iterations):
            instance = iteration.names.get(instance, instance)
        inner = self.instances.get(instance) if rest else None
        return self.names() if inner is None else (f"{instance}.{n}" for n in inner.names_near(rest))


def indexed(name: str, indices: list[int]) -> str:
    """The name that `name[i, j]` stands for: `x[2, 3]` is `x2_3`; after a digit comes a `_`, so `c1[2]` is `c1_2`."""
    between = "_" if name[-1].isdigit() else ""
    return f"{name}{between}{'_'.join(map(str, indices))}"
