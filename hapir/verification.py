"""Which operations of a module do not verify, and why: xDSL's verifier says the why and forgets the which."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.ir import Operation
from xdsl.utils.exceptions import VerifyException

from hapir.diagnostics import Diagnostic, span_of

SHOWN_LENGTH = 160
"""Characters of the text of an operation that a message shows."""


@dataclass(frozen=True)
class Invalid:
    """An operation that does not verify, and what its verifier says."""

    op: Operation
    message: str

    def diagnostic(self, code: str, prefix: str = "", help: str | None = None) -> Diagnostic:
        """The message at the operation's place; an operation without a place is shown in the help."""
        span = span_of(self.op.location)
        named = self.message if self.op.name in self.message else f"`{self.op.name}`: {self.message}"
        shown = None if span else f"the operation is `{one_line(self.op)}`"
        return Diagnostic(code, f"{prefix}{named}", span, help="; ".join(filter(None, (shown, help))) or None)


def invalid_ops(module: Operation) -> tuple[Invalid, ...]:
    """All operations that do not verify though those inside them do, inner ones first; none where the module is valid.

    A verifier that fails in another way than by refusing counts as refusing: a broken pass leaves broken references.
    """
    try:
        module.verify()
    except Exception as error:
        found: list[Invalid] = []
        _search(module, found)
        # where no operation alone is at fault, the module is
        return tuple(found) or (Invalid(module, _reason(error)),)
    return ()


def _search(op: Operation, found: list[Invalid]) -> bool:
    """Whether an operation with all in it verifies; what does not goes to `found`."""
    # not `all` over a generator: each inner operation is to be tried
    inner = [_search(inside, found) for region in op.regions for block in region.blocks for inside in block.ops]
    if not all(inner):
        return False
    try:
        for region in op.regions:
            region.verify()
        op.verify(verify_nested_ops=False)
    except Exception as error:
        found.append(Invalid(op, _reason(error)))
        return False
    return True


def _reason(error: Exception) -> str:
    """What the verifier says on one line, without the module that xDSL adds as a note."""
    words = " ".join(str(error).split())
    return words if isinstance(error, VerifyException) else f"its verifier fails: {type(error).__name__}: {words}"


def one_line(op: Operation) -> str:
    """The start of an operation's text."""
    try:
        return cut_short(str(op))
    except Exception:  # an invalid operation may be beyond printing
        return op.name


def cut_short(text: str) -> str:
    """A text on one line of at most `SHOWN_LENGTH` characters and three dots."""
    words = " ".join(text.split())
    return words if len(words) <= SHOWN_LENGTH else f"{words[:SHOWN_LENGTH]}..."
