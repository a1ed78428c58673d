"""The blocks `kernel` of a schedule as `kernel.request`s: which algorithm some layers are computed by on a host."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields

from hapir.diagnostics import Findings, Label, did_you_mean, location_of, some
from hapir.dialects.kernel import RequestOp
from hapir.dialects.kernel_kinds import KINDS, Direct, KernelKind, choice_of
from hapir.selectors import selected
from hapir.spec import syntax
from hapir.spec.foreign import suggest
from hapir.spec.options import read_options
from hapir.spec.values import show, word

ALGORITHM = "algorithm"


@dataclass(frozen=True)
class KernelRequests:
    """Reads the `kernel` blocks of one schedule; errors go to the findings.

    `layers` are those of its network, None where that is not known.
    """

    network: str
    layers: Collection[str] | None
    findings: Findings

    def read(self, blocks: Sequence[syntax.Block]) -> list[RequestOp]:
        """A request per block, in the order written; of what a layer is asked twice is an error."""
        asked: dict[str, syntax.Name] = {}
        requests: list[RequestOp] = []
        for block in blocks:
            self._claim(block.name, asked)
            kind = self._kind(block)
            if kind is not None:
                op = RequestOp(block.name.text, choice_of(kind))
                op.location = location_of(block.name.span)
                requests.append(op)
        return requests

    def _claim(self, pattern: syntax.Name, asked: dict[str, syntax.Name]) -> None:
        """Note the layers of a block. One that is named outright has that kernel, whatever globs match it."""
        if self.layers is None:
            return
        matching = selected(self.layers, [pattern.text])
        if not matching:
            self.findings.error(
                "HAP0208",
                f"the network `{self.network}` has no layer `{pattern.text}`",
                at=pattern.span,
                help=did_you_mean(pattern.text, self.layers) or f"its layers are {some(self.layers)}",
            )
        for layer in matching:
            first = asked.get(layer)
            if first is not None and (layer == pattern.text) == (layer == first.text):
                labels = [Label(first.span, "first given here")]
                message = f"the layer `{layer}` has two kernels"
                help = "remove one of them" if first.text == pattern.text else "name it in a block alone"
                self.findings.error("HAP0221", message, at=pattern.span, labels=labels, help=help)
                return
            if first is None or layer == pattern.text:
                asked[layer] = pattern

    def _kind(self, block: syntax.Block) -> KernelKind | None:
        options: list[syntax.Assign] = []
        kind: type[KernelKind] | None = Direct
        named: syntax.Name | None = None
        for item in block.items:
            if not isinstance(item, syntax.Assign):
                at = item.kind.span if isinstance(item, syntax.Block) else item.span
                message = "a kernel is made of settings"
                self.findings.error("HAP0216", message, at=at, help="write `algorithm = direct`")
            elif item.name.text == ALGORITHM and named is None:
                named = item.name
                kind = self._algorithm(item.value)
            elif item.name.text == ALGORITHM:
                labels = [Label(named.span, "first given here")] if named else []
                message = f"`{ALGORITHM}` is given twice"
                self.findings.error("HAP0221", message, at=item.name.span, labels=labels, help="remove one of them")
            else:
                options.append(item)
        if kind is None:
            return None
        self._hint(options, kind, said=named is not None)
        what = f"the kernel `{kind.name}`"
        return read_options(kind, options, at=block.name.span, what=what, findings=self.findings)

    def _hint(self, options: list[syntax.Assign], kind: type[KernelKind], *, said: bool) -> None:
        """Refuse options of other algorithms by name, and take them out."""
        own = {f.name for f in fields(kind)}
        for option in [o for o in options if o.name.text not in own]:
            name = option.name.text
            owners = [k.name for k in KINDS.values() if name in {f.name for f in fields(k)}]
            if not owners and (said or suggest(name, own)):
                continue  # `read_options` says what it knows
            help = (
                f"it is one of `{owners[0]}`: write `{ALGORITHM} = {owners[0]}`" if owners
                else suggest(name, [ALGORITHM]) or f"here may stand {ALGORITHM}, {', '.join(sorted(own))}"
            )  # fmt: skip
            message = f"the kernel `{kind.name}` has no option `{name}`"
            self.findings.error("HAP0204", message, at=option.name.span, help=help)
            options.remove(option)

    def _algorithm(self, value: syntax.Value) -> type[KernelKind] | None:
        text = value.value if isinstance(value, syntax.Text) else word(value)
        if text is not None and text in KINDS:
            return KINDS[text]
        known = f"one of {', '.join(KINDS)}"
        message = f"`{ALGORITHM}` takes {known}, not {show(value)}"
        help = suggest(text, KINDS) if text else None
        self.findings.error("HAP0304", message, at=value.span, help=help or known)
        return None
