"""Names of tensors while a network is built: which are taken, what a name stands for, and which are never used."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue

from hapir.diagnostics import LIBRARY, Label, Span
from hapir.spec import syntax
from hapir.spec.block_calls import BlockCalls
from hapir.spec.evaluate import evaluate
from hapir.spec.frames import Frame, NamedTensor, indexed
from hapir.spec.network_help import new_name, unknown_tensor
from hapir.spec.twice import defined_twice
from hapir.spec.values import show


class TensorNames:
    """The names that a network and its blocks give; the frames hold which of them can be seen where."""

    def __init__(self, network: syntax.Network, calls: BlockCalls):
        self._network = network
        self._calls = calls
        self.layers: dict[str, Span] = {}
        """The full names of all layers, those of nested calls included, and their places."""
        self._defined: dict[Span, str] = {}
        self._used: set[Span] = set()
        self._statement_of: dict[Span, Span] = {}
        """Of the call that a statement makes, the name: using any result of the layer is using the name."""

    def claim(self, name: syntax.Name, local: str, frame: Frame) -> bool:
        """Whether a local name is new; a duplicate is an error with both places."""
        constant = frame.constants.own.get(name.text) or frame.scope.own.get(name.text)
        known = frame.values.get(local)
        first = known.span if known else constant.span if constant else self.layers.get(frame.prefix + local)
        if first is None:
            return True
        taken = {*frame.values, *frame.constants.names(), *frame.instances}
        what = f"`{name.text}`" if local == name.text else f"`{name.text}`, which is `{local}` here,"
        defined_twice(what, name.span, first, self._calls.findings, help=new_name(name.text, taken))
        return False

    def define(self, local: str, value: SSAValue | None, name: syntax.Name, frame: Frame) -> None:
        """Let a local name stand for a tensor (None after an error in it), unless it stands for one already."""
        frame.values.setdefault(local, NamedTensor(value, name.span))
        self._defined.setdefault(name.span, name.text)

    def called(self, call: Span, name: syntax.Name) -> None:
        """Note the name of the statement that makes a call."""
        self._statement_of[call] = name.span

    def nested(self, wanted: str, frame: Frame) -> str:
        """A local name for a layer that has none: the wanted one, or one with a number behind it."""
        name, n = wanted, 1
        while frame.prefix + name in self.layers or name in frame.values or name in frame.instances:
            n += 1
            name = f"{wanted}_{n}"
        return name

    def indexed(self, name: syntax.Name, indices: Sequence[syntax.Value | syntax.Pair], frame: Frame) -> str | None:
        """The local name of `name[i, j]`; None where an index is missing or no integer of at least 0."""
        numbers: list[int] = []
        if not indices:
            help = f"write `{name.text}[1]`, or `{name.text}`"
            self._calls.findings.error("HAP0304", f"`{name.text}[]` has no index", at=name.span, help=help)
        for index in indices:
            value = None if isinstance(index, syntax.Pair) else evaluate(index, frame.constants, self._calls.findings)
            if isinstance(value, syntax.Number) and isinstance(value.value, int) and value.value >= 0:
                numbers.append(value.value)
            elif value is not None or isinstance(index, syntax.Pair):
                shown = "a pair" if value is None else show(value)
                message = f"an index is an integer of at least 0, not {shown}"
                self._calls.findings.error("HAP0304", message, at=index.span, help=f"write `{name.text}[1]`")
        return indexed(name.text, numbers) if numbers and len(numbers) == len(indices) else None

    def find(self, name: syntax.Name, frame: Frame, shown: str = "") -> SSAValue | None:
        """The tensor of a name, which is used by that; None after an error. `shown` is the name as it is written."""
        known = frame.find(name.text)
        shown = shown or f"`{name.text}`"
        if known is not None:
            self._used.update((known.span, self._statement_of.get(known.span, known.span)))
            if known.pieces:
                self.which(shown, known, name.span)
            return known.value
        constant = frame.constants.find(name.text)
        if frame.broken or (constant is not None and constant.value is None):
            return None  # what is wrong with it is told where it is made
        later = self._made_later(name.text, frame)
        if constant is not None:
            help, what = "a layer takes tensors by position and numbers by name", f"{shown} is a number, not a tensor"
        else:
            help = (
                "move that statement above this one"
                if later
                else unknown_tensor(name.text, frame.names_near(name.text))
            )
            what = f"there is no tensor {shown}" + (" yet" if later else "")
        labels = [Label(later, "it is made here")] if later else []
        self._calls.findings.error("HAP0202", what, at=name.span, labels=labels, help=help)
        return None

    def which(self, shown: str, known: NamedTensor, at: Span) -> None:
        """Report a layer that gives several tensors and stands where one is needed."""
        help = f"they are {', '.join(f'`{piece}`' for piece in known.pieces)}"
        message = f"{shown} is not one tensor but {len(known.pieces)}"
        self._calls.findings.error("HAP0202", message, at=at, help=help)

    def _made_later(self, name: str, frame: Frame) -> Span | None:
        """Where a statement around gives a name that is not there yet."""
        around = self._calls.statements if frame.prefix else self._network.statements
        later = (s.name for s in around if isinstance(s, syntax.Assign) and s.name.text == name and not s.indices)
        return next((found.span for found in later), None)

    def report_unused(self) -> None:
        """Warn of names that nothing uses, but for those of hapir's own library."""
        for span, name in self._defined.items():
            if span not in self._used and not span.file.startswith(LIBRARY):
                help = "use it, return it, or remove it"
                self._calls.findings.warning("HAP0220", f"`{name}` is never used", at=span, help=help)
