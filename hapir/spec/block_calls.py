"""Calls of blocks while they run: which are active, and findings that tell the calls that lead to them.

A finding of a block's statement is told once however often the block is called.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from hapir.diagnostics import Findings, Label, Span
from hapir.spec import syntax

MAXIMUM_CALLS = 30
"""Calls of blocks inside calls of blocks."""


@dataclass(frozen=True)
class _BlockCall:
    """A call of a block that is running."""

    block: syntax.LayerBlock
    at: Span


class BlockCalls:
    """The calls of blocks that are running, and where their errors go."""

    def __init__(self, findings: Findings):
        self.findings = findings
        """Those of the innermost call."""
        self._active: list[_BlockCall] = []
        self._told: set[tuple[str, Span | None]] = set()

    @property
    def statements(self) -> Sequence[syntax.Statement]:
        """The statements of the innermost block."""
        return self._active[-1].block.statements

    def may_run(self, block: syntax.LayerBlock, at: Span) -> bool:
        """Whether a block may be called here; one that calls itself may not, which is an error."""
        circle = any(call.block is block for call in self._active)
        if not circle and len(self._active) < MAXIMUM_CALLS:
            return True
        name = block.name.text
        message = f"the block `{name}` calls itself" if circle else f"blocks call blocks {MAXIMUM_CALLS} deep"
        self.findings.error("HAP0225", message, at=at, help="use `repeat` for rows of layers")
        return False

    @contextmanager
    def running(self, block: syntax.LayerBlock, at: Span) -> Generator[None]:
        """Findings until the end of this call tell it, and each place is told once."""
        outer, self.findings = self.findings, Findings()
        self._active.append(_BlockCall(block, at))
        try:
            yield
        finally:
            self._active.pop()
            found, self.findings = self.findings, outer
            label = Label(at, f"in this call of `{block.name.text}`")
            for diagnostic in found.sorted():
                key = (diagnostic.code, diagnostic.span)
                if self._active or key not in self._told:
                    outer.add([replace(diagnostic, labels=(*diagnostic.labels, label))])
                if not self._active:
                    self._told.add(key)
